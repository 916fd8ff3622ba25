"""The snapshot that the page is told, from what was seen of the cluster and through the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mnist_dash.cluster.changes import state_of
from mnist_dash.cluster.objects.names import service_name
from mnist_dash.cluster.reading.observe import deployment_of
from mnist_dash.cluster.reading.seen import Seen
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.routing.watch import View
from mnist_dash.domain import ModelCheck, Role, Snapshot

HELD = "All requests go to Current until New has a ready replica."
TAKING_OVER = "The gateway is taking the change over."


@dataclass(frozen=True)
class Promotion:
    """A promotion that is under way, as far as this dashboard has to do with it."""

    mine: bool = False
    """Whether this dashboard carries it on."""
    interrupted: bool = False
    """Whether it has not got on for some time."""
    obstacle: str = ""
    """What keeps it from going on, in words."""


def snapshot_of(
    seen: Seen,
    view: View,
    promotion: Promotion,
    checks: Callable[[str, int], ModelCheck | None],
    *,
    outside: tuple[str, ...] = (),
    problem: str = "",
    notices: tuple[str, ...] = (),
) -> Snapshot:
    """Everything in words; `problem` is why the dashboard could not carry on what it has to."""
    current, new = (deployment_of(role, seen, view.versions, checks) for role in Role)
    state = state_of(seen)
    interrupted = _interrupted(seen, promotion) if promotion.interrupted else ""
    return Snapshot(
        taken_at=seen.taken_at,
        current=current,
        new=new,
        split_wanted=state.swap.split if state.swap else state.split,
        split_observed=_observed(seen, view),
        waiting_for=interrupted or _waiting_for(seen, view, promotion, problem),
        can_undo_promote=state.can_undo and new is not None and state.swap is None,
        interrupted_promotion=interrupted,
        outside=outside,
        notices=notices,
    )


def is_swapped(shown: Snapshot, seen: Seen) -> bool:
    """Whether a model that was shown in one role plays the other one by now: somebody else promoted."""
    models = filter(None, (shown.current, shown.new))
    return any(seen.role(model.release) is not model.role for model in models)


def _waiting_for(seen: Seen, view: View, promotion: Promotion, problem: str) -> str:
    swap = state_of(seen).swap
    if swap:
        doing = "The roles are being" if promotion.mine else f"By {swap.by or 'somebody'} the roles are being"
        return " ".join(filter(None, [f"{doing} swapped.", promotion.obstacle, problem]))
    if problem:
        return problem
    if ending := _ending(seen):
        return ending
    if state_of(seen).split > 0 and not seen.ready_addresses(Role.NEW):
        return HELD
    if view.problem:
        return f"The gateway does not lead to the models yet. {view.problem}"
    return TAKING_OVER if view.pending else ""


def _observed(seen: Seen, view: View) -> int:
    """New's share; while both pointers lead to one release, that one gets everything, whatever the weight."""
    if seen.pointer(Role.CURRENT) is not seen.pointer(Role.NEW):
        return view.split
    return 0 if seen.release(Role.CURRENT) is seen.pointer(Role.CURRENT) else 100


def _ending(seen: Seen) -> str:
    """That what was removed is not gone yet: it may still answer."""
    removed = [role for role in Role if seen.deployment(seen.release(role)) is None]
    left = [role.label for role in removed if seen.pods_of(seen.release(role))]
    return f"The replicas of the removed {' and '.join(left)} are ending." if left else ""


def _interrupted(seen: Seen, promotion: Promotion) -> str:
    swap = state_of(seen).swap
    by = f" by {swap.by}" if swap and swap.by else ""
    return f"A promotion{by} stopped half-way. {promotion.obstacle}".strip()


def faults(seen: Seen, routes: Routes) -> tuple[str, ...]:
    """What is wrong with the objects that lead to the models, if there are any, a sentence each."""
    if not seen.deployments:
        return ()
    missing = [
        f"Service {service_name(role)} is missing, so nobody reaches {role.label}. "
        "Deploying any model writes it anew."
        for role in Role
        if seen.service(role) is None
    ]
    return (*missing, *(seen.written.trouble if seen.written else routes.faults(seen.routes)))
