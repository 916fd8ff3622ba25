"""Both models' answers to the same digits, and whose answers they are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_dash import attribution
from mnist_dash.domain import Image, Prediction, Role, Route, Snapshot
from mnist_dash.errors import ServingError
from mnist_dash.evidence.canary_check import CheckedDigit, CheckSetup, FailedRequest
from mnist_dash.traffic import Answer, TrafficSetup

Images = NDArray[np.float32]
"""(n, 28, 28), in [0, 1]."""


class Asking(Protocol):
    """How requests reach the models."""

    def predict(self, image: Image, route: Route = ...) -> Prediction:
        """Ask about one digit; raises ServingError."""

    def predict_batch(self, images: Images, route: Route = ...) -> list[Prediction]:
        """Ask about digits in one request; raises ServingError."""


@dataclass(frozen=True)
class Pair:
    """Both models' answers to the same digits."""

    current: list[Prediction]
    new: list[Prediction]


@dataclass(frozen=True)
class NoPair:
    """Why one of the models, or both, did not answer."""

    problem: str
    failures: tuple[FailedRequest, ...] = ()


@dataclass(frozen=True)
class SplitAnswer:
    """The outcome of a request through the split."""

    at: float
    """When it came, in seconds since the epoch."""
    before: Snapshot
    """As observed before the request."""
    truth: int
    outcome: Prediction | ServingError

    @property
    def prediction(self) -> Prediction | None:
        """The answer; None if the request failed."""
        return self.outcome if isinstance(self.outcome, Prediction) else None

    @property
    def failure(self) -> FailedRequest | None:
        """The failure; None if the request was answered."""
        if isinstance(self.outcome, Prediction):
            return None
        return FailedRequest(self.outcome.role, self.outcome.problem)

    def as_traffic(self) -> Answer:
        """Return it as an answer in the traffic that everybody sees."""
        setup = TrafficSetup.from_snapshot(self.before)
        return Answer.from_outcome(self.outcome, self.at, Route.SPLIT, setup, self.truth, by_visitor=False)


Asked = Mapping[Role, Future[list[Prediction]]]


class PairReader:
    """Asks both models by the route header, and makes sure that each answer is from its own model."""

    def __init__(self, asking: Asking, setup: CheckSetup) -> None:
        self._asking = asking
        self._setup = setup
        self._are_different = False
        """Whether the models have given different probabilities, so that equal ones are of one model."""

    def submit(self, pool: Executor, images: Images) -> Asked:
        """Send the digits to both models, in one request each."""
        return {role: pool.submit(self._asking.predict_batch, images, Route(role.value)) for role in Role}

    def read(self, asked: Asked) -> Pair | NoPair:
        """Wait for the answers to `submit`, and return them if they are from the two models."""
        answers: dict[Role, list[Prediction]] = {}
        failures: list[FailedRequest] = []
        problem = ""
        for role, future in asked.items():
            try:
                answers[role] = future.result()
            except ServingError as error:
                problem = str(error)
                failures.append(FailedRequest(role, error.problem))
        if failures:
            return NoPair(problem, tuple(failures))
        for role in Role:
            if not self._is_from(role, answers[role][0]):
                return NoPair(f"{role.label} did not answer: the gateway sent its request to another model.")
        pair = Pair(answers[Role.CURRENT], answers[Role.NEW])
        if not self._are_of_two_models(pair):
            return NoPair("New did not answer: the gateway sent its request to Current.")
        return pair

    def _is_from(self, role: Role, answer: Prediction) -> bool:
        """Whether the answer names no other model than the one of the role."""
        model = self._setup.of(role)
        versions = None, answer.version if model.version is None else model.version
        return (
            answer.role in (None, role)
            and answer.release in (None, model.release)
            and answer.version in versions
        )

    def _are_of_two_models(self, pair: Pair) -> bool:
        """Whether New answered too: a controller may send its requests to Current while New restarts.

        Answers that name their model, and models that were always alike, decide nothing here.
        """
        if all(map(attribution.is_same_model, pair.current, pair.new)):
            return pair.new[0].role is Role.NEW or not self._are_different
        self._are_different = True
        return True


def ask_split(asking: Asking, image: Image, truth: int, before: Snapshot) -> SplitAnswer:
    """Ask about one digit as the strategy says; an error is an outcome too."""
    outcome: Prediction | ServingError
    try:
        outcome = asking.predict(image)
    except ServingError as error:
        outcome = error
    return SplitAnswer(time.time(), before, truth, outcome)


def attribute(answer: SplitAnswer, pair: Pair | None, index: int, now: Snapshot) -> SplitAnswer:
    """Return the answer with the role that gave it, if something tells, such as both models' answers."""
    prediction = answer.prediction
    if not prediction or prediction.role:
        return answer
    prediction = attribution.attribute_by_snapshot(prediction, now, Route.SPLIT)
    if not prediction.role and pair:
        current, new = pair.current[index], pair.new[index]
        prediction = attribution.attribute_by_answers(prediction, current, new, answer.before, now)
    return replace(answer, outcome=prediction)


def make_row(place: int, truth: int, pair: Pair, index: int, answer: SplitAnswer | None) -> CheckedDigit:
    """Return what is kept of one digit; `answer` is None if the split was not asked about it."""
    current, new, chosen = pair.current[index], pair.new[index], answer and answer.prediction
    return CheckedDigit(
        place=place,
        truth=truth,
        current=current.digit,
        current_probability=current.confidence,
        new=new.digit,
        new_probability=new.confidence,
        answered_by=chosen.role if chosen else None,
        milliseconds=chosen.milliseconds if chosen else None,
        error=answer.failure.problem if answer and answer.failure else "",
    )
