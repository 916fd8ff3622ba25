"""Watch through the gateway whether it follows the split that was applied."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from mnist_dash.attribution import same
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.route_state import RouteConfig
from mnist_dash.domain import Image, Prediction, Release, Role, Route
from mnist_dash.errors import ServingError
from mnist_dash.route_check import ambiguous_image
from mnist_dash.serving import ServingClient

PROBES = 20
"""Requests on the split for one look."""
BLIND_SECONDS = 2.0
"""How long a change is given where both models give the same answers, so that nothing can be seen."""
CANARY_SECONDS = 5.0
"""The same where the split goes from one canary to another: ingress-nginx takes up to about 5 s."""

Ask = Callable[[Image, Route], Prediction]


@dataclass(frozen=True)
class TrafficSample:
    """What one look through the gateway showed."""

    current: int = 0
    """Of the requests on the split, how many were answered as Current answers."""
    new: int = 0
    told_apart: bool = False
    """Whether the two roles gave different answers."""
    problem: str = ""
    """Why there was no answer."""


def look(ask: Ask, *, both: bool) -> TrafficSample:
    """Ask both roles by header, then a few times on the split; nothing is seen unless `both` are ready."""
    if not both:
        return TrafficSample()
    image = ambiguous_image()
    try:
        current, new = (ask(image, route) for route in (Route.CURRENT, Route.NEW))
        if same(current, new):
            return TrafficSample()
        answers = [ask(image, Route.SPLIT) for _ in range(PROBES)]
    except ServingError as error:
        return TrafficSample(problem=str(error))
    return TrafficSample(
        current=sum(same(answer, current) for answer in answers),
        new=sum(same(answer, new) for answer in answers),
        told_apart=True,
    )


class SplitTracker:
    """Follows what is written in the routes until the gateway divides the traffic by it.

    What was already written when it is first told of counts as in effect.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.told: object = None
        """What it was last told that stands in the routes."""
        self._weight = 0
        self._since = 0.0
        self.observed = 0
        """The share of New, in percent, that the gateway was last seen to follow."""
        self.pending = False
        """Whether something was written that has not been seen to be followed."""

    def written(self, weight: int, *where: object) -> None:
        """This weight stands in the routes now, and this is where they lead."""
        before, self.told, self._weight = self.told, (weight, *where), weight
        if before is None:
            self.observed = weight
        elif self.told != before:
            self.pending, self._since = True, self._clock()

    def seen(self, sight: TrafficSample) -> None:
        """Take into account what a look showed."""
        if self.pending and self._is_followed(self._weight, sight):
            self.observed, self.pending = self._weight, False

    def _is_followed(self, weight: int, sight: TrafficSample) -> bool:
        waited = self._clock() - self._since
        if sight.problem:
            return False
        if not sight.told_apart:
            return waited >= BLIND_SECONDS
        if weight in (0, 100):
            return (sight.current if weight == 0 else sight.new) == PROBES
        left_the_former = {0: sight.new, 100: sight.current}.get(self.observed, 0)
        return left_the_former > 0 or waited >= CANARY_SECONDS


STATUS_SECONDS = 2.0
"""For how long one look waits for an answer."""


@dataclass(frozen=True)
class GatewayView:
    """What was seen through the gateway."""

    split: int = 0
    """The share of New that it follows, in percent."""
    pending: bool = False
    """Whether that is not yet the share that was written."""
    problem: str = ""
    """Why the models cannot be reached, though they are ready."""
    versions: Mapping[Release, int | None] = field(default_factory=dict)
    """The version that each release answers with."""


class GatewayMonitor:
    """Asks through the gateway, as any client does: for versions each time, for the split after a change.

    May be used from several threads at once.
    """

    def __init__(self, serving: ServingClient) -> None:
        self._serving = serving
        self._effect = SplitTracker()
        self._lock = threading.Lock()
        self._view = GatewayView()

    def view(self, seen: Observation) -> GatewayView:
        """What was last seen, given what stands in the cluster's objects now; asks nobody."""
        written = seen.written or RouteConfig(weight=0, has_new=False)
        self._effect.written(written.weight, written.has_new, *(seen.pointer(role) for role in Role))
        return self._told()

    def _told(self) -> GatewayView:
        self._view = replace(self._view, split=self._effect.observed, pending=self._effect.pending)
        return self._view

    def look(self, seen: Observation) -> GatewayView:
        """See what there is to see."""
        with self._lock:
            self.view(seen)
            about = self._effect.told
            ready = [role for role in Role if seen.ready_addresses(role)]
            versions, problem = self._versions(seen, ready)
            if self._effect.pending and not problem:
                sight = look(self._serving.predict, both=len(ready) == len(Role))
                if self._effect.told == about:  # else something else was written meanwhile
                    self._effect.seen(sight)
                if not self._effect.pending:  # now New's can be told
                    versions, problem = self._versions(seen, ready)
            self._view = replace(self._view, problem=problem, versions=versions)
            return self._told()

    def _versions(self, seen: Observation, ready: list[Role]) -> tuple[dict[Release, int | None], str]:
        """While the pointers are on their way, what is asked for by role cannot be told by release.

        Nor can New's, before the gateway is seen to lead to it: until then Current may answer for it.
        """
        if seen.written and seen.written.state.swap:
            return dict(self._view.versions), ""
        versions: dict[Release, int | None] = {}
        problems = []
        for role in ready:
            release = seen.pointer(role)
            version, problem = self._serving.status(Route(role.value), seconds=STATUS_SECONDS)
            unsure = role is Role.NEW and self._effect.pending
            versions[release] = self._view.versions.get(release) if unsure else version
            problems.append(problem)
        return versions, next(filter(None, problems), "")
