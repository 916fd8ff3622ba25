"""Find out why a Deployment is not ready, from its Pods, their events and their logs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from mnist_dash.cluster.failure_patterns import FAILURE_PATTERNS, SENTENCE, Failure, Source, Symptom
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.workloads import Container, KubernetesEvent, Pod, Workload, events_about
from mnist_dash.rollout_status import loading

RESTARTS_BEFORE_FAILED = 2
"""Restarts after which a container is expected to end the same way again."""
ROOM_SECONDS = 120.0
"""How long a Pod may wait for room: an autoscaler adds a node, or the Pods of a former release end."""
GRACE_SECONDS = 10.0
"""Complaints in the log may pass for so long after a start: credentials arrive a little later."""
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\S+Z ", re.MULTILINE)
"""What the API server puts before each line."""
_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] \S+\] ")
_SHELL = re.compile(r"^\S*entrypoint\S*: line \d+: +\d+ .*\n?", re.MULTILINE)
"""What the image's shell says about a signal, below the server's own last words."""
_CREATING = ("ContainerCreating", "PodInitializing")


def failure_of(workload: Workload, observation: Observation) -> Failure | None:
    """Return why a Deployment is not ready; None if nothing indicates it.

    Only its Pods of the present template count.
    """
    symptoms = [*_symptoms_of_pods(workload.newest, observation), *_symptoms_of_workload(workload)]
    matches = (pattern.match(symptom) for pattern in FAILURE_PATTERNS for symptom in symptoms)
    failure = next(filter(None, matches), None) or _progress(workload)
    if not workload.is_overdue or (failure and failure.failed):
        return failure
    failure = failure or Failure("")
    text = f"The rollout has made no progress for {workload.deadline} s. {failure.text}".strip()
    step = failure.next_step or "Read the Pods' events and logs in the Objects tab."
    return replace(failure, text=text, next_step=step, failed=True, usual=False)


def _progress(workload: Workload) -> Failure | None:
    """What merely takes time, where nothing more special is known."""
    if not workload.is_observed:
        return Failure("Waiting for Kubernetes to process the change.", usual=True)
    ready = len(workload.fresh)
    if ready >= workload.desired:
        return None
    if any(pod.phase == "Running" and not pod.is_ready for pod in workload.newest):
        return Failure(loading(ready, workload.desired), usual=True)
    return Failure(f"Creating Pods: {ready} of {workload.desired} replicas ready.", usual=True)


def _symptoms_of_workload(workload: Workload) -> Iterator[Symptom]:
    if not workload.is_observed:
        return
    if workload.is_paused:
        yield Symptom(Source.DEPLOYMENT, "Paused")
    failure, progressing = workload.conditions["ReplicaFailure"], workload.conditions["Progressing"]
    if failure.status == "True":
        yield _symptom(Source.DEPLOYMENT, f"ReplicaFailure {failure.reason}", failure.message)
    if progressing.reason == "ReplicaSetCreateError":
        yield _symptom(Source.DEPLOYMENT, "ReplicaSetCreateError Progressing", progressing.message)


def _symptom(source: Source, head: str, message: str, *, lasting: bool = True) -> Symptom:
    return Symptom(source, f"{head}: {' '.join(message.split())}", lasting)


def _symptoms_of_pods(pods: Sequence[Pod], observation: Observation) -> Iterator[Symptom]:
    for pod in pods:
        if pod.is_ending:
            if pod.reason:
                yield _symptom(Source.REMOVED, pod.reason, pod.message)
            disruption = pod.conditions["DisruptionTarget"]
            if disruption.status == "True":
                yield _symptom(Source.REMOVED, disruption.reason, disruption.message)
        elif pod.is_node_silent:
            yield Symptom(Source.POD, _describe_silence(pod))
        elif not pod.is_ready:
            own = events_about(observation.events, "Pod", pod.name, pod.uid)
            log = _SHELL.sub("", _TIME.sub("", observation.logs.get(pod.name, "")))
            scheduled = pod.conditions["PodScheduled"]
            if scheduled.status == "False":
                lasting = _has_waited_for_room(pod, observation)
                yield _symptom(Source.POD, scheduled.reason, scheduled.message, lasting=lasting)
            elif not pod.node:
                yield Symptom(Source.POD, "Unbound: ")
            for container in pod.containers:
                yield from _symptoms_of_container(container, own, log)
            for event in own:
                lasting = event.reason not in ("Unhealthy", "Killing") or pod.restarts > 0
                yield _symptom(Source.EVENT, event.reason, event.message, lasting=lasting)
            if log:
                yield Symptom(Source.LOG, log, _has_lasted(pod, log))


def _describe_silence(pod: Pod) -> str:
    since = pod.conditions["Ready"].since
    until = "" if pod.patience is None else _time_of_day(since + pod.patience)
    return f"NodeNotReady {pod.node} {_time_of_day(since)} {until}: "


def _time_of_day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _has_waited_for_room(pod: Pod, observation: Observation) -> bool:
    """Whether it cannot be expected that room comes by itself."""
    waited = observation.taken_at - pod.conditions["PodScheduled"].since
    return waited >= ROOM_SECONDS and not any(other.is_ending for other in observation.pods)


def _symptoms_of_container(
    container: Container, events: Sequence[KubernetesEvent], log: str
) -> Iterator[Symptom]:
    is_looping = container.waiting == "CrashLoopBackOff"
    if container.waiting is not None and not is_looping:
        message = f"{container.waiting_message} {_message_about_image(container, events)}"
        yield _symptom(Source.WAITING, f"{container.waiting} {container.image}", message)
    if end := container.ended:
        head = f"{end.get('reason') or 'Error'} {end.get('exitCode', 0)} {container.memory_limit}"
        lasting = is_looping or container.restarts >= RESTARTS_BEFORE_FAILED
        message = end.get("message") or _last_line(container, log)
        yield _symptom(Source.ENDED, head, message, lasting=lasting)


def _message_about_image(container: Container, events: Sequence[KubernetesEvent]) -> str:
    """What only an event says: that the image is being pulled, or why pulling it failed.

    Kubelets before 1.32 do not repeat that in the state.
    """
    about = (e for e in events if e.reason in ("Pulling", "Pulled") or "Failed to pull image" in e.message)
    last = next(about, None)
    if last is None:
        return ""
    if container.waiting in _CREATING:
        return "Pulling" if last.reason == "Pulling" else ""
    is_bare = container.waiting == "ImagePullBackOff" and container.waiting_message.endswith('"')
    return last.message if is_bare and last.reason == "Failed" else ""


def _last_line(container: Container, log: str) -> str:
    """The last line of a log, without TensorFlow's prefix.

    The log of a restarted container may be that of its new run: then only a sentence about an error counts.
    """
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "")
    if container.started_at is not None and not re.fullmatch(SENTENCE, last.strip()):
        return ""
    return _PREFIX.sub("", last)


def _has_lasted(pod: Pod, log: str) -> bool:
    """Whether the last line was written a while after the container's start; True if that is unknown."""
    started = pod.containers[0].started_at if pod.containers else None
    stamps = _STAMP.findall(log)
    if not started or not stamps or pod.restarts:
        return True
    written = datetime.fromisoformat(stamps[-1]).replace(tzinfo=UTC).timestamp()
    return not 0 <= written - started < GRACE_SECONDS
