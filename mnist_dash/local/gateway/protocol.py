"""The control channel: what an engine and its gateway say to each other, one JSON object a line.

The engine writes orders to the gateway's stdin and reads events from its stdout. Pipes, not a port or a
socket file: no other user of the machine can reach them, and their end of file tells the gateway that its
engine is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import orjson
from yarl import URL

from mnist_dash.domain import Release, Role
from mnist_dash.errors import EngineError

_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*")
"""A token of RFC 8941: a replica's name stands as one in the header X-Served-By."""


@dataclass(frozen=True)
class Backend:
    """One ready replica: its name, the release that it belongs to, and `http://host:port`."""

    replica: str
    release: Release
    url: str

    def to_json(self) -> dict[str, object]:
        """The member as it stands in an order."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Backend:
        """A member as it stands in an order; raises EngineError if anything in it is wrong."""
        fields = _fields(value, ("replica", "release", "url"), "A member")
        return cls(_replica(fields["replica"]), _release(fields["release"]), _origin(fields["url"]))


@dataclass(frozen=True)
class RoutingTable:
    """The complete wanted routing: the split in percent and the ready replicas of each role.

    A member may stand in both roles (it does in the middle of a promote).
    """

    split: int = 0
    current: tuple[Backend, ...] = ()
    new: tuple[Backend, ...] = ()

    def of(self, role: Role) -> tuple[Backend, ...]:
        """The members of one role."""
        return self.current if role is Role.CURRENT else self.new

    def to_json(self) -> dict[str, object]:
        """The table as it stands in an order."""
        members = {role.value: [member.to_json() for member in self.of(role)] for role in Role}
        return {"split": self.split, **members}

    @classmethod
    def from_json(cls, value: object) -> RoutingTable:
        """A table as it stands in an order; raises EngineError if anything in it is wrong."""
        fields = _fields(value, ("split", "current", "new"), "A table")
        split = _whole(fields["split"], "split")
        if split > 100:
            raise _wrong("split", "a whole number from 0 to 100", split)
        return cls(split, _members(fields["current"], "current"), _members(fields["new"], "new"))


@dataclass(frozen=True)
class RoutingUpdate:
    """A numbered table: the gateway's events name the number."""

    id: int
    table: RoutingTable

    def to_line(self) -> bytes:
        """What the engine writes to the gateway's stdin."""
        return orjson.dumps({"id": self.id, **self.table.to_json()}) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> RoutingUpdate:
        """What the gateway read from its stdin; raises EngineError if anything in it is wrong."""
        fields = _fields(_json(line), ("id", "split", "current", "new"), "An order")
        number = _whole(fields.pop("id"), "id")
        return cls(number, RoutingTable.from_json(fields))


class EventName(StrEnum):
    """What a gateway reports."""

    LISTENING = "listening"
    """It accepts connections on `port`."""
    APPLIED = "applied"
    """Every later request is decided under order `id`."""
    DRAINED = "drained"
    """No request decided under an order before `id` is still in flight: replicas it left out may stop."""
    REFUSED = "refused"
    """A line was not an order, as `problem` says; nothing changed."""


@dataclass(frozen=True)
class Event:
    """One line of the gateway's stdout; the fields that do not concern it are None and left out."""

    event: EventName
    id: int | None = None
    port: int | None = None
    problem: str | None = None

    def to_line(self) -> bytes:
        """What the gateway writes to its stdout."""
        return (
            orjson.dumps({name: value for name, value in asdict(self).items() if value is not None}) + b"\n"
        )

    @classmethod
    def from_line(cls, line: bytes) -> Event:
        """What the engine read from the gateway's stdout; raises EngineError if it is no event."""
        value = _json(line)
        try:
            event = cls(**value)
            return cls(EventName(event.event), event.id, event.port, event.problem)
        except (TypeError, ValueError) as problem:
            raise _wrong("The gateway's line", "an event", value) from problem


def _json(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        raise EngineError(f"The line is not JSON: {problem}.") from problem


def _wrong(what: str, wanted: str, got: object) -> EngineError:
    return EngineError(f"{what} must be {wanted}, not {repr(got)[:80]}.")


def _fields(value: object, names: Iterable[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise _wrong(what, f"an object of exactly {', '.join(names)}", value)
    return value


def _whole(value: object, what: str) -> int:
    if type(value) is not int or value < 0:
        raise _wrong(what, "a whole number from 0", value)
    return value


def _members(value: object, what: str) -> tuple[Backend, ...]:
    if not isinstance(value, list):
        raise _wrong(what, "a list of members", value)
    return tuple(map(Backend.from_json, value))


def _replica(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise _wrong("replica", "a name such as blue-1", value)
    return value


def _release(value: object) -> Release:
    try:
        return Release(value)  # type: ignore[arg-type]  # whatever it is, the enum refuses what it does not know
    except ValueError as problem:
        raise _wrong("release", "blue or green", value) from problem


def _origin(value: object) -> str:
    wrong = _wrong("url", "http://host:port", value)
    if not isinstance(value, str):
        raise wrong
    try:
        url = URL(value)
    except ValueError as problem:
        raise wrong from problem
    if url.explicit_port is None or url.raw_user or value != f"http://{url.raw_authority}":
        raise wrong
    return value
