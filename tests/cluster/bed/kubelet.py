"""A kubelet double: one node whose Pods are processes of this machine.

Each Pod has an address of its own; its container is the project's own model server, which listens there.
Back-offs are thirty times shorter than a kubelet's (`back_off.py`), probes ten times more frequent
(`probes.py`). It ignores resource limits and security contexts, and runs only a Pod's first container.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Sequence

import urllib3

from tests.cluster.bed import container_logs
from tests.cluster.bed.api_server import ApiServer, ApiServerError, Object
from tests.cluster.bed.certificates import Authority
from tests.cluster.bed.kubelet_control import Fault, KubeletControl, PodOverride
from tests.cluster.bed.network import NODE_ADDRESS
from tests.cluster.bed.pod import Node, PodRunner
from tests.cluster.bed.processes import Programs

NODE = "node-1"
SILENT_SECONDS = 30.0
"""How long a request to a silent node is left without an answer; its client gives up before."""
RESOURCES = {"cpu": "8", "memory": "16Gi", "pods": "100"}


class Kubelet:
    """Registers the node, and runs the Pods that the scheduler binds to it."""

    def __init__(self, api: ApiServer, programs: Programs, authority: Authority, env: dict[str, str]) -> None:
        self._api = api
        self._control = KubeletControl()
        folder = programs.folder / "pods"
        folder.mkdir()
        self._node = Node(NODE, api, self._control, programs.reaper, folder, env)
        self._lock = threading.Lock()
        self._runners: dict[str, PodRunner] = {}
        self._silent: dict[str, threading.Event] = {}
        """Namespaces for which the node does not answer; each is set once it does."""
        self.unanswered: list[tuple[str, str]] = []
        """Namespace and Pod of requests for logs that came while the node was silent."""
        self._addresses = (
            f"10.77.{number >> 8}.{number & 255}" for number in itertools.count(257) if number & 255
        )
        self._server = container_logs.serve(self._logs, authority.issue("kubelet", NODE_ADDRESS))
        self._ending = threading.Event()
        api.create(_node())
        threading.Thread(target=self._watch, name="kubelet", daemon=True).start()

    def fault(self, namespace: str, *faults: Fault, pods: str = "") -> None:
        """Let later starts and probes of a namespace fail, in Pods whose names start with `pods`."""
        self._control.add(PodOverride(namespace, pods, frozenset(faults)))

    def announce(self, namespace: str, pods: str = "") -> None:
        """Let Pods that start from now on name themselves in X-Served-By, unlike TensorFlow Serving."""
        self._control.add(PodOverride(namespace, pods, announce=True))

    def run_instead(self, namespace: str, argv: Sequence[str], pods: str = "") -> None:
        """Start this program in place of the model server."""
        self._control.add(PodOverride(namespace, pods, argv=tuple(argv)))

    def environment(self, namespace: str, pods: str = "", **variables: str) -> None:
        """Set variables in containers that start from now on, over those of the Pod."""
        self._control.add(PodOverride(namespace, pods, env=variables))

    def reset(self, namespace: str) -> None:
        """Remove the overrides of a namespace, for later starts and probes."""
        self._control.remove(namespace)

    def set_silent(self, namespace: str, is_silent: bool) -> None:
        """Let the node stop answering for the Pods of a namespace, which run on, or answer again."""
        if is_silent:
            self._silent[namespace] = threading.Event()
        else:
            self._silent.pop(namespace).set()
        for runner in self._all():
            if runner.namespace == namespace:
                runner.set_node_silent(is_silent)

    def kill(self, namespace: str, pods: str) -> None:
        """Kill the containers of those Pods whose names start with `pods`."""
        self.signal(namespace, pods, signal.SIGKILL)

    def signal(self, namespace: str, pods: str, number: signal.Signals) -> None:
        """Send a signal to the containers of those Pods whose names start with `pods`."""
        for runner in self._all():
            if runner.namespace == namespace and runner.name.startswith(pods):
                runner.signal(number)

    def clear(self, namespace: str) -> None:
        """Kill all Pods of a namespace, and remove its overrides."""
        self.reset(namespace)
        for runner in self._all():
            if runner.namespace == namespace:
                runner.end(0)

    def stop(self) -> None:
        """Start no more Pods and end all; the reaper kills those that still run."""
        self._ending.set()
        for runner in self._all():
            runner.end(0)
        self._server.shutdown()
        self._server.server_close()

    def _watch(self) -> None:
        where = {"fieldSelector": f"spec.nodeName={NODE}"}
        while not self._ending.is_set():
            try:
                listed = self._api.get("/api/v1/pods", **where)
                self._sync(listed["items"])
                version = listed["metadata"]["resourceVersion"]
                for kind, pod in self._api.watch("/api/v1/pods", resourceVersion=version, **where):
                    self._handle_event(kind, pod)
            except (ApiServerError, urllib3.exceptions.HTTPError, KeyError):
                time.sleep(0.2)  # a watch times out, or its resource version is too old

    def _sync(self, pods: Sequence[Object]) -> None:
        there = {pod["metadata"]["uid"] for pod in pods}
        for runner in self._all():
            if runner.uid not in there:
                self._stop_pod(runner.uid)
        for pod in pods:
            self._handle_event("MODIFIED", pod)

    def _handle_event(self, kind: str, pod: Object) -> None:
        metadata = pod["metadata"]
        uid = metadata["uid"]
        if kind == "DELETED":
            self._stop_pod(uid)
        elif uid not in self._runners:
            with self._lock:
                self._runners[uid] = PodRunner(self._node, pod, next(self._addresses))
        if kind != "DELETED" and metadata.get("deletionTimestamp"):
            self._runners[uid].end(metadata.get("deletionGracePeriodSeconds", 0))

    def _stop_pod(self, uid: str) -> None:
        with self._lock:
            runner = self._runners.pop(uid, None)
        if runner:
            runner.end(0)

    def _all(self) -> list[PodRunner]:
        with self._lock:
            return list(self._runners.values())

    def _logs(self, namespace: str, pod: str, container: str, previous: bool) -> container_logs.Answer:
        if silent := self._silent.get(namespace):
            self.unanswered.append((namespace, pod))
            silent.wait(SILENT_SECONDS)
        runner = next((r for r in self._all() if (r.namespace, r.name) == (namespace, pod)), None)
        lines = runner.logs(previous) if runner else None
        if lines is not None:
            return 200, "".join(f"{line}\n" for line in lines)
        if previous:
            return 400, f'previous terminated container "{container}" in pod "{pod}" not found'
        reason = runner.waits_for if runner else "ContainerCreating"
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
