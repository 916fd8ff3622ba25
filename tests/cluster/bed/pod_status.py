"""A Pod's status, as a kubelet writes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.cluster.bed.api_server import Object
from tests.cluster.bed.network import NODE_ADDRESS
from tests.cluster.bed.pod_events import now


@dataclass
class PodStatus:
    """The status of a Pod with one container; `to_object` is its form in the API."""

    pod: Object
    address: str
    phase: str = "Pending"
    state: Object = field(default_factory=lambda: waiting("ContainerCreating"))
    last_state: Object = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restarts: int = 0
    sandboxed: bool = False
    """Whether the Pod has an address yet."""
    is_node_silent: bool = False
    """Whether its node is said to have stopped answering."""

    def __post_init__(self) -> None:
        self._began = now()
        conditions = self.pod.get("status", {}).get("conditions", ())
        self._conditions: dict[str, Object] = {c["type"]: c for c in conditions}

    @property
    def container(self) -> Object:
        """The container's part of the spec."""
        found: Object = self.pod["spec"]["containers"][0]
        return found

    def to_object(self) -> Object:
        """Return the status as plain data; a condition keeps its time while its value stays the same."""
        unready = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{self.container['name']}]",
        }
        self._set("PodReadyToStartContainers", self.sandboxed)
        self._set("Initialized", True)
        self._set("Ready", self.ready and not self.is_node_silent, **({} if self.ready else unready))
        self._set("ContainersReady", self.ready, **({} if self.ready else unready))
        self._set("PodScheduled", True)
        address = {"podIP": self.address, "podIPs": [{"ip": self.address}]} if self.sandboxed else {}
        return {
            "observedGeneration": self.pod["metadata"].get("generation", 1),
            "phase": self.phase,
            "startTime": self._began,
            "hostIP": NODE_ADDRESS,
            "hostIPs": [{"ip": NODE_ADDRESS}],
            **address,
            "conditions": list(self._conditions.values()),
            "containerStatuses": [self._container_status()],
        }

    def _container_status(self) -> Object:
        image = self.container["image"]
        running = "waiting" not in self.state or self.restarts or self.last_state
        return {
            "name": self.container["name"],
            "image": image,
            "imageID": f"{image}@sha256:{'0' * 64}" if running else "",
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last_state,
        }

    def _set(self, kind: str, holds: bool, **why: str) -> None:
        old = self._conditions.get(kind, {})
        status = str(holds)
        since = old.get("lastTransitionTime") if old.get("status") == status else now()
        self._conditions[kind] = {"type": kind, "status": status, "lastTransitionTime": since, **why}


def waiting(reason: str, message: str = "") -> Object:
    """Return the state of a container that does not run."""
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def running() -> Object:
    """Return the state of a container that starts now."""
    return {"running": {"startedAt": now()}}


def terminated(code: int, since: str, reason: str = "") -> Object:
    """Return the state of a container that has ended."""
    why = reason or ("Error" if code else "Completed")
    return {"terminated": {"exitCode": code, "reason": why, "startedAt": since, "finishedAt": now()}}
