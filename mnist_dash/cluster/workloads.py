"""Pods, Deployments and events, parsed once from API objects into the values that everything else reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from mnist_dash.cluster import resources
from mnist_dash.cluster.manifests import ModelSpec, image_of, model_of, release_of
from mnist_dash.cluster.resources import Object
from mnist_dash.domain import Release

MARKS = (resources.DEPLOYED_AT, resources.CREDENTIALS_HASH, "kubectl.kubernetes.io/restartedAt")
"""Annotations of a Pod template whose change makes new Pods."""
HASH_LABEL = "pod-template-hash"
UNREACHABLE = "node.kubernetes.io/unreachable"
"""The taint of a node that has stopped answering."""


@dataclass(frozen=True)
class Condition:
    """One condition of an object's status; empty if it has none of that type."""

    status: str = ""
    reason: str = ""
    message: str = ""
    since: float = 0.0
    """When it came to be so, in seconds since the epoch; 0 if it does not say."""


def _conditions(live: Object) -> Mapping[str, Condition]:
    found: dict[str, Condition] = defaultdict(Condition)
    for item in live.get("status", {}).get("conditions") or ():
        found[item["type"]] = Condition(
            item["status"],
            item.get("reason") or "",
            item.get("message") or "",
            resources.parse_time(item.get("lastTransitionTime")),
        )
    return found


@dataclass(frozen=True)
class Container:
    """What the kubelet reports of one container of a Pod."""

    name: str
    image: str
    memory_limit: str
    """Such as 1Gi; `-` if it has none."""
    restarts: int
    waiting: str | None
    """The kubelet's reason why it does not run, such as CrashLoopBackOff; None if it is not waiting."""
    waiting_message: str
    started_at: float | None
    """When the present run began, in seconds since the epoch; None if it does not run."""
    has_just_ended: bool
    """Whether it has neither been started again nor is held back from that."""
    ended: Object
    """The kubelet's state `terminated`, of this run or of the last one; empty if neither has ended."""

    @classmethod
    def from_status(cls, status: Object, spec: Object) -> Container:
        """Parse an item of `containerStatuses`, and the item of the Pod's spec of the same name."""
        state = status.get("state") or {}
        waiting, running = state.get("waiting"), state.get("running")
        return cls(
            name=status["name"],
            image=spec.get("image", ""),
            memory_limit=str(((spec.get("resources") or {}).get("limits") or {}).get("memory", "-")),
            restarts=int(status.get("restartCount", 0)),
            waiting=None if waiting is None else waiting.get("reason", ""),
            waiting_message=(waiting or {}).get("message") or "",
            started_at=None if running is None else resources.parse_time(running.get("startedAt")),
            has_just_ended="terminated" in state,
            ended=state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {},
        )


@dataclass(frozen=True)
class Pod:
    """One replica of a model server."""

    name: str
    uid: str
    release: Release | None
    model: ModelSpec | None
    marks: tuple[str | None, ...]
    template_hash: str
    created_at: float
    """Seconds since the epoch; 0 if it does not say."""
    node: str
    """Empty until the scheduler has placed it."""
    phase: str
    """`Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`."""
    is_ending: bool
    """Whether it is being deleted or has ended: its replacement counts instead."""
    is_ready: bool
    """Whether it gets requests."""
    reason: str
    message: str
    conditions: Mapping[str, Condition]
    containers: tuple[Container, ...]
    """The model server first, then sidecars and init containers."""
    addresses: tuple[str, ...]
    """Of each family that the cluster has."""
    patience: float | None
    """Seconds after which Kubernetes replaces it if its node is silent; None for never."""

    @classmethod
    def from_object(cls, live: Object) -> Pod:
        """Parse a Pod as the API server lists it."""
        metadata, spec, status = live["metadata"], live["spec"], live.get("status") or {}
        phase, conditions = status.get("phase", "Pending"), _conditions(live)
        is_ending = bool(metadata.get("deletionTimestamp")) or phase in ("Failed", "Succeeded")
        return cls(
            name=resources.name_of(live),
            uid=metadata.get("uid", ""),
            release=release_of(live),
            model=model_of(live),
            marks=_marks(live),
            template_hash=resources.labels_of(live).get(HASH_LABEL, ""),
            created_at=resources.parse_time(metadata.get("creationTimestamp")),
            node=spec.get("nodeName", ""),
            phase=phase,
            is_ending=is_ending,
            is_ready=conditions["Ready"].status == "True" and not is_ending,
            reason=status.get("reason") or "",
            message=status.get("message") or "",
            conditions=conditions,
            containers=tuple(_containers(spec, status)),
            addresses=tuple(address["ip"] for address in status.get("podIPs") or ()),
            patience=_find_patience(spec),
        )

    @property
    def is_node_silent(self) -> bool:
        """Whether its node has stopped answering: Kubernetes then gives it no requests, and no reason either.

        Its containers are shown as they last were.
        """
        ready = self.conditions["Ready"]
        return (
            (ready.status, ready.reason) == ("False", "")
            and self.conditions["ContainersReady"].status == "True"
            and bool(self.node)
        )

    @property
    def base(self) -> str:
        """The model base; empty if it runs no TensorFlow Serving."""
        return self.model.check.base if self.model else ""

    @property
    def restarts(self) -> int:
        """How often the model server was restarted."""
        return self.containers[0].restarts if self.containers else 0

    @property
    def has_run(self) -> bool:
        """Whether any container has run, so that there is a log."""
        return self.restarts > 0 or any(container.waiting is None for container in self.containers)


def _find_patience(spec: Object) -> float | None:
    for toleration in spec.get("tolerations") or ():
        if toleration.get("key") == UNREACHABLE:
            seconds = toleration.get("tolerationSeconds")
            return None if seconds is None else float(seconds)
    return 0.0


def _containers(spec: Object, status: Object) -> list[Container]:
    specs = {container["name"]: container for container in spec.get("containers") or ()}
    found = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    found.sort(key=lambda item: item["name"] != resources.CONTAINER)
    return [Container.from_status(item, specs.get(item["name"], {})) for item in found]


def _marks(pod_or_template: Object) -> tuple[str | None, ...]:
    return tuple(map(resources.annotations_of(pod_or_template).get, MARKS))


@dataclass(frozen=True)
class Workload:
    """The Deployment of one release."""

    release: Release
    live: Object
    """As the API server has it."""
    model: ModelSpec | None
    image: str
    marks: tuple[str | None, ...]
    desired: int
    replicas: int
    """Pods of any template that exist."""
    updated: int
    """Pods of the present template that exist."""
    ready: int
    is_observed: bool
    """Whether the status is about the Deployment as it is now, not as it was before its last change."""
    is_paused: bool
    deadline: int
    """Seconds that a rollout may take without progress."""
    conditions: Mapping[str, Condition]
    pods: tuple[Pod, ...]
    """Of any template."""

    @classmethod
    def from_object(cls, release: Release, live: Object, pods: Iterable[Pod]) -> Workload:
        """Parse a Deployment as the API server lists it."""
        metadata, spec, status = live["metadata"], live["spec"], live.get("status") or {}
        return cls(
            release=release,
            live=live,
            model=model_of(live),
            image=image_of(live),
            marks=_marks(spec["template"]),
            desired=spec.get("replicas", 1),
            replicas=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            is_observed=status.get("observedGeneration", 0) >= metadata.get("generation", 0),
            is_paused=bool(spec.get("paused")),
            deadline=spec.get("progressDeadlineSeconds", 600),
            conditions=_conditions(live),
            pods=tuple(pod for pod in pods if pod.release is release),
        )

    @property
    def name(self) -> str:
        return resources.deployment_name(self.release)

    @property
    def base(self) -> str:
        """The model base; empty if it runs no TensorFlow Serving."""
        return self.model.check.base if self.model else ""

    @property
    def key_hash(self) -> str | None:
        """The hash of the key file that its Pods are given; None if they are given none."""
        return self.marks[MARKS.index(resources.CREDENTIALS_HASH)]

    @property
    def is_complete(self) -> bool:
        """Whether exactly the desired replicas exist, all of the present template and ready."""
        return self.is_observed and self.replicas == self.updated == self.ready == self.desired

    @property
    def was_complete(self) -> bool:
        """Whether the rollout of the present template once succeeded, whatever happened since."""
        return self.is_observed and self.conditions["Progressing"].reason == "NewReplicaSetAvailable"

    @property
    def is_overdue(self) -> bool:
        """Whether the rollout has exceeded its deadline."""
        return self.is_observed and self.conditions["Progressing"].reason == "ProgressDeadlineExceeded"

    @cached_property
    def newest(self) -> list[Pod]:
        """Its Pods of the present template.

        Some changes leave no mark in the Pods' own fields (another limit, say): those created last count.
        """
        own = [pod for pod in self.pods if (pod.base, pod.marks) == (self.base, self.marks)]
        youngest = max(own, key=lambda pod: (pod.created_at, pod.name), default=None)
        return [pod for pod in own if youngest and pod.template_hash == youngest.template_hash]

    @property
    def fresh(self) -> list[Pod]:
        """The ready Pods of the present template."""
        return [pod for pod in self.newest if pod.is_ready]

    @property
    def former(self) -> list[Pod]:
        """The ready Pods of earlier templates."""
        return [pod for pod in self.pods if pod.is_ready and pod not in self.newest]

    @property
    def answering(self) -> list[Pod]:
        """The Pods whose model is shown: the former ones until the fresh ones have taken over."""
        return self.former if self.is_replacing else self.fresh

    @property
    def is_replacing(self) -> bool:
        """Whether former Pods answer, and the fresh ones are too few to have taken over."""
        return bool(self.former) and len(self.fresh) < self.desired

    @property
    def available(self) -> int:
        """The replicas that get requests, no more than are desired: a rollout has one in excess."""
        return min(self.desired, self.ready if self.is_observed else len(self.fresh) + len(self.former))


@dataclass(frozen=True)
class KubernetesEvent:
    """One event, with the object that it concerns."""

    kind: str
    name: str
    uid: str
    reason: str
    message: str
    at: float
    """When it last happened, in seconds since the epoch."""
    count: int = 1

    @classmethod
    def from_object(cls, live: Object) -> KubernetesEvent:
        """Parse an Event of either API, `v1` (count) or `events.k8s.io` (series)."""
        about, series = live.get("involvedObject") or {}, live.get("series") or {}
        stamps = (
            series.get("lastObservedTime"),
            *map(live.get, ("lastTimestamp", "eventTime", "firstTimestamp")),
        )
        created = live.get("metadata", {}).get("creationTimestamp")
        return cls(
            kind=about.get("kind", ""),
            name=about.get("name", ""),
            uid=about.get("uid") or "",
            reason=live.get("reason") or "",
            message=" ".join(str(live.get("message") or "").split()),
            at=resources.parse_time(next(filter(None, stamps), created)),
            count=int(series.get("count") or live.get("count") or 1),
        )

    def concerns(self, kind: str, name: str, uid: str) -> bool:
        """Whether it is about this very object, or about a ReplicaSet of this Deployment."""
        if kind == "Deployment" and self.kind == "ReplicaSet":
            return self.name.rpartition("-")[0] == name
        return (self.kind, self.name) == (kind, name) and (not uid or self.uid in ("", uid))

    def __str__(self) -> str:
        """`2026-08-07 14:03:22 UTC, FailedScheduling: 0/3 nodes are available ... (4 times)`."""
        when = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{when}, {self.reason}: {self.message}{times}"


def events_about(events: Sequence[KubernetesEvent], kind: str, name: str, uid: str) -> list[KubernetesEvent]:
    """The events about an object, newest first."""
    found = [event for event in events if event.concerns(kind, name, uid)]
    return sorted(found, key=lambda event: event.at, reverse=True)
