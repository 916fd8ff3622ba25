"""The traffic generator under a clock that the test moves, the store of answers, and their figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image, Prediction, Role, Route
from mnist_dash.errors import EngineError, ServingError
from mnist_dash.traffic import (
    COUNTED,
    LIMIT_SECONDS,
    SENDERS,
    UNWATCHED_SECONDS,
    Answer,
    AnswerStore,
    Traffic,
    TrafficGenerator,
    TrafficSetup,
    read_traffic,
    summarize,
)
from tests.clock import Clock
from tests.fakes import deployment, snapshot, sure_of

SETUP = TrafficSetup.from_snapshot(snapshot())
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


def answer(role: Role | None = Role.CURRENT, milliseconds: float = 3.0, **changes: object) -> Answer:
    """Return a right answer about a seven."""
    prediction = Prediction(sure_of(7), role, None, 1, "", milliseconds)
    answered = Answer(at=100.0, route=Route.SPLIT, setup=SETUP, truth=7, prediction=prediction)
    return replace(answered, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's business


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


def test_the_store_keeps_the_last_answers() -> None:
    """It counts all."""
    store = AnswerStore(kept=10)
    for number in range(25):
        store.add(answer(at=float(number)))
    assert store.total == 25
    assert [item.at for item in store.last(3)] == [22, 23, 24]
    assert len(store.last(100)) == 10


def read(*answers: Answer, setup: TrafficSetup = SETUP, now: float = 100.0) -> Traffic:
    """Return the figures about answers."""
    store = AnswerStore()
    for answer in answers:
        store.add(answer)
    return read_traffic(Bench().generator, store, setup, lambda: now)


def test_each_model_has_its_count_share_accuracy_and_latency() -> None:
    """By the answers on the split whose model is known."""
    current = [answer(milliseconds=float(number)) for number in range(1, 101)]
    wrong, unlabelled = answer(Role.NEW, truth=1), answer(Role.NEW, truth=None)
    figures = summarize([*current, answer(None), wrong, unlabelled, *[answer(Role.NEW)] * 23], 100.0)
    assert figures[Role.CURRENT].answers == 100
    assert figures[Role.CURRENT].share == pytest.approx(0.8)
    assert (figures[Role.CURRENT].p50, figures[Role.CURRENT].p95) == pytest.approx((50.5, 95.05))
    assert figures[Role.NEW].share == pytest.approx(0.2)
    assert (figures[Role.NEW].right, figures[Role.NEW].labelled) == (23, 24)


def test_requests_per_second_are_those_of_the_last_seconds() -> None:
    """A start is not averaged with the time before it, nor a stop with the time before that."""
    answers = [answer(at=90 + number / 10) for number in range(100)]
    assert summarize(answers, 100.0)[Role.CURRENT].per_second == pytest.approx(10)
    assert summarize(answers[-20:], 100.0)[Role.CURRENT].per_second == pytest.approx(10)
    assert summarize(answers, 110.0)[Role.CURRENT].per_second == 0


def test_figures_never_mix_two_setups() -> None:
    """Neither two splits nor two models; the dots stay."""
    traffic = read(answer(), answer(Role.NEW), setup=replace(SETUP, split=50))
    assert (traffic.counted, traffic.split, len(traffic.answers)) == (0, 50, 2)
    updated = snapshot(new=deployment(Role.NEW, version=2))
    assert read(answer(), setup=TrafficSetup.from_snapshot(updated)).counted == 0
    promoted = snapshot(current=replace(deployment(Role.NEW), role=Role.CURRENT))
    assert read(answer(), setup=TrafficSetup.from_snapshot(promoted)).counted == 0


def test_a_restart_is_no_other_model() -> None:
    """The version is unknown until a replica answers again."""
    restarting = snapshot(new=deployment(Role.NEW, version=None, ready=0))
    assert read(answer(), setup=TrafficSetup.from_snapshot(restarting)).counted == 1


def test_forced_routes_do_not_count_against_the_split() -> None:
    """The split did not choose; their answers are dots all the same."""
    traffic = read(answer(route=Route.NEW), answer())
    assert (traffic.counted, len(traffic.answers), traffic.total) == (1, 2, 2)


def test_errors_and_unknown_models_are_counted_apart() -> None:
    """Neither has a share."""
    failed = answer(prediction=None, error="No model is ready.")
    traffic = read(failed, answer(None), answer())
    assert (traffic.errors, traffic.unknown, traffic.roles[Role.CURRENT].share) == (1, 1, 1.0)
    assert failed.role is None
    assert replace(failed, route=Route.NEW).role is Role.NEW
    assert failed.is_right is None


def test_figures_are_about_a_limited_number_of_answers() -> None:
    """Old ones no longer count."""
    assert read(*[answer()] * (COUNTED + 20)).counted == COUNTED
