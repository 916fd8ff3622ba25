"""The runs of the model servers, from two successive observations."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from mnist_dash.cluster import resources
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.workloads import Container, Pod
from mnist_dash.domain import Release
from mnist_dash.timeline import ReplicaRun

_SIGNALS = {number.value: number.name for number in signal.Signals}
_SIGNALLED = 128
"""An exit code above it is this and the number of the signal."""


def runs_of(before: Observation, observation: Observation) -> list[ReplicaRun]:
    """Return the runs under way, the last ended one of each Pod, and the Pods that were lost in between."""
    listed = [run for pod in observation.pods if pod.release for run in _runs_of_pod(pod, pod.release)]
    return [*_lost_pods(before, observation), *listed]


def _runs_of_pod(pod: Pod, release: Release) -> Iterator[ReplicaRun]:
    if pod.containers and (ended := pod.containers[0].ended) and not pod.is_ending:
        at, end = resources.parse_time(ended.get("finishedAt")), describe_end(pod.containers[0])
        yield ReplicaRun(f"{pod.uid} ended at {at:.0f}", pod.name, release, end=end, ended_at=at)
    yield ReplicaRun(f"{pod.uid} {pod.restarts}", pod.name, release, pod.is_ready)


def describe_end(container: Container) -> str:
    """Return why a container ended, as a sentence; it must have ended."""
    code = int(container.ended.get("exitCode") or 0)
    if container.ended.get("reason") == "OOMKilled":
        return f"It was killed because it ran out of memory: its limit is {container.memory_limit}."
    if code > _SIGNALLED:
        number = code - _SIGNALLED
        return f"It was killed by signal {_SIGNALS.get(number, number)}."
    return f"It ended with exit code {code}."


def _lost_pods(before: Observation, observation: Observation) -> Iterator[ReplicaRun]:
    """Yield the Pods that neither a rollout, nor a smaller number of replicas, nor a removal has ended."""
    staying = {pod.uid for pod in observation.pods if not pod.is_ending}
    reasons = {pod.uid: f"{pod.reason}: {pod.message}" for pod in observation.pods if pod.reason}
    for release, workload in observation.workloads.items():
        former = before.workloads.get(release)
        if former is None or (former.base, former.marks) != (workload.base, workload.marks):
            continue
        pods = [pod for pod in former.newest if not pod.is_ending]
        if len(pods) > workload.desired:
            continue
        for pod in pods:
            if pod.uid not in staying:
                end = reasons.get(pod.uid, "Its Pod was deleted.")
                yield ReplicaRun(f"{pod.uid} deleted", pod.name, release, end=end)
