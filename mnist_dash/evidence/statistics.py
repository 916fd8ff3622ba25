"""The statistics of the canary check, as pure functions of counts.

Both models answer every digit, so the answers are paired: of `digits`, New alone is right about `new_only`
and Current alone about `current_only`. Functions named `log_e_value_*` hold whenever one looks or stops
(Howard, Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49): under the hypothesis, the e-value ever
reaches 1 / level with a probability of at most `level`. Counts may be arrays. scipy loads its parts on first
use, which keeps the start of the dashboard fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import scipy  # type: ignore[import-untyped]  # ships no py.typed
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

DIRICHLET: Final = (0.05, 0.05, 0.9)
"""The prior on the shares of the digits: only New right, only Current right, neither alone."""
NEARLY_ONE: Final = 1 - 1e-9
MOST_DIGITS: Final = 1e9
"""Where the search for a number of digits ends."""


@dataclass(frozen=True)
class Interval:
    """The two ends of an interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def find_threshold(level: float) -> float:
    """Return the log e-value from which on a hypothesis is rejected at a level of 0 to 1."""
    return -math.log(level)


def log_e_value_equal(new_only: ArrayLike, current_only: ArrayLike) -> Floats:
    """Return the log e-value against "equally good": each disagreement falls to either model like a coin.

    The sequential sign test: the mixture likelihood ratio with a Beta(1/2, 1/2) prior (Ville 1939; Robbins
    1970, Annals of Mathematical Statistics 41).
    """
    b, c = np.asarray(new_only, float), np.asarray(current_only, float)
    ratio: Floats = scipy.special.betaln(b + 0.5, c + 0.5) - math.log(math.pi) + (b + c) * math.log(2)
    return ratio


def log_e_value_difference(
    new_only: ArrayLike, current_only: ArrayLike, digits: ArrayLike, difference: ArrayLike
) -> Floats:
    """Return the log e-value against a difference of the accuracies, New's minus Current's, -1 to 1.

    A Dirichlet mixture over the largest likelihood with that difference, which Tango (1998, Statistics in
    Medicine 17, 891-908) gives in closed form.
    """
    b, c, n = (np.asarray(count, float) for count in (new_only, current_only, digits))
    counts = b, c, n - b - c
    gammaln = scipy.special.gammaln
    mixture = gammaln(sum(DIRICHLET)) - gammaln(sum(DIRICHLET) + n)
    mixture = mixture + sum(
        gammaln(prior + count) - gammaln(prior) for prior, count in zip(DIRICHLET, counts, strict=True)
    )
    d = np.asarray(difference, float)
    linear = (2 * n - b + c) * d - b - c
    root = np.sqrt(np.maximum(linear**2 + 8 * n * c * d * (1 - d), 0)) - linear
    q = np.clip(root / np.maximum(4 * n, 1), np.maximum(-d, 0), (1 - d) / 2)
    shares = q + d, q, np.maximum(1 - d - 2 * q, 0)
    likelihood = sum(
        scipy.special.xlogy(count, np.maximum(share, 0)) for count, share in zip(counts, shares, strict=True)
    )
    ratio: Floats = mixture - likelihood
    return ratio


def find_difference_interval(new_only: int, current_only: int, digits: int, level: float) -> Interval:
    """Return the differences of the accuracies, New's minus Current's, that the answers do not rule out.

    A confidence sequence: it ever misses the true difference with a probability of at most `level`.
    """
    if not digits:
        return Interval(-1.0, 1.0)
    observed = (new_only - current_only) / digits

    def excess(difference: float) -> float:
        return float(log_e_value_difference(new_only, current_only, digits, difference)) - find_threshold(
            level
        )

    def find_end(extreme: float) -> float:
        if excess(extreme) < 0:
            return math.copysign(1.0, extreme)
        return float(scipy.optimize.brentq(excess, observed * NEARLY_ONE, extreme))

    return Interval(find_end(-NEARLY_ONE), find_end(NEARLY_ONE))


def is_difference_within(
    new_only: float, current_only: float, digits: float, margin: float, level: float
) -> bool:
    """Whether the whole interval of the difference lies within +-`margin`; needs no search for its ends."""
    if not digits or abs(new_only - current_only) >= margin * digits:
        return False
    ends = log_e_value_difference(new_only, current_only, digits, [-margin, margin])
    return bool(ends.min() >= find_threshold(level))


def count_more_digits(
    new_only: int, current_only: int, digits: int, margin: float, level: float
) -> int | None:
    """Return about how many more digits would tell, if the answers went on in the same proportions.

    They tell that one model is better, or that the difference is within +-`margin`, whichever is sooner. None
    if neither would ever be.
    """
    if not digits:
        return None

    def tells(total: float) -> bool:
        b, c = new_only * total / digits, current_only * total / digits
        is_better = new_only != current_only and log_e_value_equal(b, c) >= find_threshold(level)
        return bool(is_better) or is_difference_within(b, c, total, margin, level)

    needed = _find_smallest(tells, digits)
    return None if needed is None else needed - digits


def _find_smallest(is_enough: Callable[[float], bool], start: int) -> int | None:
    """Return the smallest number from `start` that is enough, by doubling and bisection."""
    enough = start
    while not is_enough(enough):
        enough *= 2
        if enough > MOST_DIGITS:
            return None
    too_few = enough // 2 if enough > start else start - 1
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if is_enough(middle) else (enough, middle)
    return enough


def find_accuracy_interval(right: int, digits: int, level: float) -> Interval:
    """Return the Wilson score interval of an accuracy (Wilson 1927, JASA 22); 0 to 1 without digits."""
    if not digits:
        return Interval(0.0, 1.0)
    ends = scipy.stats.binomtest(right, digits).proportion_ci(1 - level, method="wilson")
    return Interval(float(ends.low), float(ends.high))


def find_mcnemar_p_value(new_only: int, current_only: int) -> float:
    """Return the p-value of McNemar's exact test (1947, Psychometrika 12), for one look at the end."""
    disagreements = new_only + current_only
    return float(scipy.stats.binomtest(new_only, disagreements).pvalue) if disagreements else 1.0


def find_share_band(requests: int, share: float) -> Interval:
    """Return the shares that New gets of `requests` in 95 of 100 cases, if each goes to it by chance.

    The central interval of the binomial distribution; `share` is set, 0 to 1.
    """
    low, high = scipy.stats.binom.interval(0.95, requests, share)
    return Interval(float(low) / requests, float(high) / requests)


def log_e_value_share(new: ArrayLike, requests: ArrayLike, share: float) -> Floats:
    """Return the log e-value against "each request goes to New with the probability `share`, 0 to 1".

    The mixture with a Beta prior of the mean `share` and the weight of one request, so that the first request
    decides nothing. It falls for a controller that deals in turn, and so stays nearer to the share than
    chance would.
    """
    k, n = np.asarray(new, float), np.asarray(requests, float)
    if share in (0, 1):
        return np.where(k == n * share, 0.0, math.inf)
    betaln = scipy.special.betaln
    mixture = betaln(k + share, n - k + 1 - share) - betaln(share, 1 - share)
    ratio: Floats = mixture - k * math.log(share) - (n - k) * math.log1p(-share)
    return ratio


def find_percentiles(milliseconds: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99 of at least one latency, interpolated linearly."""
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return float(p50), float(p95), float(p99)


def compare_latencies(current: Sequence[float], new: Sequence[float]) -> tuple[float, float]:
    """Return the share of the pairs in which New is slower, ties as half, and the p-value of that.

    Mann and Whitney (1947, Annals of Mathematical Statistics 18); each sequence holds at least one latency.
    """
    result = scipy.stats.mannwhitneyu(new, current)
    return float(result.statistic) / (len(current) * len(new)), float(result.pvalue)
