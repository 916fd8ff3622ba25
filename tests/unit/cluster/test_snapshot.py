"""The snapshot, from what was seen of the cluster and through the gateway."""

from __future__ import annotations

import time

import pytest

from mnist_dash.cluster.operations import operations_for, state_of
from mnist_dash.cluster.promotion import operations_of_step, step_of
from mnist_dash.cluster.snapshot import Promotion, snapshot_of
from mnist_dash.cluster.traffic_probe import GatewayView
from mnist_dash.domain import ModelCheck, Promote, Release, Remove, Role, SetSplit, Snapshot
from mnist_dash.rollout_status import GATEWAY_PENDING, SPLIT_HELD
from tests.unit.cluster.in_memory_cluster import DEPLOY_CURRENT, DEPLOY_NEW, SITE, PaperCluster


@pytest.fixture
def both() -> PaperCluster:
    """Linear is Current on blue, convolutional New on green, split 20."""
    cluster = PaperCluster()
    for change in (DEPLOY_CURRENT, DEPLOY_NEW, SetSplit(20)):
        cluster.write(operations_for(change, cluster.seen(), SITE, "ann", now=time.time()))
    return cluster


def unchecked(_: str, __: int) -> ModelCheck | None:
    """Nothing is known of any model but what its Pods carry."""
    return None


FOLLOWED, NONE = GatewayView(split=20), Promotion()


def told(
    cluster: PaperCluster, view: GatewayView = FOLLOWED, promotion: Promotion = NONE, **more: object
) -> Snapshot:
    """The snapshot of that cluster."""
    return snapshot_of(cluster.seen(), view, promotion, unchecked, **more)  # type: ignore[arg-type]  # by name


def test_nothing_deployed_is_a_settled_empty_snapshot() -> None:
    """There is nothing to wait for."""
    snapshot = told(PaperCluster(), GatewayView())
    assert (snapshot.current, snapshot.new, snapshot.settled) == (None, None, True)


def test_both_roles_and_the_split_are_told(both: PaperCluster) -> None:
    """With the version that answers."""
    snapshot = told(both, GatewayView(split=20, versions={Release.BLUE: 1, Release.GREEN: 3}))
    assert snapshot.current is not None
    assert snapshot.new is not None
    assert (snapshot.current.base, snapshot.new.base) == ("gs://models/linear", "gs://models/cnn")
    assert (snapshot.split_desired, snapshot.split_observed, snapshot.waiting_for) == (20, 20, "")


@pytest.mark.parametrize(
    ("view", "problem", "words"),
    [
        (GatewayView(split=0, pending=True), "", GATEWAY_PENDING),
        (GatewayView(split=20, problem="404."), "", "The gateway does not lead to the models yet. 404."),
        (GatewayView(split=20), "Somebody owns the weight.", "Somebody owns the weight."),
    ],
)
def test_what_is_waited_for_is_said(both: PaperCluster, view: GatewayView, problem: str, words: str) -> None:
    """In words, and it is not settled until then."""
    snapshot = told(both, view, problem=problem)
    assert snapshot.waiting_for == words
    assert not snapshot.settled


def test_a_held_split_is_said_to_wait_for_new(both: PaperCluster) -> None:
    """What is wanted is remembered all the same."""
    both.unready.add(Release.GREEN)
    snapshot = told(both, GatewayView(split=0))
    assert (snapshot.waiting_for, snapshot.split_desired) == (SPLIT_HELD, 20)


@pytest.mark.parametrize(
    ("promotion", "waiting", "interrupted"),
    [
        (Promotion(mine=True), "The roles are being swapped.", ""),
        (Promotion(), "By ann the roles are being swapped.", ""),
        (
            Promotion(interrupted=True),
            "A promotion by ann stopped half-way.",
            "A promotion by ann stopped half-way.",
        ),
    ],
)
def test_a_promotion_is_under_way_or_interrupted(
    both: PaperCluster, promotion: Promotion, waiting: str, interrupted: str
) -> None:
    """Here, or in another dashboard."""
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    snapshot = told(both, GatewayView(split=100), promotion)
    assert (snapshot.waiting_for, snapshot.interrupted_promotion) == (waiting, interrupted)
    assert not snapshot.settled


def test_half_way_the_new_current_is_told_to_get_everything(both: PaperCluster) -> None:
    """As it does: both Services lead to it, whatever the weight says."""
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    assert (
        told(both, GatewayView(split=100)).split_desired,
        told(both, GatewayView(split=100)).split_observed,
    ) == (0, 100)
    swap = state_of(both.seen()).swap
    assert swap is not None
    both.write(operations_of_step(step_of(both.seen(), swap), both.seen(), SITE))
    halfway = told(both, GatewayView(split=100))
    assert halfway.current is not None
    assert (halfway.current.base, halfway.split_observed) == ("gs://models/cnn", 0)


def test_what_was_removed_is_waited_for_until_it_is_gone(both: PaperCluster) -> None:
    """Its replicas may still answer for some seconds."""
    both.lingering[Release.GREEN] = both.objects["Deployment", "mnist-green"]["spec"]["template"]
    both.write(operations_for(Remove(Role.NEW), both.seen(), SITE, "ann"))
    snapshot = told(both, GatewayView())
    assert (snapshot.new, snapshot.waiting_for) == (None, "The replicas of the removed New are ending.")
    both.lingering.clear()
    assert told(both, GatewayView()).waiting_for == ""


def test_the_undo_needs_the_former_model(both: PaperCluster) -> None:
    """It may have been removed by somebody else."""
    state = both.objects["Ingress", "mnist-canary"]["metadata"]["annotations"]
    state["mnist-dash/can-undo"] = "true"
    assert told(both).can_undo_promote
    del both.objects["Deployment", "mnist-green"]
    assert not told(both).can_undo_promote
    assert told(both).of(Role.NEW) is None
