"""`LocalEngine`: models as processes on this machine, supervised, behind a gateway of their own."""

from __future__ import annotations

import atexit
import contextlib
import errno
import getpass
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mnist_dash.domain import (
    DEFAULT_CANARY,
    Change,
    ChangeContext,
    Deploy,
    EngineObject,
    Finding,
    Gateway,
    HistoryEntry,
    ModelCheck,
    Probe,
    Promote,
    Remove,
    Role,
    SetSplit,
    Snapshot,
    Suggestion,
    UndoPromote,
    describe,
)
from mnist_dash.errors import EngineError, MnistDashError, ModelError
from mnist_dash.local.desired_state import BUNDLED, DesiredState, Spec, StateFile
from mnist_dash.local.plan import Phase
from mnist_dash.local.snapshot import objects, observe
from mnist_dash.local.supervisor import PROBE_SECONDS, UNHEALTHY_AFTER, Replica, Supervisor, answers
from mnist_dash.route_check import diagnose_route
from mnist_dash.savedmodel.isolated_check import check_model_isolated
from mnist_dash.settings import Settings
from mnist_dash.storage.location import Progress
from mnist_dash.subprocesses import ChildProcess, Event

HOST = "127.0.0.1"
TICK_SECONDS = 0.1
PORTS_TO_TRY = 100
BACKLOG = 1024

Check = Callable[[str], ModelCheck]
log = logging.getLogger("mnist_dash")


class LocalEngine:
    """The engine that needs nothing but Python; its verbs are those of `mnist_dash.service.Engine`.

    One lock guards everything: verbs change the desired state, threads carry it out. All processes end with
    this one, however it ends.
    """

    def __init__(
        self,
        listener: socket.socket,
        state: StateFile,
        desired: DesiredState,
        *,
        check: Check = check_model_isolated,
    ) -> None:
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._listener = listener
        self._url = "http://{}:{}".format(*listener.getsockname())
        self._state = state
        self._desired = desired
        self._check = check
        self._user = _user()
        self._found: dict[int, ModelCheck] = {}
        self._to_check: queue.SimpleQueue[tuple[Spec, int] | None] = queue.SimpleQueue()
        self._fleet = Supervisor(listener, self._on_event)
        with self._lock:
            self._step()
        atexit.register(self.close)
        for work in (self._keep_stepping, self._keep_probing, self._keep_checking):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    @classmethod
    def start(cls, settings: Settings) -> LocalEngine:
        """Bind the gateway's port and bring back what was deployed; at a first start, the bundled models.

        Raises EngineError if no port can be had.
        """
        with contextlib.ExitStack() as undo:
            state = StateFile(settings.state_dir)
            undo.callback(state.close)
            listener = undo.enter_context(listen(settings.gateway_port, state.notices))
            desired = DesiredState() if settings.empty else state.load() or first_deployment()
            engine = cls(listener, state, desired)
            undo.pop_all()
            return engine

    @property
    def gateway(self) -> Gateway:
        return Gateway(self._url)

    @property
    def in_cluster(self) -> bool:
        return False

    def check(self, base: str, _: Progress | None = None) -> ModelCheck:
        if base.startswith("gs:"):
            raise ModelError(
                f"The local engine reads folders, not {base}.",
                f"Copy it here first: gcloud storage cp -r {base.rstrip('/')} .",
            )
        return self._check(base)

    def apply(self, change: Change, context: ChangeContext) -> None:
        with self._changing():
            self._desired = self._after(change).remember(
                HistoryEntry(time.time(), context.by or self._user, describe(change))
            )
            if isinstance(change, Deploy):
                self._found[self._desired.generation] = change.check

    def _after(self, change: Change) -> DesiredState:
        desired = self._desired
        match change:
            case Deploy(role, check, replicas):
                deployed = self._snapshot.of(role)
                serving = deployed is not None and deployed.ready > 0
                return desired.deploy(role, check.base, replicas, serving=serving)
            case Remove(role):
                return desired.remove(role)
            case SetSplit(percent):
                return replace(desired, split=percent)
            case Promote():
                return desired.swap(can_undo=desired.spec(Role.CURRENT) is not None)
            case UndoPromote():
                return desired.swap(can_undo=False)

    def preview(self, _: Change) -> str:
        return ""

    def manifests(self) -> str:
        return ""

    def history(self) -> tuple[HistoryEntry, ...]:
        return self._desired.history[::-1]

    def diagnose_route(self, probes: Sequence[Probe]) -> tuple[Finding, ...]:
        return diagnose_route(probes, self._snapshot)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def objects(self) -> tuple[EngineObject, ...]:
        with self._lock:
            return objects(self._desired, self._fleet, self._url)

    def suggestions(self) -> tuple[Suggestion, ...]:
        return tuple(Suggestion(f"Bundled: {base.name}", str(base)) for base in sorted(BUNDLED.iterdir()))

    def close(self) -> None:
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            self._fleet.close()
            self._listener.close()
            self._state.close()
        self._to_check.put(None)
        atexit.unregister(self.close)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            if self._closing.is_set():
                raise EngineError("The dashboard has been closed.", "Start it again.")
            self._fleet.failed_redeploys.clear()  # whoever changes something has read why the last one failed
            yield
            self._state.save(self._desired)
            self._step()

    def _step(self) -> None:
        desired = self._fleet.step(self._desired)
        if desired != self._desired:
            self._desired = desired
            self._state.save(desired)
        self._snapshot = observe(desired, self._fleet, self._found, self._state.notices)

    def _on_event(self, child: ChildProcess, event: Event) -> None:
        with self._lock, _going_on():
            if self._closing.is_set():
                return
            self._fleet.handle(child, event)
            replica = self._fleet.replicas.get(child.name)
            if replica and replica.version and self._unchecked(replica):
                self._to_check.put((replica.spec, replica.version))
            self._step()

    def _unchecked(self, replica: Replica) -> bool:
        """Whether the version that a replica serves has not been tried on the check digits."""
        found = self._found.get(replica.spec.generation)
        return found is None or found.version != replica.version

    def _keep_stepping(self) -> None:
        """What depends on time (back-off, time-outs) needs no event to go on."""
        while not self._closing.wait(TICK_SECONDS):
            with self._lock, _going_on():
                if not self._closing.is_set():
                    self._step()

    def _keep_probing(self) -> None:
        """Replace a replica that runs but no longer answers."""
        failures: dict[str, int] = {}
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="probe") as pool:
            while not self._closing.wait(PROBE_SECONDS):
                with self._lock:
                    ready = {r.name: r for r in self._fleet.replicas.values() if r.phase is Phase.READY}
                healthy = pool.map(lambda r: answers(r.port), ready.values())
                failures = {
                    name: 0 if ok else failures.get(name, 0) + 1
                    for name, ok in zip(ready, healthy, strict=True)
                }
                self._condemn([ready[name] for name, count in failures.items() if count >= UNHEALTHY_AFTER])

    def _condemn(self, replicas: list[Replica]) -> None:
        with self._lock:
            for replica in replicas:
                if replica.phase is Phase.READY:  # else it was taken out of the traffic meanwhile
                    self._fleet.condemn(replica, f"It had not answered {UNHEALTHY_AFTER} health checks.")

    def _keep_checking(self) -> None:
        """Try models that came without a check: brought back at the start, or newer in the folder."""
        while job := self._to_check.get():
            spec, version = job
            known = self._found.get(spec.generation)
            if known and known.version == version:
                continue  # another replica of it came first
            with contextlib.suppress(ModelError), _going_on():  # the replica itself tells what is wrong
                found = self._check(spec.base)
                with self._lock:
                    self._found[spec.generation] = found


def _user() -> str:
    """Who runs this process; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


@contextlib.contextmanager
def _going_on() -> Iterator[None]:
    """Log what nobody foresaw instead of ending the thread that keeps everything running."""
    try:
        yield
    except MnistDashError:
        raise
    except Exception:
        log.exception("the local engine goes on after an unforeseen error")


def first_deployment() -> DesiredState:
    """The bundled linear model as Current beside the convolutional one as New, with a small canary."""
    desired = DesiredState().deploy(Role.CURRENT, str(BUNDLED / "linear"), replicas=1)
    return replace(desired.deploy(Role.NEW, str(BUNDLED / "cnn"), replicas=1), split=DEFAULT_CANARY)


def listen(port: int, notices: list[str], *, ports_to_try: int = PORTS_TO_TRY) -> socket.socket:
    """A listening socket on this port of the loopback address, or on the next free one with a notice.

    Port 0 is any free one. Raises EngineError if there is none, or if the user may not have it.
    """
    for candidate in range(port, min(port + ports_to_try, 65536)):
        try:
            listener = socket.create_server((HOST, candidate), backlog=BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            problem = f"The gateway cannot listen on port {candidate}: {error.strerror}."
            raise EngineError(problem, "Choose another one with --gateway-port.") from error
        if candidate != port:
            notices.append(f"Port {port} is taken: the gateway listens on {candidate}.")
        return listener
    raise EngineError(f"No port from {port} on is free.", "Choose another one with --gateway-port.")
