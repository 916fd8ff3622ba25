"""The four verdicts and their sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_dash.evidence.verdict import Counts, Outcome, Terms, Verdict, judge

TERMS = Terms(level=0.05, margin=0.02)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (
            Counts(103, 20, 1),
            "New is better: of 21 digits that only one of them got right, New got 20. "
            "Decided after 103 digits.",
        ),
        (
            Counts(1103, 1, 20),
            "Current is better: of 21 digits that only one of them got right, Current got 20. "
            "Decided after 1,103 digits.",
        ),
        (
            Counts(520, 1, 1),
            "No difference that matters: the accuracies differ by less than 2 points. "
            "Decided after 520 digits.",
        ),
        (Counts(50, 3, 1), "Not enough evidence yet: about 430 more digits would tell."),
        (Counts(), "Not enough evidence yet: no digit has been asked."),
    ],
)
def test_a_verdict_is_one_sentence(counts: Counts, sentence: str) -> None:
    """With the counts that decided, or what is missing."""
    assert str(judge(counts, TERMS)) == sentence


def test_where_no_number_of_digits_would_tell_the_verdict_says_so() -> None:
    """Without a margin, models that are alone right equally often stay undecided."""
    verdict = judge(Counts(300, 2, 2), Terms(margin=0.0))
    assert verdict.reason == "no number of digits would tell, if it went on like this."
    assert not verdict.is_decided


def test_the_level_and_the_margin_decide() -> None:
    """A stricter level needs more; a wider margin hides a small difference."""
    assert judge(Counts(100, 8, 0), Terms(level=0.05)).outcome is Outcome.NEW_IS_BETTER
    assert judge(Counts(100, 8, 0), Terms(level=0.001)).outcome is Outcome.NOT_ENOUGH
    assert judge(Counts(400, 2, 0), Terms(margin=0.01)).outcome is Outcome.NOT_ENOUGH
    verdict = judge(Counts(400, 0, 0), Terms(margin=0.01))
    assert verdict.reason.startswith("the accuracies differ by less than 1 point.")


def test_each_digit_counts_once() -> None:
    """For the model that alone is right about it; else only as a digit."""
    counts = Counts()
    for current_right, new_right in ((True, True), (False, True), (True, False), (False, False)):
        counts = counts.add(current_right=current_right, new_right=new_right)
    assert counts == Counts(digits=4, new_only=1, current_only=1)
    assert counts.disagreements == 2


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 1500))
def test_both_models_are_judged_alike(new_only: int, current_only: int, neither: int) -> None:
    """Exchanged counts give the exchanged verdict."""
    digits = new_only + current_only + neither
    verdict, other = (
        judge(Counts(digits, *pair), TERMS) for pair in ((new_only, current_only), (current_only, new_only))
    )
    exchanged = {
        Outcome.NEW_IS_BETTER: Outcome.CURRENT_IS_BETTER,
        Outcome.CURRENT_IS_BETTER: Outcome.NEW_IS_BETTER,
    }
    assert other.outcome is exchanged.get(verdict.outcome, verdict.outcome)
    assert other.reason.replace("Current", "New") == verdict.reason.replace("Current", "New")


def test_an_estimate_has_two_figures() -> None:
    """More would pretend to be exact."""
    verdict = Verdict(Outcome.NOT_ENOUGH, Counts(1000, 12, 8), TERMS)
    assert verdict.more_digits
    assert verdict.more_digits > 1000
    digits = verdict.reason.partition("about ")[2].partition(" more")[0].replace(",", "")
    assert digits.rstrip("0") == digits[:2].rstrip("0")
