"""The search for digits about which the models differ, run where it is submitted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.disagreements import BATCH, DisagreementSearch
from mnist_dash.domain import Image, Prediction, Role, Route, Snapshot
from mnist_dash.errors import ServingError
from tests.fakes import deployment, snapshot, sure_of

DIGITS = load_digits()
DIFFERING = (3, BATCH, 1999)


class Models:
    """Two models that differ about a few digits."""

    def __init__(self) -> None:
        self.observed = snapshot()
        self.requests = 0
        self.error: ServingError | None = None
        self.new_answers = Role.NEW
        self.waiting: list[Callable[[], None]] = []
        self.search = DisagreementSearch(
            self.predict_batch, lambda: self.observed, load_digits, self.waiting.append
        )

    def predict_batch(self, images: np.ndarray, route: Route) -> list[Prediction]:
        self.requests += 1
        if self.error:
            raise self.error
        return [self._answer(image, route) for image in images]

    def _answer(self, image: Image, route: Route) -> Prediction:
        differs = route is Route.NEW and any(image is not None and np.array_equal(image, d) for d in TELLING)
        role = Role.CURRENT if route is Route.CURRENT else self.new_answers
        return Prediction(sure_of(3 if differs else 7), role, None, 1, "", 1.0)

    def run(self) -> None:
        """Run what was submitted."""
        while self.waiting:
            self.waiting.pop(0)()


TELLING = [DIGITS.images[place] for place in DIFFERING]


def test_the_search_finds_every_digit_about_which_the_models_differ() -> None:
    """In batches, both models once each."""
    models = Models()
    first = models.search.read()
    assert (first.found, first.asked, first.is_finished) == ((), 0, False)
    models.run()
    result = models.search.read()
    assert result.found == DIFFERING
    assert (result.asked, result.total, result.is_finished) == (2000, 2000, True)
    assert models.requests == 2 * 2000 / BATCH


def test_a_search_is_repeated_for_other_models_only() -> None:
    """A version counts as another model."""
    models = Models()
    for version in (1, 1, 2):
        models.observed = snapshot(new=deployment(Role.NEW, version=version))
        models.search.read()
        models.run()
    assert models.requests == 2 * 2 * 2000 / BATCH


@pytest.mark.parametrize("changed", [snapshot(new=None), snapshot(new=deployment(Role.NEW, version=2))])
def test_a_search_ends_when_a_model_is_changed(changed: Snapshot) -> None:
    """Its result never mixes two models."""
    models = Models()
    models.search.read()
    models.observed = changed
    models.run()
    assert models.requests == 0
    assert not models.search.read().found


def test_a_failed_search_says_why_and_is_tried_again() -> None:
    """By the next call."""
    models = Models()
    models.error = ServingError("No model is ready.", "Wait.")
    models.search.read()
    waiting = models.waiting[0]
    models.waiting.clear()
    waiting()
    models.error = None
    assert models.search.read().problem == ""
    models.run()
    assert models.search.read().found == DIFFERING


def test_new_is_not_taken_for_a_current_that_answers_in_its_place() -> None:
    """As gateways do while New has no ready replica."""
    models = Models()
    models.new_answers = Role.CURRENT
    models.search.read()
    models.run()
    assert models.requests == 2
