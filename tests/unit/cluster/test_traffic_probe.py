"""Whether the gateway follows the applied split, as far as its answers show it."""

from __future__ import annotations

from collections.abc import Mapping
from unittest.mock import create_autospec

import pytest

from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.route_state import RouteConfig
from mnist_dash.cluster.traffic_probe import (
    BLIND_SECONDS,
    CANARY_SECONDS,
    PROBES,
    GatewayMonitor,
    Predict,
    Sample,
    SplitTracker,
    sample_traffic,
)
from mnist_dash.domain import Image, Prediction, Role, Route
from mnist_dash.errors import ServingError
from mnist_dash.serving.client import ServingClient
from tests.clock import Clock
from tests.fakes import sure_of

ALL_CURRENT = {Role.CURRENT: PROBES, Role.NEW: 0}
ALL_NEW = {Role.CURRENT: 0, Role.NEW: PROBES}
SOME_OF_BOTH = {Role.CURRENT: PROBES - 3, Role.NEW: 3}
ALIKE = None


def tracker_of(former: int, weight: int, *, clock: Clock | None = None) -> SplitTracker:
    """Return a tracker for which a weight was followed before another was applied."""
    tracker = SplitTracker(clock=clock or Clock())
    tracker.record_applied(former)
    tracker.record_applied(weight)
    return tracker


def test_the_split_that_is_found_at_the_start_counts_as_followed() -> None:
    """It may have been applied long ago."""
    tracker = SplitTracker(clock=Clock())
    tracker.record_applied(35)
    assert (tracker.observed, tracker.pending) == (35, False)


@pytest.mark.parametrize(
    ("former", "weight", "sample", "followed"),
    [
        (0, 100, ALL_NEW, True),
        (0, 100, SOME_OF_BOTH, False),
        (0, 100, ALL_CURRENT, False),
        (20, 0, ALL_CURRENT, True),
        (20, 0, SOME_OF_BOTH, False),
        (0, 20, SOME_OF_BOTH, True),
        (0, 20, ALL_CURRENT, False),
        (100, 20, SOME_OF_BOTH, True),
        (100, 20, ALL_NEW, False),
        (20, 50, SOME_OF_BOTH, False),
        (0, 100, ALIKE, False),
    ],
)
def test_a_change_is_followed_once_the_answers_show_it(
    former: int, weight: int, sample: Sample, *, followed: bool
) -> None:
    """All are of one model for 0 and 100; for a canary, not all are of the former one."""
    tracker = tracker_of(former, weight)
    tracker.record_sample(sample)
    assert tracker.pending is not followed
    assert tracker.observed == (weight if followed else former)


@pytest.mark.parametrize(
    ("former", "weight", "sample", "seconds"),
    [
        (0, 100, ALIKE, BLIND_SECONDS),
        (20, 50, SOME_OF_BOTH, CANARY_SECONDS),
        (0, 1, ALL_CURRENT, CANARY_SECONDS),
    ],
)
def test_a_change_that_no_sample_shows_counts_as_followed_after_a_time(
    former: int, weight: int, sample: Sample, seconds: float
) -> None:
    """As long as controllers take at most."""
    clock = Clock()
    tracker = tracker_of(former, weight, clock=clock)
    tracker.record_sample(sample)
    assert tracker.pending
    clock.now = seconds
    tracker.record_sample(sample)
    assert not tracker.pending


def test_another_target_at_the_same_weight_is_pending_until_a_sample_is_conclusive() -> None:
    """At split 0 too: a request may be sent to New by its header."""
    tracker = SplitTracker(clock=Clock())
    tracker.record_applied(0, "blue", None)
    tracker.record_applied(0, "blue", "green")
    tracker.record_sample(ALIKE)
    assert tracker.pending
    tracker.record_sample(ALL_CURRENT)
    assert not tracker.pending


def gateway(digits: Mapping[Route, int]) -> tuple[list[Route], Predict]:
    """Return a gateway that is sure of a digit on each route, and the list of the requests to it."""
    requests: list[Route] = []

    def predict(image: Image, route: Route) -> Prediction:
        assert image.shape == (28, 28)
        requests.append(route)
        return Prediction(sure_of(digits[route]), None, None, None, "", 1.0)

    return requests, predict


def test_a_sample_counts_which_models_answer_on_the_split() -> None:
    """By comparison with the answers to requests that are forced to each."""
    requests, predict = gateway({Route.CURRENT: 3, Route.NEW: 7, Route.SPLIT: 7})
    assert sample_traffic(predict) == ALL_NEW
    assert requests.count(Route.SPLIT) == PROBES


def test_a_sample_of_models_that_answer_alike_is_not_conclusive() -> None:
    """It ends after one request to each."""
    requests, predict = gateway({Route.CURRENT: 3, Route.NEW: 3})
    assert sample_traffic(predict) == ALIKE
    assert requests == [Route.CURRENT, Route.NEW]


def test_a_change_stays_pending_while_the_gateway_does_not_answer() -> None:
    """The next probe follows soon."""
    serving = create_autospec(ServingClient)
    serving.status.return_value = (1, "")
    serving.predict.side_effect = ServingError("No answer.", "Wait.")
    monitor = GatewayMonitor(serving)
    endpoints = dict.fromkeys(Role, frozenset({"10.0.0.1"}))
    former, applied = (Observation(route=RouteConfig(w), endpoints=endpoints) for w in (0, 100))
    monitor.record_applied(former)
    assert monitor.probe(applied).pending
