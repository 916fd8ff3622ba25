"""What the verbs write, and that whatever is cut short can be gone on from."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from mnist_dash.cluster.operations import (
    Apply,
    Delete,
    Operation,
    operations_for,
    operations_for_new_key,
    state_of,
)
from mnist_dash.domain import Promote, Remove, Role, SetSplit, UndoPromote
from tests.unit.cluster.in_memory_cluster import (
    CNN,
    DEPLOY_CURRENT,
    DEPLOY_NEW,
    LINEAR,
    SITE,
    PaperCluster,
    pointers,
)


def named(acts: tuple[Operation, ...]) -> list[str]:
    """What is written, in order."""
    return [
        f"-{act.kind.name}/{act.name}"
        if isinstance(act, Delete)
        else f"{act.object['kind']}/{act.object['metadata']['name']}"
        for act in acts
    ]


@pytest.fixture
def both() -> PaperCluster:
    """Linear is Current on blue, convolutional New on green, split 20."""
    cluster = PaperCluster()
    for change in (DEPLOY_CURRENT, DEPLOY_NEW, SetSplit(20)):
        cluster.write(operations_for(change, cluster.seen(), SITE, "ann"))
    return cluster


def test_the_deployment_is_written_last() -> None:
    """Once it is there, so is all that leads to it."""
    site = replace(SITE, key=b"{}")
    assert named(operations_for(DEPLOY_CURRENT, PaperCluster().seen(), site, "ann")) == [
        "Secret/mnist-gcs-credentials",
        "Service/mnist-current",
        "Service/mnist-new",
        "Ingress/mnist",
        "Ingress/mnist-canary",
        "Deployment/mnist-blue",
    ]


def test_the_first_current_is_blue_and_the_first_new_is_green() -> None:
    """Each role points at a release of its own."""
    cluster = PaperCluster()
    cluster.write(operations_for(DEPLOY_NEW, cluster.seen(), SITE, "ann"))
    assert ("Deployment", "mnist-green") in cluster.objects
    assert pointers(cluster) == ("blue", "green")


@pytest.mark.parametrize("count", range(6))
def test_a_deployment_that_is_cut_short_is_finished_by_deploying_again(count: int) -> None:
    """Until its last write nothing is deployed; after it, everything is."""
    cluster = PaperCluster()
    cluster.write(operations_for(DEPLOY_CURRENT, cluster.seen(), SITE, "ann")[:count])
    assert (cluster.seen().deployment(cluster.seen().pointer(Role.CURRENT)) is not None) is (count == 5)
    cluster.write(operations_for(DEPLOY_CURRENT, cluster.seen(), SITE, "ann"))
    assert cluster.answers() == {"blue": 100}


def test_deploying_again_keeps_the_split_and_ends_the_undo(both: PaperCluster) -> None:
    """Going back would not lead to what was before."""
    both.write(operations_for(DEPLOY_NEW, both.seen(), SITE, "ann"))
    assert both.answers() == {"blue": 80, "green": 20}
    assert not state_of(both.seen()).can_undo


def test_deploying_the_same_again_rolls_the_pods(both: PaperCluster) -> None:
    """The folder is to be read anew."""
    before = both.objects["Deployment", "mnist-green"]["spec"]["template"]
    both.write(operations_for(DEPLOY_NEW, both.seen(), SITE, "ann", now=1.0))
    assert both.objects["Deployment", "mnist-green"]["spec"]["template"] != before


@pytest.mark.parametrize("count", range(3))
def test_removing_new_sends_nobody_to_it_at_any_step(both: PaperCluster, count: int) -> None:
    """The routes let go of it before it goes."""
    acts = operations_for(Remove(Role.NEW), both.seen(), SITE, "ann")
    assert named(acts) == ["Ingress/mnist", "Ingress/mnist-canary", "-Deployment/mnist-green"]
    both.write(acts[:count])
    assert "503" not in both.answers()
    both.write(acts)
    assert both.answers() == {"blue": 100}
    assert state_of(both.seen()).split == 0


def test_removing_current_leaves_the_split(both: PaperCluster) -> None:
    """A new Current takes its place."""
    both.write(operations_for(Remove(Role.CURRENT), both.seen(), SITE, "ann"))
    assert both.answers() == {"503": 80, "green": 20}
    both.write(operations_for(DEPLOY_CURRENT, both.seen(), SITE, "ann"))
    assert both.answers() == {"blue": 80, "green": 20}


def test_a_split_is_remembered_but_not_written_while_new_is_not_ready(both: PaperCluster) -> None:
    """At weight 100 controllers would serve Current and not say so."""
    both.unready.add(both.seen().pointer(Role.NEW))
    both.write(operations_for(SetSplit(70), both.seen(), SITE, "ann"))
    seen = both.seen()
    assert seen.written
    assert (seen.written.weight, seen.written.state.split) == (0, 70)


def test_every_change_is_in_the_history_with_who_asked_for_it(both: PaperCluster) -> None:
    """As a sentence."""
    history = state_of(both.seen()).history
    assert {entry.by for entry in history} == {"ann"}
    assert [entry.what for entry in history] == [
        "Deploy gs://models/linear version 1 as Current with 1 replica",
        "Deploy gs://models/cnn version 3 as New with 2 replicas",
        "Send 20 % of the requests to New",
    ]
    cause = both.objects["Deployment", "mnist-green"]["metadata"]["annotations"]["kubernetes.io/change-cause"]
    assert cause == f"ann: {history[1].what}"


def test_promoting_first_sends_everything_to_new(both: PaperCluster) -> None:
    """The pointers stay; where they are to go is written with it."""
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    assert both.answers() == {"green": 100}
    assert pointers(both) == ("blue", "green")
    swap = state_of(both.seen()).swap
    assert swap is not None
    assert (swap.current, swap.new, swap.split, swap.undo) == ("green", "blue", 0, True)


def test_promoting_without_a_current_leaves_nothing_to_undo() -> None:
    """There is nobody to go back to."""
    cluster = PaperCluster()
    cluster.write(operations_for(DEPLOY_NEW, cluster.seen(), SITE, "ann"))
    cluster.write(operations_for(Promote(), cluster.seen(), SITE, "ann"))
    swap = state_of(cluster.seen()).swap
    assert swap is not None
    assert not swap.undo


def test_an_interrupted_promotion_is_finished_or_turned_round(both: PaperCluster) -> None:
    """Finishing keeps its goal; taking it back restores the split."""
    both.write(operations_for(Promote(), both.seen(), SITE, "ann"))
    goal = state_of(both.seen()).swap
    assert goal is not None
    both.write(operations_for(Promote(), both.seen(), SITE, "bob", now=5.0))
    assert state_of(both.seen()).swap == replace(goal, by="bob", at=5.0)
    both.write(operations_for(UndoPromote(), both.seen(), SITE, "bob"))
    back = state_of(both.seen()).swap
    assert back is not None
    assert (back.current, back.new, back.split, back.undo) == ("blue", "green", 20, False)


def test_another_key_rolls_what_is_deployed(both: PaperCluster) -> None:
    """And is in the Secret exactly once encoded; models, replicas and roles stay."""
    before = both.objects["Deployment", "mnist-green"]
    acts = operations_for_new_key(both.seen(), replace(SITE, key=b'{"new": 1}'))
    assert named(acts) == ["Secret/mnist-gcs-credentials", "Deployment/mnist-blue", "Deployment/mnist-green"]
    secret, _, green = (act.object for act in acts if isinstance(act, Apply))
    assert base64.b64decode(secret["data"]["key.json"]) == b'{"new": 1}'
    assert green["spec"]["replicas"] == 2
    assert green["spec"]["template"]["metadata"] != before["spec"]["template"]["metadata"]
    assert CNN.base in str(green)
    assert LINEAR.base not in str(green)


def test_another_key_writes_nothing_where_nothing_is_deployed() -> None:
    """The next deployment brings it."""
    assert operations_for_new_key(PaperCluster().seen(), replace(SITE, key=b"{}")) == ()
