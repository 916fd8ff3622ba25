"""The figures of a canary check."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mnist_dash.domain import Role
from mnist_dash.evidence.canary_check import (
    CanaryCheck,
    CheckedDigit,
    CheckOptions,
    CheckSetup,
    FailedRequest,
    judge_in_order,
)
from mnist_dash.evidence.figures import rank_disagreements, summarize, trace_evidence
from mnist_dash.evidence.statistics import log_e_value_equal
from mnist_dash.evidence.verdict import Counts, Terms, judge
from tests.fakes import snapshot

NEITHER, NEW, CURRENT, BOTH = (3, 3), (3, 7), (7, 3), (7, 7)
"""The answers of Current and New to a seven, by who is right."""


def row(
    answers: tuple[int, int], place: int = 0, by: Role | None = Role.CURRENT, ms: float = 3.0
) -> CheckedDigit:
    """Return a seven with both answers."""
    current, new = answers
    return CheckedDigit(
        place, 7, current, 0.9, new, 0.9, by, ms if by else None, "" if by else "It broke off."
    )


def check_of(*rows: CheckedDigit, split: int = 20, **changes: object) -> CanaryCheck:
    """Return a check with these rows."""
    options = CheckOptions()
    setup = CheckSetup.from_snapshot(snapshot(split_desired=split, split_observed=split))
    verdict = judge_in_order(rows, judge(Counts(), options.terms))
    check = CanaryCheck(options, setup, "ann", 0.0, 2000, verdict, rows=rows, batches=1)
    return replace(check, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's business


def test_the_accuracies_and_their_difference_have_intervals() -> None:
    """Of the same digits for both models."""
    figures = summarize(check_of(*[row(BOTH)] * 90, *[row(NEW)] * 8, *[row(CURRENT)] * 2))
    current, new = figures.models.values()
    assert (current.right, new.right, new.digits) == (92, 98, 100)
    assert (current.accuracy, new.accuracy) == (0.92, 0.98)
    assert 0.92 in current.interval
    assert 0.98 in new.interval
    assert figures.difference == pytest.approx(0.06)
    assert figures.difference in figures.interval


def test_a_check_without_digits_has_figures() -> None:
    """It may have been stopped at once."""
    figures = summarize(check_of())
    assert len(figures.evidence) == 0
    assert figures.models[Role.NEW].accuracy is None
    assert figures.models[Role.NEW].percentiles is None
    assert (figures.split.band, figures.new_slower) == (None, None)


def test_the_evidence_is_traced_for_each_digit() -> None:
    """Upwards for New, downwards for Current, and not at all while nothing tells them apart."""
    trace = trace_evidence([row(answers) for answers in (BOTH, NEW, NEW, CURRENT, CURRENT, CURRENT, CURRENT)])
    assert trace[2] == pytest.approx(float(log_e_value_equal(2, 0)))
    assert list(np.sign(trace)) == [0, 0, 1, 0, 0, 0, 0]
    assert trace_evidence([row(CURRENT)] * 9)[-1] == pytest.approx(-float(log_e_value_equal(9, 0)))


def test_the_trace_crosses_the_threshold_where_the_verdict_is_decided() -> None:
    """Both look at the digits one by one."""
    rows = [row(NEW if place % 9 == 0 else BOTH, place) for place in range(200)]
    decided = judge_in_order(rows, judge(Counts(), Terms())).counts.digits
    assert decided == int((trace_evidence(rows) >= math.log(20)).argmax()) + 1


def test_the_confusion_counts_digits_by_answer() -> None:
    """Rows are the true digits."""
    confusion = summarize(check_of(row(NEW), row(NEW), row(BOTH))).models[Role.CURRENT].confusion
    assert (confusion[7, 3], confusion[7, 7], confusion.sum()) == (2, 1, 3)


def test_the_split_is_flagged_only_where_chance_does_not_explain_it() -> None:
    """A share within the band never is."""
    chance = [row(BOTH, by=Role.NEW if place % 5 == 0 else Role.CURRENT) for place in range(300)]
    split = summarize(check_of(*chance)).split
    assert (split.new, split.requests, split.set_share, split.is_off) == (60, 300, 0.2, False)
    assert summarize(check_of(*chance, split=50)).split.is_off
    assert summarize(check_of(row(BOTH, by=Role.NEW), split=0)).split.is_off


def test_latencies_are_those_through_the_split() -> None:
    """With how often New is slower; a failed request has none."""
    slow = [row(BOTH, by=Role.NEW, ms=9.0)] * 10
    figures = summarize(check_of(*[row(BOTH)] * 10, *slow, row(BOTH, by=None)))
    assert figures.models[Role.NEW].percentiles == (9.0, 9.0, 9.0)
    assert (figures.models[Role.NEW].answers, figures.new_slower) == (10, 1.0)


def test_errors_are_counted_by_model_and_kind() -> None:
    """Those of which nothing tells whose they are, apart."""
    failures = [FailedRequest(Role.NEW, "It broke off.")] * 2 + [FailedRequest(None, "No answer.")]
    figures = summarize(check_of(row(BOTH), failures=tuple(failures)))
    assert figures.models[Role.NEW].errors == {"It broke off.": 2}
    assert figures.other_errors == {"No answer.": 1}
    assert not figures.models[Role.CURRENT].errors


def test_mcnemars_test_stands_beside_a_check_that_ran_to_its_planned_end() -> None:
    """It does not hold for one that was stopped by what it showed."""
    rows = [row(NEW)] * 6 + [row(BOTH)] * 44
    at_end = check_of(*rows, options=CheckOptions(digits=50), planned=50)
    assert summarize(at_end).p_value == pytest.approx(2 / 64)
    assert summarize(replace(at_end, rows=at_end.rows[:-1])).p_value is None
    assert summarize(check_of(*rows)).p_value is None


def test_the_telling_disagreements_come_first() -> None:
    """In the order in which they were asked; digits that both got wrong alike are none."""
    rows = [row((3, 5), 1), row(NEW, 2), row(BOTH, 3), row(NEITHER, 4), row(CURRENT, 5)]
    assert [item.place for item in rank_disagreements(rows)] == [2, 5, 1]


def test_the_time_left_is_that_until_the_verdict() -> None:
    """Or until all digits were asked; unknown at the beginning and after the end."""
    rows = [row(NEW)] * 3 + [row(CURRENT)] + [row(BOTH)] * 46
    check = check_of(*rows, seconds=0.5)
    assert check.rate == 100
    assert check.verdict.more_digits
    assert check.seconds_left == pytest.approx(check.verdict.more_digits / 100)
    fixed = replace(check, options=CheckOptions(digits=2000))
    assert fixed.seconds_left == pytest.approx(19.5)
    assert (check_of().seconds_left, replace(check, is_running=False).seconds_left) == (None, None)
