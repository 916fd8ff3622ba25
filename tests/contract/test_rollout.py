"""The automatic rollout on every engine: to the promotion, and all that may come in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from mnist_dash import service
from mnist_dash.domain import Image, ModelCheck, Role
from mnist_dash.evidence import rollout_run
from mnist_dash.evidence.canary_check import CheckOptions, Guard
from mnist_dash.evidence.rollout import Rollout, RolloutPlan, RolloutStatus
from mnist_dash.evidence.verdict import Outcome
from mnist_dash.service import Dashboard
from tests.contract.environments import Ground
from tests.load import constant_load

PATIENCE = 180.0
LONG = RolloutPlan((20, 50), 1000, CheckOptions(guard=Guard(error_rate=None), concurrency=2))


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew the note often, and continue an abandoned rollout soon."""
    monkeypatch.setattr(rollout_run, "RENEW_SECONDS", 0.5)
    monkeypatch.setattr(service, "LEASE_SECONDS", 4.0)


def wait_until(dash: Dashboard, reached: Callable[[Rollout], object]) -> Rollout:
    """Wait for a property of the rollout, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not ((rollout := dash.rollout) and reached(rollout)):
        assert time.monotonic() < deadline, (rollout, dash.snapshot())
        time.sleep(0.02)
    return rollout


def wait_for_end(dash: Dashboard) -> Rollout:
    """Wait until nothing is left to do."""
    return wait_until(dash, lambda rollout: rollout.is_ended and not rollout.is_driven)


def test_a_better_new_becomes_the_current(both: Dashboard, image: Image) -> None:
    """Step by step, under constant requests; the history says that the rollout did it, and for whom."""
    before = both.snapshot()
    with constant_load(both, image, threads=1) as load:
        rollout = both.on_behalf_of("ann").roll_out((20, 100), requests=30)
    assert (rollout.status, rollout.verdict.outcome) == (RolloutStatus.PROMOTED, Outcome.NEW_IS_BETTER)
    assert load.failures == []
    after = both.wait_settled()
    assert after.current
    assert before.new
    assert (after.current.base, after.split_observed) == (before.new.base, 0)
    changes = [(it.by, it.what) for it in both.history()[:3]]
    assert changes == [
        ("ann (automatic rollout)", what)
        for what in ("Make New the Current", "Set strategy: New only", "Set strategy: Canary 20 %")
    ]
    check = both.canary_check
    assert check
    assert check.failures == ()


def test_a_worse_new_is_rolled_back(
    dash: Dashboard, linear: str, cnn: str, checked: dict[str, ModelCheck], image: Image
) -> None:
    """To the end, under constant requests, of which none fails."""
    dash.deploy(Role.CURRENT, replace(checked["cnn"], base=cnn))
    dash.deploy(Role.NEW, replace(checked["linear"], base=linear))
    dash.wait_settled()
    with constant_load(dash, image, threads=1) as load:
        rollout = dash.roll_out((20, 50, 100), requests=500)
        after = dash.wait_settled()
    assert load.failures == []
    assert (rollout.status, rollout.verdict.outcome) == (RolloutStatus.ROLLED_BACK, Outcome.CURRENT_IS_BETTER)
    assert rollout.reason.startswith("Current is better: of ")
    assert (after.split_desired, after.split_observed) == (0, 0)
    assert after.current
    assert after.current.base == cnn


def test_a_red_guard_rolls_back(both: Dashboard) -> None:
    """Here by a limit of the latency that no model can keep."""
    plan = RolloutPlan((50, 100), 1000, CheckOptions(guard=Guard(p95=1.0)))
    both.start_rollout(plan)
    rollout = wait_for_end(both)
    assert rollout.status is RolloutStatus.ROLLED_BACK
    assert rollout.reason.endswith("the limit is 1 ms.")
    assert both.wait_settled().split_observed == 0


def test_it_is_paused_resumed_skipped_and_aborted(both: Dashboard) -> None:
    """At any moment, with the split that it shows."""
    both.start_rollout(LONG)
    wait_until(both, lambda rollout: rollout.answered)
    both.on_behalf_of("ann").pause_rollout()
    paused = wait_until(both, lambda rollout: rollout.status is RolloutStatus.PAUSED)
    assert (paused.reason, both.snapshot().split_observed) == ("Paused by ann.", 20)
    both.resume_rollout()
    wait_until(both, lambda rollout: rollout.counts.digits > paused.counts.digits)
    both.skip_rollout_step()
    wait_until(both, lambda rollout: rollout.step == 1 and rollout.answered)
    assert both.snapshot().split_observed == 50
    both.abort_rollout()
    assert wait_for_end(both).status is RolloutStatus.ABORTED
    assert both.wait_settled().split_observed == 0


def test_a_change_by_hand_pauses_it(both: Dashboard, linear: str) -> None:
    """A split, after which it can be resumed, and a deployment, after which it cannot."""
    both.start_rollout(LONG)
    wait_until(both, lambda rollout: rollout.answered)
    both.set_split(70)
    paused = wait_until(both, lambda rollout: rollout.status is RolloutStatus.PAUSED)
    assert paused.reason == "The split was changed during the rollout, from 20 to 70 %."
    assert both.wait_settled().split_observed == 70
    both.resume_rollout()
    wait_until(both, lambda rollout: rollout.setup.split == 20 and rollout.answered > paused.answered)
    both.deploy(Role.NEW, linear)
    paused = wait_until(both, lambda rollout: rollout.status is RolloutStatus.PAUSED)
    assert paused.reason.startswith(("New was changed during the rollout", "A model was deployed again"))
    after = both.wait_settled()
    assert wait_until(both, lambda rollout: rollout.why_not_resume(after))
    both.abort_rollout()
    assert wait_for_end(both).status is RolloutStatus.ABORTED
    assert both.wait_settled().split_observed == 20


def test_it_goes_on_after_a_restart(ground: Ground, both: Dashboard) -> None:
    """On a cluster also on another dashboard, once the first one has not renewed it for a while."""
    plan = replace(LONG, requests=300)
    both.start_rollout(plan)
    before = wait_until(both, lambda rollout: rollout.beat and rollout.counts.digits and rollout.answered)
    both.close()
    with ground.reopen() as dash:
        rollout = wait_for_end(dash)
        assert (rollout.status, rollout.verdict.outcome) == (RolloutStatus.PROMOTED, Outcome.NEW_IS_BETTER)
        assert (rollout.started_at, rollout.by) == (before.started_at, before.by)
        check = dash.canary_check
        assert check
        assert check.before.digits + len(check.rows) == rollout.counts.digits <= 2000
        dash.wait_settled()
