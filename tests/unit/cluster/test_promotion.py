"""Who carries a promotion on, and when it counts as interrupted."""

from __future__ import annotations

import pytest

from mnist_dash.cluster.operations import operations_for, state_of
from mnist_dash.cluster.promotion import INTERRUPTED_SECONDS, STEP_SECONDS, Promoter
from mnist_dash.domain import Promote, Release, SetSplit
from tests.clock import Clock
from tests.unit.cluster.in_memory_cluster import DEPLOY_CURRENT, DEPLOY_NEW, SITE, PaperCluster, pointers


@pytest.fixture
def promoting() -> PaperCluster:
    """A promotion that was just asked for."""
    cluster = PaperCluster()
    for change in (DEPLOY_CURRENT, DEPLOY_NEW, SetSplit(20), Promote()):
        cluster.write(operations_for(change, cluster.seen(), SITE, "ann"))
    return cluster


@pytest.fixture
def clock() -> Clock:
    """Stands still until it is moved."""
    return Clock()


@pytest.fixture
def promoter(promoting: PaperCluster, clock: Clock) -> Promoter:
    """The dashboard's that was asked."""
    promoter = Promoter(clock=clock)
    promoter.begin(promoting.seen(), take_over=False)
    return promoter


def carry_on(cluster: PaperCluster, promoter: Promoter, observed: int) -> bool:
    """Write what is due; returns whether anything was."""
    swap = state_of(cluster.seen()).swap
    assert swap is not None
    acts = promoter.due(cluster.seen(), swap, SITE, observed)
    cluster.write(acts)
    return bool(acts)


def test_it_goes_on_as_the_gateway_follows(promoting: PaperCluster, promoter: Promoter) -> None:
    """Each step once what was written before it is seen."""
    assert promoter.under_way
    assert not carry_on(promoting, promoter, observed=20)
    assert carry_on(promoting, promoter, observed=100)
    assert carry_on(promoting, promoter, observed=100)
    assert not carry_on(promoting, promoter, observed=100)
    assert carry_on(promoting, promoter, observed=0)
    assert carry_on(promoting, promoter, observed=0)
    promoter.told(promoting.seen())
    assert not promoter.under_way
    assert pointers(promoting) == ("green", "blue")


def test_it_goes_on_after_a_while_though_the_gateway_is_not_seen_to_follow(
    promoting: PaperCluster, promoter: Promoter, clock: Clock
) -> None:
    """It may not be seen from here at all."""
    promoter.told(promoting.seen())
    clock.now = STEP_SECONDS + 1
    assert carry_on(promoting, promoter, observed=20)
    assert pointers(promoting) == ("green", "green")


def test_another_dashboards_promotion_is_left_to_it(promoting: PaperCluster, clock: Clock) -> None:
    """Until it has stood still for some time: then anybody may finish it, or take it back."""
    other = Promoter(clock=clock)
    assert not carry_on(promoting, other, observed=100)
    assert not other.told(promoting.seen()).interrupted
    clock.now = INTERRUPTED_SECONDS
    assert other.told(promoting.seen()).interrupted
    assert not other.told(promoting.seen()).mine


def test_a_promotion_that_gets_on_is_not_interrupted(
    promoting: PaperCluster, promoter: Promoter, clock: Clock
) -> None:
    """However long all of it takes."""
    other = Promoter(clock=clock)
    for observed in (100, 100, 0):
        other.told(promoting.seen())
        clock.now += INTERRUPTED_SECONDS - 1
        assert not other.told(promoting.seen()).interrupted
        assert carry_on(promoting, promoter, observed)


def test_a_promotion_whose_new_is_lost_goes_back_and_can_be_left(
    promoting: PaperCluster, promoter: Promoter, clock: Clock
) -> None:
    """With the reason."""
    promoting.unready.add(Release.GREEN)
    assert carry_on(promoting, promoter, observed=100)
    assert promoting.answers() == {"blue": 100}
    promoter.told(promoting.seen())
    clock.now = INTERRUPTED_SECONDS
    told = promoter.told(promoting.seen())
    assert (told.interrupted, told.obstacle) == (True, "New has no ready replica.")
