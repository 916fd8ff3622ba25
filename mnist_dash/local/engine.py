"""`LocalEngine`: models as supervised processes on this machine, behind a gateway of their own."""

from __future__ import annotations

import atexit
import contextlib
import errno
import getpass
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mnist_dash import domain, preconditions
from mnist_dash.domain import Role, Snapshot
from mnist_dash.errors import EngineError, ModelError
from mnist_dash.local.desired_state import BUNDLED, DesiredState, StateFile
from mnist_dash.local.plan import Phase
from mnist_dash.local.processes import Child, ChildEvent, Process
from mnist_dash.local.snapshot import engine_objects_of, runs_of, snapshot_of
from mnist_dash.local.supervisor import Supervisor
from mnist_dash.route_check import diagnose_route
from mnist_dash.savedmodel.background_checks import BackgroundChecks
from mnist_dash.savedmodel.isolated_check import check_model_isolated
from mnist_dash.settings import Settings
from mnist_dash.storage.location import BucketLocation, Progress, location_of
from mnist_dash.timeline import EventLog, EventRecorder

HOST = "127.0.0.1"
TICK_SECONDS = 0.1
PROBE_SECONDS = 1.0
UNHEALTHY_AFTER = 3
"""Health probes in a row without an answer after which a process is replaced."""
PORTS_TO_TRY = 100
BACKLOG = 1024

log = logging.getLogger("mnist_dash")


class LocalEngine:
    """The engine that needs nothing but Python; its verbs are those of `mnist_dash.service.Engine`.

    One lock guards everything: verbs change the desired state, threads carry it out. All processes end with
    this one, however it ends.
    """

    in_cluster = False

    def __init__(self, listener: socket.socket, state: StateFile, desired: DesiredState) -> None:
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._listener = listener
        self.gateway = domain.Gateway("http://{}:{}".format(*listener.getsockname()))
        self._state = state
        self._desired = desired
        self.user = _user()
        self._events = EventLog()
        self._recorder = EventRecorder(self._events)
        self._checks = BackgroundChecks(check_model_isolated)
        self._supervisor = Supervisor(listener, self._on_event)
        with self._lock:
            self._step()
        atexit.register(self.close)
        for work in (self._keep_stepping, self._keep_probing):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    @classmethod
    def start(cls, settings: Settings) -> LocalEngine:
        """Bind the gateway's port and restore the deployed models; at a first start, the bundled ones.

        Raises EngineError if no port is free.
        """
        with contextlib.ExitStack() as undo:
            state = StateFile(settings.state_dir)
            undo.callback(state.close)
            listener = undo.enter_context(listen(settings.gateway_port, state.notices))
            desired = DesiredState() if settings.empty else state.load() or first_deployment()
            engine = cls(listener, state, desired)
            undo.pop_all()
            return engine

    def check(self, base: str, _: Progress | None = None) -> domain.ModelCheck:
        location = location_of(base)
        if isinstance(location, BucketLocation):
            raise ModelError(
                f"The local engine reads folders, not {location}.",
                f"Copy it here first: gcloud storage cp -r {location} .",
            )
        return check_model_isolated(base)

    def apply(self, change: domain.Change, context: domain.ChangeContext) -> None:
        with self._changing(change, context):
            if not preconditions.is_needed(self._snapshot, change, context.expected):
                return
            what = domain.describe(change, self._snapshot)
            self._desired = self._after(change).remember(
                domain.HistoryEntry(time.time(), context.by or self.user, what)
            )
            self._supervisor.failed_redeploys.clear()  # the user has read why the last one failed
            if isinstance(change, domain.Deploy):
                self._checks.add(change.check)

    def _after(self, change: domain.Change) -> DesiredState:
        desired = self._desired
        match change:
            case domain.Deploy(role, check, replicas):
                deployed = self._snapshot.of(role)
                serving = deployed is not None and deployed.ready > 0
                return desired.deploy(role, check.base, replicas, serving=serving)
            case domain.Remove(role):
                return desired.remove(role)
            case domain.SetSplit(percent):
                return replace(desired, split=percent)
            case domain.Promote():
                return desired.promote()
            case domain.UndoPromote():
                return desired.undo_promote()

    def preview(self, _: domain.Change) -> str:
        return ""

    def manifests(self) -> str:
        return ""

    def history(self) -> tuple[domain.HistoryEntry, ...]:
        return self._desired.history[::-1]

    def events(self) -> tuple[domain.HistoryEntry, ...]:
        return self._events.entries()

    def diagnose_route(self, probes: Sequence[domain.Probe]) -> tuple[domain.Finding, ...]:
        return diagnose_route(probes, self._snapshot)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def objects(self) -> tuple[domain.EngineObject, ...]:
        with self._lock:
            return engine_objects_of(self._desired, self._supervisor, self.gateway.url)

    def note(self) -> str:
        return self._desired.note

    def keep_note(self, text: str, expected: str) -> bool:
        with self._lock:
            if self._closing.is_set():
                raise EngineError("The dashboard has been closed.", "Start it again.")
            if self._desired.note != expected:
                return False
            self._desired = replace(self._desired, note=text)
            self._state.save(self._desired)
            return True

    def suggestions(self) -> tuple[domain.Suggestion, ...]:
        bases = sorted(BUNDLED.iterdir())
        return tuple(domain.Suggestion(f"Bundled: {base.name}", str(base)) for base in bases)

    def close(self) -> None:
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            self._supervisor.close()
            self._listener.close()
            self._state.close()
        self._checks.close()
        atexit.unregister(self.close)

    @contextlib.contextmanager
    def _changing(self, change: domain.Change, context: domain.ChangeContext) -> Iterator[None]:
        with self._lock:
            if self._closing.is_set():
                raise EngineError("The dashboard has been closed.", "Start it again.")
            preconditions.check_expected(self._snapshot, change, context.expected)
            yield
            self._state.save(self._desired)
            self._step()

    def _step(self) -> None:
        desired = self._supervisor.step(self._desired)
        if desired != self._desired:
            self._desired = desired
            self._state.save(desired)
        self._snapshot = snapshot_of(desired, self._supervisor, self._checks.find, self._state.notices)
        self._recorder.observe(self._snapshot, runs_of(self._supervisor))

    def _on_event(self, child: Child, event: ChildEvent) -> None:
        self._step_after(lambda: self._supervisor.handle(child, event))

    def _keep_stepping(self) -> None:
        """Step without an event too: back-off and time-outs depend on time alone."""
        while not self._closing.wait(TICK_SECONDS):
            self._step_after(lambda: None)

    def _step_after(self, work: Callable[[], None]) -> None:
        with self._lock:
            try:
                if not self._closing.is_set():
                    work()
                    self._step()
            except Exception:  # the threads that keep everything running must not end
                log.exception("the local engine continues after an unexpected error")

    def _keep_probing(self) -> None:
        """Replace processes that run but no longer answer."""
        failures: dict[Process, int] = {}
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="probe") as pool:
            while not self._closing.wait(PROBE_SECONDS):
                with self._lock:
                    ready = [p for p in self._supervisor.processes if p.phase is Phase.READY]
                answering = pool.map(Process.is_answering, ready)
                failures = {
                    process: 0 if is_answering else failures.get(process, 0) + 1
                    for process, is_answering in zip(ready, answering, strict=True)
                }
                with self._lock:
                    for process, count in failures.items():
                        if count >= UNHEALTHY_AFTER and process.phase is Phase.READY:
                            process.kill(f"It had not answered {UNHEALTHY_AFTER} health checks.")


def _user() -> str:
    """The user who runs this process; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def first_deployment() -> DesiredState:
    """The bundled linear model as Current beside the convolutional one as New, with a small canary."""
    desired = DesiredState().deploy(Role.CURRENT, str(BUNDLED / "linear"), replicas=1)
    return replace(desired.deploy(Role.NEW, str(BUNDLED / "cnn"), replicas=1), split=domain.DEFAULT_CANARY)


def listen(port: int, notices: list[str], *, ports_to_try: int = PORTS_TO_TRY) -> socket.socket:
    """Listen on this port of the loopback address, or on the next free one with a notice.

    Port 0 is any free one. Raises EngineError if none is free, or if the user may not have it.
    """
    for candidate in range(port, min(port + ports_to_try, 65536)):
        try:
            listener = socket.create_server((HOST, candidate), backlog=BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            problem = f"The gateway cannot listen on port {candidate}: {error.strerror}."
            raise EngineError(problem, "Choose another with --gateway-port.") from error
        if candidate != port:
            notices.append(f"Port {port} is taken: the gateway listens on {candidate}.")
        return listener
    raise EngineError(f"No port from {port} on is free.", "Choose another with --gateway-port.")
