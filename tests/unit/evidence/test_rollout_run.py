"""The automatic rollout on models in memory: carried out, steered, and continued by another dashboard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from mnist_dash.domain import Change, ChangeContext, Promote, Role, SetSplit
from mnist_dash.errors import EngineError
from mnist_dash.evidence import rollout_run
from mnist_dash.evidence.canary_check import CheckOptions, Guard
from mnist_dash.evidence.rollout import Rollout, RolloutPlan, RolloutStatus
from mnist_dash.evidence.verdict import Outcome
from mnist_dash.service import Dashboard
from tests.fakes import FakeEngine, LabelledServing, deployment

PLAN = RolloutPlan((20, 50), 10)
ENDLESS = RolloutPlan((20, 50), 2000)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and renew often."""
    monkeypatch.setattr(rollout_run, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(rollout_run, "ROUND_SECONDS", 0.01)
    monkeypatch.setattr(rollout_run, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(rollout_run, "RENEW_SECONDS", 0.05)


@pytest.fixture
def engine() -> FakeEngine:
    """An engine with both models, and 20 % on New."""
    return FakeEngine()


@pytest.fixture
def models(engine: FakeEngine) -> LabelledServing:
    """The models: Current is wrong about every tenth digit."""
    return LabelledServing(engine, {Role.CURRENT: 10})


@pytest.fixture
def dash(engine: FakeEngine, models: LabelledServing) -> Iterator[Dashboard]:
    """A dashboard on them."""
    with Dashboard(engine, models) as dash:
        yield dash


def wait_until(dash: Dashboard, reached: Callable[[Rollout], object]) -> Rollout:
    """Wait for a property of the rollout, and return it."""
    deadline = time.monotonic() + 30
    while not ((rollout := dash.rollout) and reached(rollout)):
        assert time.monotonic() < deadline, rollout
        time.sleep(0.005)
    return rollout


def wait_for_end(dash: Dashboard) -> Rollout:
    """Wait until nothing is left to do."""
    return wait_until(dash, lambda rollout: rollout.is_ended and not rollout.is_driven)


def test_a_better_new_is_rolled_out(dash: Dashboard, engine: FakeEngine) -> None:
    """Step by step, with the evidence of a check; the history says for whom."""
    seen: list[Rollout] = []
    rollout = dash.on_behalf_of("ann").roll_out((5, 20, 100), requests=10, progress=seen.append)
    assert (rollout.status, rollout.setup.split) == (RolloutStatus.PROMOTED, 0)
    assert rollout.reason.startswith("New is better: of ")
    assert engine.changes == [SetSplit(5), SetSplit(20), SetSplit(100), Promote()]
    assert {context.by for context in engine.contexts} == {"ann (automatic rollout)"}
    assert [it.step for it in seen] == sorted(it.step for it in seen)
    assert (seen[0].status, seen[-1]) == (RolloutStatus.RUNNING, rollout)
    check = dash.canary_check
    assert check
    assert (check.verdict, check.counts) == (rollout.verdict, rollout.counts)
    assert len(check.rows) == check.digits_asked >= 150
    assert len({row.place for row in check.rows}) == len(check.rows)


def test_models_without_a_difference_are_rolled_out_too(dash: Dashboard, models: LabelledServing) -> None:
    """Digits that are asked again, to get enough requests to New, are no evidence."""
    models.wrong = {}
    rollout = dash.roll_out((4, 100), requests=120)
    assert (rollout.status, rollout.verdict.outcome) == (RolloutStatus.PROMOTED, Outcome.NO_DIFFERENCE)
    assert rollout.counts.digits == 2000
    check = dash.canary_check
    assert check
    assert len(check.rows) == 2000
    assert check.repeats


@pytest.mark.parametrize(
    ("wrong", "failing", "reason"),
    [
        ({Role.NEW: 10}, 0, "Current is better: of "),
        ({Role.CURRENT: 30, Role.NEW: 29}, 5, "requests to New failed"),
    ],
)
def test_a_worse_new_is_rolled_back(
    dash: Dashboard,
    engine: FakeEngine,
    models: LabelledServing,
    wrong: dict[Role, int],
    failing: int,
    reason: str,
) -> None:
    """By the evidence or by the guard, also if the return is refused at first."""
    models.wrong, models.failing_new = wrong, failing
    refusals: list[Change] = []
    apply = engine.apply

    def refuse_twice(change: Change, context: ChangeContext) -> None:
        if change == SetSplit(0) and len(refusals) < 2:
            refusals.append(change)
            raise EngineError("The cluster does not answer.")
        apply(change, context)

    engine.apply = refuse_twice  # type: ignore[method-assign]  # as a cluster that is away for a moment
    rollout = dash.roll_out((20, 50), requests=200)
    assert rollout.status is RolloutStatus.ROLLED_BACK
    assert reason in rollout.reason
    assert engine.changes == [SetSplit(0)]
    assert len(refusals) == 2
    check = dash.canary_check
    assert check
    assert (check.alarm != "") == bool(failing)


def test_without_enough_evidence_it_stops_and_asks(
    dash: Dashboard, engine: FakeEngine, models: LabelledServing
) -> None:
    """The split stays, and another check can be started."""
    models.wrong = {Role.CURRENT: 30, Role.NEW: 29}
    rollout = dash.roll_out((20, 50), requests=10)
    assert rollout.status is RolloutStatus.UNDECIDED
    assert rollout.reason.startswith("All 2,000 digits were asked, and the evidence does not tell.")
    assert engine.changes == [SetSplit(50)]
    dash.start_check()


def test_one_thing_runs_at_a_time(dash: Dashboard) -> None:
    """Neither a check nor a second rollout; a paused one counts, too."""
    dash.start_rollout(ENDLESS)
    wait_until(dash, lambda rollout: rollout.counts.digits)
    dash.on_behalf_of("bob").pause_rollout()
    paused = wait_until(dash, lambda rollout: rollout.status is RolloutStatus.PAUSED)
    assert paused.reason == "Paused by bob."
    for start in (dash.start_rollout, dash.start_check, dash.check_canary):
        with pytest.raises(EngineError, match="A rollout is under way"):
            start()
    dash.abort_rollout()
    assert wait_for_end(dash).reason == "Aborted by ada."
    dash.start_check(CheckOptions(digits=2000))
    with pytest.raises(EngineError, match="A check is running"):
        dash.start_rollout()


def test_it_is_paused_resumed_skipped_and_aborted(dash: Dashboard, engine: FakeEngine) -> None:
    """Each twice, as by a double click; the requests that New has answered still count."""
    dash.start_rollout(ENDLESS)
    wait_until(dash, lambda rollout: rollout.answered)
    for _ in range(2):
        dash.pause_rollout()
    paused = wait_until(dash, lambda rollout: rollout.status is RolloutStatus.PAUSED and rollout.answered)
    dash.resume_rollout()
    wait_until(dash, lambda rollout: rollout.answered > paused.answered)
    assert engine.changes == []
    dash.skip_rollout_step()
    skipped = wait_until(dash, lambda rollout: rollout.setup.split == 50)
    assert skipped.counts.digits >= paused.counts.digits
    for _ in range(2):
        dash.abort_rollout()
    assert wait_for_end(dash).status is RolloutStatus.ABORTED
    assert engine.changes == [SetSplit(50), SetSplit(0)]


def test_an_interrupted_notebook_pauses_it(dash: Dashboard, engine: FakeEngine) -> None:
    """So that it can be resumed."""

    def interrupt(_: Rollout) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dash.roll_out((20, 50), requests=10, progress=interrupt)
    assert wait_until(dash, lambda rollout: rollout.reason == "Paused by ada.").step == 0
    dash.resume_rollout()
    assert wait_for_end(dash).status is RolloutStatus.PROMOTED
    assert engine.changes[-1] == Promote()


def test_a_change_by_hand_pauses_it(dash: Dashboard, engine: FakeEngine) -> None:
    """It touches nothing until it is resumed, and then sets its own split again."""
    dash.start_rollout(ENDLESS)
    wait_until(dash, lambda rollout: rollout.answered)
    dash.set_split(70)
    paused = wait_until(dash, lambda rollout: rollout.status is RolloutStatus.PAUSED)
    assert paused.reason == "The split was changed during the rollout, from 20 to 70 %."
    dash.set_split(60)
    wait_until(dash, lambda rollout: rollout.setup.split == 60)
    dash.resume_rollout()
    wait_until(dash, lambda rollout: rollout.setup.split == 20 and rollout.answered > paused.answered)
    assert engine.changes == [SetSplit(70), SetSplit(60), SetSplit(20)]


def test_another_model_pauses_it_for_good(dash: Dashboard, engine: FakeEngine) -> None:
    """Its evidence is not about that one; an abort leaves the split alone."""
    dash.start_rollout(ENDLESS)
    wait_until(dash, lambda rollout: rollout.answered)
    engine.observed = replace(engine.observed, new=deployment(Role.NEW, base="/models/other", generation="2"))
    paused = wait_until(dash, lambda rollout: rollout.status is RolloutStatus.PAUSED)
    assert paused.reason == "New was changed during the rollout, from cnn version 1 to other version 1."
    with pytest.raises(EngineError, match="Abort the rollout, and start another one"):
        dash.resume_rollout()
    dash.abort_rollout()
    assert wait_for_end(dash).status is RolloutStatus.ABORTED
    assert engine.changes == []


def test_a_refused_change_pauses_it(dash: Dashboard, engine: FakeEngine) -> None:
    """With the reason; it is tried again when it is resumed."""
    engine.refusal = EngineError("The split belongs to kubectl.", "Take it over.")
    rollout = dash.roll_out((5,), requests=10)
    assert (rollout.status, rollout.reason) == (
        RolloutStatus.PAUSED,
        "The split belongs to kubectl. Take it over.",
    )
    engine.refusal = None
    dash.resume_rollout()
    assert wait_for_end(dash).status is RolloutStatus.PROMOTED


def test_it_goes_on_after_a_restart(engine: FakeEngine, models: LabelledServing) -> None:
    """With the counts and the verdict that it had: no digit counts twice."""
    models.pause = 0.02
    with Dashboard(engine, models) as dash:
        dash.start_rollout(RolloutPlan((20, 50), 150))
        before = wait_until(
            dash, lambda rollout: "digits" in engine.kept and rollout.beat and rollout.counts.digits
        )
    with Dashboard(engine, models) as dash:
        rollout = wait_for_end(dash)
        assert rollout.status is RolloutStatus.PROMOTED
        assert rollout.by == "ada"
        assert rollout.started_at == before.started_at
        check = dash.canary_check
        assert check
        assert check.counts == rollout.counts
        assert check.before.digits + len(check.rows) == rollout.counts.digits <= 2000
        assert len({row.place for row in check.rows}) == len(check.rows)
    assert engine.changes == [SetSplit(50), Promote()]
    with Dashboard(engine, models) as dash:
        assert dash.rollout == rollout
        check = dash.canary_check
        assert check
        assert (check.verdict, check.rows) == (rollout.verdict, ())


def test_two_dashboards_hand_a_rollout_to_each_other(engine: FakeEngine, models: LabelledServing) -> None:
    """Whoever resumes it carries it out, and the other one stops; one that is left is continued."""
    engine.in_cluster = True
    models.pause = 0.02
    with Dashboard(engine, models) as first, Dashboard(engine, models) as second:
        first.start_rollout(ENDLESS)
        driver = wait_until(second, lambda rollout: rollout.counts.digits).driver
        second.pause_rollout()
        wait_until(first, lambda rollout: rollout.status is RolloutStatus.PAUSED)
        second.resume_rollout()
        taken = wait_until(first, lambda rollout: rollout.status is RolloutStatus.RUNNING)
        assert taken.driver != driver
        wait_until(first, lambda rollout: rollout.beat > taken.beat)
        second.close()
        first._rollouts._lease_seconds = 0.0
        wait_until(first, lambda rollout: rollout.driver == driver)
        first.skip_rollout_step()
        wait_until(first, lambda rollout: rollout.setup.split == 50)
        first.skip_rollout_step()
        assert wait_for_end(first).status is RolloutStatus.PROMOTED
    assert engine.changes == [SetSplit(50), Promote()]


def test_a_rollout_is_abandoned_when_its_note_is_not_renewed(
    dash: Dashboard, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For 15 seconds by the own clock, whatever the other one's says."""
    now = 100.0
    rollouts = dash._rollouts
    rollouts.close()  # it looks only when the test lets it
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(rollouts, "_lease_seconds", rollout_run.LEASE_SECONDS)
    other = replace(Rollout.begin(PLAN, engine.snapshot(), "bob", 2000), driver="other", started_at=10**10)
    for beat, seconds, driver in ((0, 0, "other"), (0, 14, "other"), (1, 14, "other"), (1, 14, "other")):
        engine.kept = replace(other, beat=beat).to_json()
        now += seconds
        rollouts._look()
        assert dash.rollout
        assert dash.rollout.driver == driver
    now += 1
    rollouts._look()
    assert dash.rollout == replace(other, beat=1, driver=rollouts._id)


def test_a_damaged_note_is_dropped_and_reported(dash: Dashboard, engine: FakeEngine) -> None:
    """Another rollout can be started."""
    engine.kept = "{"
    assert dash.rollout is None
    assert "was dropped" in dash.snapshot().notices[-1]
    assert dash.roll_out((20,), requests=10).status is RolloutStatus.PROMOTED
    assert dash.snapshot().notices == ()


def test_a_model_that_does_not_answer_pauses_it(
    dash: Dashboard, models: LabelledServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, if no guard has ended it before."""
    monkeypatch.setattr("mnist_dash.evidence.check_run.PATIENCE_SECONDS", 0.1)
    models.failing_new = 10**6
    plan = RolloutPlan((20,), 10, CheckOptions(guard=Guard(error_rate=None)))
    dash.start_rollout(plan)
    paused = wait_until(dash, lambda rollout: rollout.status is RolloutStatus.PAUSED)
    assert "without an answer. The model broke off." in paused.reason
