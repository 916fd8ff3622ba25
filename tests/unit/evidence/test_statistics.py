"""The statistics against published figures, against scipy's own, and in simulated checks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy  # type: ignore[import-untyped]  # ships no py.typed
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnist_dash.evidence.statistics import (
    compare_latencies,
    count_more_digits,
    find_accuracy_interval,
    find_difference_interval,
    find_mcnemar_p_value,
    find_percentiles,
    find_share_band,
    is_difference_within,
    log_e_value_difference,
    log_e_value_equal,
    log_e_value_share,
)

LEVEL, MARGIN = 0.05, 0.02
THRESHOLD = math.log(1 / LEVEL)
CHECKS, DIGITS = 10_000, 2_000
COUNTS = st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(1, 3000))


def simulate(
    new_only: float, current_only: float, checks: int
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the counts after each digit of many checks, (checks, DIGITS) each."""
    draws = np.random.default_rng(28).random((checks, DIGITS), dtype=np.float32)
    new, current = draws < new_only, draws > 1 - current_only
    return np.cumsum(new, axis=1, dtype=np.int16), np.cumsum(current, axis=1, dtype=np.int16)


@pytest.mark.parametrize(("counts", "value"), [((0, 0), 1), ((1, 0), 1), ((1, 1), 1 / 2), ((0, 2), 3 / 2)])
def test_the_e_value_is_the_product_of_the_mixtures_predictions(
    counts: tuple[int, int], value: float
) -> None:
    """Krichevsky and Trofimov's: (k + 1/2) / (n + 1) for the next one, against 1/2."""
    assert log_e_value_equal(*counts) == pytest.approx(math.log(value))


@pytest.mark.parametrize("alone_right", [0.01, 0.02, 0.05])
def test_equally_good_models_are_seldom_told_apart(alone_right: float) -> None:
    """In at most 5 % of 10,000 checks that are looked at after every digit; about 3 % is to be expected.

    A test that is meant for one look would be wrong in a sixth of them and more.
    """
    size = 2 * int(DIGITS * alone_right) + 40
    grid = np.arange(size)
    tells = log_e_value_equal(grid[:, None], grid) >= THRESHOLD
    wrong = tells[simulate(alone_right, alone_right, CHECKS)].any(axis=1).mean()
    assert 0.02 < wrong <= LEVEL


@pytest.mark.parametrize(
    ("new_only", "current_only", "share", "median"),
    [(0.069, 0.002, 1.0, 103), (0.03, 0.01, 0.946, 721), (0.02, 0.01, 0.405, 1049)],
)
def test_a_better_model_is_found_in_time(
    new_only: float, current_only: float, share: float, median: float
) -> None:
    """The share of checks that decide within 2,000 digits, and after how many."""
    tells = log_e_value_equal(*simulate(new_only, current_only, 2_000)) >= THRESHOLD
    decided = tells.any(axis=1)
    assert decided.mean() == pytest.approx(share, abs=0.04)
    assert np.median(tells.argmax(axis=1)[decided] + 1) == pytest.approx(median, rel=0.1)


@pytest.mark.parametrize(
    ("new_only", "current_only"), [(0.0, 0.0), (0.002, 0.002), (0.1, 0.1), (0.069, 0.002), (0.02, 0.0)]
)
def test_the_interval_of_the_difference_seldom_misses_the_truth(new_only: float, current_only: float) -> None:
    """Ever, in at most 5 % of the checks, although they are looked at after every digit."""
    counts = simulate(new_only, current_only, 1_000)
    misses = log_e_value_difference(*counts, np.arange(1, DIGITS + 1), new_only - current_only) >= THRESHOLD
    assert misses.any(axis=1).mean() <= LEVEL


@pytest.mark.parametrize(
    ("digits", "new_only", "current_only", "low", "high"),
    [(300, 20, 1, 0.6, 14.3), (1000, 5, 5, -1.8, 1.8), (2000, 2, 2, -0.65, 0.65), (1000, 0, 0, -0.37, 0.37)],
)
def test_the_interval_of_the_difference(
    digits: int, new_only: int, current_only: int, low: float, high: float
) -> None:
    """In points, as in the examples of the specification."""
    interval = find_difference_interval(new_only, current_only, digits, LEVEL)
    assert (interval.low * 100, interval.high * 100) == pytest.approx((low, high), abs=0.05)


@given(COUNTS, st.floats(-0.9, 0.9))
def test_the_likelihood_with_a_given_difference_is_the_largest(
    counts: tuple[int, int, int], difference: float
) -> None:
    """The closed form agrees with a search by scipy."""
    b, c, neither = counts

    def negate_likelihood(q: float) -> float:
        xlogy = scipy.special.xlogy
        return -float(xlogy(b, q + difference) + xlogy(c, q) + xlogy(neither, 1 - difference - 2 * q))

    span = (max(0.0, -difference), (1 - difference) / 2)
    found = scipy.optimize.minimize_scalar(negate_likelihood, bounds=span, options={"xatol": 1e-10}).fun
    alone = float(log_e_value_difference(b, c, b + c + neither, difference))
    prior = np.array([0.05, 0.05, 0.9])
    ln = scipy.special.gammaln
    mixture = ln(1) - ln(1 + sum(counts)) + (ln(prior + counts) - ln(prior)).sum()
    assert alone == pytest.approx(float(mixture) + found, rel=1e-5, abs=1e-4)


@given(COUNTS)
def test_the_observed_difference_lies_within_its_interval(counts: tuple[int, int, int]) -> None:
    """And the interval is within the margin exactly if both of its ends are."""
    b, c, neither = counts
    digits = b + c + neither
    interval = find_difference_interval(b, c, digits, LEVEL)
    assert (b - c) / digits in interval
    inside = interval.low > -MARGIN and interval.high < MARGIN
    assert is_difference_within(b, c, digits, MARGIN, LEVEL) == inside


def test_models_that_differ_little_are_equal_within_the_margin_after_some_hundred_digits() -> None:
    """Identical ones sooner than those that differ on 0.2 % each way, and later for a margin of one point."""
    firsts = {
        (each_way, margin): next(
            digits
            for digits in range(10, DIGITS, 10)
            if is_difference_within(each_way * digits, each_way * digits, digits, margin, LEVEL)
        )
        for each_way in (0.0, 0.002)
        for margin in (0.02, 0.01)
    }
    expected = {(0.0, 0.02): 200, (0.0, 0.01): 400, (0.002, 0.02): 450, (0.002, 0.01): 1400}
    assert firsts == pytest.approx(expected, rel=0.2)


def test_so_many_more_digits_would_tell() -> None:
    """In the same proportions; the smallest number that does."""
    more = count_more_digits(3, 1, 50, MARGIN, LEVEL)
    assert more
    for digits, tells in ((50 + more, True), (49 + more, False)):
        assert (log_e_value_equal(3 * digits / 50, digits / 50) >= THRESHOLD) == tells
    assert count_more_digits(20, 1, 300, MARGIN, LEVEL) == 0
    assert count_more_digits(0, 0, 0, MARGIN, LEVEL) is None


def test_between_models_that_differ_equally_often_only_the_margin_tells() -> None:
    """Without one, no number of digits would."""
    more = count_more_digits(2, 2, 300, MARGIN, LEVEL)
    assert more
    assert is_difference_within(2 * (300 + more) / 300, 2 * (300 + more) / 300, 300 + more, MARGIN, LEVEL)
    assert count_more_digits(2, 2, 300, 0.0, LEVEL) is None


@pytest.mark.parametrize(
    ("right", "digits", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_an_accuracy_is_wilsons(right: int, digits: int, low: float, high: float) -> None:
    """As in table I of Newcombe 1998, Statistics in Medicine 17, 857-872."""
    interval = find_accuracy_interval(right, digits, LEVEL)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_without_digits_every_accuracy_and_every_difference_is_possible() -> None:
    """A check that has just begun has intervals too."""
    empty = find_accuracy_interval(0, 0, LEVEL), find_difference_interval(0, 0, 0, LEVEL)
    assert [(interval.low, interval.high) for interval in empty] == [(0, 1), (-1, 1)]
    only = find_difference_interval(9, 0, 9, LEVEL), find_difference_interval(0, 9, 9, LEVEL)
    assert (only[0].high, only[1].low) == (1, -1)


@pytest.mark.parametrize(
    ("new_only", "current_only", "p_value"),
    [(1, 9, 22 / 1024), (5, 0, 0.0625), (0, 0, 1.0), (4, 4, 1.0), (121, 59, 4.43e-06)],
)
def test_mcnemars_exact_test(new_only: int, current_only: int, p_value: float) -> None:
    """By the binomial coefficients; fewer than 6 disagreements can never be significant at 5 %."""
    n, k = new_only + current_only, min(new_only, current_only)
    counted = min(2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n, 1.0)
    assert find_mcnemar_p_value(new_only, current_only) == pytest.approx(counted)
    assert counted == pytest.approx(p_value, rel=0.05)


def test_the_band_of_the_split() -> None:
    """20 % of 300 requests, as in the specification."""
    band = find_share_band(300, 0.2)
    assert (band.low, band.high) == pytest.approx((47 / 300, 74 / 300))
    assert 0.193 in band
    assert 0.25 not in band


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_chance_is_seldom_taken_for_a_wrong_split(share: float) -> None:
    """In at most 5 % of checks that are looked at after every request."""
    new, _ = simulate(share, 0.0, 2_000)
    e_values = log_e_value_share(new, np.arange(1, DIGITS + 1), share)
    assert (e_values >= THRESHOLD).any(axis=1).mean() < LEVEL


def test_a_wrong_split_is_found() -> None:
    """Within 2,000 requests, and at once where no request should go at all."""
    new, _ = simulate(0.3, 0.0, 500)
    assert (log_e_value_share(new, np.arange(1, DIGITS + 1), 0.2) >= THRESHOLD).any(axis=1).all()
    assert log_e_value_share(1, 10, 0.0) == math.inf
    assert log_e_value_share(9, 10, 1.0) == math.inf


@pytest.mark.parametrize("percent", [1, 20, 37, 50, 99])
def test_a_controller_that_deals_in_turn_follows_the_split(percent: int) -> None:
    """It lies nearer than chance would, after every request."""
    requests = np.arange(1, DIGITS + 1)
    dealt = requests * percent // 100
    assert (log_e_value_share(dealt, requests, percent / 100) < THRESHOLD).all()


def test_latencies_are_compared_in_pairs() -> None:
    """The example of scipy's documentation, U = 17 of 20; ties count as half."""
    slower, p_value = compare_latencies([20, 11, 17, 12], [19, 22, 16, 29, 24])
    assert (slower, p_value) == pytest.approx((17 / 20, 0.1111), abs=1e-4)
    assert compare_latencies([1.0, 2.0], [1.0, 2.0])[0] == 0.5


def test_percentiles() -> None:
    """Interpolated between the latencies."""
    assert find_percentiles([float(number) for number in range(1, 102)]) == (51, 96, 100)
