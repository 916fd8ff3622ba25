"""What an engine and its gateway say to each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mnist_dash.domain import Release, Role
from mnist_dash.errors import EngineError
from mnist_dash.local.gateway.protocol import Backend, Event, EventName, RoutingTable, RoutingUpdate

BLUE = Backend("blue-1", Release.BLUE, "http://127.0.0.1:4444")
GREEN = Backend("green-1", Release.GREEN, "http://[::1]:80")
WIRE: dict[str, Any] = {
    "id": 7,
    "split": 20,
    "current": [{"replica": "blue-1", "release": "blue", "url": "http://127.0.0.1:4444"}],
    "new": [{"replica": "green-1", "release": "green", "url": "http://[::1]:80"}],
}
MEMBER = WIRE["current"][0]


def test_an_order_is_one_line_of_json() -> None:
    """With the complete wanted table."""
    line = RoutingUpdate(7, RoutingTable(20, (BLUE,), (GREEN,))).to_line()
    assert json.loads(line) == WIRE
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def test_an_order_survives_the_wire() -> None:
    """The engine and the gateway mean the same."""
    order = RoutingUpdate(7, RoutingTable(20, (BLUE,), (GREEN,)))
    assert RoutingUpdate.from_line(order.to_line()) == order
    assert RoutingTable.from_json(order.table.to_json()) == order.table


def test_a_table_has_members_for_each_role() -> None:
    """Named by the role."""
    table = RoutingTable(20, (BLUE,), (GREEN,))
    assert table.of(Role.CURRENT) == (BLUE,)
    assert table.of(Role.NEW) == (GREEN,)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"extra": 1}, "An order must be an object of exactly id, split, current, new, not {"),
        ({"id": "7"}, "id must be a whole number from 0, not '7'."),
        ({"id": -1}, "id must be a whole number from 0, not -1."),
        ({"split": True}, "split must be a whole number from 0, not True."),
        ({"split": 20.0}, "split must be a whole number from 0, not 20.0."),
        ({"split": 101}, "split must be a whole number from 0 to 100, not 101."),
        ({"current": {}}, "current must be a list of members, not {}."),
        ({"new": [1]}, "A member must be an object of exactly replica, release, url, not 1."),
        ({"new": [{"replica": "a"}]}, "A member must be an object of exactly replica, release, url, not {"),
        (
            {"new": [MEMBER | {"replica": "two words"}]},
            "replica must be a name such as blue-1, not 'two words'.",
        ),
        ({"new": [MEMBER | {"replica": "a\r\nb: c"}]}, "replica must be a name such as blue-1, not 'a"),
        ({"new": [MEMBER | {"replica": 1}]}, "replica must be a name such as blue-1, not 1."),
        ({"new": [MEMBER | {"release": "red"}]}, "release must be blue or green, not 'red'."),
        ({"new": [MEMBER | {"release": []}]}, "release must be blue or green, not []."),
        ({"new": [MEMBER | {"url": None}]}, "url must be http://host:port, not None."),
        ({"new": [MEMBER | {"url": "http://a"}]}, "url must be http://host:port, not 'http://a'."),
        ({"new": [MEMBER | {"url": "https://a:1"}]}, "url must be http://host:port, not 'https://a:1'."),
        ({"new": [MEMBER | {"url": "http://a:1/x"}]}, "url must be http://host:port, not 'http://a:1/x'."),
        ({"new": [MEMBER | {"url": "http://u@a:1"}]}, "url must be http://host:port, not 'http://u@a:1'."),
        (
            {"new": [MEMBER | {"url": "http://a:99999"}]},
            "url must be http://host:port, not 'http://a:99999'.",
        ),
    ],
)
def test_a_wrong_order_says_what_is_wrong(change: dict[str, object], problem: str) -> None:
    """By key, wanted type and value."""
    with pytest.raises(EngineError) as raised:
        RoutingUpdate.from_line(json.dumps(WIRE | change).encode())
    assert str(raised.value).startswith(problem)


@pytest.mark.parametrize("line", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"id": 7} {}'])
def test_a_line_that_is_not_json_is_refused(line: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(EngineError, match="not JSON"):
        RoutingUpdate.from_line(line)


@pytest.mark.parametrize("missing", list(WIRE))
def test_an_order_without_one_of_its_keys_is_refused(missing: str) -> None:
    """It is the complete table or nothing."""
    line = json.dumps({key: value for key, value in WIRE.items() if key != missing}).encode()
    with pytest.raises(EngineError, match="An order must be an object of exactly"):
        RoutingUpdate.from_line(line)


@pytest.mark.parametrize(
    ("event", "wire"),
    [
        (Event(EventName.LISTENING, port=8080), {"event": "listening", "port": 8080}),
        (Event(EventName.APPLIED, id=7), {"event": "applied", "id": 7}),
        (Event(EventName.DRAINED, id=0), {"event": "drained", "id": 0}),
        (Event(EventName.REFUSED, problem="No."), {"event": "refused", "problem": "No."}),
    ],
)
def test_an_event_is_one_line_of_json(event: Event, wire: dict[str, object]) -> None:
    """Without the fields that do not concern it, and the same when it is read back."""
    assert json.loads(event.to_line()) == wire
    assert Event.from_line(event.to_line()) == event


@pytest.mark.parametrize(
    "line", [b"[]", b"1", b"{}", b'{"event": "exploded"}', b'{"event": "applied", "x": 1}']
)
def test_a_line_that_is_no_event_is_an_error(line: bytes) -> None:
    """For the engine to tell, not to trip over."""
    with pytest.raises(EngineError, match="must be an event"):
        Event.from_line(line)
