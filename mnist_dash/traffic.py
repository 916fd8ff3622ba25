"""The answers that everybody gets, and their figures."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mnist_dash.domain import Prediction, Role, Route, Snapshot
from mnist_dash.errors import ServingError
from mnist_dash.served_models import ModelPair, ServedModel
from mnist_dash.traffic_generator import TrafficGenerator

KEPT: Final = 2000
COUNTED: Final = 500
"""Answers that counts, shares and percentiles are about, at most."""
SHOWN: Final = 100
RATE_SECONDS: Final = 5.0
"""The span over which requests per second are counted."""


@dataclass(frozen=True)
class TrafficSetup:
    """What an answer depends on: figures about shares never mix two setups."""

    split: int
    models: ModelPair

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot) -> TrafficSetup:
        """Return the split in force and the models of a snapshot."""
        return cls(snapshot.split_observed, ModelPair.from_snapshot(snapshot))

    def is_replaced_by(self, other: TrafficSetup) -> bool:
        """Whether the other has another split, or another model."""
        return self.split != other.split or self.models.is_replaced_by(other.models)


@dataclass(frozen=True, eq=False)
class Answer:
    """One request and its outcome."""

    at: float
    """When the answer came, in seconds since the epoch."""
    route: Route
    setup: TrafficSetup
    """As observed before the request."""
    truth: int | None = None
    """The digit's label, if it has one."""
    prediction: Prediction | None = None
    """None if the request failed."""
    error: str = ""
    """Why the request failed, as a sentence; empty if it was answered."""
    by_visitor: bool = False
    """Whether somebody asked, rather than the traffic generator."""
    failed_role: Role | None = None
    """The role that a failed request was sent to, where the response names it."""

    @classmethod
    def from_outcome(
        cls,
        outcome: Prediction | ServingError,
        at: float,
        route: Route,
        setup: TrafficSetup,
        truth: int | None,
        *,
        by_visitor: bool,
    ) -> Answer:
        """Return a prediction, or the error instead of it, as an answer."""
        if isinstance(outcome, Prediction):
            return cls(at, route, setup, truth, outcome, by_visitor=by_visitor)
        return cls(at, route, setup, truth, None, outcome.problem, by_visitor, outcome.role)

    @property
    def role(self) -> Role | None:
        """The role that answered, or that a failed request was sent to; None if unknown."""
        if self.prediction:
            return self.prediction.role
        return self.failed_role or (Role(self.route.value) if self.route is not Route.SPLIT else None)

    @property
    def model(self) -> ServedModel | None:
        """The model that answered, or that a failed request was sent to; None if unknown."""
        model = self.setup.models.of(self.role) if self.role else None
        if not model or not self.prediction:
            return model
        if self.prediction.release not in (None, model.release):
            return None  # the roles were swapped meanwhile
        version = self.prediction.version
        return model if version is None else replace(model, version=version)

    @property
    def is_right(self) -> bool | None:
        """Whether the digit is the true one; None for an error or a digit without a label."""
        if self.prediction is None or self.truth is None:
            return None
        return self.prediction.digit == self.truth


class AnswerStore:
    """The last answers, oldest first; safe to use from any thread."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._answers: deque[Answer] = deque(maxlen=kept)
        self._total = 0

    @property
    def total(self) -> int:
        """Answers that were ever added."""
        return self._total

    def add(self, answer: Answer) -> None:
        """Append an answer; the oldest makes room."""
        with self._lock:
            self._answers.append(answer)
            self._total += 1

    def last(self, count: int) -> tuple[Answer, ...]:
        """Return the last `count` answers, or all if there are fewer."""
        with self._lock:
            return tuple(itertools.islice(self._answers, max(len(self._answers) - count, 0), None))


@dataclass(frozen=True)
class RoleTraffic:
    """Figures about one role's answers to requests on the split."""

    answers: int = 0
    share: float | None = None
    """Of all answers whose role is known, 0 to 1; None without any."""
    right: int = 0
    labelled: int = 0
    """Answers about digits with a label."""
    errors: int = 0
    """Failed requests that are known to have been sent to this model."""
    per_second: float = 0.0
    p50: float | None = None
    """Median of the latency in milliseconds; None without an answer."""
    p95: float | None = None


@dataclass(frozen=True)
class Traffic:
    """The state of the traffic generator, the last answers, and figures about them."""

    running: bool
    rate: int
    """Requests per second, as chosen."""
    seconds_left: float
    """Until the traffic stops by itself."""
    stopped: str
    """Why it stopped by itself, as a sentence; empty if it did not."""
    answers: tuple[Answer, ...]
    """The last answers, newest last, whatever their setup."""
    total: int
    """Answers since the dashboard was started."""
    split: int
    """The split in force."""
    roles: Mapping[Role, RoleTraffic]
    counted: int
    """The last requests on the split in the setup in force, which the figures are about."""
    unknown: int
    """Those that were answered by a model that is not known."""
    errors: int
    """Those that failed."""
    unknown_errors: int
    """Those that failed at a model that is not known."""


def read_traffic(
    generator: TrafficGenerator,
    store: AnswerStore,
    setup: TrafficSetup,
    clock: Callable[[], float] = time.time,
) -> Traffic:
    """Return the generator's state and the figures about the last answers in the setup in force."""
    total, answers = store.total, store.last(COUNTED)
    counted = [
        answer for answer in answers if answer.route is Route.SPLIT and not answer.setup.is_replaced_by(setup)
    ]
    return Traffic(
        running=generator.is_running,
        rate=generator.rate,
        seconds_left=generator.seconds_left,
        stopped=generator.stopped,
        answers=answers[-SHOWN:],
        total=total,
        split=setup.split,
        roles=summarize(counted, clock()),
        counted=len(counted),
        unknown=sum(answer.prediction is not None and answer.role is None for answer in counted),
        errors=sum(answer.prediction is None for answer in counted),
        unknown_errors=count_unknown_errors(counted, setup.models),
    )


def summarize(answers: Sequence[Answer], now: float) -> dict[Role, RoleTraffic]:
    """Return each role's figures about answers, oldest first; `now` is in seconds since the epoch."""
    known = sum(answer.prediction is not None and answer.role is not None for answer in answers)
    span = min(RATE_SECONDS, max(now - answers[0].at, 1.0)) if answers else RATE_SECONDS
    return {
        role: _summarize([answer for answer in answers if answer.role is role], known, now, span)
        for role in Role
    }


def summarize_models(answers: Sequence[Answer], models: ModelPair, now: float) -> dict[Role, RoleTraffic]:
    """Return the figures about all answers of two models, whatever their roles and the split were then.

    Their share is unknown: the split did not choose them all.
    """
    figures = {}
    for role in Role:
        model = models.of(role)
        given = [
            answer for answer in answers if model and answer.model and not answer.model.is_replaced_by(model)
        ]
        figures[role] = _summarize(given, 0, now, RATE_SECONDS)
    return figures


def count_unknown_errors(answers: Iterable[Answer], models: ModelPair) -> int:
    """Return how many requests failed while these models were deployed, at one that is not known."""
    return sum(
        answer.prediction is None and answer.role is None and not answer.setup.models.is_replaced_by(models)
        for answer in answers
    )


def _summarize(answers: Sequence[Answer], known: int, now: float, span: float) -> RoleTraffic:
    given = [answer for answer in answers if answer.prediction]
    times = [answer.prediction.milliseconds for answer in given if answer.prediction]
    p50, p95 = np.percentile(times, [50, 95]).tolist() if times else (None, None)
    return RoleTraffic(
        answers=len(given),
        share=len(given) / known if known else None,
        right=sum(answer.is_right is True for answer in given),
        labelled=sum(answer.is_right is not None for answer in given),
        errors=len(answers) - len(given),
        per_second=sum(now - answer.at <= span for answer in given) / span,
        p50=p50,
        p95=p95,
    )
