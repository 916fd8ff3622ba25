"""An automatic rollout as a value, and what it becomes by each event: a pure state machine.

The evidence of the answers is one process over all steps, so that its level holds for the whole rollout,
however often it is looked at.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from mnist_dash.domain import Change, Promote, Release, Role, SetSplit, Snapshot
from mnist_dash.errors import EngineError
from mnist_dash.evidence.canary_check import (
    CanaryCheck,
    CheckOptions,
    CheckSetup,
    DigitSource,
    Guard,
    why_not_check,
)
from mnist_dash.evidence.verdict import NOTHING_ASKED, Counts, Outcome, Terms, Verdict, judge
from mnist_dash.rollout_status import GATEWAY_PENDING
from mnist_dash.served_models import ServedModel

DEFAULT_STEPS: Final = (5, 20, 50, 100)
DEFAULT_REQUESTS: Final = 100
MAX_STEPS, MAX_REQUESTS = 10, 2000
PROMOTABLE: Final = (Outcome.NEW_IS_BETTER, Outcome.NO_DIFFERENCE)
_FORMAT: Final = 1


class RolloutStatus(StrEnum):
    """How a rollout is doing, as words on the page."""

    RUNNING = "Rolling out"
    PAUSED = "Paused"
    UNDECIDED = "Not enough evidence"
    PROMOTED = "Promoted"
    ROLLED_BACK = "Rolled back"
    ABORTED = "Aborted"


@dataclass(frozen=True)
class RolloutPlan:
    """What is chosen before a rollout begins."""

    steps: tuple[int, ...] = DEFAULT_STEPS
    """The splits in percent, increasing, 1 to 100."""
    requests: int = DEFAULT_REQUESTS
    """How many requests New has to answer at each of them."""
    options: CheckOptions = field(default_factory=CheckOptions)
    """Level, margin, guard, seed and concurrency; it always asks about all of MNIST's digits."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", replace(self.options, digits=None, source=DigitSource.MNIST))
        steps = self.steps
        is_increasing = all(isinstance(step, int) and 1 <= step <= 100 for step in steps) and all(
            before < after for before, after in pairwise(steps)
        )
        if not (1 <= len(steps) <= MAX_STEPS and is_increasing):
            shown = ", ".join(map(str, steps)) or "no"
            raise EngineError(
                f"A rollout cannot have {shown} % as its steps.",
                f"Give up to {MAX_STEPS} increasing whole percentages from 1 to 100.",
            )
        if not (isinstance(self.requests, int) and 1 <= self.requests <= MAX_REQUESTS):
            raise EngineError(
                f"A step cannot take {self.requests} requests.", f"Choose from 1 to {MAX_REQUESTS:,}."
            )


def why_not_roll_out(snapshot: Snapshot) -> str:
    """Return why New cannot be rolled out now, or nothing."""
    if reason := why_not_check(snapshot):
        return reason
    former = "Former was the Current before. Deploy a New model, or roll back to Former."
    return former if snapshot.can_undo_promote else ""


def parse_steps(text: str) -> tuple[int, ...]:
    """Return the steps of a text such as `5, 20, 50, 100`; raises EngineError if it is no list of numbers."""
    try:
        return tuple(map(int, text.replace(",", " ").replace("%", " ").split()))
    except ValueError:
        raise EngineError(
            f"{text} is no list of percentages.", "Write, for example, 5, 20, 50, 100."
        ) from None


@dataclass(frozen=True)
class StepAnswers:
    """What the requests of a step have brought so far; the evidence is that of the whole rollout."""

    step: int
    answered: int
    """Requests that New has answered at the split of the step."""
    counts: Counts
    verdict: Verdict


@dataclass(frozen=True)
class Rollout:
    """The state of an automatic rollout. Each event is a method that returns the next state.

    An event that is impossible now changes nothing, so that it may be sent twice.
    """

    plan: RolloutPlan
    setup: CheckSetup
    """The models, and the split as the rollout last set or saw it."""
    etags: tuple[str, str]
    """Of Current and New: they show that somebody has deployed the same model again."""
    by: str
    started_at: float
    """Seconds since the epoch."""
    planned: int
    """Digits that it can ask about."""
    verdict: Verdict
    counts: Counts = NOTHING_ASKED
    """All digits asked so far; the verdict may have been decided before."""
    step: int = 0
    """The place among the steps; their number once all are done, and New is to be promoted."""
    answered: int = 0
    """Requests that New has answered at this step's split."""
    status: RolloutStatus = RolloutStatus.RUNNING
    reason: str = ""
    """Why it does not run, as a sentence; empty while it does."""
    is_promoting: bool = False
    is_overridden: bool = False
    """Whether somebody has changed the split or a model by hand: the rollout leaves both alone."""
    driver: str = ""
    """The dashboard that carries it out."""
    beat: int = 0
    """Counts the times that the driver has renewed the note of it."""

    @classmethod
    def begin(cls, plan: RolloutPlan, snapshot: Snapshot, by: str, planned: int) -> Rollout:
        """Return a rollout of what is deployed; raises EngineError if both models cannot be asked now."""
        if reason := why_not_roll_out(snapshot):
            raise EngineError(reason)
        setup = CheckSetup.from_snapshot(snapshot)
        verdict = judge(NOTHING_ASKED, plan.options.terms)
        return cls(plan, setup, _etags(snapshot), by, time.time(), planned, verdict)

    @property
    def is_ended(self) -> bool:
        """Whether nothing but the last change may be left to do."""
        return self.status not in (RolloutStatus.RUNNING, RolloutStatus.PAUSED)

    @property
    def is_driven(self) -> bool:
        """Whether there is something to do."""
        return self.status is RolloutStatus.RUNNING or self.due is not None

    @property
    def target(self) -> int:
        """The split of the present step; after the last one, its split."""
        return self.plan.steps[min(self.step, len(self.plan.steps) - 1)]

    @property
    def due(self) -> Change | None:
        """The change to apply now, if there is one."""
        split = self.setup.split
        if self.status is RolloutStatus.RUNNING and self.step == len(self.plan.steps):
            return None if self.is_promoting else Promote()
        if self.status is RolloutStatus.RUNNING:
            return SetSplit(self.target) if split != self.target else None
        is_returning = self.status in (RolloutStatus.ROLLED_BACK, RolloutStatus.ABORTED)
        return SetSplit(0) if is_returning and split and not self.is_overridden else None

    @property
    def can_pause(self) -> bool:
        """Whether it can be paused. A promotion under way cannot."""
        return self.status is RolloutStatus.RUNNING and not self.is_promoting

    @property
    def can_skip(self) -> bool:
        """Whether the present step can be ended now: after the last one comes the promotion."""
        if self.is_ended or self.is_overridden or self.step >= len(self.plan.steps):
            return False
        return self.step < len(self.plan.steps) - 1 or self.verdict.outcome in PROMOTABLE

    @property
    def can_abort(self) -> bool:
        """Whether it can be ended now."""
        return not self.is_ended and not self.is_promoting

    def find_wait(self, snapshot: Snapshot) -> str:
        """Return what its step waits for before it can ask anything, as a sentence; empty if for nothing."""
        is_in_force = snapshot.split_observed == snapshot.split_desired == self.target
        return why_not_check(snapshot) or ("" if is_in_force else GATEWAY_PENDING)

    def why_not_resume(self, snapshot: Snapshot) -> str:
        """Return why a paused rollout cannot continue: its evidence is not about other models."""
        if change := self.setup.describe_model_change(snapshot, "rollout"):
            return f"{change} Abort the rollout, and start another one."
        return ""

    def pause(self, reason: str) -> Rollout:
        """Ask no further digits; the split stays as it is."""
        return replace(self, status=RolloutStatus.PAUSED, reason=reason) if self.can_pause else self

    def resume(self, snapshot: Snapshot) -> Rollout:
        """Continue the present step, after `why_not_resume` found no reason against it."""
        if self.status is not RolloutStatus.PAUSED:
            return self
        resumed = replace(self, status=RolloutStatus.RUNNING, reason="", is_overridden=False)
        return replace(resumed, etags=_etags(snapshot)).note_split(snapshot.split_desired).decide()

    def skip(self) -> Rollout:
        """Continue with the next step at once."""
        if not self.can_skip:
            return self
        return replace(self, step=self.step + 1, answered=0, status=RolloutStatus.RUNNING, reason="")

    def abort(self, reason: str) -> Rollout:
        """End it, with all requests to Current; a split that was set by hand stays as it is."""
        return replace(self, status=RolloutStatus.ABORTED, reason=reason) if self.can_abort else self

    def fail(self, reason: str) -> Rollout:
        """Note that its change was refused: it pauses, except that a return to Current is tried again."""
        return replace(self, is_promoting=False).pause(reason)

    def note_split(self, split: int) -> Rollout:
        """Note the split that it has set, or that somebody else has."""
        return self if split == self.setup.split else replace(self, setup=replace(self.setup, split=split))

    def begin_promotion(self) -> Rollout:
        """Note that New is about to be made the Current."""
        return replace(self, is_promoting=True) if self.due == Promote() else self

    def observe(self, snapshot: Snapshot) -> Rollout:
        """Compare what is deployed with what the rollout wants: changes by hand pause it."""
        if snapshot.trouble:
            return self
        if self.is_promoting:
            return self._observe_promotion(snapshot)
        has_other_models = self.etags != _etags(snapshot)
        if self.is_ended:
            return replace(self, is_overridden=True) if self.due and has_other_models else self
        if self.is_overridden:
            return self.note_split(snapshot.split_desired)
        change = self.setup.describe_model_change(snapshot, "rollout")
        if not change and has_other_models:
            change = "A model was deployed again during the rollout."
        # Whoever carried it out before may have set the next split without having noted it.
        if not change and snapshot.split_desired != self.target:
            change = self.setup.describe_split_change(snapshot, "rollout")
        if not change:
            return self.note_split(snapshot.split_desired)
        paused = replace(self, status=RolloutStatus.PAUSED, reason=change, is_overridden=True)
        return paused.note_split(snapshot.split_desired)

    def _observe_promotion(self, snapshot: Snapshot) -> Rollout:
        if snapshot.becoming_current or snapshot.interrupted_promotion:
            return self
        if snapshot.current and snapshot.current.release is self.setup.new.release:
            ended = replace(self, status=RolloutStatus.PROMOTED, reason=str(self.verdict))
            return replace(ended, is_promoting=False).note_split(snapshot.split_desired)
        reason = "The promotion was taken back."
        paused = replace(self, status=RolloutStatus.PAUSED, reason=reason, is_promoting=False)
        return replace(paused, is_overridden=True).note_split(snapshot.split_desired)

    def record(self, answers: StepAnswers) -> Rollout:
        """Take in what was answered, without any consequence; what is older than the state is ignored."""
        if self.is_ended or answers.counts.digits < self.counts.digits:
            return self
        recorded = replace(self, counts=answers.counts, verdict=answers.verdict)
        return replace(recorded, answered=answers.answered) if answers.step == self.step else recorded

    def decide(self, alarm: str = "") -> Rollout:
        """Draw the consequences of what was recorded, and of what the guard found.

        A red guard or a better Current returns to Current even a rollout that is paused, unless somebody has
        changed something by hand.
        """
        if self.is_ended or self.is_overridden or self.is_promoting:
            return self
        if alarm or self.verdict.outcome is Outcome.CURRENT_IS_BETTER:
            return replace(self, status=RolloutStatus.ROLLED_BACK, reason=alarm or str(self.verdict))
        if self.status is not RolloutStatus.RUNNING or self.step == len(self.plan.steps):
            return self
        if not self.verdict.is_decided and self.counts.digits >= self.planned:
            reason = (
                f"All {self.planned:,} digits were asked, and the evidence does not tell. Decide yourself."
            )
            return replace(self, status=RolloutStatus.UNDECIDED, reason=reason)
        is_last = self.step == len(self.plan.steps) - 1
        if self.answered < self.plan.requests or (is_last and not self.verdict.is_decided):
            return self
        return replace(self, step=self.step + 1, answered=0)

    def to_check(self) -> CanaryCheck:
        """Return its evidence as a check, of whose digits only the counts are known."""
        is_red = (
            self.status is RolloutStatus.ROLLED_BACK and self.verdict.outcome is not Outcome.CURRENT_IS_BETTER
        )
        return CanaryCheck(
            self.plan.options,
            self.setup,
            self.by,
            self.started_at,
            self.planned,
            self.verdict,
            before=self.counts,
            is_running=False,
            ended=self.reason,
            alarm=self.reason if is_red else "",
        )

    def to_json(self) -> str:
        """Return it as a text that `from_json` reads."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, separators=(",", ":"))

    @staticmethod
    @lru_cache(maxsize=4)
    def from_json(text: str) -> Rollout:
        """Read it from its text; raises ValueError if that is damaged."""
        try:
            document = json.loads(text)
            if document.pop("format") != _FORMAT:
                raise ValueError("written in another format")
            return _decode(document)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            RecursionError,
            EngineError,
        ) as error:
            raise ValueError(f"no rollout: {error}") from error


def _etags(snapshot: Snapshot) -> tuple[str, str]:
    return snapshot.etag(Role.CURRENT), snapshot.etag(Role.NEW)


def _decode(document: dict[str, Any]) -> Rollout:
    """Return a rollout; the note may have been edited, and a wrong value would fail much later."""
    plan, setup, verdict = (document.pop(name) for name in ("plan", "setup", "verdict"))
    current, new = (
        ServedModel(**setup[role] | {"release": Release(setup[role]["release"])}) for role in Role
    )
    rollout = Rollout(
        plan=RolloutPlan(tuple(plan["steps"]), plan["requests"], _decode_options(plan["options"])),
        setup=CheckSetup(current, new, setup["split"]),
        etags=tuple(document.pop("etags")),
        verdict=_decode_verdict(verdict),
        counts=_decode_counts(document.pop("counts")),
        status=RolloutStatus(document.pop("status")),
        **document,
    )
    numbers = rollout.step, rollout.answered, rollout.planned, rollout.setup.split, rollout.beat
    texts = rollout.by, rollout.reason, rollout.driver, *rollout.etags, current.base, new.base
    if not (
        all(isinstance(number, int) and number >= 0 for number in numbers)
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(it, bool) for it in (rollout.is_promoting, rollout.is_overridden))
        and isinstance(rollout.started_at, int | float)
        and rollout.step <= len(rollout.plan.steps)
        and rollout.setup.split <= 100
        and len(rollout.etags) == len(Role)
    ):
        raise ValueError("an impossible value")
    return rollout


def _decode_options(document: dict[str, Any]) -> CheckOptions:
    nested = {"terms": Terms(**document["terms"]), "guard": Guard(**document["guard"])}
    return CheckOptions(**document | nested)


def _decode_counts(document: dict[str, Any]) -> Counts:
    counts = Counts(**document)
    if not all(isinstance(it, int) and it >= 0 for it in document.values()):
        raise ValueError("impossible counts")
    return counts


def _decode_verdict(document: dict[str, Any]) -> Verdict:
    counts, terms = _decode_counts(document["counts"]), Terms(**document["terms"])
    return Verdict(Outcome(document["outcome"]), counts, terms)
