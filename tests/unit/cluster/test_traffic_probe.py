"""Whether the controller follows what was written, as far as answers show it."""

from __future__ import annotations

import pytest

from mnist_dash.cluster.traffic_probe import (
    BLIND_SECONDS,
    CANARY_SECONDS,
    PROBES,
    SplitTracker,
    TrafficSample,
    look,
)
from mnist_dash.domain import Image, Prediction, Route
from mnist_dash.errors import ServingError
from tests.clock import Clock
from tests.fakes import sure_of

ALL_CURRENT = TrafficSample(current=PROBES, told_apart=True)
ALL_NEW = TrafficSample(new=PROBES, told_apart=True)
SOME_OF_BOTH = TrafficSample(current=PROBES - 3, new=3, told_apart=True)
ALIKE = TrafficSample()
SILENT = TrafficSample(problem="The gateway does not answer.")


def after(*weights: int, clock: Clock | None = None) -> SplitTracker:
    """All weights were written one after the other, each but the last long followed."""
    effect = SplitTracker(clock=clock or Clock())
    for weight in weights:
        effect.observed, effect.pending = effect._weight, False
        effect.written(weight)
    return effect


def test_what_is_found_at_the_start_counts_as_followed() -> None:
    """Nobody knows when it was written."""
    effect = after(35)
    assert (effect.observed, effect.pending) == (35, False)


@pytest.mark.parametrize(
    ("weights", "sight", "followed"),
    [
        ((0, 100), ALL_NEW, True),
        ((0, 100), SOME_OF_BOTH, False),
        ((0, 100), ALL_CURRENT, False),
        ((20, 0), ALL_CURRENT, True),
        ((20, 0), SOME_OF_BOTH, False),
        ((0, 20), SOME_OF_BOTH, True),
        ((0, 20), ALL_CURRENT, False),
        ((100, 20), SOME_OF_BOTH, True),
        ((100, 20), ALL_NEW, False),
        ((20, 50), SOME_OF_BOTH, False),
        ((0, 100), SILENT, False),
        ((0, 100), ALIKE, False),
    ],
)
def test_a_change_is_followed_once_the_answers_show_it(
    weights: tuple[int, ...], sight: TrafficSample, followed: bool
) -> None:
    """All of one model for 0 and 100; for a canary, that the former way is left."""
    effect = after(*weights)
    effect.seen(sight)
    assert effect.pending is not followed
    assert effect.observed == (weights[-1] if followed else weights[0])


@pytest.mark.parametrize(
    ("weights", "sight", "seconds"),
    [
        ((0, 100), ALIKE, BLIND_SECONDS),
        ((20, 50), SOME_OF_BOTH, CANARY_SECONDS),
        ((0, 1), ALL_CURRENT, CANARY_SECONDS),
    ],
)
def test_what_cannot_be_seen_is_given_time(
    weights: tuple[int, ...], sight: TrafficSample, seconds: float
) -> None:
    """As long as controllers take at the most, and not without any answer."""
    clock = Clock()
    effect = after(*weights, clock=clock)
    clock.now = seconds
    effect.seen(SILENT)
    assert effect.pending
    effect.seen(sight)
    assert not effect.pending


def test_another_way_at_the_same_weight_is_followed_once_the_two_are_told_apart() -> None:
    """At split 0 too: a request may be sent to New by its header."""
    effect = SplitTracker(clock=Clock())
    effect.written(0, "blue", "nobody")
    effect.written(0, "blue", "green")
    effect.seen(ALIKE)
    assert effect.pending
    effect.seen(ALL_CURRENT)
    assert not effect.pending


def answering(current: int, new: int, on_split: int) -> tuple[list[Route], object]:
    """A gateway of two models that are sure of these digits; on the split, one of them."""
    asked: list[Route] = []

    def ask(image: Image, route: Route) -> Prediction:
        assert image.shape == (28, 28)
        asked.append(route)
        digit = {Route.CURRENT: current, Route.NEW: new, Route.SPLIT: on_split}[route]
        return Prediction(sure_of(digit), None, None, None, "", 1.0)

    return asked, ask


def test_a_look_counts_who_answers_on_the_split() -> None:
    """By what both say when they are asked by header."""
    asked, ask = answering(current=3, new=7, on_split=7)
    assert look(ask, both=True) == ALL_NEW  # type: ignore[arg-type]  # made above
    assert asked.count(Route.SPLIT) == PROBES


def test_models_that_answer_alike_are_not_told_apart() -> None:
    """And not asked any further."""
    asked, ask = answering(current=3, new=3, on_split=3)
    assert look(ask, both=True) == ALIKE  # type: ignore[arg-type]  # made above
    assert asked == [Route.CURRENT, Route.NEW]


def test_nobody_is_asked_while_one_of_them_is_not_ready() -> None:
    """There is nothing to tell apart."""
    asked, ask = answering(current=3, new=7, on_split=3)
    assert look(ask, both=False) == ALIKE  # type: ignore[arg-type]  # made above
    assert asked == []


def test_a_gateway_that_does_not_answer_is_a_problem_and_no_error() -> None:
    """It is looked at again soon."""

    def ask(_: Image, __: Route) -> Prediction:
        raise ServingError("No answer.", "Wait.")

    assert look(ask, both=True) == TrafficSample(problem="No answer. Wait.")
