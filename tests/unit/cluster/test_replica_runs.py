"""The runs of model servers in a cluster: which ended by themselves, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.replica_runs import runs_of
from mnist_dash.cluster.resources import Object
from mnist_dash.domain import Release
from mnist_dash.timeline import ReplicaRun
from tests.unit.cluster import sample_objects as sample
from tests.unit.cluster.sample_objects import READY, complete, ended, looping, pod

BLUE = complete(replicas=2)
PODS = [pod(BLUE), pod(BLUE, number=2)]


def see(*objects: Object) -> Observation:
    """An observation of these objects."""
    return Observation.from_objects(objects)


def ends(before: Observation, after: Observation) -> dict[str, str]:
    """Why each run ended that ended, by the names of the Pods."""
    return {run.name: run.end for run in runs_of(before, after) if run.end}


@pytest.mark.parametrize(
    ("code", "reason", "sentence"),
    [
        (137, "Error", "It was killed by signal SIGKILL."),
        (137, "OOMKilled", "It was killed because it ran out of memory: its limit is 1Gi."),
        (1, "Error", "It ended with exit code 1."),
        (0, "Completed", "It ended with exit code 0."),
    ],
)
def test_the_end_of_a_container_is_a_sentence(code: int, reason: str, sentence: str) -> None:
    """A restarted container tells how its last run ended."""
    again = replace(READY, last=ended(code, reason), restarts=1)
    now = see(BLUE, pod(BLUE, again), PODS[1])
    assert ends(see(BLUE, *PODS), now) == {PODS[0]["metadata"]["name"]: sentence}


def test_a_container_that_is_restarted_has_a_run_for_each_start() -> None:
    """So that the second one's readiness is an event of its own."""
    first, second = (
        [run.id for run in runs_of(Observation(), see(BLUE, made)) if not run.end]
        for made in (pod(BLUE), pod(BLUE, replace(READY, last=ended(1), restarts=1)))
    )
    assert first != second


def test_the_end_keeps_its_time() -> None:
    """The kubelet tells it."""
    end = ended(1)
    end["terminated"]["finishedAt"] = "2026-08-07T11:00:07Z"
    made = pod(BLUE, replace(looping(1), last=end))
    (run,) = (run for run in runs_of(Observation(), see(BLUE, made)) if run.end)
    assert (run.ended_at, run.release) == (1786100407.0, Release.BLUE)


def test_a_deleted_pod_is_lost() -> None:
    """While it is ending or gone, whether or not its successor exists already."""
    deleted = pod(BLUE)
    deleted["metadata"]["deletionTimestamp"] = "2026-08-07T11:00:09Z"
    name = deleted["metadata"]["name"]
    for objects in ([deleted, PODS[1]], [PODS[1]], [PODS[1], pod(BLUE, number=3)]):
        assert ends(see(BLUE, *PODS), see(BLUE, *objects)) == {name: "Its Pod was deleted."}


def test_an_evicted_pod_is_lost_with_the_reason() -> None:
    """Kubernetes keeps the Pod, failed."""
    evicted = pod(BLUE, phase="Failed", reason="Evicted", message="The node was low on memory.")
    sentence = "Evicted: The node was low on memory."
    assert ends(see(BLUE, *PODS), see(BLUE, evicted, PODS[1])) == {evicted["metadata"]["name"]: sentence}


@pytest.mark.parametrize(
    "after",
    [
        see(PODS[1]),
        see(complete(replicas=1), PODS[1]),
        see(complete(replicas=2, deployed_at=sample.OLD), PODS[1]),
    ],
    ids=["removed", "scaled down", "re-deployed"],
)
def test_a_pod_that_a_change_ends_is_not_lost(after: Observation) -> None:
    """It was meant to end."""
    assert ends(see(BLUE, *PODS), after) == {}


def test_a_run_is_ready_when_its_pod_is() -> None:
    """And belongs to the Pod's release."""
    assert runs_of(Observation(), see(BLUE, PODS[0])) == [
        ReplicaRun("mnist-blue-6c8b449b8f-1 0", PODS[0]["metadata"]["name"], Release.BLUE, is_ready=True)
    ]
