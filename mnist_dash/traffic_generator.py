"""Send labelled digits through the gateway at a steady rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_dash.dataset import Digits
from mnist_dash.domain import Image
from mnist_dash.errors import EngineError, MnistDashError

MIN_RATE, MAX_RATE, DEFAULT_RATE = 1, 50, 5
"""Requests per second."""
LIMIT_SECONDS: Final = 600.0
UNWATCHED_SECONDS: Final = 10.0
SENDERS: Final = 8
"""Requests under way at once: while models are slower than the rate, further requests are left out."""
SEED: Final = 28
"""Of the order of the digits, so that one start is like another."""


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
