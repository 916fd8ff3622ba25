"""The processes of the local engine as its supervisor knows them."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from mnist_dash.domain import MODEL_NAME, Release
from mnist_dash.local import protocol
from mnist_dash.local.desired_state import Spec
from mnist_dash.local.plan import ReplicaStatus, RestartHistory
from mnist_dash.local.protocol import ProcessEvent, RoutingUpdate
from mnist_dash.subprocesses import ChildProcess, Exited

PROBE_WAIT = 2.0
"""Seconds within which a healthy process answers."""

Child: TypeAlias = ChildProcess[ProcessEvent]
ChildEvent: TypeAlias = ProcessEvent | Exited


@dataclass(eq=False)
class Process(ReplicaStatus):
    """A child process, from its start to its end."""

    child: Child
    restarts_at_start: RestartHistory
    """How the processes of its generation had ended when it was started."""
    since: float
    """When its phase began, on the monotonic clock."""
    port: int = 0
    kill_reason: str = ""
    end: str = ""
    """Why it ended by itself, as a sentence; empty while it is wanted, and if the supervisor ended it."""
    ended_at: float = 0.0
    """When it did, in seconds since the epoch."""
    health_path: ClassVar[str]

    def is_answering(self) -> bool:
        """Whether it answers a health probe within PROBE_WAIT seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PROBE_WAIT)
        try:
            connection.request("GET", self.health_path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def record(self, event: ChildEvent) -> None:
        """Take in what an event says about this process alone."""

    def kill(self, reason: str) -> None:
        """End it now, and report this as the reason of its end."""
        self.kill_reason = reason
        self.child.kill()


@dataclass(eq=False, kw_only=True)
class Replica(Process):
    """A model server."""

    release: Release
    spec: Spec
    version: int | None = None
    problem: str = ""
    """Why a newer version in the folder is not served."""
    drained_by: int = 0
    """The first routing update without it."""

    health_path = f"/v1/models/{MODEL_NAME}"

    @property
    def backend(self) -> protocol.Backend:
        return protocol.Backend(self.name, self.release, f"http://127.0.0.1:{self.port}")

    def record(self, event: ChildEvent) -> None:
        match event:
            case protocol.Listening(_, version):
                self.version = version
            case protocol.VersionServed(version):
                self.version, self.problem = version, ""
            case protocol.VersionFailed(problem):
                self.problem = problem


@dataclass(eq=False, kw_only=True)
class GatewayProcess(Process):
    """The gateway, and the routing updates that it has got."""

    update: RoutingUpdate | None = None
    """The last one sent."""
    applied: RoutingUpdate | None = None
    """The last one sent, once it is applied; until then an earlier one."""
    drained: int = 0
    """The number of the last one that is drained."""
    health_path = protocol.HEALTH_PATH

    @property
    def is_up_to_date(self) -> bool:
        """Whether it has applied every routing update."""
        return self.update is not None and self.applied is self.update

    def record(self, event: ChildEvent) -> None:
        match event:
            case protocol.Applied(number) if self.update and number == self.update.id:
                self.applied = self.update
            case protocol.Drained(number):
                self.drained = number
