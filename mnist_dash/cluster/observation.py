"""The cluster as one poll observed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mnist_dash.cluster.manifests import model_of, pointer_of, release_of
from mnist_dash.cluster.resources import (
    CONTAINER,
    CREDENTIALS_HASH,
    DEPLOYED_AT,
    RELEASE_LABEL,
    Object,
    annotations_of,
    deployment_name,
    labels_of,
    name_of,
    service_name,
)
from mnist_dash.cluster.route_state import RouteConfig
from mnist_dash.domain import Release, Role

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


SERVICE_OF_SLICE = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Observation:
    """Everything that one poll saw."""

    deployments: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    services: Sequence[Object] = ()
    endpoint_slices: Sequence[Object] = ()
    routes: Sequence[Object] = ()
    events: Sequence[Object] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    """The last lines of Pods by their names."""
    written: RouteConfig | None = None
    """What the routes say; None while there are none."""
    taken_at: float = 0.0
    """Seconds since the epoch."""

    @property
    def all(self) -> tuple[Object, ...]:
        """All that the dashboard applied: routes, Services, Deployments."""
        return (*self.routes, *self.services, *self.deployments)

    def deployment(self, release: Release) -> Object | None:
        """The Deployment of a release; None if there is none, or it is being deleted."""
        live = _named(self.deployments, deployment_name(release))
        return None if live is None or live["metadata"].get("deletionTimestamp") else live

    def service(self, role: Role) -> Object | None:
        """The Service of a role."""
        return _named(self.services, service_name(role))

    def pointer(self, role: Role) -> Release:
        """The release that a role's Service selects.

        A role whose Service selects none, or is missing, points at what the other role does not; where
        neither selects any, Current points at blue.
        """
        other = Role.NEW if role is Role.CURRENT else Role.CURRENT
        if found := self._selected(role):
            return found
        if others := self._selected(other):
            return others.other
        return Release.BLUE if role is Role.CURRENT else Release.GREEN

    def _selected(self, role: Role) -> Release | None:
        service = self.service(role)
        return pointer_of(service) if service else None

    def release(self, role: Role) -> Release:
        """The release that plays a role: never one for both, also while the pointers are being swapped."""
        current = self.pointer(Role.CURRENT)
        if self.pointer(Role.NEW) is not current:
            return self.pointer(role)
        swap = self.written.state.swap if self.written else None
        if swap:
            return swap.target(role)
        return current if role is Role.CURRENT else current.other

    def role(self, release: Release) -> Role:
        """The role that a release plays."""
        return Role.CURRENT if self.release(Role.CURRENT) is release else Role.NEW

    def ready_addresses(self, role: Role) -> frozenset[str]:
        """The addresses to which a role's Service leads now; those of Pods that end are not among them."""
        wanted = service_name(role)
        slices = [one for one in self.endpoint_slices if labels_of(one).get(SERVICE_OF_SLICE) == wanted]
        endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
        # No condition means that nobody knows, and clients are to take that for ready.
        ready = [one for one in endpoints if (one.get("conditions") or {}).get("ready") is not False]
        return frozenset(address for one in ready for address in one["addresses"])

    def addresses_of(self, release: Release) -> frozenset[str]:
        """The addresses of all Pods of a release, ready or not."""
        return frozenset(address for pod in self.pods_of(release) for address in addresses(pod))

    def pods_of(self, release: Release) -> list[Object]:
        """The Pods of a release, of whichever template."""
        return [pod for pod in self.pods if release_of(pod) is release]


def _named(objects: Sequence[Object], name: str) -> Object | None:
    return next((one for one in objects if name_of(one) == name), None)
