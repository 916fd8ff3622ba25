"""Predict through the gateway, find which model answered, and store every answer and failure."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeAlias

from mnist_dash import attribution, preconditions
from mnist_dash.domain import Comparison, EventKind, HistoryEntry, Image, Prediction, Role, Route, Snapshot
from mnist_dash.errors import EngineError, ServingError
from mnist_dash.serving.client import READ_SECONDS, ServingClient
from mnist_dash.timeline import EventLog
from mnist_dash.traffic import Answer, AnswerStore, TrafficSetup

TRAFFIC_SECONDS: Final = 5.0
"""How long a request of the traffic waits: a model that is slower than this fails its users."""
_BOTH: Final = (Route.CURRENT, Route.NEW)
Ask: TypeAlias = Callable[[Image, Route], Prediction]
"""Sends one request, or two; raises ServingError."""


class RecordingClient:
    """The visitors' and the traffic's predictions; may be used from several threads at once."""

    def __init__(
        self,
        serving: ServingClient,
        snapshot: Callable[[], Snapshot],
        pool: ThreadPoolExecutor,
        answers: AnswerStore,
        events: EventLog,
    ) -> None:
        self._serving = serving
        self._snapshot = snapshot
        self._pool = pool
        self._answers = answers
        self._events = events

    def predict(self, image: Image, route: Route, truth: int | None) -> Prediction:
        """Ask for a visitor, and once more if the request meets a dying replica; raises ServingError."""
        return self._predict(image, route, truth, self._ask, by_visitor=True)

    def send(self, image: Image, truth: int) -> Prediction:
        """Ask on the split for the traffic, which shows each lost request; raises ServingError."""
        return self._predict(image, Route.SPLIT, truth, self._ask_briefly, by_visitor=False)

    def compare(self, image: Image, truth: int | None) -> Comparison:
        """Ask both models at the same time, as `predict` does; raises ServingError if one does not answer."""
        before = self._snapshot()
        pairs = zip(self._ask_both(image, self._ask), _BOTH, strict=True)
        current, new = outcomes = [self._check_role(outcome, route) for outcome, route in pairs]
        for outcome, route in zip(outcomes, _BOTH, strict=True):
            self._record(before, route, truth, outcome, by_visitor=True)
        for outcome in outcomes:
            if isinstance(outcome, ServingError):
                raise self._explain(outcome, Route.NEW) from outcome
        assert isinstance(current, Prediction)
        assert isinstance(new, Prediction)
        return Comparison(current, new)

    def _predict(
        self,
        image: Image,
        route: Route,
        truth: int | None,
        ask: Ask,
        *,
        by_visitor: bool,
    ) -> Prediction:
        before = self._snapshot()
        try:
            prediction = ask(image, route)
        except ServingError as error:
            self._record(before, route, truth, error, by_visitor=by_visitor)
            raise self._explain(error, route) from error
        if not prediction.role:
            prediction = self._attribute(prediction, image, route, ask, before)
        self._record(before, route, truth, prediction, by_visitor=by_visitor)
        return prediction

    def _ask(self, image: Image, route: Route) -> Prediction:
        """Predict, and in the time left once more if the first request met a dying replica.

        Repeating it changes nothing.
        """
        started = time.monotonic()
        try:
            return self._serving.predict(image, route)
        except ServingError as error:
            left = READ_SECONDS - (time.monotonic() - started)
            if not error.is_transient or left <= 0:
                raise
        return self._serving.predict(image, route, seconds=left)

    def _ask_briefly(self, image: Image, route: Route) -> Prediction:
        return self._serving.predict(image, route, seconds=TRAFFIC_SECONDS)

    def _ask_both(self, image: Image, ask: Ask) -> list[Prediction | ServingError]:
        """Return the answers of Current and New, or their errors."""
        try:
            futures = [self._pool.submit(ask, image, route) for route in _BOTH]
        except RuntimeError:  # the pool is shut down
            raise EngineError("The dashboard has been closed.", "Start it again.") from None
        return [_outcome_of(future) for future in futures]

    def _attribute(
        self, prediction: Prediction, image: Image, route: Route, ask: Ask, before: Snapshot
    ) -> Prediction:
        attributed = attribution.attribute_by_snapshot(prediction, self._snapshot(), route)
        if attributed.role:
            return attributed
        current, new = self._ask_both(image, ask)
        if isinstance(current, ServingError) or isinstance(new, ServingError):
            return prediction  # an answer of unknown origin is better than none
        return attribution.attribute_by_answers(prediction, current, new, before, self._snapshot())

    def _check_role(self, outcome: Prediction | ServingError, route: Route) -> Prediction | ServingError:
        """Return a forced answer with its role; an error if Current answered in New's place."""
        if isinstance(outcome, ServingError):
            return outcome
        if not outcome.role:
            outcome = attribution.attribute_by_snapshot(outcome, self._snapshot(), route)
        if route is Route.NEW and outcome.role is not Role.NEW:  # as gateways do while New is not ready
            problem = "New did not answer: the gateway sent its request to Current."
            return ServingError(problem, "Wait for a ready replica of New.")
        return outcome

    def _record(
        self,
        before: Snapshot,
        route: Route,
        truth: int | None,
        outcome: Prediction | ServingError,
        *,
        by_visitor: bool,
    ) -> None:
        """Store the outcome of a request; `before` was observed before the request."""
        setup = TrafficSetup.from_snapshot(before)
        answer = Answer.from_outcome(outcome, time.time(), route, setup, truth, by_visitor=by_visitor)
        self._answers.add(answer)
        if answer.error:
            self._events.add(HistoryEntry(answer.at, "", answer.error, EventKind.LOST))

    def _explain(self, error: ServingError, route: Route) -> ServingError:
        """Return the error with the engine's reason as its next step, if the engine knows one."""
        explained = copy.copy(error)
        explained.next_step = preconditions.why_not_predict(self._snapshot(), route) or error.next_step
        return explained


def _outcome_of(future: Future[Prediction]) -> Prediction | ServingError:
    try:
        return future.result()
    except ServingError as error:
        return error
