"""Run one Pod on the kubelet double, from the pull of its image to its end."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import urllib3

from tests.cluster.bed import back_off
from tests.cluster.bed.api_server import ApiServer, ApiServerError, Object
from tests.cluster.bed.container import Process, Volumes, base_environment, model_server
from tests.cluster.bed.kubelet_control import Fault, KubeletControl, PodOverride
from tests.cluster.bed.pod_events import PodEvents
from tests.cluster.bed.pod_inbox import FOREVER, PodInbox, TerminationError
from tests.cluster.bed.pod_status import PodStatus, running, terminated, waiting
from tests.cluster.bed.preparation import Preparation
from tests.cluster.bed.probes import Probe
from tests.cluster.bed.reaper import Reaper

OOM_SECONDS = 0.2
"""Seconds from a start to the out-of-memory kill, with that fault."""
EVENT_SECONDS = 1.0
"""Seconds between two events about the same probe."""
_FAILING = {"startup": None, "readiness": Fault.READINESS_FAILING, "liveness": Fault.LIVENESS_FAILING}
"""Each kind of probe, with the fault that lets it fail."""


@dataclass(frozen=True)
class Node:
    """The node, as a Pod's runner needs it."""

    name: str
    api: ApiServer
    control: KubeletControl
    reaper: Reaper
    folder: Path
    env: dict[str, str]
    """Variables of each container, such as the address of Cloud Storage."""


class PodRunner:
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
        self._inbox = PodInbox()
        self._preparation = Preparation(self._events, self._inbox, self._report_waiting)
        self._volumes = Volumes(node.api, pod, node.folder / self.uid)
        self._process: Process | None = None
        self._previous: Process | None = None
        self._exit_reason = ""
        self._recorded: dict[str, float] = {}
        threading.Thread(target=self._run, name=f"pod-{self.name}", daemon=True).start()

    def end(self, grace: float) -> None:
        """Ask the Pod to end, and return at once."""
        self._inbox.post_termination(grace)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the container, if it runs."""
        if process := self._process:
            process.signal(number)

    def set_node_silent(self, is_silent: bool) -> None:
        """Report what the node controller does when the node has stopped answering, or answers again."""
        self._status.is_node_silent = is_silent
        if is_silent:
            self._events.warning("NodeNotReady", "Node is not ready")
        self._report()

    def logs(self, previous: bool = False) -> list[str] | None:
        """Return the log of the container, or of its previous run; None if there is none."""
        process = self._previous if previous else self._process
        return list(process.log.copy()) if process else None

    @property
    def waits_for(self) -> str:
        """The reason why the container does not run; empty if it does."""
        reason: str = self._status.state.get("waiting", {}).get("reason", "")
        return reason

    def _run(self) -> None:
        try:
            try:
                self._run_containers()
            except TerminationError as request:
                self._terminate(request.grace)
        except (ApiServerError, urllib3.exceptions.HTTPError):
            pass  # the Pod, its namespace or the API server is gone
        finally:
            self.signal(signal.SIGKILL)
            shutil.rmtree(self._node.folder / self.uid, ignore_errors=True)

    def _run_containers(self) -> None:
        self._status.sandboxed = True
        self._report()
        self._preparation.pull(self._spec["image"])
        self._preparation.mount(self._volumes)
        while True:
            self._start()
            code = self._supervise()
            self._report_exit(code)
            self._back_off()

    def _start(self) -> None:
        override = self._override()
        variables = self._spec.get("env", ())
        own = {item["name"]: self._volumes.local_path(item.get("value", "")) for item in variables}
        home = self._volumes.home
        env = base_environment() | self._node.env | {"HOME": str(home)} | own | dict(override.env)
        argv = self._argv(override, env)
        self._previous = self._process
        self._process = Process(argv, env, home, self._node.reaper, self._inbox.post_exit)
        self._events.normal("Created", f"Created container: {self._spec['name']}")
        self._events.normal("Started", f"Started container {self._spec['name']}")
        self._status.phase, self._status.state = "Running", running()
        self._status.started = "startupProbe" not in self._spec
        self._status.ready = self._status.started and "readinessProbe" not in self._spec
        self._report()

    def _argv(self, override: PodOverride, env: dict[str, str]) -> list[str]:
        release = self._pod["metadata"].get("labels", {}).get("mnist-dash/release", "")
        served_by = f"release={release}, replica={self.name}" if override.announce else ""
        return list(override.argv) or model_server(env, self._address, served_by)

    # While the container runs

    def _supervise(self) -> int:
        """Probe the running container until it ends; return its exit code."""
        if Fault.OOM_KILLED in self._override().faults:
            return self._run_out_of_memory()
        probes = self._probes()
        while True:
            active = [probe for probe in probes if (probe.kind == "startup") != self._status.started]
            due = min((probe.due for probe in active), default=FOREVER)
            code = self._inbox.wait_for_exit(due - time.monotonic())
            if code is not None:
                return code
            for probe in active:
                if probe.due <= time.monotonic() and not self._passes(probe):
                    return self._kill_after_probe(probe)

    def _probes(self) -> list[Probe]:
        ports = {p["name"]: p["containerPort"] for p in self._spec.get("ports", ()) if "name" in p}
        specs = {kind: self._spec.get(f"{kind}Probe") for kind in _FAILING}
        return [Probe(kind, spec, self._address, ports) for kind, spec in specs.items() if spec]

    def _passes(self, probe: Probe) -> bool:
        """Probe once; return whether the container may continue."""
        verdict = probe.run(_FAILING[probe.kind] in self._override().faults)
        if verdict.message and time.monotonic() - self._recorded.get(probe.kind, 0) > EVENT_SECONDS:
            self._recorded[probe.kind] = time.monotonic()
            self._events.warning("Unhealthy", f"{probe.kind.capitalize()} probe failed: {verdict.message}")
        if verdict.passed is None:
            return True
        if probe.kind == "readiness":
            self._update(ready=verdict.passed)
            return True
        if probe.kind == "startup" and verdict.passed:
            self._update(started=True, ready="readinessProbe" not in self._spec)
        return verdict.passed

    def _kill_after_probe(self, probe: Probe) -> int:
        name = self._spec["name"]
        self._events.normal("Killing", f"Container {name} failed {probe.kind} probe, will be restarted")
        return self._stop(self._pod["spec"].get("terminationGracePeriodSeconds", 30))

    def _run_out_of_memory(self) -> int:
        code = self._inbox.wait_for_exit(OOM_SECONDS)
        if code is None:
            self._exit_reason = "OOMKilled"
            code = self._stop(0)
        return code

    # After the container has ended

    def _report_exit(self, code: int) -> None:
        since = self._status.state["running"]["startedAt"]
        self._status.state = terminated(code, since, self._exit_reason)
        self._status.ready = self._status.started = False
        self._exit_reason = ""
        self._report()

    def _back_off(self) -> None:
        """Wait before the next start, except for the first restart."""
        self._status.last_state = self._status.state
        if self._status.restarts:
            seconds = back_off.delay(self._status.restarts - 1)
            container, pod = self._spec["name"], f"{self.name}_{self.namespace}({self.uid})"
            restarting = f"restarting failed container={container} pod={pod}"
            self._events.warning("BackOff", f"Back-off restarting failed container {container} in pod {pod}")
            self._report_waiting(
                "CrashLoopBackOff", f"back-off {back_off.format_seconds(seconds)} {restarting}"
            )
            self._inbox.pause(seconds / back_off.SPEED_UP)
        self._status.restarts += 1

    def _terminate(self, grace: float) -> None:
        if "running" in self._status.state:
            self._events.normal("Killing", f"Stopping container {self._spec['name']}")
            end = time.monotonic() + grace
            code = self._pre_stop(grace)
            code = self._stop(max(end - time.monotonic(), 0)) if code is None else code
            self._status.phase = "Failed" if code else "Succeeded"
            self._report_exit(code)
        self._node.api.delete(self._path, gracePeriodSeconds=0, preconditions={"uid": self.uid})

    def _pre_stop(self, seconds: float) -> int | None:
        """Run the preStop hook; return the exit code if the container ends meanwhile."""
        hook = self._spec.get("lifecycle", {}).get("preStop", {})
        return self._inbox.wait_for_end(min(hook["sleep"]["seconds"], seconds)) if hook else None

    def _stop(self, grace: float) -> int:
        """Stop the container, by SIGKILL if there is no grace; return its exit code."""
        code = None
        if grace:
            # TensorFlow Serving's image starts a shell, which ignores SIGTERM as the first process.
            if self._pod["spec"].get("shareProcessNamespace"):
                self.signal(signal.SIGTERM)
            code = self._inbox.wait_for_end(grace)
        while code is None:
            self.signal(signal.SIGKILL)
            code = self._inbox.wait_for_end(60)
        return code

    # Status

    def _report_waiting(self, reason: str, message: str) -> None:
        self._status.state = waiting(reason, message)
        self._report()

    def _update(self, **values: bool) -> None:
        changed = any(getattr(self._status, name) != value for name, value in values.items())
        for name, value in values.items():
            setattr(self._status, name, value)
        if changed:
            self._report()

    def _report(self) -> None:
        self._node.api.patch(f"{self._path}/status", {"status": self._status.to_object()}, "kubelet")

    def _override(self) -> PodOverride:
        return self._node.control.for_pod(self.namespace, self.name)
