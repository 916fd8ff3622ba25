"""The messages between the local engine and its processes, one JSON object a line.

The engine writes routing updates to the gateway's stdin, and reads events from the stdout of the gateway and
of the model servers. Pipes, not a port or a socket file: no other user of the machine can reach them, and
their end of file shows a child that the engine is gone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TypeAlias, get_args

import orjson

from mnist_dash.domain import Release, Role

HEALTH_PATH = "/healthz"
"""The only path that the gateway answers itself, as ingress-nginx does: whether its event loop runs."""


@dataclass(frozen=True)
class Backend:
    """A ready replica: its name (a token of RFC 8941), its release, and `http://host:port`."""

    replica: str
    release: Release
    url: str


@dataclass(frozen=True)
class RoutingTable:
    """The complete routing: the split in percent and the ready replicas of each role.

    A backend may have both roles, as it does in the middle of a promotion.
    """

    split: int = 0
    current: tuple[Backend, ...] = ()
    new: tuple[Backend, ...] = ()

    def of(self, role: Role) -> tuple[Backend, ...]:
        return self.current if role is Role.CURRENT else self.new


@dataclass(frozen=True)
class RoutingUpdate:
    """A table with a number, higher than that of any earlier update, which the gateway's events name."""

    id: int
    table: RoutingTable

    def to_line(self) -> bytes:
        return orjson.dumps(self) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> RoutingUpdate:
        update = orjson.loads(line)
        current, new = (tuple(map(_read_backend, update["table"][role])) for role in Role)
        return cls(update["id"], RoutingTable(update["table"]["split"], current, new))


def _read_backend(fields: dict[str, str]) -> Backend:
    return Backend(fields["replica"], Release(fields["release"]), fields["url"])


@dataclass(frozen=True)
class Listening:
    """A gateway accepts connections, or a model server that serves `version` does."""

    port: int
    version: int = 0


@dataclass(frozen=True)
class Applied:
    """The gateway decides every later request by the update `id`."""

    id: int


@dataclass(frozen=True)
class Drained:
    """No request decided before the update `id` is in flight: replicas that it left out may stop."""

    id: int


@dataclass(frozen=True)
class VersionServed:
    """A model server serves another version of its model."""

    version: int


@dataclass(frozen=True)
class VersionFailed:
    """A model server cannot serve a newer version, and keeps the former."""

    problem: str


@dataclass(frozen=True)
class Ending:
    """A model server was asked to end, and soon takes no more requests."""


ProcessEvent: TypeAlias = Listening | Applied | Drained | VersionServed | VersionFailed | Ending
_EVENTS: dict[str, type[ProcessEvent]] = {event.__name__: event for event in get_args(ProcessEvent)}


def event_line(event: ProcessEvent) -> bytes:
    """Write an event as a line."""
    return orjson.dumps({"event": type(event).__name__, **asdict(event)}) + b"\n"


def parse_event(line: bytes) -> ProcessEvent:
    """Read an event from a line; raises ValueError for other output of a process."""
    try:
        fields = orjson.loads(line)
        return _EVENTS[fields.pop("event")](**fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an event: {line!r}") from error
