"""What the dashboard does by itself, from nothing but what it sees."""

from __future__ import annotations

import pytest

from mnist_dash.cluster.operations import operations_for, state_of
from mnist_dash.cluster.promotion import (
    is_due,
    obstacle,
    operations_of_rollback,
    operations_of_step,
    reconcile_split,
    step_of,
)
from mnist_dash.cluster.route_state import Finish, PendingPromotion, SetSelector, SetWeight, Step
from mnist_dash.domain import Promote, Release, Role, SetSplit, UndoPromote
from tests.unit.cluster.in_memory_cluster import DEPLOY_CURRENT, DEPLOY_NEW, SITE, PaperCluster, pointers


@pytest.fixture
def both() -> PaperCluster:
    """Linear is Current on blue, convolutional New on green, split 20."""
    cluster = PaperCluster()
    for change in (DEPLOY_CURRENT, DEPLOY_NEW, SetSplit(20)):
        cluster.write(operations_for(change, cluster.seen(), SITE, "ann"))
    return cluster


def carry_on(cluster: PaperCluster, most: int = 20) -> list[dict[str, int]]:
    """Do step after step; returns who answered after each."""
    answered: list[dict[str, int]] = []
    while swap := state_of(cluster.seen()).swap:
        assert len(answered) < most
        cluster.write(operations_of_step(step_of(cluster.seen(), swap), cluster.seen(), SITE))
        answered.append(cluster.answers())
    return answered


def test_a_promotion_ends_with_the_roles_swapped_and_the_split_0(both: PaperCluster) -> None:
    """At every step everybody is answered, and after the first by the new Current alone."""
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    answered = carry_on(both)
    assert pointers(both) == ("green", "blue")
    assert all(answers == {"green": 100} for answers in answered)
    state = state_of(both.seen())
    assert (state.split, state.can_undo) == (0, True)


def test_taking_it_back_swaps_them_again(both: PaperCluster) -> None:
    """And then there is nothing to take back."""
    for change in (Promote(), UndoPromote()):
        both.write(operations_for(change, both.seen(), SITE, "ann"))
        carry_on(both)
    assert pointers(both) == ("blue", "green")
    assert (both.answers(), state_of(both.seen()).can_undo) == ({"blue": 100}, False)


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("finish", [True, False])
def test_a_promotion_that_stopped_anywhere_is_finished_or_taken_back(
    both: PaperCluster, steps: int, finish: bool
) -> None:
    """Whoever comes next knows from the objects alone how far it was."""
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    for _ in range(steps):
        if swap := state_of(both.seen()).swap:
            both.write(operations_of_step(step_of(both.seen(), swap), both.seen(), SITE))
    done = state_of(both.seen()).swap is None
    both.write(operations_for(Promote() if finish and not done else UndoPromote(), both.seen(), SITE, "bob"))
    if finish and done:
        return
    answered = carry_on(both)
    assert all("503" not in answers for answers in answered)
    assert pointers(both) == (("green", "blue") if finish else ("blue", "green"))
    assert both.answers() == (
        {"green": 100} if finish else {"blue": 80, "green": 20} if not done else {"blue": 100}
    )


SWAP = PendingPromotion(current=Release.GREEN, new=Release.BLUE, split=0, undo=True, by="ann", at=0.0)


def test_each_step_waits_until_the_one_before_it_is_seen(both: PaperCluster) -> None:
    """Through the gateway for only so long."""
    seen = both.seen()
    to_green, to_blue = SetSelector(Role.CURRENT, Release.GREEN), SetSelector(Role.NEW, Release.BLUE)
    assert not is_due(to_green, seen, SWAP, 20, given_up_waiting=False)
    assert is_due(to_green, seen, SWAP, 100, given_up_waiting=False)
    assert is_due(to_green, seen, SWAP, 20, given_up_waiting=True)
    assert not is_due(to_blue, seen, SWAP, 100, given_up_waiting=False)
    assert is_due(to_blue, seen, SWAP, 0, given_up_waiting=False)
    assert is_due(SetWeight(0), seen, SWAP, 100, given_up_waiting=False)
    assert is_due(Finish(0), seen, SWAP, 50, given_up_waiting=False)


@pytest.mark.parametrize(
    ("release", "step", "words"),
    [
        (Release.GREEN, SetWeight(100), "New has no ready replica."),
        (Release.GREEN, SetSelector(Role.CURRENT, Release.GREEN), "New has no ready replica."),
        (Release.BLUE, SetWeight(0), "Current has no ready replica."),
    ],
)
def test_no_step_leads_requests_to_nobody(
    both: PaperCluster, release: Release, step: Step, words: str
) -> None:
    """However long that takes; the reason is told."""
    both.unready.add(release)
    assert not is_due(step, both.seen(), SWAP, 100, given_up_waiting=True)
    assert obstacle(step, both.seen(), SWAP) == words


def test_a_promotion_whose_new_is_lost_sends_everything_back_to_current(both: PaperCluster) -> None:
    """Until New is ready again; then it goes on."""
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    both.unready.add(Release.GREEN)
    swap = state_of(both.seen()).swap
    assert swap is not None
    both.write(operations_of_rollback(both.seen(), swap, SITE))
    assert both.seen().written.weight == 0  # type: ignore[union-attr]  # it was written
    assert operations_of_rollback(both.seen(), swap, SITE) == ()
    both.unready.clear()
    assert carry_on(both)[-1] == {"green": 100}


def test_taking_back_a_promotion_whose_new_died_half_way_brings_current_back(both: PaperCluster) -> None:
    """Both roles point at what is dead, and the former Current is well."""
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    for _ in range(2):
        swap = state_of(both.seen()).swap
        assert swap is not None
        both.write(operations_of_step(step_of(both.seen(), swap), both.seen(), SITE))
    assert pointers(both) == ("green", "green")
    del both.objects["Deployment", "mnist-green"]
    both.write(operations_for(UndoPromote(), both.seen(), SITE, "bob"))
    back = state_of(both.seen()).swap
    assert back is not None
    assert is_due(step_of(both.seen(), back), both.seen(), back, 0, given_up_waiting=False)
    carry_on(both)
    assert both.answers() == {"blue": 100}


def test_two_roles_that_point_at_one_release_are_put_right(both: PaperCluster) -> None:
    """If no promotion is under way: first nobody is sent to New, then its pointer moves."""
    both.objects["Service", "mnist-new"] = {
        **both.objects["Service", "mnist-new"],
        "spec": both.objects["Service", "mnist-current"]["spec"],
    }
    both.write(reconcile_split(both.seen(), SITE))
    assert both.seen().written.weight == 0  # type: ignore[union-attr]  # it was written
    both.write(reconcile_split(both.seen(), SITE))
    assert pointers(both) == ("blue", "green")
    both.write(reconcile_split(both.seen(), SITE))
    assert both.answers() == {"blue": 80, "green": 20}


def test_a_held_split_is_written_once_new_is_ready(both: PaperCluster) -> None:
    """And taken back to 0 when New loses its last replica."""
    assert reconcile_split(both.seen(), SITE) == ()
    both.unready.add(Release.GREEN)
    both.write(reconcile_split(both.seen(), SITE))
    assert both.seen().written.weight == 0  # type: ignore[union-attr]  # it was written
    assert reconcile_split(both.seen(), SITE) == ()
    both.unready.clear()
    both.write(reconcile_split(both.seen(), SITE))
    assert both.answers() == {"blue": 80, "green": 20}


def test_nothing_is_held_during_a_promotion_or_before_anything_was_deployed(both: PaperCluster) -> None:
    """The weight then belongs to the promotion."""
    assert reconcile_split(PaperCluster().seen(), SITE) == ()
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    assert reconcile_split(both.seen(), SITE) == ()
