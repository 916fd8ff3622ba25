"""A canary check on models in memory: its verdicts, its ends, and that it never mixes two models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image, Prediction, Role, Route, Snapshot, State
from mnist_dash.errors import EngineError, ServingError
from mnist_dash.evidence import check_run
from mnist_dash.evidence.canary_check import CanaryCheck, CheckOptions, Guard
from mnist_dash.evidence.check_run import BATCH, CheckRun, start_check
from mnist_dash.evidence.verdict import Counts, Outcome, Terms
from mnist_dash.service import Dashboard
from mnist_dash.traffic import AnswerStore
from tests.fakes import FakeEngine, LabelledServing, deployment, snapshot

NO_GUARD = Guard(error_rate=None)


class Bench(LabelledServing):
    """Models and an engine in memory, which observes at every look.

    `on_batch` is called before each answer of New to a batch.
    """

    def __init__(self, wrong: dict[Role, int], *, split: int = 20, is_named: bool = True) -> None:
        super().__init__(FakeEngine(observed=snapshot(split_desired=split, split_observed=split)), wrong)
        self.is_named = is_named
        self.answering_for_new: Callable[[], Role] = lambda: Role.NEW
        self.on_batch: Callable[[int], None] = lambda _: None
        self.batches = 0
        self.traffic = AnswerStore()
        self.failing: dict[Route, int] = {}
        """How many more requests on a route fail."""

    def look_at(self, image: Image, role: Role) -> NDArray[np.float64]:
        return super().look_at(image, self.answering_for_new() if role is Role.NEW else role)

    def predict(self, image: Image, route: Route = Route.SPLIT, *, seconds: float = 15) -> Prediction:
        if self.failing.get(route, 0) > 0:
            self.failing[route] -= 1
            raise ServingError("The model broke off (502).", "Try again.")
        answer = super().predict(image, route, seconds=seconds)
        unnamed = {"role": None, "release": None, "version": None, "replica": ""}
        return answer if self.is_named else replace(answer, **unnamed)  # type: ignore[arg-type]  # its fields

    def predict_batch(
        self, images: NDArray[np.float32], route: Route = Route.SPLIT, *, seconds: float = 15
    ) -> list[Prediction]:
        if route is Route.NEW:
            self.batches += 1
            self.on_batch(self.batches)
        return super().predict_batch(images, route, seconds=seconds)

    def start(self, options: CheckOptions | None = None) -> CheckRun:
        digits, look = load_digits(), self.engine.snapshot
        check = start_check(options or CheckOptions(), look(), digits, "ann")
        return CheckRun(check, self, look, self.traffic)

    def run(self, options: CheckOptions | None = None) -> CanaryCheck:
        run = self.start(options)
        run.run()
        return run.check

    def change(self, **changes: object) -> None:
        self.engine.observed = replace(self.engine.observed, **changes)  # type: ignore[arg-type]  # its fields

    def change_at(self, batch: int, changes: Mapping[str, object], now: int) -> None:
        """Change what the engine observes at a certain batch."""
        if now == batch:
            self.change(**changes)

    def redeploy_new(self, **changes: object) -> None:
        """Let the engine observe another New."""
        self.change(new=deployment(Role.NEW, **changes))


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a model that never comes back for a moment only."""
    monkeypatch.setattr(check_run, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(check_run, "RETRY_SECONDS", 0.01)


@pytest.mark.parametrize(
    ("wrong", "outcome"),
    [
        ({Role.CURRENT: 10}, Outcome.NEW_IS_BETTER),
        ({Role.NEW: 10}, Outcome.CURRENT_IS_BETTER),
        ({}, Outcome.NO_DIFFERENCE),
        ({Role.CURRENT: 30, Role.NEW: 29}, Outcome.NOT_ENOUGH),
    ],
)
def test_a_check_ends_with_each_verdict(wrong: dict[Role, int], outcome: Outcome) -> None:
    """With a verdict as soon as there is one, or when all digits were asked."""
    check = Bench(wrong).run()
    assert check.verdict.outcome is outcome
    assert not check.is_running
    if outcome is Outcome.NOT_ENOUGH:
        assert (len(check.rows), check.ended) == (2000, "All 2,000 digits were asked.")
    else:
        assert check.ended == "Ended with the verdict."
        decided = check.verdict.counts.digits
        assert decided <= len(check.rows) < decided + BATCH


def test_a_decision_is_final() -> None:
    """A fixed number of digits is asked to its end, and the verdict is that of the first decision."""
    adaptive = Bench({Role.CURRENT: 10}).run()
    check = Bench({Role.CURRENT: 10}).run(CheckOptions(digits=500))
    assert (len(check.rows), check.verdict) == (500, adaptive.verdict)
    assert check.ended == "All 500 digits were asked."
    pairs = [[(row.place, row.current, row.new) for row in part.rows] for part in (adaptive, check)]
    assert pairs[1][: len(pairs[0])] == pairs[0]


def test_every_check_asks_in_the_same_shuffled_order() -> None:
    """So that repeating it cannot fish for luck; each digit is asked once."""
    first, second = (Bench({}).run(CheckOptions(digits=2000)) for _ in range(2))
    places = [row.place for row in first.rows]
    assert places == [row.place for row in second.rows]
    assert sorted(places) == list(range(2000))
    assert places != sorted(places)
    assert [row.place for row in Bench({}).run(CheckOptions(digits=2000, seed=1)).rows] != places


def test_the_rows_hold_both_answers_and_whom_the_split_chose() -> None:
    """Of each digit; the answers through the split also appear in the traffic."""
    bench = Bench({Role.CURRENT: 10})
    check = bench.run(CheckOptions(digits=100))
    labels = load_digits().labels
    for row in check.rows:
        assert row.truth == labels[row.place]
        assert row.new_right
        assert row.current_right == (row.place % 10 > 0)
        assert (row.current_probability, row.new_probability) == pytest.approx((0.91, 0.99))
    assert sum(row.answered_by is Role.NEW for row in check.rows) == 20
    assert (check.by, check.batches) == ("ann", 2)
    assert bench.traffic.total == 100
    assert check.error_rate(Role.NEW) == (0, 22)


def test_unnamed_answers_are_attributed_by_both_models_answers() -> None:
    """Without any further request."""
    bench = Bench({}, is_named=False)
    check = bench.run(CheckOptions(digits=100))
    assert sum(row.answered_by is Role.NEW for row in check.rows) == 20
    assert all(row.answered_by for row in check.rows)
    assert len(bench.asked) == 300


def test_a_stop_keeps_what_was_done() -> None:
    """And says who stopped it, if somebody is signed in."""
    bench = Bench({Role.CURRENT: 30, Role.NEW: 29})
    run = bench.start()
    bench.on_batch = lambda batch: run.stop("Stopped by ann.") if batch == 3 else None
    run.run()
    assert run.check.ended == "Stopped by ann."
    assert 100 <= len(run.check.rows) <= 150
    assert run.check.verdict.counts.digits == len(run.check.rows)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"base": "/models/other"},
            "New was changed during the check, from cnn version 1 to other version 1.",
        ),
        ({"version": 2}, "New was changed during the check, from cnn version 1 to cnn version 2."),
    ],
)
@pytest.mark.parametrize("is_named", [True, False])
def test_a_changed_model_ends_the_check(changes: dict[str, object], sentence: str, is_named: bool) -> None:
    """What was asked before is kept, and nothing of the other model."""
    bench = Bench({}, is_named=is_named)
    bench.on_batch = lambda batch: bench.redeploy_new(**changes) if batch == 3 else None
    check = bench.run(CheckOptions(digits=500))
    assert check.ended == sentence
    assert (len(check.rows), check.verdict.counts) == (100, Counts(100))


def test_a_promotion_and_a_removal_end_the_check() -> None:
    """The roles are then others."""
    for change, sentence in (
        ({"new": None}, "New was removed during the check."),
        (
            {"current": replace(deployment(Role.NEW), role=Role.CURRENT)},
            "Current was changed during the check, from linear version 1 to cnn version 1.",
        ),
    ):
        bench = Bench({})
        bench.on_batch = partial(bench.change_at, 2, change)
        assert bench.run(CheckOptions(digits=500)).ended == sentence


def test_a_changed_split_ends_the_check() -> None:
    """The answers of both models are kept: they do not depend on it."""
    bench = Bench({}, is_named=False)
    bench.on_batch = lambda batch: bench.change(split_desired=50, split_observed=50) if batch == 3 else None
    check = bench.run(CheckOptions(digits=500))
    assert check.ended == "The split was changed during the check, from 20 to 50 %."
    assert len(check.rows) == 150


def test_unnamed_answers_that_no_observation_confirms_are_dropped() -> None:
    """They may be of a model that was deployed since the last observation."""
    bench = Bench({}, is_named=False)
    run = bench.start(CheckOptions(digits=100))
    looks = 0

    def look() -> Snapshot:
        """Observe something new only after the last answers, and then another model."""
        nonlocal looks
        looks += bench.batches == 2
        if looks < 100:
            return replace(bench.engine.observed, taken_at=run.check.started_at)
        return replace(bench.engine.observed, new=deployment(Role.NEW, version=2), taken_at=time.time())

    run._snapshot = look
    run.run()
    assert "from cnn version 1 to cnn version 2" in run.check.ended
    assert (run.check.rows, run.check.verdict.counts) == ((), Counts())


def test_a_check_waits_for_restarting_replicas() -> None:
    """Their version is unknown meanwhile, which is no change; the failed requests count."""
    bench = Bench({})

    def restart(batch: int) -> None:
        if batch == 2:
            bench.redeploy_new(ready=0, version=None, state=State.DEGRADED)
            threading.Timer(0.05, bench.redeploy_new).start()
            raise ServingError("The model broke off (502).", "Try again.")

    bench.on_batch = restart
    waits = []
    run = bench.start(CheckOptions(digits=150, guard=NO_GUARD))
    look = bench.engine.snapshot

    def snapshot_and_note() -> Snapshot:
        waits.append(run.check.waiting_for)
        return look()

    run._snapshot = snapshot_and_note
    run.run()
    check = run.check
    assert (len(check.rows), check.ended) == (150, "All 150 digits were asked.")
    assert set(waits) == {"", "The model broke off (502). Try again."}
    assert check.waiting_for == ""
    assert [failure.role for failure in check.failures] == [Role.NEW]


def test_a_check_ends_when_a_model_does_not_come_back() -> None:
    """With what it had, and the reason."""
    bench = Bench({})
    bench.on_batch = lambda batch: bench.failing.update({Route.NEW: 10**6}) if batch == 3 else None
    check = bench.run(CheckOptions(digits=500, guard=NO_GUARD))
    assert "without an answer. The model broke off (502)." in check.ended
    assert len(check.rows) == 100


def test_errors_through_the_split_are_counted_and_do_not_end_the_check() -> None:
    """The digits count all the same, because both models were asked about them."""
    bench = Bench({Role.CURRENT: 10})
    bench.failing = {Route.SPLIT: 5}
    check = bench.run(CheckOptions(digits=100))
    assert [failure.problem for failure in check.failures] == ["The model broke off (502)."] * 5
    assert sum(row.error != "" and row.milliseconds is None for row in check.rows) == 5
    assert (len(check.rows), len(check.latencies(Role.CURRENT)), len(check.latencies(Role.NEW))) == (
        100,
        76,
        19,
    )


def test_the_guard_ends_a_check_on_errors_of_new() -> None:
    """Once there are 20 requests to New; those of Current do not count."""
    bench = Bench({}, split=100)
    bench.failing = {Route.SPLIT: 2}
    check = bench.run(CheckOptions(digits=500))
    assert check.ended == "The guard ended the check."
    assert check.alarm == "2 of 51 requests to New failed (3.9 %); the limit is 1 %."
    assert len(check.rows) == BATCH
    bench = Bench({}, split=0)
    bench.failing = {Route.SPLIT: 20, Route.CURRENT: 1}
    assert bench.run(CheckOptions(digits=100)).alarm == ""


def test_the_guard_can_limit_the_latency_of_new() -> None:
    """Off by default."""
    assert Bench({}, split=50).run(CheckOptions(digits=100)).alarm == ""
    check = Bench({}, split=50).run(CheckOptions(digits=100, guard=Guard(p95=3)))
    assert check.alarm == "New's p95 is 3 ms; the limit is 3 ms."


def test_requests_for_new_that_current_answers_are_not_evidence() -> None:
    """As some controllers do while New restarts; models that were always alike may be the same."""
    bench = Bench({Role.CURRENT: 2, Role.NEW: 2}, is_named=False)
    bench.answering_for_new = lambda: Role.CURRENT if bench.batches == 2 else Role.NEW
    check = bench.run(CheckOptions(digits=150))
    assert (len(check.rows), bench.batches) == (150, 4)
    bench = Bench({}, is_named=False)
    bench.answering_for_new = lambda: Role.CURRENT
    assert bench.run().verdict.outcome is Outcome.NO_DIFFERENCE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"new": None}, "Deploy a New model first"),
        ({"current": None}, "Deploy a Current model first"),
        ({"new": deployment(Role.NEW, ready=0)}, "New has no ready replica"),
        ({"new": deployment(Role.NEW, state=State.UPDATING)}, "New is being re-deployed"),
        ({"interrupted_promotion": "A promotion was interrupted."}, "A promotion was interrupted"),
        ({"waiting_for": "Waiting for the gateway."}, "Waiting for the gateway"),
        ({"trouble": "The cluster is out of reach."}, "The cluster is out of reach"),
    ],
)
def test_a_check_needs_two_ready_models(changes: dict[str, object], reason: str) -> None:
    """And a split that is in force; it says what is missing."""
    bench = Bench({})
    bench.change(**changes)
    with pytest.raises(EngineError, match=reason):
        bench.run()


@pytest.mark.parametrize(
    "options",
    [
        lambda: CheckOptions(digits=49),
        lambda: CheckOptions(digits=2001),
        lambda: CheckOptions(concurrency=0),
        lambda: CheckOptions(terms=Terms(level=0)),
        lambda: CheckOptions(terms=Terms(margin=0.5)),
        lambda: CheckOptions(guard=Guard(error_rate=2)),
        lambda: CheckOptions(guard=Guard(p95=0)),
    ],
)
def test_impossible_options_are_refused(options: Callable[[], CheckOptions]) -> None:
    """With the limits."""
    with pytest.raises(EngineError, match=r"Choose from"):
        options()


@pytest.fixture
def dash() -> Iterator[Dashboard]:
    """A dashboard on models in memory, of which Current is wrong about every tenth digit."""
    engine = FakeEngine()
    with Dashboard(engine, LabelledServing(engine, {Role.CURRENT: 10})) as dash:
        yield dash


def test_a_notebook_gets_the_result_and_the_progress(dash: Dashboard) -> None:
    """The result is the same that browsers see."""
    seen: list[CanaryCheck] = []
    check = dash.on_behalf_of("ann").check_canary(500, progress=seen.append)
    assert check is seen[-1] is dash.canary_check
    assert (check.by, len(check.rows)) == ("ann", 500)
    assert check.verdict.outcome is Outcome.NEW_IS_BETTER
    assert dash.traffic().counted == 500


def test_one_check_runs_at_a_time(dash: Dashboard) -> None:
    """All browsers see it, and each may stop it; an interrupted notebook stops its own."""
    assert dash.canary_check is None
    dash.stop_check()

    def interrupt(_: CanaryCheck) -> None:
        with pytest.raises(EngineError, match="running already"):
            dash.start_check()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dash.check_canary(2000, progress=interrupt)
    deadline = time.monotonic() + 30
    while dash.canary_check and dash.canary_check.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert dash.canary_check
    assert dash.canary_check.ended == "Stopped."


def test_a_closed_dashboard_checks_nothing(dash: Dashboard) -> None:
    """Closing ends it."""
    dash.close()
    with pytest.raises(EngineError, match="closed"):
        dash.start_check()
