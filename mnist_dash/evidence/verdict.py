"""The verdict of a canary check: one of four, and the sentence that says it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mnist_dash.evidence import statistics


class Outcome(StrEnum):
    """The four verdicts, as words on the page."""

    NEW_IS_BETTER = "New is better"
    CURRENT_IS_BETTER = "Current is better"
    NO_DIFFERENCE = "No difference that matters"
    NOT_ENOUGH = "Not enough evidence yet"


@dataclass(frozen=True)
class Counts:
    """The paired answers of both models."""

    digits: int = 0
    """Digits that both models were asked about."""
    new_only: int = 0
    """Digits that only New got right."""
    current_only: int = 0
    """Digits that only Current got right."""

    @property
    def disagreements(self) -> int:
        """Digits that exactly one of the models got right: all that tells the two apart."""
        return self.new_only + self.current_only

    def add(self, *, current_right: bool, new_right: bool) -> Counts:
        """Return the counts with one more digit."""
        return Counts(
            self.digits + 1,
            self.new_only + (new_right and not current_right),
            self.current_only + (current_right and not new_right),
        )


NOTHING_ASKED: Final = Counts()


@dataclass(frozen=True)
class Terms:
    """How sure a verdict has to be; fixed before a check begins."""

    level: float = 0.05
    """The probability of calling one of two equally good models better, at most."""
    margin: float = 0.02
    """The difference of two accuracies that does not matter, 0 to 1."""


@dataclass(frozen=True)
class Verdict:
    """What the answers say about the two models."""

    outcome: Outcome
    counts: Counts
    """At the moment of the decision, or now while there is none."""
    terms: Terms

    @property
    def is_decided(self) -> bool:
        """Whether there is enough evidence."""
        return self.outcome is not Outcome.NOT_ENOUGH

    @property
    def more_digits(self) -> int | None:
        """About how many more digits would tell; None if no number would, or no digit was asked yet."""
        counts, terms = self.counts, self.terms
        return statistics.count_more_digits(
            counts.new_only, counts.current_only, counts.digits, terms.margin, terms.level
        )

    @property
    def reason(self) -> str:
        """The reason for the outcome, without a capital letter, and when it was decided."""
        counts, decided = self.counts, f"Decided after {self.counts.digits:,} digits."
        match self.outcome:
            case Outcome.NEW_IS_BETTER:
                return f"{_describe_share('New', counts.new_only, counts)} {decided}"
            case Outcome.CURRENT_IS_BETTER:
                return f"{_describe_share('Current', counts.current_only, counts)} {decided}"
            case Outcome.NO_DIFFERENCE:
                return f"the accuracies differ by less than {_points(self.terms.margin)}. {decided}"
        return self._describe_need()

    def _describe_need(self) -> str:
        if not self.counts.digits:
            return "no digit has been asked."
        if (more := self.more_digits) is None:
            return "no number of digits would tell, if it went on like this."
        return f"about {_round(more):,} more digit{'' if more == 1 else 's'} would tell."

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}"


def judge(counts: Counts, terms: Terms) -> Verdict:
    """Return the verdict; it may be asked for after every digit, and the first decision is final."""
    return Verdict(_find_outcome(counts, terms), counts, terms)


def _find_outcome(counts: Counts, terms: Terms) -> Outcome:
    b, c = counts.new_only, counts.current_only
    if statistics.log_e_value_equal(b, c) >= statistics.find_threshold(terms.level):
        return Outcome.NEW_IS_BETTER if b > c else Outcome.CURRENT_IS_BETTER
    if statistics.is_difference_within(b, c, counts.digits, terms.margin, terms.level):
        return Outcome.NO_DIFFERENCE
    return Outcome.NOT_ENOUGH


def _describe_share(name: str, right: int, counts: Counts) -> str:
    return f"of {counts.disagreements:,} digits that only one of them got right, {name} got {right:,}."


def _points(margin: float) -> str:
    points = f"{margin * 100:g}"
    return f"{points} point{'' if points == '1' else 's'}"


def _round(number: int) -> int:
    """Round to two significant figures: an estimate pretends no more."""
    return round(number, 2 - len(str(number)))
