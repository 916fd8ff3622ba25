"""Carry promotions out step by step, and hold a split until New is ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mnist_dash.cluster import manifests
from mnist_dash.cluster.observation import Observation, is_ready
from mnist_dash.cluster.operations import Apply, Operation, Site, routed, state_of
from mnist_dash.cluster.route_state import Finish, PendingPromotion, SetSelector, SetWeight, Step, next_step
from mnist_dash.cluster.snapshot import Promotion
from mnist_dash.domain import Release, Role


def pointers(seen: Observation) -> dict[Role, Release]:
    """Which release each role points at."""
    return {role: seen.pointer(role) for role in Role}


def step_of(seen: Observation, swap: PendingPromotion) -> Step:
    """The next write of a promotion; where nobody answers anyway, Current's pointer need not wait."""
    if _nothing_to_lose(seen, swap):
        return SetSelector(Role.CURRENT, swap.current)
    return next_step(pointers(seen), seen.written.weight if seen.written else 0, swap)


def _nothing_to_lose(seen: Observation, swap: PendingPromotion) -> bool:
    """Whether Current leads to nobody, while the release that it is to lead to is ready."""
    away = seen.pointer(Role.CURRENT) is not swap.current and not seen.ready_addresses(Role.CURRENT)
    return away and any(is_ready(pod) for pod in seen.pods_of(swap.current))


def obstacle(step: Step, seen: Observation, swap: PendingPromotion) -> str:
    """What keeps a step from being done however long it waits, in words; empty if nothing does."""
    match step:
        case SetWeight(100) | SetSelector(Role.CURRENT, _):
            well = _leads_to_ready_pods(seen, Role.NEW) or _nothing_to_lose(seen, swap)
            return "" if well else "New has no ready replica."
        case SetWeight(0):
            return "" if _leads_to_ready_pods(seen, Role.CURRENT) else "Current has no ready replica."
    return ""


def is_due(
    step: Step, seen: Observation, swap: PendingPromotion, observed: int, *, given_up_waiting: bool
) -> bool:
    """Whether what the step before it wrote has taken effect, as far as it can be seen.

    `observed` is the split that the gateway was seen to follow. Whether the Services lead to Pods that are
    ready is always waited for; the gateway only until `given_up_waiting`, as it may not be seen from here.
    """
    if obstacle(step, seen, swap):
        return False
    match step:
        case SetSelector(Role.CURRENT, _):
            return observed == 100 or given_up_waiting or _nothing_to_lose(seen, swap)
        case SetSelector(Role.NEW, _):
            return observed == 0 or given_up_waiting
    return True


def operations_of_rollback(seen: Observation, swap: PendingPromotion, site: Site) -> tuple[Operation, ...]:
    """What sends everything back to Current if New is lost before it has become the Current; often none."""
    begun = seen.pointer(Role.CURRENT) is swap.current
    if begun or seen.ready_addresses(Role.NEW) or not seen.ready_addresses(Role.CURRENT):
        return ()
    if seen.written is None or seen.written.weight == 0:
        return ()
    return routed(seen, site, seen.written.state, weight=0)


def _leads_to_ready_pods(seen: Observation, role: Role) -> bool:
    """Whether the role's Service leads to ready Pods of the release that it points at, and to no others."""
    ready = seen.ready_addresses(role)
    return bool(ready) and ready <= seen.addresses_of(seen.pointer(role))


def operations_of_step(step: Step, seen: Observation, site: Site) -> tuple[Operation, ...]:
    """What a step writes; writing it again does no harm."""
    state = state_of(seen)
    match step:
        case SetWeight(weight):
            return routed(seen, site, state, weight=weight)
        case SetSelector(role, release):
            return (Apply(manifests.service(role, release, site.namespace)),)
        case Finish(split):
            undo = state.swap is not None and state.swap.undo
            return routed(seen, site, replace(state, swap=None, split=split, can_undo=undo))


def reconcile_split(seen: Observation, site: Site) -> tuple[Operation, ...]:
    """What makes the routes send New its share as long as it is ready, and nothing otherwise; often none.

    Where both roles point at one release, though no promotion is under way, New's pointer is put right.
    """
    written = seen.written
    if written is None or written.state.swap:
        return ()
    if seen.pointer(Role.NEW) is seen.pointer(Role.CURRENT):
        if written.weight:
            return routed(seen, site, written.state, weight=0)
        return (Apply(manifests.service(Role.NEW, seen.release(Role.NEW), site.namespace)),)
    ready = bool(seen.ready_addresses(Role.NEW))
    weight = written.state.split if ready else 0
    if (written.weight, written.has_new) == (weight, ready):
        return ()
    return routed(seen, site, written.state)


INTERRUPTED_SECONDS = 15.0
"""A promotion that has not got on for so long is taken for interrupted."""
STEP_SECONDS = 10.0
"""How long a step is waited for that can only be seen through the gateway."""


class Promoter:
    """Carries on the promotion that was asked for here, and watches those of other dashboards.

    How long it stands still is judged by this machine's clock alone: others may go wrong.
    """

    def __init__(
        self, interrupted_after: float = INTERRUPTED_SECONDS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`interrupted_after` is for the promotions of others, in seconds."""
        self._interrupted_after = interrupted_after
        self._clock = clock
        self._mine: PendingPromotion | None = None
        self._standing: tuple[object, float] | None = None
        self.take_over = False
        """Whether the promotion that is carried on takes over what others own."""

    @property
    def under_way(self) -> bool:
        """Whether there is a promotion to be carried on."""
        return self._mine is not None

    def begin(self, seen: Observation, *, take_over: bool) -> None:
        """Carry on from now on what stands in the routes."""
        self._mine, self.take_over = state_of(seen).swap, take_over

    def due(
        self, seen: Observation, swap: PendingPromotion, site: Site, observed: int
    ) -> tuple[Operation, ...]:
        """What to write now to carry it on; nothing if it is another dashboard's.

        `observed` is the split that the gateway was seen to follow.
        """
        if swap != self._mine:
            return ()
        if retreat := operations_of_rollback(seen, swap, site):
            return retreat
        step, given_up = step_of(seen, swap), self._stood(seen, swap) > STEP_SECONDS
        if not is_due(step, seen, swap, observed, given_up_waiting=given_up):
            return ()
        return operations_of_step(step, seen, site)

    def told(self, seen: Observation) -> Promotion:
        """How the promotion that stands in the routes gets on, whoever began it."""
        swap = state_of(seen).swap
        if swap is None:
            self._mine = self._standing = None
            return Promotion()
        mine = swap == self._mine
        patience = INTERRUPTED_SECONDS if mine else self._interrupted_after
        interrupted = self._stood(seen, swap) >= patience
        return Promotion(mine, interrupted, obstacle(step_of(seen, swap), seen, swap))

    def _stood(self, seen: Observation, swap: PendingPromotion) -> float:
        """For how long nothing has changed, in seconds."""
        weight = seen.written.weight if seen.written else 0
        where = (swap, tuple(pointers(seen).items()), weight)
        if self._standing is None or self._standing[0] != where:
            self._standing = (where, self._clock())
        return self._clock() - self._standing[1]
