"""Drive promotions step by step, detect stalled ones, and hold a split at 0 until New is ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mnist_dash.cluster import manifests
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.operations import Operation, Site, route_operations
from mnist_dash.cluster.route_state import Finish, PendingPromotion, SetSelector, SetWeight, Step, next_step
from mnist_dash.cluster.snapshot import PromotionStatus
from mnist_dash.domain import Role

INTERRUPTED_SECONDS = 15.0
"""A promotion without progress for so long counts as interrupted."""
STEP_SECONDS = 10.0
"""How long a step waits for an effect that can only be seen through the gateway."""


def step_of(observation: Observation, promotion: PendingPromotion) -> Step:
    """Return the next write; while Current gets no answers anyway, its pointer need not wait."""
    if _is_current_dead(observation, promotion):
        return SetSelector(Role.CURRENT, promotion.current)
    return next_step(observation.pointers, observation.weight, promotion)


def _is_current_dead(observation: Observation, promotion: PendingPromotion) -> bool:
    """Whether Current leads to no replica, while the release that it is to lead to is ready."""
    is_target = observation.pointer(Role.CURRENT) is promotion.current
    if is_target or observation.ready_addresses(Role.CURRENT):
        return False
    return any(pod.is_ready for pod in observation.pods_of(promotion.current))


def obstacle(step: Step, observation: Observation, promotion: PendingPromotion) -> str:
    """Return what prevents a step however long it waits; empty if nothing does."""
    current_leads, new_leads = (_leads_to_ready_pods(observation, role) for role in Role)
    match step:
        case SetWeight(100) | SetSelector(Role.CURRENT, _):
            possible = new_leads or _is_current_dead(observation, promotion)
            return "" if possible else "New has no ready replica."
        case SetWeight(0) if not current_leads:
            return "Current has no ready replica."
    return ""


def _leads_to_ready_pods(observation: Observation, role: Role) -> bool:
    """Whether the role's Service leads to ready Pods of the release that it points at, and to no others."""
    ready = observation.ready_addresses(role)
    return bool(ready) and ready <= observation.addresses_of(observation.pointer(role))


def is_due(
    step: Step, observation: Observation, promotion: PendingPromotion, split_observed: int, *, timed_out: bool
) -> bool:
    """Whether the write before this step has taken effect, as far as can be seen.

    Every step waits until the Services lead to ready Pods. It waits for the gateway to follow the split only
    until `timed_out`, as that may not be visible from here.
    """
    if obstacle(step, observation, promotion):
        return False
    if timed_out or not isinstance(step, SetSelector):
        return True
    if step.role is Role.NEW:
        return split_observed == 0
    return split_observed == 100 or _is_current_dead(observation, promotion)


def operations_of_step(step: Step, observation: Observation, site: Site) -> tuple[Operation, ...]:
    """Return the writes of a step; repeating them does no harm."""
    state = observation.state
    match step:
        case SetWeight(weight):
            return route_operations(observation, site, state, weight=weight)
        case SetSelector(role, release):
            return (Operation.apply(manifests.service(role, release, site.namespace)),)
        case Finish(split):
            undo = state.promotion is not None and state.promotion.undo
            before = state.split if undo else 0
            state = replace(state, promotion=None, split=split, can_undo=undo, split_before=before)
            return route_operations(observation, site, state)


def operations_of_rollback(
    observation: Observation, promotion: PendingPromotion, site: Site
) -> tuple[Operation, ...]:
    """Return the writes that send all to Current if New is lost before it is the Current; often none."""
    is_moved = observation.pointer(Role.CURRENT) is promotion.current
    if is_moved or observation.ready_addresses(Role.NEW) or not observation.ready_addresses(Role.CURRENT):
        return ()
    return route_operations(observation, site, observation.state, weight=0) if observation.weight else ()


def reconcile_split(observation: Observation, site: Site) -> tuple[Operation, ...]:
    """Return the writes that send New its share while it is ready, and nothing otherwise; often none.

    Where both roles point at one release though no promotion is under way, New's pointer is corrected.
    """
    route = observation.route
    if route is None or observation.promotion:
        return ()
    if observation.pointer(Role.NEW) is observation.pointer(Role.CURRENT):
        if route.weight:
            return route_operations(observation, site, route.state, weight=0)
        return (Operation.apply(manifests.service(Role.NEW, observation.release(Role.NEW), site.namespace)),)
    ready = bool(observation.ready_addresses(Role.NEW))
    weight = route.state.split if ready else 0
    if (route.weight, route.has_new) == (weight, ready):
        return ()
    return route_operations(observation, site, route.state)


class Promoter:
    """Drives the promotion that was requested here, and watches those of other dashboards.

    Progress is timed by this machine's clock alone: other clocks may be wrong.
    """

    def __init__(
        self, interrupted_after: float = INTERRUPTED_SECONDS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`interrupted_after` is for the promotions of others, in seconds."""
        self._interrupted_after = interrupted_after
        self._clock = clock
        self._mine: PendingPromotion | None = None
        self._last: tuple[object, float] | None = None
        self.take_over = False
        """Whether the promotion takes over fields that others own."""

    @property
    def under_way(self) -> bool:
        """Whether there is a promotion to drive."""
        return self._mine is not None

    def begin(self, observation: Observation, *, take_over: bool) -> None:
        """Drive the promotion that the routes hold, if any, from now on."""
        self._mine, self.take_over = observation.promotion, take_over

    def due(self, observation: Observation, site: Site, split_observed: int) -> tuple[Operation, ...]:
        """Return the writes that are due now; none if the promotion is another dashboard's.

        `split_observed` is the split that the gateway is observed to follow.
        """
        promotion = observation.promotion
        if promotion is None or promotion != self._mine:
            return ()
        if rollback := operations_of_rollback(observation, promotion, site):
            return rollback
        step, timed_out = step_of(observation, promotion), self._seconds_stalled(observation) > STEP_SECONDS
        if not is_due(step, observation, promotion, split_observed, timed_out=timed_out):
            return ()
        return operations_of_step(step, observation, site)

    def status(self, observation: Observation) -> PromotionStatus:
        """Return the progress of the promotion under way, whichever dashboard started it."""
        promotion = observation.promotion
        if promotion is None:
            self._mine = self._last = None
            return PromotionStatus()
        mine = promotion == self._mine
        limit = INTERRUPTED_SECONDS if mine else self._interrupted_after
        interrupted = self._seconds_stalled(observation) >= limit
        reason = obstacle(step_of(observation, promotion), observation, promotion)
        return PromotionStatus(mine, interrupted, reason)

    def _seconds_stalled(self, observation: Observation) -> float:
        """For how long nothing has changed."""
        progress = (observation.promotion, observation.pointers, observation.weight)
        if self._last is None or self._last[0] != progress:
            self._last = (progress, self._clock())
        return self._clock() - self._last[1]
