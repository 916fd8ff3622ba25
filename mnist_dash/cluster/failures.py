"""Why a Deployment is not ready, in words, from what its Pods, the events and the logs tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from mnist_dash.cluster.events import events_about
from mnist_dash.cluster.failure_patterns import FAILURE_PATTERNS, SENTENCE, Failure, Source, Symptom
from mnist_dash.cluster.observation import (
    condition,
    is_going,
    is_ready,
    model_container,
    newest,
    phase,
    release_label,
    restarts,
    seconds,
    statuses,
)
from mnist_dash.cluster.resources import Object, name_of

__all__ = ["Failure", "failure_of", "is_complete", "is_observed", "was_complete"]

GIVE_UP_AFTER = 2
"""Restarts after which the way in which a container ended is believed to be how it will end again."""
PATIENCE = 10.0
"""Seconds after its start for which a container's complaints may pass: credentials come a little later."""
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] \S+\] ")


def failure_of(
    deployment: Object, pods: Sequence[Object], events: Sequence[Object], logs: Mapping[str, str]
) -> Failure | None:
    """Why a Deployment is not ready; None if nothing tells.

    `pods` may hold those of other Deployments too; of its own, only those of its present template count.
    `logs` are last lines by the Pod's name.
    """
    own = [pod for pod in pods if release_label(pod) == release_label(deployment)]
    present = newest(deployment, own)
    evidence = [*_of_pods(present, events, logs), *_of_deployment(deployment)]
    found = (sign.read(one) for sign in FAILURE_PATTERNS for one in evidence)
    cause = next(filter(None, found), None) or _what_it_waits_for(deployment, present)
    return _overdue(deployment, cause) if is_overdue(deployment) else cause


def is_observed(deployment: Object) -> bool:
    """Whether the status is about the Deployment as it is now, not as it was before its last change."""
    generation = deployment["metadata"].get("generation", 0)
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= generation)


def is_complete(deployment: Object) -> bool:
    """Whether all replicas that are desired are ready, of the present template, and no others are left."""
    status, desired = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return is_observed(deployment) and counts == [desired] * len(counts)


def was_complete(deployment: Object) -> bool:
    """Whether the rollout of the present template was once completed, whatever happened since."""
    reason = condition(deployment, "Progressing").get("reason")
    return is_observed(deployment) and reason == "NewReplicaSetAvailable"


def is_overdue(deployment: Object) -> bool:
    """Whether the rollout has made no progress for as long as it may take."""
    reason = condition(deployment, "Progressing").get("reason")
    return is_observed(deployment) and reason == "ProgressDeadlineExceeded"


def _overdue(deployment: Object, cause: Failure | None) -> Failure | None:
    if cause and cause.failed:
        return cause
    limit = deployment["spec"].get("progressDeadlineSeconds", 600)
    text = f"The rollout has made no progress for {limit} s. {cause.text if cause else ''}".strip()
    step = (cause and cause.next_step) or "Read the Pods' events and logs in the Objects tab."
    return Failure(text, step, failed=True)


def _what_it_waits_for(deployment: Object, present: Sequence[Object]) -> Failure | None:
    """What merely takes time, where nothing more special is known."""
    if not is_observed(deployment):
        return Failure("Kubernetes is taking the change up.", usual=True)
    desired = deployment["spec"].get("replicas", 1)
    ready = sum(map(is_ready, present))
    if ready >= desired:
        return None
    if any(phase(pod) == "Running" and not is_ready(pod) for pod in present):
        return Failure(f"Loading the model: {ready} of {desired} replicas ready.", usual=True)
    return Failure(f"The Pods are being made: {ready} of {desired} replicas ready.", usual=True)


def _of_deployment(deployment: Object) -> Iterator[Symptom]:
    if not is_observed(deployment):
        return
    if deployment["spec"].get("paused"):
        yield Symptom(Source.DEPLOYMENT, "Paused")
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") == "True":
        yield _evidence(Source.DEPLOYMENT, f"ReplicaFailure {failure.get('reason')}", failure)
    progressing = condition(deployment, "Progressing")
    if progressing.get("reason") == "ReplicaSetCreateError":
        yield _evidence(Source.DEPLOYMENT, "ReplicaSetCreateError Progressing", progressing)


def _evidence(source: Source, head: str, one: Object, *, lasting: bool = True) -> Symptom:
    return Symptom(source, f"{head}: {' '.join(str(one.get('message') or '').split())}", lasting)


def _of_pods(pods: Sequence[Object], events: Sequence[Object], logs: Mapping[str, str]) -> Iterator[Symptom]:
    for pod in pods:
        if is_going(pod):
            yield from _of_its_end(pod)
        elif not is_ready(pod):
            concerning = events_about(events, pod)
            log = logs.get(name_of(pod), "")
            yield from _of_placing(pod)
            yield from _of_containers(pod, concerning, log)
            yield from _of_events(pod, concerning)
            if log:
                yield Symptom(Source.LOG, log, _has_lasted(pod, log))


def _of_its_end(pod: Object) -> Iterator[Symptom]:
    status = pod.get("status", {})
    if status.get("reason"):
        yield _evidence(Source.POD, status["reason"], status)
    disrupted = condition(pod, "DisruptionTarget")
    if disrupted.get("status") == "True":
        yield _evidence(Source.POD, disrupted.get("reason", ""), disrupted)


def _of_placing(pod: Object) -> Iterator[Symptom]:
    placed = condition(pod, "PodScheduled")
    if placed.get("status") == "False":
        yield _evidence(Source.POD, placed.get("reason", ""), placed)
    elif not pod["spec"].get("nodeName"):
        yield Symptom(Source.POD, "Unbound: ")


def _of_containers(pod: Object, events: Sequence[Object], log: str) -> Iterator[Symptom]:
    images = {one["name"]: one.get("image", "") for one in pod["spec"].get("containers") or []}
    for status in statuses(pod):
        waiting = status.get("state", {}).get("waiting")
        looping = bool(waiting) and waiting.get("reason") == "CrashLoopBackOff"
        if waiting and not looping:
            head = f"{waiting.get('reason', '')} {images.get(status['name'], '')}"
            more = {"message": f"{waiting.get('message', '')} {_of_image(events)}"}
            yield _evidence(Source.WAITING, head, more)
        ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated")
        if ended:
            head = f"{ended.get('reason') or 'Error'} {ended.get('exitCode', 0)} {_memory(pod)}"
            said = {"message": ended.get("message") or _last_words(status, log)}
            lasting = looping or status.get("restartCount", 0) >= GIVE_UP_AFTER
            yield _evidence(Source.ENDED, head, said, lasting=lasting)


def _memory(pod: Object) -> str:
    limits = model_container(pod["spec"]).get("resources", {}).get("limits") or {}
    return str(limits.get("memory", "-"))


def _of_image(events: Sequence[Object]) -> str:
    """What was last told about the image; while a kubelet backs off, it may tell the reason only there."""
    about = (e for e in events if e.get("reason") in ("Pulling", "Pulled") or "pull image" in _said(e))
    last = next(about, {})
    return "Pulling" if last.get("reason") == "Pulling" else _said(last)


def _said(event: Object) -> str:
    return str(event.get("message") or "")


def _last_words(status: Object, log: str) -> str:
    """The last line of a log, without what TensorFlow puts in front of it.

    Of a container that was started again, the log may be its own already: then only a sentence that cannot be
    the usual course of things counts.
    """
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "")
    if "running" in status.get("state", {}) and not re.fullmatch(SENTENCE, last.strip()):
        return ""
    return _PREFIX.sub("", last)


def _of_events(pod: Object, events: Sequence[Object]) -> Iterator[Symptom]:
    for event in events:
        lasting = event.get("reason") not in ("Unhealthy", "Killing") or restarts(pod) > 0
        yield _evidence(Source.EVENT, event.get("reason", ""), event, lasting=lasting)


def _has_lasted(pod: Object, log: str) -> bool:
    """Whether the last line was written a while after the container's start, or nothing tells when."""
    started = next((one.get("state", {}).get("running", {}).get("startedAt") for one in statuses(pod)), None)
    stamps = _STAMP.findall(log)
    if not started or not stamps or restarts(pod):
        return True
    written = datetime.fromisoformat(stamps[-1]).replace(tzinfo=UTC).timestamp()
    return not 0 <= written - seconds(started) < PATIENCE
