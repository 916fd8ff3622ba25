"""The traffic generator under a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image
from mnist_dash.errors import EngineError, ServingError
from mnist_dash.traffic_generator import LIMIT_SECONDS, SENDERS, UNWATCHED_SECONDS, TrafficGenerator
from tests.clock import Clock

TICK = 0.01


class Bench:
    """A generator without threads; requests are answered at once, unless they are `held`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[Image, int]] = []
        self.held: list[Callable[[], None]] | None = None
        self.error: ServingError | None = None
        self.runs = 0
        self.generator = TrafficGenerator(
            self.predict, load_digits, self.submit, clock=self.clock, spawn=self.spawn
        )

    def predict(self, image: Image, truth: int) -> None:
        self.asked.append((image, truth))
        if self.error:
            raise self.error

    def submit(self, ask: Callable[[], None]) -> None:
        if self.held is None:
            ask()
        else:
            self.held.append(ask)

    def spawn(self, _: Callable[[], None]) -> None:
        self.runs += 1

    def pass_time(self, seconds: float, *, watched: bool = True) -> int:
        """Let time pass in small steps; return the number of requests."""
        before = len(self.asked)
        for _ in range(round(seconds / TICK)):
            self.clock.now += TICK
            if watched:
                self.generator.note_viewer()
            if self.generator.is_running:
                self.generator.step()
        return len(self.asked) - before


@pytest.mark.parametrize("rate", [1, 5, 50])
def test_digits_are_sent_at_the_chosen_rate(rate: int) -> None:
    """Each with its label, and one run in the same order as another."""
    bench = Bench()
    bench.generator.start(rate)
    assert bench.pass_time(4) == pytest.approx(4 * rate, abs=1)
    digits = load_digits()
    for image, truth in bench.asked[:5]:
        assert truth in digits.labels[(digits.images == image).all(axis=(1, 2))]
    again = Bench()
    again.generator.start(rate)
    again.pass_time(1)
    assert [truth for _, truth in again.asked] == [truth for _, truth in bench.asked[: len(again.asked)]]


@pytest.mark.parametrize("rate", [0, 51, -1])
def test_an_impossible_rate_is_refused(rate: int) -> None:
    """And nothing is sent."""
    bench = Bench()
    with pytest.raises(EngineError, match="1 to 50"):
        bench.generator.start(rate)
    assert not bench.generator.is_running


def test_a_second_start_changes_the_rate_of_the_run() -> None:
    """There is one run for all browsers."""
    bench = Bench()
    bench.generator.start(5)
    bench.generator.start(20)
    assert bench.runs == 1
    assert bench.pass_time(2) == pytest.approx(40, abs=1)


def test_a_pause_is_not_made_up_for() -> None:
    """A computer that was asleep does not send a burst."""
    bench = Bench()
    bench.generator.start(10)
    bench.clock.now += 5
    assert bench.pass_time(1) == pytest.approx(10, abs=1)


def test_traffic_stops_when_its_time_is_up() -> None:
    """With the reason, which is gone after the next start."""
    bench = Bench()
    bench.generator.start(1)
    bench.pass_time(LIMIT_SECONDS - 1)
    assert bench.generator.seconds_left == pytest.approx(1, abs=0.1)
    bench.pass_time(2)
    assert not bench.generator.is_running
    assert bench.generator.stopped == "Stopped after 10 minutes."
    bench.generator.start(1)
    assert (bench.generator.is_running, bench.generator.stopped) == (True, "")


def test_traffic_stops_when_nobody_looks() -> None:
    """A few seconds after the last page was closed."""
    bench = Bench()
    bench.generator.start(5)
    assert bench.pass_time(60, watched=False) == pytest.approx(5 * UNWATCHED_SECONDS, abs=1)
    assert bench.generator.stopped == "Stopped: no page was open."


def test_a_stop_ends_the_requests() -> None:
    """It has no reason to show, and a closed generator cannot be started."""
    bench = Bench()
    bench.generator.start(5)
    bench.generator.stop()
    assert (bench.pass_time(2), bench.generator.stopped) == (0, "")
    bench.generator.close()
    with pytest.raises(EngineError, match="closed"):
        bench.generator.start(5)


def test_slow_models_are_not_overrun() -> None:
    """Requests that would wait for others are left out, and not sent later."""
    bench = Bench()
    bench.held = []
    bench.generator.start(50)
    bench.pass_time(5)
    waiting, bench.held = bench.held, None
    assert len(waiting) == SENDERS
    for ask in waiting:
        ask()
    assert bench.pass_time(1) == pytest.approx(50, abs=1)


def test_errors_do_not_end_the_traffic() -> None:
    """They are stored as answers."""
    bench = Bench()
    bench.error = ServingError("No model is ready.")
    bench.generator.start(10)
    assert bench.pass_time(3) == pytest.approx(30, abs=1)
