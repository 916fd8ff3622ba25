"""What a canary check shows of the two models: figures for the page and the report, as pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_dash.domain import DIGITS, Role
from mnist_dash.evidence import statistics
from mnist_dash.evidence.statistics import Interval

if TYPE_CHECKING:
    from mnist_dash.evidence.canary_check import CanaryCheck, CheckedDigit
    from mnist_dash.evidence.verdict import Counts


@dataclass(frozen=True, eq=False)
class ModelFigures:
    """How one of the models did."""

    right: int
    digits: int
    interval: Interval
    """Of its accuracy."""
    answers: int
    """Requests that the split gave to it."""
    percentiles: tuple[float, float, float] | None
    """p50, p95 and p99 of their latency in milliseconds; None without an answer."""
    errors: Counter[str]
    """Failed requests by their problem."""
    confusion: NDArray[np.int64]
    """(10, 10): how often a digit (row) was taken for another (column)."""

    @property
    def accuracy(self) -> float | None:
        """Share of the digits that it got right; None without digits."""
        return self.right / self.digits if self.digits else None


@dataclass(frozen=True)
class SplitFigures:
    """Whether the split is in effect."""

    set_share: float
    """What New should get, 0 to 1."""
    new: int
    requests: int
    """Answers of which it is known who gave them."""
    band: Interval | None
    """What chance alone gives in 95 of 100 cases; None without answers."""
    is_off: bool
    """Whether chance hardly explains what New got."""


@dataclass(frozen=True, eq=False)
class CheckFigures:
    """All figures of a check."""

    evidence: NDArray[np.float64]
    """The log e-value after each digit, positive where New is ahead and negative where Current is."""
    models: dict[Role, ModelFigures]
    difference: float
    """New's accuracy minus Current's."""
    interval: Interval
    """Of the difference."""
    split: SplitFigures
    new_slower: float | None
    """Share of the pairs of requests in which New is slower, 0 to 1; None without answers of both."""
    p_value: float | None
    """Of McNemar's exact test, for a check that ran to its planned end; None for one that was watched."""
    other_errors: Counter[str]
    """Failed requests of which nothing tells which model failed."""


@lru_cache(maxsize=1)
def summarize(check: CanaryCheck) -> CheckFigures:
    """Return the figures of a check so far; all browsers that show the same state share them."""
    counts, level = check.counts, check.options.terms.level
    new_only, current_only, digits = counts.new_only, counts.current_only, counts.digits
    is_at_end = check.options.digits is not None and digits == check.planned
    latencies = [check.latencies(role) for role in Role]
    return CheckFigures(
        evidence=trace_evidence(check.rows, check.before),
        models={role: _summarize_model(check, role) for role in Role},
        difference=(new_only - current_only) / digits if digits else 0.0,
        interval=statistics.find_difference_interval(new_only, current_only, digits, level),
        split=_summarize_split(check),
        new_slower=statistics.compare_latencies(*latencies)[0] if all(latencies) else None,
        p_value=statistics.find_mcnemar_p_value(new_only, current_only) if is_at_end else None,
        other_errors=_count_errors(check, None),
    )


def trace_evidence(rows: Sequence[CheckedDigit], before: Counts | None = None) -> NDArray[np.float64]:
    """Return the log e-value after each digit: positive where New is ahead, negative where Current is.

    It is 0 while the answers rather speak for equally good models, and for the digits before the rows, of
    which only the counts are known.
    """
    new = np.array([row.new_right for row in rows], bool)
    current = np.array([row.current_right for row in rows], bool)
    digits, new_only, current_only = astuple(before) if before else (0, 0, 0)
    b, c = new_only + np.cumsum(new & ~current), current_only + np.cumsum(current & ~new)
    trace: NDArray[np.float64] = np.maximum(statistics.log_e_value_equal(b, c), 0) * np.sign(b - c)
    return np.concatenate([np.zeros(digits), trace])


def rank_disagreements(rows: Sequence[CheckedDigit]) -> list[CheckedDigit]:
    """Return the digits that the models answered differently: first those that only one of them got right."""
    differing = [row for row in rows if row.current != row.new]
    return sorted(differing, key=lambda row: not (row.current_right or row.new_right))


def _summarize_model(check: CanaryCheck, role: Role) -> ModelFigures:
    digits = [(row.truth, row.new if role is Role.NEW else row.current) for row in check.rows]
    right = sum(truth == answer for truth, answer in digits)
    confusion = np.zeros((DIGITS, DIGITS), np.int64)
    np.add.at(confusion, tuple(np.array(digits, int).reshape(-1, 2).T), 1)
    latencies = check.latencies(role)
    return ModelFigures(
        right=right,
        digits=len(digits),
        interval=statistics.find_accuracy_interval(right, len(digits), check.options.terms.level),
        answers=len(latencies),
        percentiles=statistics.find_percentiles(latencies) if latencies else None,
        errors=_count_errors(check, role),
        confusion=confusion,
    )


def _count_errors(check: CanaryCheck, role: Role | None) -> Counter[str]:
    return Counter(failure.problem for failure in check.failures if failure.role is role)


def _summarize_split(check: CanaryCheck) -> SplitFigures:
    share = check.setup.split / 100
    new, current = (len(check.latencies(role)) for role in (Role.NEW, Role.CURRENT))
    requests = new + current
    if not requests:
        return SplitFigures(share, 0, 0, None, False)
    band = statistics.find_share_band(requests, share)
    threshold = statistics.find_threshold(check.options.terms.level)
    unlikely = bool(statistics.log_e_value_share(new, requests, share) >= threshold)
    return SplitFigures(share, new, requests, band, unlikely and new / requests not in band)
