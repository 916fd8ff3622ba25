"""The rollout as a state machine: every event at every state, any order of events, and its level."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_dash.domain import Promote, Release, Role, SetSplit, Snapshot
from mnist_dash.errors import EngineError
from mnist_dash.evidence.canary_check import CheckOptions, Guard
from mnist_dash.evidence.rollout import (
    PROMOTABLE,
    Rollout,
    RolloutPlan,
    RolloutStatus,
    StepAnswers,
    parse_steps,
)
from mnist_dash.evidence.statistics import find_threshold, log_e_value_equal
from mnist_dash.evidence.verdict import Counts, Outcome, Terms, Verdict
from tests.fakes import FakeEngine, deployment, snapshot

RUNNING, PAUSED = RolloutStatus.RUNNING, RolloutStatus.PAUSED
UNDECIDED, PROMOTED = RolloutStatus.UNDECIDED, RolloutStatus.PROMOTED
ROLLED_BACK, ABORTED = RolloutStatus.ROLLED_BACK, RolloutStatus.ABORTED
STEPS = (5, 20, 50, 100)
DIGITS = 2000
BEGUN = Rollout.begin(RolloutPlan(STEPS), snapshot(split_desired=0, split_observed=0), "ann", DIGITS)
RED = "2 of 51 requests to New failed."


def verdict(outcome: Outcome, counts: Counts | None = None) -> Verdict:
    """Return a verdict."""
    return Verdict(outcome, counts or Counts(103, 7, 0), Terms())


def at(step: int, outcome: Outcome = Outcome.NOT_ENOUGH, **changes: object) -> Rollout:
    """Return a rollout at a step whose split is in force."""
    split = STEPS[min(step, len(STEPS) - 1)]
    rollout = replace(BEGUN, step=step, verdict=verdict(outcome)).note_split(split)
    return replace(rollout, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's business


def paused(step: int, outcome: Outcome = Outcome.NOT_ENOUGH) -> Rollout:
    """Return a paused rollout."""
    return at(step, outcome).pause("Paused by ann.")


def overridden(step: int) -> Rollout:
    """Return a rollout whose split somebody has set to 70 %."""
    return at(step).observe(seen(70))


def ended(status: RolloutStatus) -> Rollout:
    """Return a rollout that has ended in its second step, with its split."""
    return at(1, status=status, reason="It ended.")


def seen(split: int, **changes: object) -> Snapshot:
    """Return what is observed with a split in force."""
    return snapshot(split_desired=split, split_observed=split, **changes)


def other_new(split: int) -> Snapshot:
    """Return what is observed after another New was deployed."""
    return seen(split, new=deployment(Role.NEW, base="/models/other", generation="9"))


def swapped() -> Snapshot:
    """Return what is observed after the promotion."""
    current = replace(deployment(Role.NEW), role=Role.CURRENT)
    return seen(0, current=current, new=replace(deployment(Role.CURRENT), role=Role.NEW))


def answered(step: int, count: int, outcome: Outcome, alarm: str = "", digits: int = 500) -> Event:
    """Return the event that a step has brought answers."""
    counts = Counts(digits, 20, 10)
    return lambda it: it.record(StepAnswers(step, count, counts, verdict(outcome))).decide(alarm)


Event = Callable[[Rollout], Rollout]
NOT_ENOUGH, BETTER = Outcome.NOT_ENOUGH, Outcome.NEW_IS_BETTER
WORSE, SAME = Outcome.CURRENT_IS_BETTER, Outcome.NO_DIFFERENCE
PAUSE: Event = lambda it: it.pause("Paused by ann.")  # noqa: E731  # a table of events
RESUME: Event = lambda it: it.resume(seen(it.setup.split))  # noqa: E731
SKIP: Event = lambda it: it.skip()  # noqa: E731
ABORT: Event = lambda it: it.abort("Aborted by ann.")  # noqa: E731
REFUSED: Event = lambda it: it.fail("The cluster refuses.")  # noqa: E731
BY_HAND: Event = lambda it: it.observe(seen(70))  # noqa: E731
REDEPLOYED: Event = lambda it: it.observe(other_new(it.setup.split))  # noqa: E731
UNTOUCHED: Event = lambda it: it.observe(seen(it.setup.split))  # noqa: E731
NO_ENGINE: Event = lambda it: it.observe(Snapshot(0.0, trouble="It does not answer."))  # noqa: E731

TABLE: list[tuple[str, Rollout, Event, tuple[RolloutStatus, int, object]]] = [
    ("begun", BEGUN, UNTOUCHED, (RUNNING, 0, SetSplit(5))),
    ("split set", BEGUN, lambda it: it.note_split(5), (RUNNING, 0, None)),
    ("set but not noted before a crash", BEGUN, lambda it: it.observe(seen(5)), (RUNNING, 0, None)),
    *(
        row
        for step, following in ((0, SetSplit(20)), (1, SetSplit(50)), (2, SetSplit(100)))
        for row in (
            ("too few", at(step), answered(step, 99, NOT_ENOUGH), (RUNNING, step, None)),
            ("enough", at(step), answered(step, 100, NOT_ENOUGH), (RUNNING, step + 1, following)),
            ("enough, better", at(step), answered(step, 100, BETTER), (RUNNING, step + 1, following)),
            ("too few, better", at(step), answered(step, 99, BETTER), (RUNNING, step, None)),
            ("skip", at(step), SKIP, (RUNNING, step + 1, following)),
            ("skip of a pause", paused(step), SKIP, (RUNNING, step + 1, following)),
        )
    ),
    *(
        row
        for step in range(4)
        for row in (
            ("worse", at(step), answered(step, 10, WORSE), (ROLLED_BACK, step, SetSplit(0))),
            ("red", at(step), answered(step, 10, BETTER, RED), (ROLLED_BACK, step, SetSplit(0))),
            (
                "red in a pause",
                paused(step),
                answered(step, 10, BETTER, RED),
                (ROLLED_BACK, step, SetSplit(0)),
            ),
            ("red but by hand", overridden(step), answered(step, 10, BETTER, RED), (PAUSED, step, None)),
            ("all digits", at(step), answered(step, 5, NOT_ENOUGH, digits=DIGITS), (UNDECIDED, step, None)),
            ("pause", at(step), PAUSE, (PAUSED, step, None)),
            ("pause twice", paused(step), PAUSE, (PAUSED, step, None)),
            ("resume", paused(step), RESUME, (RUNNING, step, None)),
            ("resume what runs", at(step), RESUME, (RUNNING, step, None)),
            (
                "resume after a change by hand",
                overridden(step),
                RESUME,
                (RUNNING, step, SetSplit(STEPS[step])),
            ),
            ("skip after a change by hand", overridden(step), SKIP, (PAUSED, step, None)),
            ("abort", at(step), ABORT, (ABORTED, step, SetSplit(0))),
            ("abort a pause", paused(step), ABORT, (ABORTED, step, SetSplit(0))),
            ("abort after a change by hand", overridden(step), ABORT, (ABORTED, step, None)),
            ("refused", at(step), REFUSED, (PAUSED, step, None)),
            ("split by hand", at(step), BY_HAND, (PAUSED, step, None)),
            ("split by hand in a pause", paused(step), BY_HAND, (PAUSED, step, None)),
            ("another New", at(step), REDEPLOYED, (PAUSED, step, None)),
            ("promoted by hand", at(step), lambda it: it.observe(swapped()), (PAUSED, step, None)),
            ("no engine", at(step), NO_ENGINE, (RUNNING, step, None)),
            (
                "an older answer",
                at(step, counts=Counts(900)),
                answered(step, 100, BETTER),
                (RUNNING, step, None),
            ),
        )
    ),
    ("enough without a verdict", at(3), answered(3, 500, NOT_ENOUGH), (RUNNING, 3, None)),
    ("enough, better", at(3), answered(3, 100, BETTER), (RUNNING, 4, Promote())),
    ("enough, same", at(3), answered(3, 100, SAME), (RUNNING, 4, Promote())),
    ("skip without a verdict", at(3), SKIP, (RUNNING, 3, None)),
    ("skip with one", at(3, SAME), SKIP, (RUNNING, 4, Promote())),
    ("answers of the step before", at(1), answered(0, 100, BETTER), (RUNNING, 1, None)),
    ("begin the promotion", at(4, BETTER), lambda it: it.begin_promotion(), (RUNNING, 4, None)),
    ("begin it too early", at(3, BETTER), lambda it: it.begin_promotion(), (RUNNING, 3, None)),
    ("pause before it", at(4, BETTER), PAUSE, (PAUSED, 4, None)),
    ("abort before it", at(4, BETTER), ABORT, (ABORTED, 4, SetSplit(0))),
    ("resume before it", paused(4, BETTER), RESUME, (RUNNING, 4, Promote())),
    ("pause in it", at(4, BETTER, is_promoting=True), PAUSE, (RUNNING, 4, None)),
    ("abort in it", at(4, BETTER, is_promoting=True), ABORT, (RUNNING, 4, None)),
    ("promotion refused", at(4, BETTER, is_promoting=True), REFUSED, (PAUSED, 4, None)),
    (
        "under way",
        at(4, BETTER, is_promoting=True),
        lambda it: it.observe(seen(100, becoming_current=Release.GREEN)),
        (RUNNING, 4, None),
    ),
    ("done", at(4, BETTER, is_promoting=True), lambda it: it.observe(swapped()), (PROMOTED, 4, None)),
    ("taken back", at(4, BETTER, is_promoting=True), UNTOUCHED, (PAUSED, 4, None)),
    *(
        row
        for status in (UNDECIDED, PROMOTED, ROLLED_BACK, ABORTED)
        for due in [SetSplit(0) if status in (ROLLED_BACK, ABORTED) else None]
        for row in (
            *(
                ("nothing changes an end", ended(status), event, (status, 1, due))
                for event in (PAUSE, RESUME, SKIP, ABORT, REFUSED, UNTOUCHED, BY_HAND, NO_ENGINE)
            ),
            ("answers after the end", ended(status), answered(1, 100, BETTER, RED), (status, 1, due)),
            ("its return is done", ended(status), lambda it: it.note_split(0), (status, 1, None)),
            ("another New after the end", ended(status), REDEPLOYED, (status, 1, None)),
        )
    ),
]


@pytest.mark.parametrize(
    ("rollout", "event", "expected"),
    [row[1:] for row in TABLE],
    ids=[f"{row[0]}-{row[1].step}-{row[1].status.name}" for row in TABLE],
)
def test_every_event_at_every_state(
    rollout: Rollout, event: Event, expected: tuple[RolloutStatus, int, object]
) -> None:
    """The status, the step and the change that is due then."""
    after = event(rollout)
    assert (after.status, after.step, after.due) == expected
    assert bool(after.reason) == (after.status is not RUNNING)


def test_the_reasons_say_what_happened() -> None:
    """A sentence each."""
    assert at(1).observe(seen(70)).reason == "The split was changed during the rollout, from 20 to 70 %."
    changed = at(1).observe(other_new(20))
    assert changed.reason == "New was changed during the rollout, from cnn version 1 to other version 1."
    assert "Abort the rollout" in changed.why_not_resume(other_new(20))
    again = at(1).observe(seen(20, new=deployment(Role.NEW, generation="9", desired=2)))
    assert again.reason == "A model was deployed again during the rollout."
    assert again.why_not_resume(seen(20, new=deployment(Role.NEW, generation="9"))) == ""
    assert answered(1, 10, NOT_ENOUGH, RED)(at(1)).reason == RED
    assert answered(1, 10, WORSE)(at(1)).reason.startswith("Current is better: of ")
    assert at(4, BETTER, is_promoting=True).observe(swapped()).reason.startswith("New is better: of 7 digits")


@pytest.mark.parametrize("steps", [(), (0, 5), (5, 5), (20, 5), (5, 101), (2.5, 5), tuple(range(1, 12))])
def test_impossible_steps_are_refused(steps: tuple[int, ...]) -> None:
    """With what is possible."""
    with pytest.raises(EngineError, match="increasing whole percentages from 1 to 100"):
        RolloutPlan(steps)


def test_the_plan_is_read_as_it_is_written() -> None:
    """With or without signs between the numbers."""
    assert parse_steps("5, 20 %,50 100") == (5, 20, 50, 100)
    with pytest.raises(EngineError, match="Write, for example"):
        parse_steps("5, half")
    for requests in (0, 2001):
        with pytest.raises(EngineError, match="Choose from 1 to 2,000"):
            RolloutPlan(requests=requests)


def test_a_former_model_is_not_rolled_out() -> None:
    """It was Current before: a rollback is what is meant."""
    with pytest.raises(EngineError, match="roll back to Former"):
        Rollout.begin(RolloutPlan(), snapshot(can_undo_promote=True), "ann", DIGITS)


OPTIONS = CheckOptions(terms=Terms(0.01, 0.05), guard=Guard(None, 250.0), concurrency=4, seed=7)


@pytest.mark.parametrize(
    "rollout",
    [
        BEGUN,
        overridden(2),
        ended(ROLLED_BACK),
        at(4, BETTER, is_promoting=True, driver="me", beat=3),
        Rollout.begin(RolloutPlan((3, 33), 7, OPTIONS), snapshot(), "ann é", DIGITS),
    ],
)
def test_a_rollout_is_read_back_as_it_was_written(rollout: Rollout) -> None:
    """Over a restart, or by another dashboard; the text is short enough for an annotation."""
    text = rollout.to_json()
    assert Rollout.from_json(text) == rollout
    assert len(text) < 3000


def damage(**changes: object) -> str:
    """Return a note with other values."""
    return json.dumps(json.loads(BEGUN.to_json()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        "{}",
        "[" * 100_000,
        damage(format=2),
        damage(status="Lost"),
        damage(step=5),
        damage(step="1"),
        damage(step=-1),
        damage(by=None),
        damage(etags=["a"]),
        damage(started_at="now"),
        damage(is_promoting="no"),
        damage(counts={"digits": -1, "new_only": 0, "current_only": 0}),
        damage(plan={"steps": ["5"], "requests": 1, "options": {}}),
        damage(plan={"steps": [50, 20], "requests": 1, "options": {}}),
        damage(unknown=1),
    ],
)
def test_a_damaged_note_is_no_rollout(text: str) -> None:
    """Others may write to it."""
    with pytest.raises(ValueError):  # noqa: PT011  # whatever is wrong with it
        Rollout.from_json(text)


Action = tuple[str, int]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "answers",
                "pause",
                "resume",
                "skip",
                "abort",
                "by hand",
                "deploy",
                "promote",
                "undo",
                "refuse",
                "drive",
            )
        ),
        st.integers(0, 100),
    ),
    max_size=40,
)


class Play:
    """A rollout on an engine in memory, with everything that may happen in between."""

    def __init__(self, outcome: Outcome) -> None:
        self.engine = FakeEngine(observed=seen(0))
        self.rollout = Rollout.begin(RolloutPlan(STEPS, 10), self.engine.snapshot(), "ann", DIGITS)
        self.outcome = outcome
        self.digits = 0
        self.promoted_with: list[Outcome] = []

    def act(self, name: str, number: int) -> None:
        """Let something happen; the rollout sees it at its next round."""
        rollout, snapshot = self.rollout, self.engine.snapshot()
        match name:
            case "answers":
                self.answer(number)
            case "pause":
                self.rollout = rollout.pause("Paused.")
            case "resume" if not rollout.why_not_resume(snapshot):
                self.rollout = rollout.resume(snapshot)
            case "skip":
                self.rollout = rollout.skip()
            case "abort":
                self.rollout = rollout.abort("Aborted.")
            case "by hand":
                self.engine._set_split(number)
            case "deploy":
                new = deployment(Role.NEW, generation=str(number), version=1 + number % 2)
                self.engine._change(new=new)
            case "promote":
                self.engine._swap(0, can_undo=True)
            case "undo":
                self.engine._swap(number, can_undo=False)
            case "refuse":
                self.rollout = rollout.fail("Refused.")
            case "drive":
                self.drive()

    def answer(self, number: int) -> None:
        """Let both models answer some digits more; the first decision is final."""
        rollout = self.rollout
        if rollout.status is not RUNNING or rollout.due or rollout.setup.split != rollout.target:
            return
        self.digits = min(DIGITS, rollout.counts.digits + 10 * number)
        counts = Counts(self.digits)
        outcome = self.outcome if self.digits >= 300 else Outcome.NOT_ENOUGH
        decided = rollout.verdict if rollout.verdict.is_decided else Verdict(outcome, counts, Terms())
        answers = StepAnswers(rollout.step, rollout.answered + number, counts, decided)
        self.rollout = rollout.record(answers).decide()

    def drive(self) -> None:
        """Do what is due, round by round, as the dashboard does."""
        for _ in range(4):
            self.rollout = self.rollout.observe(self.engine.snapshot())
            match self.rollout.due:
                case SetSplit(percent):
                    self.engine._set_split(percent)
                    self.rollout = self.rollout.note_split(percent)
                case Promote():
                    self.rollout = self.rollout.begin_promotion()
                    self.promoted_with.append(self.rollout.verdict.outcome)
                    self.engine._swap(0, can_undo=True)


@given(ACTIONS, st.sampled_from(Outcome))
def test_after_any_events_the_split_is_the_shown_one_and_only_two_verdicts_promote(
    actions: list[Action], outcome: Outcome
) -> None:
    """Whatever happens, in whatever order; a note of it can be read back."""
    play = Play(outcome)
    for name, number in actions:
        play.act(name, number)
    play.drive()
    rollout = play.rollout
    if not rollout.is_ended or rollout.status in (ROLLED_BACK, ABORTED):
        assert rollout.due is None
    if not rollout.is_ended:
        assert rollout.setup.split == play.engine.observed.split_desired
    if rollout.status is RUNNING:
        assert rollout.setup.split == rollout.target
    assert set(play.promoted_with) <= set(PROMOTABLE)
    if rollout.status is PROMOTED:
        assert play.promoted_with
    assert Rollout.from_json(rollout.to_json()) == rollout


def test_two_equal_models_are_told_apart_by_a_whole_rollout_at_most_as_often_as_the_level() -> None:
    """However the steps follow one another, because the evidence is one process."""
    rng, batch, rollouts = np.random.default_rng(10), 50, 1000
    draws = rng.random((rollouts, DIGITS))
    new_only, current_only = (draws < 0.05).cumsum(axis=1), (draws > 0.95).cumsum(axis=1)
    tells = log_e_value_equal(new_only, current_only) >= find_threshold(0.05)
    ends = []
    for b, c, decides in zip(new_only, current_only, tells, strict=True):
        first = int(decides.argmax()) + 1 if decides.any() else DIGITS + 1
        rollout = BEGUN
        while rollout.status is RUNNING and rollout.step < len(STEPS):
            rollout = rollout.note_split(rollout.target)
            asked = min(rollout.counts.digits + batch, DIGITS)
            counts = Counts(asked, int(b[asked - 1]), int(c[asked - 1]))
            outcome = (BETTER if b[first - 1] > c[first - 1] else WORSE) if first <= asked else NOT_ENOUGH
            count = rollout.answered + int(rng.binomial(batch, rollout.target / 100))
            rollout = rollout.record(
                StepAnswers(rollout.step, count, counts, verdict(outcome, counts))
            ).decide()
        ends.append(rollout)
    wrong = [end.status is ROLLED_BACK or end.step == len(STEPS) for end in ends]
    assert 0.005 < np.mean(wrong) <= 0.05
    assert {end.status for end in ends} == {RUNNING, UNDECIDED, ROLLED_BACK}
