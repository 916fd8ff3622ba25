"""The life of one Pod on the kubelet double, from the pull of its image to its end."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import urllib3

from tests.cluster.bed import back_off
from tests.cluster.bed.api_server import ApiServer, Object, RefusedError
from tests.cluster.bed.container import Process, Volumes, base_environment, model_server
from tests.cluster.bed.kubelet_control import Fault, Order, Orders
from tests.cluster.bed.pod_events import PodEvents
from tests.cluster.bed.pod_inbox import FOREVER, EndedError, Mailbox
from tests.cluster.bed.pod_status import PodStatus, running, terminated, waiting
from tests.cluster.bed.preparation import Preparation
from tests.cluster.bed.probes import Probe
from tests.cluster.bed.reaper import Warden

OOM_SECONDS = 0.2
"""From a start to running out of memory, if that is ordered."""
EVENT_SECONDS = 1.0
"""Between two events about the same probe."""
_SLEEP_FIRST = "import os, sys, time; time.sleep(float(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
_FAILING = {
    "startup": Fault.STARTUP_FAILING,
    "readiness": Fault.READINESS_FAILING,
    "liveness": Fault.LIVENESS_FAILING,
}


@dataclass(frozen=True)
class Node:
    """What a Pod's life needs of the node it is on."""

    name: str
    api: ApiServer
    orders: Orders
    warden: Warden
    folder: Path
    env: dict[str, str]
    """What the network brings to each container, such as where Cloud Storage is."""


class PodLife:
    """Runs one Pod in a thread of its own and writes its status."""

    def __init__(self, node: Node, pod: Object, address: str) -> None:
        self.namespace: str = pod["metadata"]["namespace"]
        self.name: str = pod["metadata"]["name"]
        self.uid: str = pod["metadata"]["uid"]
        self._address = address
        self._node = node
        self._pod = pod
        self._spec: Object = pod["spec"]["containers"][0]
        self._path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self._status = PodStatus(pod, address)
        self._events = PodEvents(node.api, pod, node.name)
        self._mailbox = Mailbox()
        self._preparation = Preparation(node.api, pod, self._events, self._mailbox, self._waits)
        self._volumes = Volumes(node.api, pod, node.folder / self.uid)
        self._process: Process | None = None
        self._previous: Process | None = None
        self._exit_reason = ""
        self._told: dict[str, float] = {}
        threading.Thread(target=self._run, name=f"pod-{self.name}", daemon=True).start()

    def end(self, grace: float) -> None:
        """Let it end; returns at once."""
        self._mailbox.end(grace)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its container, if it runs."""
        if process := self._process:
            process.signal(number)

    def logs(self, previous: bool = False) -> list[str] | None:
        """What its container has written, or the one before it; None if there is none."""
        process = self._previous if previous else self._process
        return list(process.log.copy()) if process else None

    @property
    def waits_for(self) -> str:
        """The reason why its container does not run; empty if it does."""
        reason: str = self._status.state.get("waiting", {}).get("reason", "")
        return reason

    def _run(self) -> None:
        try:
            try:
                self._live()
            except EndedError as asked:
                self._wind_up(asked.grace)
        except (RefusedError, urllib3.exceptions.HTTPError):
            pass  # the Pod, its namespace or the API server is gone
        finally:
            self.signal(signal.SIGKILL)
            shutil.rmtree(self._node.folder / self.uid, ignore_errors=True)

    def _live(self) -> None:
        self._status.sandboxed = True
        self._report()
        self._preparation.pull(self._spec["image"])
        self._preparation.mount(self._volumes)
        while True:
            self._start()
            code = self._attend()
            self._has_exited(code)
            if self._pod["spec"].get("restartPolicy", "Always") != "Always":
                self._status.phase = "Failed" if code else "Succeeded"
                self._report()
                self._mailbox.pause(FOREVER)
            self._back_off()

    def _start(self) -> None:
        order = self._order()
        asked = self._preparation.environment(self._address)
        asked = {name: self._volumes.at_home(value) for name, value in asked.items()}
        home = self._volumes.home
        env = base_environment() | self._node.env | {"HOME": str(home)} | asked | dict(order.env)
        argv = self._argv(order, env)
        self._previous = self._process
        self._process = Process(argv, env, home, self._node.warden, self._mailbox.exited)
        self._events.normal("Created", f"Created container: {self._spec['name']}")
        self._events.normal("Started", f"Started container {self._spec['name']}")
        self._status.phase, self._status.state = "Running", running()
        self._status.started = "startupProbe" not in self._spec
        self._status.ready = self._status.started and "readinessProbe" not in self._spec
        self._report()

    def _argv(self, order: Order, env: dict[str, str]) -> list[str]:
        release = self._pod["metadata"].get("labels", {}).get("mnist-dash/release", "")
        served_by = f"release={release}, replica={self.name}" if order.announce else ""
        argv = list(order.argv) or model_server(env, self._address, served_by)
        return [sys.executable, "-c", _SLEEP_FIRST, str(order.seconds), *argv] if order.seconds else argv

    # While it runs

    def _attend(self) -> int:
        """Probe the running container; returns its exit code as soon as it has ended."""
        if Fault.OOM_KILLED in self._order().faults:
            return self._run_out_of_memory()
        probes = self._probes()
        while True:
            active = [one for one in probes if (one.kind == "startup") != self._status.started]
            due = min((one.due for one in active), default=FOREVER)
            code = self._mailbox.exit_within(due - time.monotonic())
            if code is not None:
                return code
            for probe in active:
                if probe.due <= time.monotonic() and not self._passes(probe):
                    return self._give_up(probe)

    def _probes(self) -> list[Probe]:
        ports = {one["name"]: one["containerPort"] for one in self._spec.get("ports", ()) if "name" in one}
        specs = {kind: self._spec.get(f"{kind}Probe") for kind in _FAILING}
        return [Probe(kind, spec, self._address, ports) for kind, spec in specs.items() if spec]

    def _passes(self, probe: Probe) -> bool:
        """Probe once; returns False if the container is to be restarted."""
        verdict = probe.run(_FAILING[probe.kind] in self._order().faults)
        if verdict.message and time.monotonic() - self._told.get(probe.kind, 0) > EVENT_SECONDS:
            self._told[probe.kind] = time.monotonic()
            self._events.warning("Unhealthy", f"{probe.kind.capitalize()} probe failed: {verdict.message}")
        if verdict.passed is None:
            return True
        if probe.kind == "readiness":
            self._becomes(ready=verdict.passed)
            return True
        if probe.kind == "startup" and verdict.passed:
            self._becomes(started=True, ready="readinessProbe" not in self._spec)
        return verdict.passed

    def _give_up(self, probe: Probe) -> int:
        name = self._spec["name"]
        self._events.normal("Killing", f"Container {name} failed {probe.kind} probe, will be restarted")
        return self._stop(self._pod["spec"].get("terminationGracePeriodSeconds", 30))

    def _run_out_of_memory(self) -> int:
        code = self._mailbox.exit_within(OOM_SECONDS)
        if code is None:
            self._exit_reason = "OOMKilled"
            code = self._stop(0)
        return code

    # After it has run

    def _has_exited(self, code: int) -> None:
        since = self._status.state["running"]["startedAt"]
        self._status.state = terminated(code, since, self._exit_reason)
        self._status.ready = self._status.started = False
        self._exit_reason = ""
        self._report()

    def _back_off(self) -> None:
        """Wait before the next start, though not before the first restart."""
        self._status.last_state = self._status.state
        if self._status.restarts:
            seconds = back_off.seconds(self._status.restarts - 1)
            container, pod = self._spec["name"], f"{self.name}_{self.namespace}({self.uid})"
            restarting = f"restarting failed container={container} pod={pod}"
            self._events.warning("BackOff", f"Back-off restarting failed container {container} in pod {pod}")
            self._waits("CrashLoopBackOff", f"back-off {back_off.written(seconds)} {restarting}")
            self._mailbox.pause(seconds / back_off.HASTE)
        self._status.restarts += 1

    def _wind_up(self, grace: float) -> None:
        if "running" in self._status.state:
            self._events.normal("Killing", f"Stopping container {self._spec['name']}")
            end = time.monotonic() + grace
            code = self._pre_stop(grace)
            code = self._stop(max(end - time.monotonic(), 0)) if code is None else code
            self._status.phase = "Failed" if code else "Succeeded"
            self._has_exited(code)
        self._node.api.delete(self._path, gracePeriodSeconds=0, preconditions={"uid": self.uid})

    def _pre_stop(self, seconds: float) -> int | None:
        """Do what the spec wants before SIGTERM; returns the exit code if the container ends meanwhile."""
        hook = self._spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in hook:
            return self._mailbox.ended_within(min(hook["sleep"]["seconds"], seconds))
        if "exec" in hook:
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                subprocess.run(hook["exec"]["command"], timeout=seconds, check=False, capture_output=True)
        return None

    def _stop(self, grace: float) -> int:
        """End the container, without a word if there is no grace; returns its exit code."""
        code = None
        if grace:
            self.signal(signal.SIGTERM)
            code = self._mailbox.ended_within(grace)
        while code is None:
            self.signal(signal.SIGKILL)
            code = self._mailbox.ended_within(60)
        return code

    # What it tells

    def _waits(self, reason: str, message: str) -> None:
        self._status.state = waiting(reason, message)
        self._report()

    def _becomes(self, **values: bool) -> None:
        changed = any(getattr(self._status, name) != value for name, value in values.items())
        for name, value in values.items():
            setattr(self._status, name, value)
        if changed:
            self._report()

    def _report(self) -> None:
        self._node.api.patch(f"{self._path}/status", {"status": self._status.to_object()}, "kubelet")

    def _order(self) -> Order:
        return self._node.orders.for_pod(self.namespace, self.name)
