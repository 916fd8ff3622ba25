"""Whether the gateway follows the applied split, as far as its answers show it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mnist_dash.cluster.traffic_probe import (
    BLIND_SECONDS,
    CANARY_SECONDS,
    PROBES,
    Predict,
    SplitTracker,
    TrafficSample,
    sample_traffic,
)
from mnist_dash.domain import Image, Prediction, Route
from mnist_dash.errors import ServingError
from tests.clock import Clock
from tests.fakes import sure_of

ALL_CURRENT = TrafficSample(current=PROBES, is_conclusive=True)
ALL_NEW = TrafficSample(new=PROBES, is_conclusive=True)
SOME_OF_BOTH = TrafficSample(current=PROBES - 3, new=3, is_conclusive=True)
ALIKE = TrafficSample()
NO_ANSWER = TrafficSample(problem="The gateway does not answer.")


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
        (0, 100, NO_ANSWER, False),
        (0, 100, ALIKE, False),
    ],
)
def test_a_change_is_followed_once_the_answers_show_it(
    former: int, weight: int, sample: TrafficSample, *, followed: bool
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
    former: int, weight: int, sample: TrafficSample, seconds: float
) -> None:
    """As long as controllers take at most, and not without any answer."""
    clock = Clock()
    tracker = tracker_of(former, weight, clock=clock)
    clock.now = seconds
    tracker.record_sample(NO_ANSWER)
    assert tracker.pending
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


def test_a_gateway_that_does_not_answer_is_a_problem_and_no_error() -> None:
    """The next probe follows soon."""

    def predict(_: Image, __: Route) -> Prediction:
        raise ServingError("No answer.", "Wait.")

    assert sample_traffic(predict) == TrafficSample(problem="No answer. Wait.")
