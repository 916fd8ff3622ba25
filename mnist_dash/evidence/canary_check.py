"""A canary check as a value: its options, its answers, and what they say, while it runs and afterwards."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Final

from mnist_dash import preconditions
from mnist_dash.dataset import Digits, load_digits
from mnist_dash.domain import Role, Route, Snapshot, State
from mnist_dash.errors import EngineError
from mnist_dash.evidence import statistics
from mnist_dash.evidence.verdict import NOTHING_ASKED, Counts, Terms, Verdict, judge
from mnist_dash.served_models import ServedModel

MIN_DIGITS, MAX_DIGITS = 50, 2000
MAX_CONCURRENCY: Final = 16
GUARDED_FROM: Final = 20
"""Requests to New from which on the guard is in force."""
SEED: Final = 28
GUARD_ENDED: Final = "The guard ended the check."


class DigitSource(StrEnum):
    """Whose digits a check asks about; the values are words on the page."""

    MNIST = "MNIST's 2,000"
    DRAWINGS = "Your drawings"

    @property
    def noun(self) -> str:
        """What they are called in a sentence."""
        return "digits" if self is DigitSource.MNIST else "labelled drawings"

    @property
    def labeller(self) -> str:
        """Who says which digit it is."""
        return "MNIST" if self is DigitSource.MNIST else "a visitor"


@dataclass(frozen=True)
class Guard:
    """When New does so badly that a check ends at once; None for no limit."""

    error_rate: float | None = 0.01
    """Failed requests to New of all requests to it, 0 to 1."""
    p95: float | None = None
    """95th percentile of New's latency in milliseconds."""


@dataclass(frozen=True)
class CheckOptions:
    """What is chosen before a check begins."""

    digits: int | None = None
    """The number of digits to ask about, 50 to 2,000; None until there is a verdict."""
    terms: Terms = field(default_factory=Terms)
    guard: Guard = field(default_factory=Guard)
    concurrency: int = 8
    """Requests under way at once."""
    seed: int = SEED
    """Of the order of the digits: always the same, so that repeating a check cannot fish for luck."""
    source: DigitSource = DigitSource.MNIST
    """Whose digits it asks about."""

    def __post_init__(self) -> None:
        limits = (
            ("digits", self.digits, MIN_DIGITS, MAX_DIGITS),
            ("concurrency", self.concurrency, 1, MAX_CONCURRENCY),
            ("level", self.terms.level, 0.001, 0.2),
            ("margin", self.terms.margin, 0.001, 0.2),
            ("error rate of the guard", self.guard.error_rate, 0, 1),
            ("p95 of the guard", self.guard.p95, 1, 60_000),
        )
        for name, value, low, high in limits:
            if value is not None and not low <= value <= high:
                raise EngineError(
                    f"A check cannot have {value:g} as its {name}.", f"Choose from {low:g} to {high:g}."
                )


@dataclass(frozen=True)
class CheckSetup:
    """What the evidence is about: it never mixes two of these."""

    current: ServedModel
    new: ServedModel
    split: int

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot) -> CheckSetup:
        """Return the models and the split in force; raises EngineError if both models cannot be asked now."""
        if not snapshot.current or not snapshot.new or why_not_check(snapshot):
            raise EngineError(why_not_check(snapshot))
        current, new = map(ServedModel.from_deployment, (snapshot.current, snapshot.new))
        return cls(current, new, snapshot.split_desired)

    def of(self, role: Role) -> ServedModel:
        """Return the model of a role."""
        return self.current if role is Role.CURRENT else self.new

    def name_of(self, role: Role) -> str:
        """Return the name of a role's model, with the role if both models have that name."""
        name = self.of(role).name
        return f"{name} ({role.label})" if self.current.name == self.new.name else name

    def describe_model_change(self, snapshot: Snapshot, during: str = "check") -> str:
        """Return which model is another one in a later snapshot, as a sentence; empty if none is."""
        for role in Role:
            before, model = self.of(role), snapshot.of(role)
            if model is None:
                return f"{role.label} was removed during the {during}."
            if before.is_replaced_by(after := ServedModel.from_deployment(model)):
                return f"{role.label} was changed during the {during}, from {before} to {after}."
        return ""

    def describe_split_change(self, snapshot: Snapshot, during: str = "check") -> str:
        """Return how the split was changed in a later snapshot, as a sentence; empty if it was not."""
        if (split := snapshot.split_desired) != self.split:
            return f"The split was changed during the {during}, from {self.split} to {split} %."
        return ""


@dataclass(frozen=True)
class CheckedDigit:
    """One digit: both models' answers to it, and the answer through the split."""

    place: int
    """In the digits of the check."""
    truth: int
    current: int
    current_probability: float
    new: int
    new_probability: float
    answered_by: Role | None
    """Whom the split chose; None if that is unknown, or its request failed."""
    milliseconds: float | None
    """Latency through the split; None if its request failed."""
    error: str = ""
    """Why that request failed; empty if it was answered."""

    @property
    def current_right(self) -> bool:
        """Whether Current got it right."""
        return self.current == self.truth

    @property
    def new_right(self) -> bool:
        """Whether New got it right."""
        return self.new == self.truth


@dataclass(frozen=True)
class FailedRequest:
    """A request that got no answer."""

    role: Role | None
    """The role that failed; None if nothing tells whom the split had chosen."""
    problem: str


@dataclass(frozen=True, eq=False)
class CanaryCheck:
    """The state of a check, running or ended. It is immutable, so several browsers may read it at once."""

    options: CheckOptions
    setup: CheckSetup
    by: str
    """Who started it; empty for the user that the engine runs as."""
    started_at: float
    """Seconds since the epoch."""
    planned: int
    """Digits that it asks about, at most."""
    verdict: Verdict
    seconds: float = 0.0
    """How long it has taken."""
    rows: tuple[CheckedDigit, ...] = ()
    """In the order in which they were asked."""
    before: Counts = NOTHING_ASKED
    """The digits of a rollout that were asked before the first row, by a dashboard that has ended."""
    first_at_split: int = 0
    """The first row that was asked at this split: a rollout has others."""
    repeats: tuple[CheckedDigit, ...] = ()
    """Digits of a rollout that were asked again, for their requests at this split: they are no evidence."""
    batches: int = 0
    """Requests to each model by the route header; one is about many digits."""
    failures: tuple[FailedRequest, ...] = ()
    is_running: bool = True
    waiting_for: str = ""
    """Why it does not go on at the moment, as sentences; empty while it does."""
    ended: str = ""
    """Why it ended, as a sentence; empty while it runs."""
    alarm: str = ""
    """What the guard found, as a sentence; empty if it found nothing."""
    asked: Digits = field(default_factory=load_digits)
    """The digits that it is about, each at the `place` that its row names."""

    @property
    def counts(self) -> Counts:
        """All paired answers so far."""
        new_only = sum(row.new_right and not row.current_right for row in self.rows)
        current_only = sum(row.current_right and not row.new_right for row in self.rows)
        before = self.before
        return Counts(self.digits_asked, before.new_only + new_only, before.current_only + current_only)

    @property
    def digits_asked(self) -> int:
        """Digits that both models were asked about: the place of the next one in the shuffled order."""
        return self.before.digits + len(self.rows)

    @property
    def rate(self) -> float:
        """Digits per second."""
        return len(self.rows) / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until it ends; None if that is unknown or it has ended."""
        if not self.is_running or not self.rate:
            return None
        left, more = self.planned - self.digits_asked, self.verdict.more_digits
        if self.options.digits is None and more is not None:
            left = min(left, more)
        return left / self.rate

    @property
    def summary(self) -> str:
        """Who was compared on what, and what came of it, as sentences."""
        result = f"New fails its guard: {self.alarm}" if self.alarm else str(self.verdict)
        digits = f"{len(self.rows):,} {self.options.source.noun}"
        return f"{self.setup.new} as New against {self.setup.current} as Current, {digits}. {result}"

    def latencies(self, role: Role | None) -> list[float]:
        """Return the latencies in milliseconds of the requests that the split gave to a role.

        None is for those of which nothing tells the role.
        """
        rows = (*self.rows[self.first_at_split :], *self.repeats)
        return [row.milliseconds for row in rows if row.answered_by is role and row.milliseconds is not None]

    def report(self, path: str | Path) -> None:
        """Write a report to a file: an HTML page, or every answer as CSV if its name ends with .csv."""
        text = self.to_csv() if Path(path).suffix == ".csv" else self.to_html()
        Path(path).write_text(text, encoding="utf-8", newline="")

    def to_html(self) -> str:
        """Return a report as an HTML page that needs no other file and no network."""
        from mnist_dash.evidence import report  # its drawings are needed for this only

        return report.to_html(self)

    def to_csv(self) -> str:
        """Return a line for each digit, in the order in which they were asked, below a header."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [column.name for column in fields(CheckedDigit)])
        writer.writeheader()
        writer.writerows(map(asdict, self.rows))
        return text.getvalue()

    def error_rate(self, role: Role) -> tuple[int, int]:
        """Return the failed requests to a role, and all requests to it."""
        failed = sum(failure.role is role for failure in self.failures)
        return failed, len(self.latencies(role)) + self.batches + failed


def why_not_check(snapshot: Snapshot) -> str:
    """Return why both models cannot be asked through one split now, or nothing."""
    for model in (snapshot.current, snapshot.new):
        if model and model.state is State.UPDATING:
            return f"{snapshot.role_title(model.role)} is being re-deployed. Wait until it is ready."
    why_not = preconditions.why_not_predict(snapshot, Route.NEW)
    return snapshot.interrupted_promotion or why_not or snapshot.waiting_for


def judge_in_order(rows: Iterable[CheckedDigit], before: Verdict) -> Verdict:
    """Return the verdict after further digits, looked at one by one; a decision is final."""
    verdict = before
    for row in rows:
        if verdict.is_decided:
            break
        counts = verdict.counts.add(current_right=row.current_right, new_right=row.new_right)
        verdict = judge(counts, verdict.terms)
    return verdict


def find_alarm(check: CanaryCheck) -> str:
    """Return the limit of the guard that New exceeds, as a sentence; empty if it is within all."""
    guard, (failed, requests) = check.options.guard, check.error_rate(Role.NEW)
    if requests < GUARDED_FROM:
        return ""
    if guard.error_rate is not None and failed / requests > guard.error_rate:
        share = f"{failed} of {requests:,} requests to New failed ({failed / requests:.1%})"
        return f"{share.replace('%', ' %')}; the limit is {guard.error_rate * 100:g} %."
    latencies = check.latencies(Role.NEW)
    if guard.p95 is None or len(latencies) < GUARDED_FROM:
        return ""
    _, p95, _ = statistics.find_percentiles(latencies)
    return f"New's p95 is {p95:.0f} ms; the limit is {guard.p95:g} ms." if p95 > guard.p95 else ""
