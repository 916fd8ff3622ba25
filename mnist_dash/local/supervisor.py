"""Starts, watches, restarts and stops the processes of the local engine."""

from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mnist_dash.domain import MODEL_NAME, Release, Role
from mnist_dash.local.desired_state import DesiredState, Spec
from mnist_dash.local.gateway.protocol import Backend, RoutingTable, RoutingUpdate
from mnist_dash.local.plan import Phase, Plan, ReplicaStatus, RestartHistory, delay, plan
from mnist_dash.subprocesses import ChildProcess, Event

PROBE_SECONDS = 1.0
PROBE_WAIT = 2.0
UNHEALTHY_AFTER = 3
"""Probes in a row without an answer after which a replica is replaced."""


def answers(port: int, *, timeout: float = PROBE_WAIT) -> bool:
    """Whether the model server on this local port reports its model within `timeout` seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", f"/v1/models/{MODEL_NAME}")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


START_WAIT = 60.0
"""Seconds within which a replica must have loaded its model."""
DRAIN_WAIT = 30.0
"""Seconds that the requests of a replica may go on after it left the gateway's table."""
KILL_WAIT = 6.0
"""Seconds between asking a process to end and ending it."""
HEARTBEAT = 2.0
"""Seconds after which the gateway is told its table again, to hear whether it still listens."""
ACK_WAIT = 4.0
"""Seconds within which the gateway must have taken a table over; else it hangs and is replaced."""
STEADY = 10.0
"""Seconds after which a replica that was ready no longer counts as part of a crash loop."""
CLOSE_WAIT = 1.0
"""Seconds that processes have to end by themselves when the dashboard closes."""

Start = Callable[..., ChildProcess]


@dataclass
class Replica:
    """One model server process."""

    child: ChildProcess
    release: Release
    spec: Spec
    since: float
    """When its phase began, on the monotonic clock."""
    phase: Phase = Phase.STARTING
    port: int = 0
    version: int | None = None
    drained_by: int = 0
    """The first table without it."""
    trouble: str = ""
    """Why a newer version in the folder is not served."""
    born: RestartHistory = field(default_factory=RestartHistory)
    """How its generation's replicas had ended when it was started."""
    verdict: str = ""
    """Why it was ended by force, for its last words."""

    @property
    def name(self) -> str:
        return self.child.name

    @property
    def member(self) -> Backend:
        return Backend(replica=self.name, release=self.release, url=f"http://127.0.0.1:{self.port}")

    def enter(self, phase: Phase, now: float) -> None:
        self.phase, self.since = phase, now


@dataclass
class GatewayProcess:
    """The gateway process and what it was told."""

    child: ChildProcess | None = None
    since: float = 0.0
    listening: bool = False
    table: RoutingTable | None = None
    sent: int = 0
    changed: int = 0
    """The last order that was a change, and not only a heartbeat."""
    sent_at: float = 0.0
    """When the first order that it has not acknowledged was sent, or the last one if there is none."""
    applied: int = 0
    applied_split: int = 0
    drained: int = 0
    ends: RestartHistory = field(default_factory=RestartHistory)
    next_start: float = 0.0

    @property
    def up_to_date(self) -> bool:
        """Whether every change was taken over."""
        return self.listening and self.applied >= self.changed


class Supervisor:
    """Carries out what is desired, one small step at each call of `step`; not thread-safe: the engine locks.

    `on_event` is called from the children's threads. `start` and `clock` are replaced in tests.
    """

    def __init__(
        self,
        listener: socket.socket,
        on_event: Callable[[ChildProcess, Event], None],
        *,
        start: Start = ChildProcess,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._on_event = on_event
        self._start = start
        self._clock = clock
        self._count = 0
        self._next_start: dict[int, float] = {}
        self.replicas: dict[str, Replica] = {}
        self.gateway = GatewayProcess()
        self.ends: dict[int, RestartHistory] = {}
        """How the replicas of each generation ended."""
        self.failed_redeploys: dict[Release, str] = {}

    def seen(self, release: Release) -> tuple[ReplicaStatus, ...]:
        """The replicas of a release as the pure planner wants them."""
        return tuple(
            ReplicaStatus(r.name, r.spec.generation, r.phase)
            for r in self.replicas.values()
            if r.release is release
        )

    def ends_of(self, spec: Spec | None) -> RestartHistory:
        """How the replicas of a spec's generation ended so far."""
        return self.ends.get(spec.generation, RestartHistory()) if spec else RestartHistory()

    def step(self, desired: DesiredState) -> DesiredState:
        """Do what can be done now; returns what is desired from here on (a re-deploy may be given up)."""
        members: dict[Release, Sequence[Replica]] = {}
        for release in Release:
            desired, decision = self._decide(desired, release)
            self._carry_out(decision)
            self._start_replicas(release, desired.specs.get(release), decision.start)
            self._start_replicas(release, desired.fallbacks.get(release), decision.start_former)
            members[release] = [self.replicas[name] for name in decision.members]
        self._keep_gateway()
        self._send_table(self._table(desired, members))
        self._end_drained()
        self._end_overdue()
        return desired

    def _decide(self, desired: DesiredState, release: Release) -> tuple[DesiredState, Plan]:
        spec, former = desired.specs.get(release), desired.fallbacks.get(release)
        ends = self.ends_of(spec)
        decision = plan(spec, self.seen(release), ends, former)
        if decision.give_up and spec:
            self.failed_redeploys[release] = f"The re-deploy of {spec.base} failed: {ends.words}"
            return self._decide(desired.fall_back(release), release)
        if decision.taken_over and former:
            desired = desired.taken_over(release)
        return desired, decision

    def _carry_out(self, decision: Plan) -> None:
        for name in decision.drain:
            self.replicas[name].enter(Phase.DRAINING, self._clock())
            self.replicas[name].drained_by = 0

    def _start_replicas(self, release: Release, spec: Spec | None, count: int) -> None:
        if spec and self._clock() >= self._next_start.get(spec.generation, 0.0):
            born = self.ends_of(spec)
            for _ in range(count):
                try:
                    self._start_replica(release, spec, born)
                except OSError as error:  # too many processes or open files, most likely
                    words = f"Its process could not be started: {error.strerror}."
                    self._count_end(spec, born, words, failed_start=True)
                    return

    def _start_replica(self, release: Release, spec: Spec, born: RestartHistory) -> None:
        self._count += 1
        name = f"{release}-{self._count}"
        argv = [sys.executable, "-m", "mnist_dash.local.server", "--supervised"]
        child = self._start(name, [*argv, "--port", "0", "--model-base", spec.base], self._on_event)
        self.replicas[name] = Replica(child, release, spec, self._clock(), born=born)

    def _table(self, desired: DesiredState, members: dict[Release, Sequence[Replica]]) -> RoutingTable:
        current = tuple(r.member for r in members[desired.release(Role.CURRENT)])
        new = tuple(r.member for r in members[desired.release(Role.NEW)])
        return RoutingTable(split=desired.split if new else 0, current=current, new=new)

    def _keep_gateway(self) -> None:
        gateway, now = self.gateway, self._clock()
        if gateway.child is None and now >= gateway.next_start:
            fd = self._listener.fileno()
            argv = [sys.executable, "-m", "mnist_dash.local.gateway", "--fd", str(fd)]
            gateway.since, gateway.table = now, None
            try:
                gateway.child = self._start("gateway", argv, self._on_event, pass_fds=[fd])
            except OSError as error:
                self._count_gateway_end(f"Its process could not be started: {error.strerror}.")

    def _send_table(self, table: RoutingTable) -> None:
        gateway, now = self.gateway, self._clock()
        changed = table != gateway.table
        heard = gateway.applied == gateway.sent
        if gateway.listening and gateway.child and (changed or (heard and now - gateway.sent_at > HEARTBEAT)):
            gateway.sent += 1
            gateway.changed = gateway.sent if changed else gateway.changed
            gateway.sent_at = now if heard else gateway.sent_at
            gateway.table = table
            gateway.child.send(RoutingUpdate(gateway.sent, table).to_line())
        for replica in self._in(Phase.DRAINING):
            replica.drained_by = replica.drained_by or gateway.sent

    def _end_drained(self) -> None:
        now = self._clock()
        for replica in self._in(Phase.DRAINING):
            drained = self.gateway.drained >= replica.drained_by or not self.gateway.listening
            if drained or now - replica.since > DRAIN_WAIT:
                replica.child.terminate()
                replica.enter(Phase.STOPPING, now)

    def _end_overdue(self) -> None:
        now = self._clock()
        for replica in self._in(Phase.STARTING):
            if now - replica.since > START_WAIT:
                self.condemn(replica, f"It had not loaded the model after {START_WAIT:g} s.")
        for replica in self._in(Phase.STOPPING):
            if now - replica.since > KILL_WAIT:
                replica.child.kill()
        gateway = self.gateway
        deaf = gateway.listening and gateway.applied < gateway.sent and now - gateway.sent_at > ACK_WAIT
        stuck = not gateway.listening and now - gateway.since > START_WAIT
        if gateway.child and (deaf or stuck):
            gateway.child.kill()

    def condemn(self, replica: Replica, verdict: str) -> None:
        """End a replica by force, with the reason for its last words."""
        replica.verdict = verdict
        replica.child.kill()

    def _in(self, phase: Phase) -> Iterable[Replica]:
        return [r for r in self.replicas.values() if r.phase is phase]

    def handle(self, child: ChildProcess, event: Event) -> None:
        """Take in one event of a child; what is not known is ignored."""
        if child is self.gateway.child:
            self._handle_gateway(child, event)
        elif (replica := self.replicas.get(child.name)) and replica.child is child:
            self._handle_replica(replica, event)

    def _handle_replica(self, replica: Replica, event: Event) -> None:
        match event:
            case {"event": "listening", "port": int(port), "version": int(version)}:
                replica.port, replica.version = port, version
                if replica.phase is Phase.STARTING:
                    replica.enter(Phase.READY, self._clock())
                    ends = self.ends_of(replica.spec)
                    self.ends[replica.spec.generation] = replace(ends, failed_starts=0)
            case {"event": "version", "version": int(version)}:
                replica.version, replica.trouble = version, ""
            case {"event": "trouble", "problem": str(problem)}:
                replica.trouble = problem
            case {"event": "ending"} if replica.phase in (Phase.STARTING, Phase.READY):
                self._count_replica_end(replica, "It was told to end from outside.")
                replica.enter(Phase.STOPPING, self._clock())
            case {"event": "exit"}:
                del self.replicas[replica.name]
                if replica.phase in (Phase.STARTING, Phase.READY):
                    self._count_replica_end(replica, replica.verdict or replica.child.last_words)

    def _count_replica_end(self, replica: Replica, words: str) -> None:
        ready = replica.phase is Phase.READY
        steady = ready and self._clock() - replica.since > STEADY
        born = RestartHistory() if steady else replica.born
        self._count_end(replica.spec, born, words, failed_start=not ready, anew=steady)

    def _count_end(
        self, spec: Spec, born: RestartHistory, words: str, *, failed_start: bool, anew: bool = False
    ) -> None:
        """Note an end; those of replicas that were born together count once: that is no crash loop."""
        before = RestartHistory() if anew else self.ends_of(spec)
        failed = max(before.failed_starts, born.failed_starts + 1) if failed_start else 0
        ends = RestartHistory(failed, max(before.in_a_row, born.in_a_row + 1), words)
        self.ends[spec.generation] = ends
        self._next_start[spec.generation] = self._clock() + delay(ends)

    def _handle_gateway(self, child: ChildProcess, event: Event) -> None:
        gateway = self.gateway
        match event:
            case {"event": "listening"}:
                gateway.listening, gateway.sent_at = True, self._clock()
            case {"event": "applied", "id": int(number)}:
                gateway.applied = number
                if number == gateway.sent and gateway.table:
                    gateway.applied_split = gateway.table.split
            case {"event": "drained", "id": int(number)}:
                gateway.drained = number
            case {"event": "exit"}:
                self._count_gateway_end(child.last_words)

    def _count_gateway_end(self, words: str) -> None:
        gateway = self.gateway
        steady = gateway.listening and self._clock() - gateway.since > STEADY
        gateway.ends = RestartHistory(in_a_row=1 if steady else gateway.ends.in_a_row + 1, words=words)
        gateway.next_start = self._clock() + delay(gateway.ends)
        gateway.child, gateway.listening, gateway.table = None, False, None
        gateway.applied = gateway.applied_split = 0

    def close(self) -> None:
        """End every process: by closing its input, and by force after a second."""
        children = [r.child for r in self.replicas.values()]
        if self.gateway.child:
            children.insert(0, self.gateway.child)
        for child in children:
            child.end_input()
        deadline = self._clock() + CLOSE_WAIT
        for child in children:
            if not child.wait(max(0.0, deadline - self._clock())):
                child.kill()
        for child in children:
            child.wait(CLOSE_WAIT)
