"""A kubelet double: one node whose Pods are processes of this machine.

Each Pod has an address of its own; its container is the project's own model server, which listens there.
Back-offs are thirty times as short as a kubelet's (`back_off.py`), probes ten times as frequent
(`probes.py`). It heeds neither resource limits nor security contexts, and runs only a Pod's first container.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Sequence

import urllib3

from tests.cluster.bed import container_logs
from tests.cluster.bed.api_server import ApiServer, Object, RefusedError
from tests.cluster.bed.certificates import Authority
from tests.cluster.bed.kubelet_control import Fault, Order, Orders
from tests.cluster.bed.network import NODE_ADDRESS
from tests.cluster.bed.pod import Node, PodLife
from tests.cluster.bed.processes import Programs

NODE = "node-1"
RESOURCES = {"cpu": "8", "memory": "16Gi", "pods": "100"}
SLOW_SECONDS = 3.0


class Kubelet:
    """Registers the node and runs what the scheduler binds to it, until this process ends."""

    def __init__(self, api: ApiServer, programs: Programs, authority: Authority, env: dict[str, str]) -> None:
        self._api = api
        self._orders = Orders()
        folder = programs.folder / "pods"
        folder.mkdir()
        self._node = Node(NODE, api, self._orders, programs.warden, folder, env)
        self._lock = threading.Lock()
        self._lives: dict[str, PodLife] = {}
        self._addresses = (
            f"10.77.{number >> 8}.{number & 255}" for number in itertools.count(257) if number & 255
        )
        self._server = container_logs.serve(self._logs, authority.issue("kubelet", NODE_ADDRESS))
        self._ending = threading.Event()
        api.create(_node())
        threading.Thread(target=self._watch, name="kubelet", daemon=True).start()

    def fault(self, namespace: str, *faults: Fault, pods: str = "", seconds: float = SLOW_SECONDS) -> None:
        """Let containers of a namespace fail, of those Pods whose names start with `pods`.

        It holds for containers started, and probes made, from then on. `seconds` is how slow a slow start is.
        """
        slow = seconds if Fault.SLOW_START in faults else 0.0
        self._orders.add(Order(namespace, pods, frozenset(faults), slow))

    def announce(self, namespace: str, pods: str = "") -> None:
        """Let Pods started from now on say in X-Served-By who answered; TensorFlow Serving does not."""
        self._orders.add(Order(namespace, pods, announce=True))

    def run_instead(self, namespace: str, argv: Sequence[str], pods: str = "") -> None:
        """Start this program in place of the model server, such as one that only writes a log and ends."""
        self._orders.add(Order(namespace, pods, argv=tuple(argv)))

    def environment(self, namespace: str, pods: str = "", **variables: str) -> None:
        """Set variables in containers started from now on, whatever the Pod says."""
        self._orders.add(Order(namespace, pods, env=variables))

    def mend(self, namespace: str) -> None:
        """Withdraw all that was ordered for a namespace; containers started from then on are as usual."""
        self._orders.withdraw(namespace)

    def kill(self, namespace: str, pods: str = "", number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the containers of those Pods whose names start with `pods`."""
        for life in self._all():
            if life.namespace == namespace and life.name.startswith(pods):
                life.signal(number)

    def clear(self, namespace: str) -> None:
        """End all Pods of a namespace without grace, and forget what was ordered for it."""
        self.mend(namespace)
        for life in self._all():
            if life.namespace == namespace:
                life.end(0)

    def stop(self) -> None:
        """Heed nothing more and start nothing again; what still runs is the warden's to end."""
        self._ending.set()
        for life in self._all():
            life.end(0)
        self._server.shutdown()
        self._server.server_close()

    def _watch(self) -> None:
        where = {"fieldSelector": f"spec.nodeName={NODE}"}
        while not self._ending.is_set():
            try:
                listed = self._api.get("/api/v1/pods", **where)
                self._heed_list(listed["items"])
                version = listed["metadata"]["resourceVersion"]
                for kind, pod in self._api.watch("/api/v1/pods", resourceVersion=version, **where):
                    self._heed(kind, pod)
            except (RefusedError, urllib3.exceptions.HTTPError, KeyError):
                time.sleep(0.2)  # a watch ends now and then, and is refused if it asks for what is too old

    def _heed_list(self, pods: Sequence[Object]) -> None:
        there = {pod["metadata"]["uid"] for pod in pods}
        for life in self._all():
            if life.uid not in there:
                self._forget(life.uid)
        for pod in pods:
            self._heed("MODIFIED", pod)

    def _heed(self, kind: str, pod: Object) -> None:
        metadata = pod["metadata"]
        uid = metadata["uid"]
        if kind == "DELETED":
            self._forget(uid)
        elif uid not in self._lives:
            with self._lock:
                self._lives[uid] = PodLife(self._node, pod, next(self._addresses))
        if kind != "DELETED" and metadata.get("deletionTimestamp"):
            self._lives[uid].end(metadata.get("deletionGracePeriodSeconds", 0))

    def _forget(self, uid: str) -> None:
        with self._lock:
            life = self._lives.pop(uid, None)
        if life:
            life.end(0)

    def _all(self) -> list[PodLife]:
        with self._lock:
            return list(self._lives.values())

    def _logs(self, namespace: str, pod: str, container: str, previous: bool) -> container_logs.Answer:
        life = next((one for one in self._all() if (one.namespace, one.name) == (namespace, pod)), None)
        lines = life.logs(previous) if life else None
        if lines is not None:
            return 200, "".join(f"{line}\n" for line in lines)
        if previous:
            return 400, f'previous terminated container "{container}" in pod "{pod}" not found'
        reason = life.waits_for if life else "ContainerCreating"
        return 400, f'container "{container}" in pod "{pod}" is waiting to start: {reason}'


def _node() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": NODE_ADDRESS},
                {"type": "Hostname", "address": NODE},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": container_logs.PORT}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "capacity": RESOURCES,
            "allocatable": RESOURCES,
        },
    }
