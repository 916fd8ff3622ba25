"""What a Pod says about itself: whether it is ready, which model it serves, and of which template it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from mnist_dash.cluster.manifests import model_of
from mnist_dash.cluster.objects.kinds import Object
from mnist_dash.cluster.objects.metadata import annotations_of, labels_of, name_of
from mnist_dash.cluster.objects.names import CONTAINER, CREDENTIALS_HASH, DEPLOYED_AT, RELEASE_LABEL

MARKS = (DEPLOYED_AT, CREDENTIALS_HASH, "kubectl.kubernetes.io/restartedAt")
"""Annotations of a Pod template whose change makes new Pods."""
HASH_LABEL = "pod-template-hash"


def condition(one: Object, kind: str) -> Object:
    """A condition of an object's status by its type; empty if it has none."""
    conditions = one.get("status", {}).get("conditions") or []
    return next((found for found in conditions if found["type"] == kind), {})


def created_at(one: Object) -> float:
    """When an object was made, in seconds since the epoch; 0 if it does not say."""
    return seconds(one.get("metadata", {}).get("creationTimestamp"))


def seconds(stamp: str | None) -> float:
    """A time as Kubernetes writes it, in seconds since the epoch; 0 for none."""
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


def release_label(one: Object) -> str:
    """The release that an object belongs to; empty if to none."""
    return labels_of(one).get(RELEASE_LABEL, "")


def is_going(pod: Object) -> bool:
    """Whether a Pod is being deleted, or has come to its end: its replacement counts instead."""
    return bool(pod["metadata"].get("deletionTimestamp")) or phase(pod) in ("Failed", "Succeeded")


def is_ready(pod: Object) -> bool:
    """Whether a Pod gets requests."""
    return condition(pod, "Ready").get("status") == "True" and not is_going(pod)


def phase(pod: Object) -> str:
    """`Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def statuses(pod: Object) -> list[Object]:
    """The states of a Pod's containers, the model server's first, then what was put in beside it."""
    status = pod.get("status", {})
    found = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return sorted(found, key=lambda one: one["name"] != CONTAINER)


def restarts(pod: Object) -> int:
    """How often the model server was started anew."""
    return next((int(one.get("restartCount", 0)) for one in statuses(pod)), 0)


def addresses(pod: Object) -> Iterator[str]:
    """The Pod's addresses, of each family that the cluster has."""
    status = pod.get("status", {})
    yield from (one["ip"] for one in status.get("podIPs") or [])
    if status.get("podIP"):
        yield status["podIP"]


def model_container(spec: Object) -> Object:
    """The model server among the containers of a Pod's or template's spec; empty if there is none."""
    containers: list[Object] = spec.get("containers") or [{}]
    return next((one for one in containers if one.get("name") == CONTAINER), containers[0])


def base_of(one: Object) -> str:
    """The model base that a Pod serves, or a Deployment is to serve; empty if none."""
    model = model_of(one)
    return model.check.base if model else ""


def newest(deployment: Object, pods: Sequence[Object]) -> list[Object]:
    """Those of a Deployment's Pods that are of its template as it is now.

    Where a change leaves no mark in the Pods' own fields (another limit, say), those made last are.
    """
    of_template = [pod for pod in pods if _is_of(deployment, pod)]
    if not of_template:
        return []
    youngest = max(of_template, key=lambda pod: (created_at(pod), name_of(pod)))
    wanted = labels_of(youngest).get(HASH_LABEL)
    return [pod for pod in of_template if labels_of(pod).get(HASH_LABEL) == wanted]


def _is_of(deployment: Object, pod: Object) -> bool:
    said, wanted = annotations_of(pod), annotations_of(deployment["spec"]["template"])
    same_marks = all(said.get(mark) == wanted.get(mark) for mark in MARKS)
    return same_marks and base_of(pod) == base_of(deployment)
