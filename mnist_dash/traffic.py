"""Labelled digits sent through the gateway, and the store of the answers that everybody gets."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_dash.dataset import Digits
from mnist_dash.domain import Image, Prediction, Role, Route, Snapshot
from mnist_dash.errors import EngineError, MnistDashError
from mnist_dash.served_models import ModelPair

MIN_RATE, MAX_RATE, DEFAULT_RATE = 1, 50, 5
"""Requests per second."""
LIMIT_SECONDS: Final = 600.0
UNWATCHED_SECONDS: Final = 10.0
SENDERS: Final = 8
"""Requests under way at once: while models are slower than the rate, further requests are left out."""
KEPT: Final = 2000
COUNTED: Final = 500
"""Answers that counts, shares and percentiles are about, at most."""
SHOWN: Final = 100
RATE_SECONDS: Final = 5.0
"""The span over which requests per second are counted."""
SEED: Final = 28
"""Of the order of the digits, so that one start is like another."""


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

    @property
    def role(self) -> Role | None:
        """The role that answered, or that a failed request was forced to; None if unknown."""
        if self.prediction:
            return self.prediction.role
        return Role(self.route.value) if self.route is not Route.SPLIT else None

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


class TokenBucket:
    """Lets `rate` requests per second pass, evenly spaced; a delay is never made up for by a burst."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._tokens = 1.0
        self._filled_at = clock()

    def take(self) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        now = self._clock()
        self._tokens = min(1.0, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
        if self._tokens < 1.0 - 1e-9:  # sums of floats fall short of 1 by a little
            return (1.0 - self._tokens) / self.rate
        self._tokens -= 1.0
        return 0.0


class Predict(Protocol):
    """Asks about a digit with a label, and stores the answer; raises MnistDashError."""

    def __call__(self, image: Image, truth: int, /) -> object: ...


class TrafficGenerator:
    """Sends labelled digits at a steady rate until it is stopped, its time is up, or nobody looks.

    A thread of its own, which `spawn` starts, sets the pace. It hands the requests to `submit`, which runs a
    function in another thread and raises RuntimeError once that is impossible.
    """

    def __init__(
        self,
        predict: Predict,
        digits: Callable[[], Digits],
        submit: Callable[[Callable[[], None]], object],
        *,
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._spawn = spawn or _start_thread
        self._predict = predict
        self._digits = digits
        self._submit = submit
        self._clock = clock
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None  # of the run under way
        self._closed = False
        self._bucket = TokenBucket(DEFAULT_RATE, clock)
        self._under_way = 0
        self._next = 0
        self._order: NDArray[np.int64] | None = None
        self._ends_at = self._looked_at = clock()
        self.stopped = ""
        """Why it stopped by itself, as a sentence; empty if it did not."""

    @property
    def is_running(self) -> bool:
        """Whether requests are being sent."""
        return self._stop is not None

    @property
    def rate(self) -> int:
        """Requests per second, of the run under way or else of the last one."""
        return int(self._bucket.rate)

    @property
    def seconds_left(self) -> float:
        """Seconds until the run under way ends by itself; 0 without one."""
        return max(self._ends_at - self._clock(), 0.0) if self.is_running else 0.0

    def start(self, rate: int) -> None:
        """Start, or change the rate and start the time over; raises EngineError for an impossible rate."""
        if not MIN_RATE <= rate <= MAX_RATE:
            raise EngineError(
                f"{rate} requests per second cannot be sent.", f"Choose from {MIN_RATE} to {MAX_RATE}."
            )
        with self._lock:
            if self._closed:
                raise EngineError("The dashboard has been closed.", "Start it again.")
            self._looked_at = self._clock()
            self._ends_at = self._looked_at + LIMIT_SECONDS
            self.stopped = ""
            self._bucket.rate = rate
            if self._stop is None:
                stop = self._stop = threading.Event()
                self._spawn(lambda: self._run(stop))

    def stop(self, reason: str = "") -> None:
        """Send no further request; those under way are still answered."""
        with self._lock:
            if self._stop:
                self._stop.set()
                self._stop, self.stopped = None, reason

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._closed = True

    def note_viewer(self) -> None:
        """Take note that somebody looks at the traffic, so that it continues."""
        self._looked_at = self._clock()

    def step(self) -> float:
        """Send a request if one is due; return the seconds until the next step."""
        now = self._clock()
        if now >= self._ends_at:
            self.stop(f"Stopped after {LIMIT_SECONDS / 60:g} minutes.")
        elif now - self._looked_at >= UNWATCHED_SECONDS:
            self.stop("Stopped: no page was open.")
        elif wait := self._bucket.take():
            return wait
        elif self._under_way < SENDERS:
            self._send(*self._next_digit())
        return 0.0

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            stop.wait(self.step())

    def _next_digit(self) -> tuple[Image, int]:
        digits = self._digits()
        if self._order is None:
            self._order = np.random.default_rng(SEED).permutation(len(digits))
        index = int(self._order[self._next % len(digits)])
        self._next += 1
        return digits.images[index], int(digits.labels[index])

    def _send(self, image: Image, truth: int) -> None:
        def ask() -> None:
            try:
                self._predict(image, truth)
            except MnistDashError:
                pass  # it is stored as an answer
            finally:
                with self._lock:
                    self._under_way -= 1

        with self._lock:
            self._under_way += 1
        try:
            self._submit(ask)
        except RuntimeError:  # the threads have been shut down
            self.stop()


def _start_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="mnist-dash-traffic", daemon=True).start()


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
    )


def summarize(answers: Sequence[Answer], now: float) -> dict[Role, RoleTraffic]:
    """Return each role's figures about answers, oldest first; `now` is in seconds since the epoch."""
    known = sum(answer.prediction is not None and answer.role is not None for answer in answers)
    span = min(RATE_SECONDS, max(now - answers[0].at, 1.0)) if answers else RATE_SECONDS
    return {role: _summarize_role(role, answers, known, now, span) for role in Role}


def _summarize_role(
    role: Role, answers: Sequence[Answer], known: int, now: float, span: float
) -> RoleTraffic:
    given = [answer for answer in answers if answer.role is role and answer.prediction]
    if not given:
        return RoleTraffic(share=0.0 if known else None)
    times = [answer.prediction.milliseconds for answer in given if answer.prediction]
    p50, p95 = np.percentile(times, [50, 95])
    return RoleTraffic(
        answers=len(given),
        share=len(given) / known,
        right=sum(answer.is_right is True for answer in given),
        labelled=sum(answer.is_right is not None for answer in given),
        per_second=sum(now - answer.at <= span for answer in given) / span,
        p50=float(p50),
        p95=float(p95),
    )
