"""Start, watch and end the processes of the local engine."""

from __future__ import annotations

import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from mnist_dash.domain import Release, Role, name_of
from mnist_dash.local.desired_state import DesiredState, Spec
from mnist_dash.local.plan import Phase, Plan, RestartHistory, delay, plan
from mnist_dash.local.processes import Child, ChildEvent, GatewayProcess, Process, Replica
from mnist_dash.local.protocol import Backend, Ending, Listening, RoutingTable, RoutingUpdate, parse_event
from mnist_dash.subprocesses import ChildProcess, Exited

START_WAIT = 60.0
"""Seconds within which a process must be ready."""
DRAIN_WAIT = 30.0
"""Seconds that the requests of a replica may take after it left the gateway's table."""
KILL_WAIT = 6.0
"""Seconds between asking a process to end and ending it."""
STEADY = 10.0
"""Seconds after which a process that was ready no longer counts as part of a crash loop."""
CLOSE_WAIT = 1.0
"""Seconds that processes have to end by themselves when the dashboard closes."""
ENDED_KEPT = 32
GATEWAY_GENERATION = 0
"""Under which the gateway's restarts are counted; those of models are numbered from 1."""


class Supervisor:
    """Carries out what is desired, one small step at each call of `step`; not thread-safe: the engine locks.

    `on_event` is called from the children's threads. `start` and `clock` are replaced in tests.
    """

    def __init__(
        self,
        listener: socket.socket,
        on_event: Callable[[Child, ChildEvent], None],
        *,
        start: Callable[..., Child] = ChildProcess,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._on_event = on_event
        self._start = start
        self._clock = clock
        self._started = 0
        self._updates = 0
        self._next_start: dict[int, float] = {}
        self._restarts: dict[int, RestartHistory] = {}
        self._start_took: dict[int, float] = {}
        self.gateway: GatewayProcess | None = None
        self.replicas: dict[str, Replica] = {}
        self.ended: deque[Process] = deque(maxlen=ENDED_KEPT)
        """The last processes that ended by themselves, oldest first."""
        self.failed_redeploys: dict[Release, str] = {}

    @property
    def processes(self) -> list[Process]:
        return [*([self.gateway] if self.gateway else []), *self.replicas.values()]

    def replicas_of(self, release: Release) -> list[Replica]:
        return [replica for replica in self.replicas.values() if replica.release is release]

    def restarts_of(self, generation: int) -> RestartHistory:
        return self._restarts.get(generation, RestartHistory())

    def seconds_until_ready(self, generation: int) -> float | None:
        """Estimate when a restart is over: after the back-off, and as long as the last start took.

        None if no start has succeeded since the last one that failed; below 0 if it takes longer.
        """
        took, now = self._start_took.get(generation), self._clock()
        if took is None or self.restarts_of(generation).failed_starts:
            return None
        starting = [
            process.since
            for process in self.processes
            if process.generation == generation and process.phase is Phase.STARTING
        ]
        return max(starting, default=max(now, self._next_start.get(generation, now))) + took - now

    def step(self, desired: DesiredState) -> DesiredState:
        """Do what can be done now; returns the new desired state (a re-deploy may be given up)."""
        backends: dict[Release, tuple[Backend, ...]] = {}
        for release in Release:
            desired, decision = self._decide(desired, release)
            for name in decision.drain:
                self._enter(self.replicas[name], Phase.DRAINING)
            self._start_replicas(release, desired.specs.get(release), decision.start)
            self._start_replicas(release, desired.fallbacks.get(release), decision.start_former)
            backends[release] = tuple(self.replicas[name].backend for name in decision.backends)
        self._keep_gateway()
        current, new = (backends[desired.release(role)] for role in Role)
        # The split is held at 0 until New has a ready replica.
        self._route(RoutingTable(desired.split if new else 0, current, new))
        self._end_processes()
        return desired

    def _decide(self, desired: DesiredState, release: Release) -> tuple[DesiredState, Plan]:
        spec, former = desired.specs.get(release), desired.fallbacks.get(release)
        restarts = self.restarts_of(spec.generation) if spec else RestartHistory()
        decision = plan(spec, self.replicas_of(release), restarts, former)
        if decision.give_up and spec:
            self.failed_redeploys[release] = (
                f"The re-deploy of {name_of(spec.base)} failed: {restarts.reason}"
            )
            return self._decide(desired.fall_back(release), release)
        if decision.taken_over and former:
            desired = desired.taken_over(release)
        return desired, decision

    def _start_replicas(self, release: Release, spec: Spec | None, count: int) -> None:
        if not spec:
            return
        restarts = self.restarts_of(spec.generation)
        for _ in range(count):
            name = f"{release}-{self._started + 1}"
            flags = ["--supervised", "--port", "0", "--model-base", spec.base]
            if not (child := self._start_child(name, spec.generation, "server", *flags)):
                return
            status = (name, spec.generation, Phase.STARTING)
            self.replicas[name] = Replica(*status, child, restarts, self._clock(), release=release, spec=spec)
            self._started += 1

    def _keep_gateway(self) -> None:
        fd = self._listener.fileno()  # inherited, so that the port outlives the process
        if self.gateway or not (
            child := self._start_child("gateway", GATEWAY_GENERATION, "gateway", "--fd", str(fd), fds=[fd])
        ):
            return
        status = ("gateway", GATEWAY_GENERATION, Phase.STARTING)
        self.gateway = GatewayProcess(*status, child, self.restarts_of(GATEWAY_GENERATION), self._clock())

    def _start_child(
        self, name: str, generation: int, module: str, *flags: str, fds: Sequence[int] = ()
    ) -> Child | None:
        """Start a process; None if it is too early after the last end, or cannot be started."""
        if self._clock() < self._next_start.get(generation, 0.0):
            return None
        argv = [sys.executable, "-m", f"mnist_dash.local.{module}", *flags]
        try:
            return self._start(name, argv, parse_event, self._on_event, pass_fds=fds)
        except OSError as error:  # too many processes or open files, most likely: try again later
            reason = f"Its process could not be started: {error.strerror}."
            self._record_restart(generation, self.restarts_of(generation), reason, failed_start=True)
            return None

    def _route(self, table: RoutingTable) -> None:
        gateway = self.gateway
        if not gateway or gateway.phase is not Phase.READY:
            return
        if gateway.update is None or gateway.update.table != table:
            self._updates += 1
            gateway.update = RoutingUpdate(self._updates, table)
            gateway.child.send(gateway.update.to_line())

    def _end_processes(self) -> None:
        """End the replicas that are drained, and the processes that take too long for their phase."""
        drained = self.gateway.drained if self.gateway and self.gateway.port else self._updates
        for process in self.processes:
            seconds = self._clock() - process.since
            if process.phase is Phase.STARTING and seconds > START_WAIT:
                process.kill(f"It was not ready after {START_WAIT:g} s.")
            elif process.phase is Phase.STOPPING and seconds > KILL_WAIT:
                process.child.kill()
            elif isinstance(process, Replica) and process.phase is Phase.DRAINING:
                process.drained_by = process.drained_by or self._updates
                if drained >= process.drained_by or seconds > DRAIN_WAIT:
                    process.child.terminate()
                    self._enter(process, Phase.STOPPING)

    def _enter(self, process: Process, phase: Phase) -> None:
        process.phase, process.since = phase, self._clock()

    def handle(self, child: Child, event: ChildEvent) -> None:
        """Take in an event of a child; late events of a child that was replaced change nothing."""
        process = next((process for process in self.processes if process.child is child), None)
        if process is None:
            return
        process.record(event)
        is_wanted = process.phase in (Phase.STARTING, Phase.READY)
        match event:
            case Listening(port) if process.phase is Phase.STARTING:
                process.port = port
                self._start_took[process.generation] = self._clock() - process.since
                self._enter(process, Phase.READY)
                restarts = self.restarts_of(process.generation)
                self._restarts[process.generation] = replace(restarts, failed_starts=0)
            case Ending() if is_wanted:
                self._record_end(process, "It was asked to end from outside the dashboard.")
                self._enter(process, Phase.STOPPING)
            case Exited(reason):
                if isinstance(process, GatewayProcess):
                    self.gateway = None
                self.replicas.pop(child.name, None)
                if is_wanted:
                    self._record_end(process, process.kill_reason or reason)

    def _record_end(self, process: Process, reason: str) -> None:
        process.end, process.ended_at = reason, time.time()
        self.ended.append(process)
        was_ready = process.phase is Phase.READY
        if was_ready and self._clock() - process.since > STEADY:  # no crash loop: count anew
            self._restarts.pop(process.generation, None)
            process.restarts_at_start = RestartHistory()
        self._record_restart(
            process.generation, process.restarts_at_start, reason, failed_start=not was_ready
        )

    def _record_restart(
        self, generation: int, at_start: RestartHistory, reason: str, *, failed_start: bool
    ) -> None:
        """Record an end; those of processes that were started together count once: that is no crash loop."""
        before = self.restarts_of(generation)
        failed_starts = max(before.failed_starts, at_start.failed_starts + 1) if failed_start else 0
        restarts = RestartHistory(failed_starts, max(before.in_a_row, at_start.in_a_row + 1), reason)
        self._restarts[generation] = restarts
        self._next_start[generation] = self._clock() + delay(restarts)

    def close(self) -> None:
        """End every process: by closing its stdin, and by force after a second."""
        children = [process.child for process in self.processes]
        for child in children:
            child.close_stdin()
        deadline = self._clock() + CLOSE_WAIT
        for child in children:
            if not child.wait(max(0.0, deadline - self._clock())):
                child.kill()
        for child in children:
            child.wait(CLOSE_WAIT)
