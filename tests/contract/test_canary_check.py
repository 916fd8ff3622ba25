"""The canary check on every engine: its verdict, and how it ends when something happens meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from signal import SIGKILL

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Role
from mnist_dash.evidence.canary_check import CanaryCheck, CheckOptions, DigitSource, Guard
from mnist_dash.evidence.verdict import Outcome
from mnist_dash.service import Dashboard
from tests.contract.environments import Ground
from tests.load import within_five_deviations

LONG = CheckOptions(digits=2000, guard=Guard(error_rate=None), concurrency=2)
PATIENCE = 180.0


def wait_until(dash: Dashboard, reached: Callable[[CanaryCheck], bool]) -> CanaryCheck:
    """Wait for a property of the check, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not ((check := dash.canary_check) and reached(check)):
        assert time.monotonic() < deadline, check
        time.sleep(0.02)
    return check


def wait_for_end(dash: Dashboard) -> CanaryCheck:
    """Wait until the check ends, and return it."""
    return wait_until(dash, lambda check: not check.is_running)


def test_a_check_finds_that_new_is_better(both: Dashboard) -> None:
    """Within the digits, through the real route, without a failed request."""
    both.set_split(20)
    both.wait_settled()
    check = both.check_canary()
    assert (check.verdict.outcome, check.ended) == (Outcome.NEW_IS_BETTER, "Ended with the verdict.")
    assert (check.failures, check.alarm) == ((), "")
    chosen = [row.answered_by for row in check.rows if row.answered_by]
    assert len(chosen) > 0.9 * len(check.rows)
    assert within_five_deviations(chosen.count(Role.NEW), len(chosen), 20)
    labels = load_digits().labels
    assert all(row.truth == labels[row.place] for row in check.rows)
    assert sum(row.new_right for row in check.rows) >= 0.95 * len(check.rows)


def test_labelled_drawings_are_asked_of_both_models(both: Dashboard) -> None:
    """The tally is about the deployed models, a promotion swaps it, and a check asks about them."""
    digits = load_digits().sample(60)
    for image, truth in zip(digits.images, digits.labels, strict=True):
        asked = both.label(image, int(truth))
    asked.result(PATIENCE)
    both.label(digits.images[0], int(digits.labels[0])).result(PATIENCE)
    tally = both.tally
    assert (tally.drawings, both.count_drawings()) == (60, 60)
    assert tally.new_right - tally.current_right == tally.new_only - tally.current_only > 0
    both.promote()
    both.wait_settled()
    assert (both.tally.current_right, both.tally.new_right) == (tally.new_right, tally.current_right)
    both.undo_promote()
    both.wait_settled()
    check = both.check_canary(60, source=DigitSource.DRAWINGS)
    assert (len(check.rows), check.failures) == (60, ())
    assert sum(row.new_right for row in check.rows) == tally.new_right
    assert sum(row.current_right for row in check.rows) == tally.current_right
    assert "60 labelled drawings" in both.timeline()[0].what


def test_a_stopped_check_keeps_what_it_had(both: Dashboard) -> None:
    """And another one can be started."""
    both.start_check(LONG)
    wait_until(both, lambda check: len(check.rows) >= 100)
    both.on_behalf_of("ann").stop_check()
    check = wait_for_end(both)
    assert check.ended == "Stopped by ann."
    assert 100 <= len(check.rows) < 2000
    assert check.verdict.counts.digits
    both.start_check(LONG)
    assert wait_until(both, lambda check: len(check.rows) > 0).is_running


def test_a_check_outlives_a_killed_replica(ground: Ground, both: Dashboard) -> None:
    """It waits for the next one; no digit is lost, and the failed requests are counted."""
    both.set_split(20)
    both.wait_settled()
    both.start_check(LONG)
    wait_until(both, lambda check: len(check.rows) >= 50)
    replicas = [item for item in both.objects() if item.kind in ("Model server", "Pod")]
    ground.signal(next(replica for replica in replicas if replica.role is Role.CURRENT), SIGKILL)
    check = wait_for_end(both)
    assert check.ended == "All 2,000 digits were asked."
    assert (len(check.rows), check.verdict.outcome) == (2000, Outcome.NEW_IS_BETTER)
    assert len({row.place for row in check.rows}) == 2000
    assert not any(failure.role is Role.NEW for failure in check.failures)


def test_a_changed_split_ends_a_check(both: Dashboard) -> None:
    """With what it had, and the reason."""
    both.start_check(LONG)
    wait_until(both, lambda check: len(check.rows) >= 50)
    both.set_split(50)
    check = wait_for_end(both)
    assert check.ended == "The split was changed during the check, from 0 to 50 %."
    assert 50 <= len(check.rows) < 2000


def test_a_changed_model_ends_a_check(both: Dashboard, linear: str) -> None:
    """Nothing of the other model counts: linear as New would be wrong where Current is."""
    both.start_check(LONG)
    wait_until(both, lambda check: len(check.rows) >= 50)
    both.deploy(Role.NEW, linear)
    check = wait_for_end(both)
    assert check.ended.startswith("New was changed during the check, from cnn-")
    assert sum(row.new_right for row in check.rows) >= 0.95 * len(check.rows)


def test_a_promotion_ends_a_check(both: Dashboard) -> None:
    """The roles are swapped then."""
    both.start_check(LONG)
    wait_until(both, lambda check: len(check.rows) >= 50)
    both.promote()
    check = wait_for_end(both)
    assert "was changed during the check, from " in check.ended
    assert sum(row.new_right for row in check.rows) >= 0.95 * len(check.rows)
