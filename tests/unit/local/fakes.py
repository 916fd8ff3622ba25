"""Fakes for the children of the local engine: no process is started, the tests make every event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mnist_dash.local.processes import Child, ChildEvent
from mnist_dash.local.protocol import RoutingUpdate


@dataclass(eq=False)
class FakeChild:
    """Records the calls; `report` makes it report an event."""

    name: str
    argv: Sequence[str]
    parse: Callable[[bytes], Any]
    on_event: Callable[[Any, ChildEvent], None]
    pass_fds: Sequence[int] = ()
    log: str = "It went wrong."
    pid: int = 1
    calls: list[str] = field(default_factory=list)
    sent: list[RoutingUpdate] = field(default_factory=list)

    def report(self, event: ChildEvent) -> None:
        self.on_event(self, event)

    def send(self, line: bytes) -> None:
        self.sent.append(RoutingUpdate.from_line(line))

    def terminate(self) -> None:
        self.calls.append("terminate")

    def kill(self) -> None:
        self.calls.append("kill")

    def close_stdin(self) -> None:
        self.calls.append("close stdin")

    def wait(self, timeout: float) -> bool:
        return timeout >= 0


class FakeChildren:
    """Starts fake children in place of `ChildProcess` and keeps all of them."""

    def __init__(self) -> None:
        self.all: list[FakeChild] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Child:
        self.all.append(FakeChild(*args, **kwargs))
        return self.all[-1]  # type: ignore[return-value]  # it has all of a child that the supervisor uses

    @property
    def gateway(self) -> FakeChild:
        """The gateway started last."""
        return next(child for child in reversed(self.all) if child.name == "gateway")

    def replicas(self, release: str) -> list[FakeChild]:
        """The replicas started for a release, in order."""
        return [child for child in self.all if child.name.startswith(release)]
