"""Probe through the gateway whether it follows the split that was applied."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from mnist_dash.attribution import is_same_model
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.route_state import RouteConfig
from mnist_dash.domain import Image, Prediction, Release, Role, Route
from mnist_dash.errors import ServingError
from mnist_dash.route_check import ambiguous_image
from mnist_dash.serving.client import ServingClient

PROBES = 20
"""Requests on the split in one sample."""
BLIND_SECONDS = 2.0
"""How long to wait for a change where both models give the same answers, so that no sample can show it."""
CANARY_SECONDS = 5.0
"""The same where the split goes from one canary to another: ingress-nginx takes up to about 5 s."""

Predict = Callable[[Image, Route], Prediction]
Sample = Mapping[Role, int] | None
"""How many requests on the split each model answered; None if both give the same answer."""


def sample_traffic(predict: Predict) -> Sample:
    """Ask each model by header, then `PROBES` times on the split; raises ServingError."""
    image = ambiguous_image()
    models = {role: predict(image, Route(role.value)) for role in Role}
    if is_same_model(models[Role.CURRENT], models[Role.NEW]):
        return None
    answers = [predict(image, Route.SPLIT) for _ in range(PROBES)]
    return {role: sum(is_same_model(answer, models[role]) for answer in answers) for role in Role}


class SplitTracker:
    """Tracks whether the gateway follows the applied routes yet.

    The first routes that are recorded count as followed.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.applied: object = None
        """The weight and targets that were recorded last."""
        self._weight = 0
        self._since = 0.0
        self.observed = 0
        """New's share, in percent, that the gateway was last seen to follow."""
        self.pending = False
        """Whether routes were applied that the gateway was not yet seen to follow."""

    def record_applied(self, weight: int, *targets: object) -> None:
        """Record the weight in the routes, and where they lead."""
        before, self.applied, self._weight = self.applied, (weight, *targets), weight
        if before is None:
            self.observed = weight
        elif self.applied != before:
            self.pending, self._since = True, self._clock()

    def record_sample(self, sample: Sample) -> None:
        """Record a sample of the traffic, which may show that the gateway follows."""
        if self.pending and self._shows(sample):
            self.observed, self.pending = self._weight, False

    def _shows(self, sample: Sample) -> bool:
        waited = self._clock() - self._since
        if sample is None:
            return waited >= BLIND_SECONDS
        if self._weight in (0, 100):
            return sample[Role.NEW if self._weight else Role.CURRENT] == PROBES
        # Few requests cannot tell two canaries apart, but one answer shows that a former 0 or 100 is over.
        newcomer = {0: Role.NEW, 100: Role.CURRENT}.get(self.observed)
        return (newcomer is not None and sample[newcomer] > 0) or waited >= CANARY_SECONDS


@dataclass(frozen=True)
class GatewayView:
    """The last observation through the gateway."""

    split: int = 0
    """New's share that the gateway follows, in percent."""
    pending: bool = False
    """Whether that is not yet the share that was applied."""
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
        self._tracker = SplitTracker()
        self._lock = threading.Lock()
        self._versions: Mapping[Release, int | None] = {}
        self._problem = ""

    def record_applied(self, observation: Observation) -> GatewayView:
        """Record the routes in the cluster, and return the last view; sends no request."""
        route = observation.route or RouteConfig(weight=0, has_new=False)
        self._tracker.record_applied(route.weight, route.has_new, *map(observation.pointer, Role))
        return GatewayView(self._tracker.observed, self._tracker.pending, self._problem, self._versions)

    def probe(self, observation: Observation) -> GatewayView:
        """Ask for the versions, and sample the traffic if it is not yet seen to follow the routes."""
        with self._lock:
            self.record_applied(observation)
            applied = self._tracker.applied
            self._ask_versions(observation)
            if self._tracker.pending and not self._problem:
                both = all(map(observation.ready_addresses, Role))
                with suppress(ServingError):  # the next probe follows soon
                    sample = sample_traffic(self._serving.predict) if both else None
                    if self._tracker.applied == applied:  # else the sample is of former routes
                        self._tracker.record_sample(sample)
                if not self._tracker.pending:  # only now is it New that answers for New
                    self._ask_versions(observation)
            return GatewayView(self._tracker.observed, self._tracker.pending, self._problem, self._versions)

    def _ask_versions(self, observation: Observation) -> None:
        """Ask for the version of each release, and remember the first problem.

        While a promotion swaps the pointers, an answer by role does not tell the release. Nor does one of New
        before the gateway is seen to lead to it: until then Current may answer for it.
        """
        if observation.promotion:
            self._problem = ""
            return
        versions: dict[Release, int | None] = {}
        problems = []
        for role in filter(observation.ready_addresses, Role):
            release = observation.pointer(role)
            version, problem = self._serving.status(Route(role.value))
            is_unsure = role is Role.NEW and self._tracker.pending
            versions[release] = self._versions.get(release) if is_unsure else version
            problems.append(problem)
        self._versions, self._problem = versions, next(filter(None, problems), "")
