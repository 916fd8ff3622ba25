"""Stand-ins for the children of the local engine: no process is started, every event is the test's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mnist_dash.subprocesses import ChildProcess, Event


@dataclass
class FakeClock:
    """A clock that moves when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeChild:
    """Remembers what it was told; `say` makes it report an event."""

    name: str
    argv: Sequence[str]
    on_event: Callable[[Any, Event], None]
    pass_fds: Sequence[int] = ()
    last_words: str = "It went wrong."
    log: str = "It went wrong."
    pid: int = 1
    told: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def say(self, **event: Any) -> None:
        self.on_event(self, event)

    def send(self, line: bytes) -> None:
        self.sent.append(json.loads(line))

    def terminate(self) -> None:
        self.told.append("terminate")

    def kill(self) -> None:
        self.told.append("kill")

    def end_input(self) -> None:
        self.told.append("end input")

    def wait(self, timeout: float) -> bool:
        return timeout >= 0


class FakeChildren:
    """Starts fake children in place of `ChildProcess` and remembers all of them."""

    def __init__(self) -> None:
        self.all: list[FakeChild] = []

    def __call__(self, *args: Any, **kwargs: Any) -> ChildProcess:
        self.all.append(FakeChild(*args, **kwargs))
        return self.all[-1]  # type: ignore[return-value]  # it has all of a child that the fleet uses

    @property
    def gateway(self) -> FakeChild:
        """The gateway started last."""
        return next(child for child in reversed(self.all) if child.name == "gateway")

    def replicas(self, release: str) -> list[FakeChild]:
        """The replicas started for a release, in order."""
        return [child for child in self.all if child.name.startswith(release)]
