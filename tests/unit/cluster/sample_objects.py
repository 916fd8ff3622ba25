"""Objects as a cluster has them, made from the project's own manifests: plain data for the pure parts."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnist_dash.cluster import manifests
from mnist_dash.cluster.resources import CONTAINER, Object
from mnist_dash.domain import ModelCheck, Release, Role

NAMESPACE = "mnist"
IMAGE = "tensorflow/serving:2.19.0"
OLD, NEW = "2026-08-07T10:00:00.000+00:00", "2026-08-07T11:00:00.000+00:00"
NOON = "2026-08-07T12:00:00Z"
BASE = "gs://acme-models/mnist"


def check(base: str = BASE, **values: Any) -> ModelCheck:
    """What was found of a model."""
    return replace(ModelCheck(base, 1, (-1, 28, 28, 1), accuracy=0.985, digits=2000), **values)


def deployment(
    release: Release = Release.BLUE,
    *,
    replicas: int = 1,
    base: str = BASE,
    deployed_at: str = NEW,
    found: ModelCheck | None = None,
    key_hash: str = "",
    status: Object | None = None,
    generation: int = 1,
) -> Object:
    """A Deployment that the controller has just seen, and of which nothing is ready; `status` tells more."""
    model = manifests.ModelSpec(found or check(base), replicas, deployed_at, "ann: Deploy")
    live = manifests.deployment(release, model, NAMESPACE, IMAGE, key_hash)
    live["metadata"] |= {"generation": generation, "uid": f"deployment-{release}"}
    live["status"] = {"observedGeneration": generation, "conditions": []} | (status or {})
    return live


def complete(release: Release = Release.BLUE, *, replicas: int = 1, **more: Any) -> Object:
    """A Deployment whose rollout is over, with all replicas ready."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return deployment(release, replicas=replicas, status=counts | {"conditions": [rolled_out()]}, **more)


def condition(kind: str, status: str, reason: str, message: str = "", since: str = NOON) -> Object:
    """A condition of anything."""
    known = {"type": kind, "status": status, "reason": reason, "message": message}
    return known | {"lastTransitionTime": since}


def rolled_out() -> Object:
    """The condition that the controller leaves on a Deployment whose rollout once succeeded."""
    return condition("Progressing", "True", "NewReplicaSetAvailable")


@dataclass(frozen=True)
class Container:
    """What a kubelet reports of the model server."""

    state: Mapping[str, Any]
    last: Mapping[str, Any] | None = None
    restarts: int = 0
    ready: bool = False

    def status(self, name: str = CONTAINER) -> Object:
        """As it stands in `containerStatuses`."""
        return {
            "name": name,
            "state": dict(self.state),
            "lastState": dict(self.last or {}),
            "restartCount": self.restarts,
            "ready": self.ready,
        }


STARTED = {"running": {"startedAt": "2026-08-07T11:00:05Z"}}
RUNNING = Container(STARTED)
READY = Container(STARTED, ready=True)
CREATING = Container({"waiting": {"reason": "ContainerCreating"}})


def waiting(reason: str, message: str = "", **more: Any) -> Container:
    """A container that does not run."""
    return replace(Container({"waiting": {"reason": reason, "message": message}}), **more)


def ended(code: int, reason: str = "Error", message: str = "") -> Object:
    """The end of a container, as its state or its last one."""
    return {"terminated": {"exitCode": code, "reason": reason} | ({"message": message} if message else {})}


def looping(code: int, reason: str = "Error") -> Container:
    """A container that has ended twice."""
    message = "back-off 10s restarting failed container=tensorflow-serving pod=mnist-blue-1_mnist(0)"
    return waiting("CrashLoopBackOff", message, last=ended(code, reason), restarts=1)


def pod(
    of: Object,
    container: Container | None = READY,
    *,
    number: int = 1,
    template: str = "6c8b449b8f",
    conditions: Sequence[Object] = (),
    **status: Any,
) -> Object:
    """A Pod of a Deployment's template; without a container it waits for a node."""
    made = copy.deepcopy(of["spec"]["template"])
    name = f"{of['metadata']['name']}-{template}-{number}"
    address = f"10.77.{2 if 'green' in name else 1}.{number + 10 * (template != '6c8b449b8f')}"
    made["metadata"] |= {"name": name, "uid": name, "creationTimestamp": "2026-08-07T11:00:00Z"}
    made["metadata"]["labels"] |= {"pod-template-hash": template}
    if container:
        made["spec"]["nodeName"] = "node-1"
        ready = condition("Ready", str(container.ready), "" if container.ready else "ContainersNotReady")
        status = {
            "phase": "Running" if "running" in container.state or container.last else "Pending",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "containerStatuses": [container.status()],
            "conditions": [ready, *conditions],
        } | status
    else:
        status = {"phase": "Pending", "conditions": list(conditions)} | status
    return {"apiVersion": "v1", "kind": "Pod", **made, "status": status}


SILENT = (
    {"type": "Ready", "status": "False", "lastTransitionTime": NOON},
    {"type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-08-07T11:00:05Z"},
)
"""The conditions of a Pod whose node has stopped answering, as Kubernetes 1.37 sets them."""


def silent_pod(of: Object, **more: Any) -> Object:
    """A Pod whose node has stopped answering: its container is shown as it last was."""
    made = pod(of, READY, **more)
    made["status"]["conditions"] = list(SILENT)
    key, seconds = "node.kubernetes.io/unreachable", 300
    made["spec"]["tolerations"] = [{"key": key, "operator": "Exists", "tolerationSeconds": seconds}]
    return made


def event(about: Object, reason: str, message: str, **more: Any) -> Object:
    """An event about an object, as the API server lists it."""
    metadata = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {"kind": about["kind"], "name": metadata["name"], "uid": metadata["uid"]},
        "reason": reason,
        "message": message,
        "lastTimestamp": "2026-08-07T11:00:10Z",
        "count": 1,
    } | more


def service(role: Role, release: Release) -> Object:
    """The Service of a role."""
    made = manifests.service(role, release, NAMESPACE)
    made["metadata"]["uid"] = f"service-{role}"
    return made


def endpoint_slice(role: Role, *addresses: str, ready: bool | None = True) -> Object:
    """What the controller makes of a Service and its Pods."""
    conditions = {} if ready is None else {"ready": ready}
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"mnist-{role}-x7k2p",
            "labels": {"kubernetes.io/service-name": f"mnist-{role}"},
        },
        "endpoints": [{"addresses": [address], "conditions": conditions} for address in addresses],
    }
