"""Find the bundled digits about which Current and New differ, in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mnist_dash.dataset import Digits
from mnist_dash.domain import Prediction, Role, Route, Snapshot
from mnist_dash.errors import MnistDashError
from mnist_dash.served_models import ModelPair

BATCH: Final = 100
"""Digits in one request: large enough for speed, small enough to leave room for others' requests."""

PredictBatch = Callable[[NDArray[np.float32], Route], list[Prediction]]


@dataclass(frozen=True)
class Disagreements:
    """The result of the search so far."""

    found: tuple[int, ...] = ()
    """Places in the bundled digits, in the order of the search."""
    asked: int = 0
    """Digits that both models were asked about."""
    total: int = 0
    problem: str = ""
    """Why the search ended early, as a sentence; empty if it did not."""

    @property
    def agreement(self) -> float | None:
        """Share of the digits asked so far that both models answer alike, 0 to 1; None before the first."""
        return 1 - len(self.found) / self.asked if self.asked else None

    @property
    def is_finished(self) -> bool:
        """Whether the search is over."""
        return bool(self.problem) or self.asked == self.total > 0


class DisagreementSearch:
    """Asks both models about all digits, once for each pair of models; safe to use from any thread.

    `submit` runs a function in another thread, and raises RuntimeError once that is impossible.
    """

    def __init__(
        self,
        predict_batch: PredictBatch,
        snapshot: Callable[[], Snapshot],
        digits: Callable[[], Digits],
        submit: Callable[[Callable[[], None]], object],
    ) -> None:
        self._predict_batch = predict_batch
        self._snapshot = snapshot
        self._digits = digits
        self._submit = submit
        self._changed = threading.Condition()
        self._models: ModelPair | None = None
        self._result = Disagreements()

    def read(self, timeout: float = 0.0, *, retry: bool = True) -> Disagreements:
        """Return what was found, and start the search if the models are others than before.

        A search that failed is started again, unless `retry` is False. Waits up to `timeout` seconds for a
        first disagreement.
        """
        models = ModelPair.from_snapshot(self._snapshot())
        with self._changed:
            if models != self._models or (retry and self._result.problem):
                self._models, self._result = models, Disagreements(total=len(self._digits()))
                self._start(models)
            self._changed.wait_for(lambda: self._result.found or self._result.is_finished, timeout)
            return self._result

    def _start(self, models: ModelPair) -> None:
        try:
            self._submit(lambda: self._search(models))
        except RuntimeError:  # the threads have been shut down
            self._result = replace(self._result, problem="The dashboard has been closed.")

    def _search(self, models: ModelPair) -> None:
        digits = self._digits()
        for start in range(0, len(digits), BATCH):
            if not self._is_wanted(models):
                return
            try:
                places = self._compare(digits.images[start : start + BATCH])
            except MnistDashError as error:
                self._report(models, problem=str(error))
                return
            self._report(models, found=[start + int(place) for place in places])

    def _is_wanted(self, models: ModelPair) -> bool:
        """Whether these models are still deployed; otherwise the search ends."""
        if ModelPair.from_snapshot(self._snapshot()) == models:
            return self._models == models
        self._report(models, problem="The models were changed during the search.")
        return False

    def _compare(self, images: NDArray[np.float32]) -> NDArray[np.int64]:
        current = self._predict_batch(images, Route.CURRENT)
        new = self._predict_batch(images, Route.NEW)
        if any(answer.role is Role.CURRENT for answer in new):  # as gateways do while New is not ready
            raise MnistDashError("New did not answer.", "Wait for a ready replica of New.")
        pairs = zip(current, new, strict=True)
        differing = [first.digit != second.digit for first, second in pairs]
        return np.flatnonzero(differing).astype(np.int64)

    def _report(self, models: ModelPair, found: list[int] | None = None, problem: str = "") -> None:
        with self._changed:
            if models != self._models:
                return  # another search has begun
            result = self._result
            asked = min(result.asked + BATCH, result.total) if found is not None else result.asked
            self._result = replace(
                result, found=(*result.found, *(found or ())), asked=asked, problem=problem
            )
            self._changed.notify_all()
