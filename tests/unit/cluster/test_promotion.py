"""A promotion step by step, resumed from anywhere, who drives it, and when it counts as interrupted."""

from __future__ import annotations

import pytest

from mnist_dash.cluster.promotion import (
    INTERRUPTED_SECONDS,
    STEP_SECONDS,
    Promoter,
    is_due,
    obstacle,
    operations_of_step,
    reconcile_split,
    step_of,
)
from mnist_dash.cluster.route_state import Finish, PendingPromotion, SetSelector, SetWeight, Step
from mnist_dash.domain import Promote, Release, Role, UndoPromote
from tests.clock import Clock
from tests.unit.cluster.in_memory_cluster import SITE, InMemoryCluster

PROMOTION = PendingPromotion(current=Release.GREEN, new=Release.BLUE, split=0, undo=True, by="ann", at=0.0)


@pytest.fixture
def both() -> InMemoryCluster:
    """Linear is Current on blue, convolutional New on green, split 20."""
    return InMemoryCluster.with_both()


def take_step(cluster: InMemoryCluster) -> bool:
    """Write the next step; returns whether there was one."""
    observation = cluster.observe()
    if promotion := observation.promotion:
        cluster.write(operations_of_step(step_of(observation, promotion), observation, SITE))
    return promotion is not None


def finish(cluster: InMemoryCluster) -> list[dict[str, int]]:
    """Take all steps; returns the answers after each."""
    answers: list[dict[str, int]] = []
    while take_step(cluster):
        answers.append(cluster.answers())
        assert len(answers) < 20
    return answers


def test_a_promotion_ends_with_the_roles_swapped_and_the_split_0(both: InMemoryCluster) -> None:
    """At every step all requests are answered, and after the first by the new Current alone."""
    both.change(Promote())
    assert all(answers == {"green": 100} for answers in finish(both))
    assert both.pointers() == ("green", "blue")
    state = both.observe().state
    assert (state.split, state.can_undo, state.split_before) == (0, True, 20)


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("change", [Promote(), UndoPromote()])
def test_a_promotion_interrupted_anywhere_is_finished_or_undone(
    both: InMemoryCluster, steps: int, change: Promote | UndoPromote
) -> None:
    """The objects alone show the next dashboard how far it was."""
    both.change(Promote())
    for _ in range(steps):
        take_step(both)
    is_over = both.observe().promotion is None
    both.change(UndoPromote() if is_over else change, by="bob")
    assert all("503" not in answers for answers in finish(both))
    is_promoted = change == Promote() and not is_over
    assert both.pointers() == (("green", "blue") if is_promoted else ("blue", "green"))
    assert both.answers() == ({"green": 100} if is_promoted else {"blue": 80, "green": 20})
    state = both.observe().state
    assert (state.can_undo, state.split_before) == (is_promoted, 20 if is_promoted else 0)


def test_each_step_waits_for_the_effect_of_the_one_before_it(both: InMemoryCluster) -> None:
    """Through the gateway for a limited time only."""
    observation = both.observe()
    to_green, to_blue = SetSelector(Role.CURRENT, Release.GREEN), SetSelector(Role.NEW, Release.BLUE)
    steps: list[tuple[Step, int, bool, bool]] = [
        (to_green, 20, False, False),
        (to_green, 100, False, True),
        (to_green, 20, True, True),
        (to_blue, 100, False, False),
        (to_blue, 0, False, True),
        (SetWeight(0), 100, False, True),
        (Finish(0), 50, False, True),
    ]
    for step, observed, timed_out, due in steps:
        assert is_due(step, observation, PROMOTION, observed, timed_out=timed_out) is due


@pytest.mark.parametrize(
    ("release", "step", "reason"),
    [
        (Release.GREEN, SetWeight(100), "New has no ready replica."),
        (Release.GREEN, SetSelector(Role.CURRENT, Release.GREEN), "New has no ready replica."),
        (Release.BLUE, SetWeight(0), "Current has no ready replica."),
    ],
)
def test_no_step_sends_requests_to_a_release_without_replicas(
    both: InMemoryCluster, release: Release, step: Step, reason: str
) -> None:
    """However long that takes; the reason is reported."""
    both.unready.add(release)
    assert not is_due(step, both.observe(), PROMOTION, 100, timed_out=True)
    assert obstacle(step, both.observe(), PROMOTION) == reason


def test_undoing_a_promotion_whose_new_died_half_way_brings_current_back(both: InMemoryCluster) -> None:
    """Both roles point at a dead release, and the former Current is ready."""
    both.change(Promote())
    for _ in range(2):
        take_step(both)
    assert both.pointers() == ("green", "green")
    del both.objects["Deployment", "mnist-green"]
    both.change(UndoPromote())
    undo = both.observe().promotion
    assert undo is not None
    assert is_due(step_of(both.observe(), undo), both.observe(), undo, 0, timed_out=False)
    finish(both)
    assert both.answers() == {"blue": 100}


def test_two_roles_that_point_at_one_release_are_corrected(both: InMemoryCluster) -> None:
    """Without a promotion: first New gets no requests, then its pointer moves."""
    service = both.objects["Service", "mnist-new"]
    both.objects["Service", "mnist-new"] = service | {
        "spec": both.objects["Service", "mnist-current"]["spec"]
    }
    both.write(reconcile_split(both.observe(), SITE))
    assert both.observe().weight == 0
    both.write(reconcile_split(both.observe(), SITE))
    assert both.pointers() == ("blue", "green")
    both.write(reconcile_split(both.observe(), SITE))
    assert both.answers() == {"blue": 80, "green": 20}


def test_a_held_split_is_written_once_new_is_ready(both: InMemoryCluster) -> None:
    """And set to 0 when New loses its last replica."""
    assert reconcile_split(both.observe(), SITE) == ()
    both.unready.add(Release.GREEN)
    both.write(reconcile_split(both.observe(), SITE))
    assert both.observe().weight == 0
    assert reconcile_split(both.observe(), SITE) == ()
    both.unready.clear()
    both.write(reconcile_split(both.observe(), SITE))
    assert both.answers() == {"blue": 80, "green": 20}


def test_nothing_is_reconciled_during_a_promotion_or_before_a_deployment(both: InMemoryCluster) -> None:
    """The weight then belongs to the promotion."""
    assert reconcile_split(InMemoryCluster().observe(), SITE) == ()
    both.change(Promote())
    assert reconcile_split(both.observe(), SITE) == ()


# Who drives it


@pytest.fixture
def promoting(both: InMemoryCluster) -> InMemoryCluster:
    """A promotion that was just requested."""
    both.change(Promote())
    return both


@pytest.fixture
def clock() -> Clock:
    """Stands still until it is moved."""
    return Clock()


@pytest.fixture
def promoter(promoting: InMemoryCluster, clock: Clock) -> Promoter:
    """The promoter of the dashboard where it was requested."""
    promoter = Promoter(clock=clock)
    promoter.begin(promoting.observe(), take_over=False)
    return promoter


def drive(cluster: InMemoryCluster, promoter: Promoter, observed: int) -> bool:
    """Write what is due while the gateway follows this split; returns whether anything was."""
    operations = promoter.due(cluster.observe(), SITE, observed)
    cluster.write(operations)
    return bool(operations)


def test_it_continues_as_the_gateway_follows(promoting: InMemoryCluster, promoter: Promoter) -> None:
    """Each step once the write before it is seen to have effect."""
    assert promoter.under_way
    due = [drive(promoting, promoter, observed) for observed in (20, 100, 100, 100, 0, 0)]
    assert due == [False, True, True, False, True, True]
    promoter.status(promoting.observe())
    assert not promoter.under_way
    assert promoting.pointers() == ("green", "blue")


def test_it_continues_after_a_while_though_the_gateway_is_not_seen_to_follow(
    promoting: InMemoryCluster, promoter: Promoter, clock: Clock
) -> None:
    """It may not be visible from here at all."""
    promoter.status(promoting.observe())
    clock.now = STEP_SECONDS + 1
    assert drive(promoting, promoter, observed=20)
    assert promoting.pointers() == ("green", "green")


def test_another_dashboards_promotion_is_left_to_it(promoting: InMemoryCluster, clock: Clock) -> None:
    """Until it has stalled: then any dashboard may finish or undo it."""
    other = Promoter(clock=clock)
    assert not drive(promoting, other, observed=100)
    assert not other.status(promoting.observe()).interrupted
    clock.now = INTERRUPTED_SECONDS
    assert other.status(promoting.observe()).interrupted
    assert not other.status(promoting.observe()).mine


def test_a_promotion_that_progresses_is_not_interrupted(
    promoting: InMemoryCluster, promoter: Promoter, clock: Clock
) -> None:
    """However long all of it takes."""
    other = Promoter(clock=clock)
    for observed in (100, 100, 0):
        other.status(promoting.observe())
        clock.now += INTERRUPTED_SECONDS - 1
        assert not other.status(promoting.observe()).interrupted
        assert drive(promoting, promoter, observed)


def test_a_promotion_whose_new_is_lost_counts_as_interrupted(
    promoting: InMemoryCluster, promoter: Promoter, clock: Clock
) -> None:
    """With the reason; all requests are back at Current until New is ready again."""
    promoting.unready.add(Release.GREEN)
    assert drive(promoting, promoter, observed=100)
    assert promoting.answers() == {"blue": 100}
    assert not drive(promoting, promoter, observed=0)
    promoter.status(promoting.observe())
    clock.now = INTERRUPTED_SECONDS
    status = promoter.status(promoting.observe())
    assert (status.interrupted, status.obstacle) == (True, "New has no ready replica.")
    promoting.unready.clear()
    assert finish(promoting)[-1] == {"green": 100}
