"""What the dashboard does by itself: hold a split until New is ready, and carry a promotion on."""

from __future__ import annotations

from dataclasses import replace

from mnist_dash.cluster import manifests
from mnist_dash.cluster.changes import Act, Apply, Site, routed, state_of
from mnist_dash.cluster.route_state import Finish, Point, SetWeight, Step, Swap, next_step
from mnist_dash.cluster.seen import Seen
from mnist_dash.domain import Release, Role


def pointers(seen: Seen) -> dict[Role, Release]:
    """Which release each role points at."""
    return {role: seen.pointer(role) for role in Role}


def step_of(seen: Seen, swap: Swap) -> Step:
    """The next write of a promotion."""
    return next_step(pointers(seen), seen.written.weight if seen.written else 0, swap)


def is_due(step: Step, seen: Seen, observed: int, *, given_up_waiting: bool) -> bool:
    """Whether what the step before it wrote has taken effect, as far as it can be seen.

    `observed` is the split that the gateway was seen to follow. Whether the Services lead to Pods that are
    ready is always waited for; the gateway only until `given_up_waiting`, as it may not be seen from here.
    """
    match step:
        case SetWeight(100):
            return _leads_to_ready_pods(seen, Role.NEW)
        case Point(Role.CURRENT, _):
            return _leads_to_ready_pods(seen, Role.NEW) and (observed == 100 or given_up_waiting)
        case SetWeight(0):
            return _leads_to_ready_pods(seen, Role.CURRENT)
        case Point(Role.NEW, _):
            return observed == 0 or given_up_waiting
    return True


def _leads_to_ready_pods(seen: Seen, role: Role) -> bool:
    """Whether the role's Service leads to ready Pods of the release that it points at, and to no others."""
    ready = seen.ready_addresses(role)
    return bool(ready) and ready <= seen.addresses_of(seen.pointer(role))


def acts_of_step(step: Step, seen: Seen, site: Site) -> tuple[Act, ...]:
    """What a step writes; writing it again does no harm."""
    state = state_of(seen)
    match step:
        case SetWeight(weight):
            return routed(seen, site, state, weight=weight)
        case Point(role, release):
            return (Apply(manifests.service(role, release, site.namespace)),)
        case Finish(split):
            undo = state.swap is not None and state.swap.undo
            return routed(seen, site, replace(state, swap=None, split=split, can_undo=undo))


def acts_of_holding(seen: Seen, site: Site) -> tuple[Act, ...]:
    """What makes the routes send New its share as long as it is ready, and nothing otherwise; often none."""
    written = seen.written
    if written is None or written.state.swap:
        return ()
    ready = bool(seen.ready_addresses(Role.NEW))
    weight = written.state.split if ready else 0
    if (written.weight, written.has_new) == (weight, ready):
        return ()
    return routed(seen, site, written.state)
