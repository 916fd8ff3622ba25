"""The messages survive the pipe."""

from __future__ import annotations

import pytest

from mnist_dash.domain import Release
from mnist_dash.local import protocol
from mnist_dash.local.protocol import event_line, parse_event

BLUE = protocol.Backend("blue-1", Release.BLUE, "http://127.0.0.1:4444")
GREEN = protocol.Backend("green-1", Release.GREEN, "http://[::1]:80")


def test_a_routing_update_is_one_line_that_is_read_as_the_same_update() -> None:
    """With the complete table."""
    update = protocol.RoutingUpdate(7, protocol.RoutingTable(20, (BLUE,), (GREEN, BLUE)))
    assert protocol.RoutingUpdate.from_line(update.to_line()) == update
    assert update.to_line().count(b"\n") == 1


@pytest.mark.parametrize(
    "event",
    [
        protocol.Listening(80),
        protocol.Listening(80, 2),
        protocol.Applied(1),
        protocol.Drained(1),
        protocol.VersionServed(2),
        protocol.VersionFailed("é\n"),
        protocol.Ending(),
    ],
)
def test_an_event_is_one_line_that_is_read_as_the_same_event(event: protocol.ProcessEvent) -> None:
    """Whatever its text."""
    assert parse_event(event_line(event)) == event
    assert event_line(event).count(b"\n") == 1


@pytest.mark.parametrize(
    "line", [b"", b"Loading", b"[]", b"1", b'{"event": "gossip"}', b'{"event": "Applied"}']
)
def test_other_output_of_a_process_is_not_an_event(line: bytes) -> None:
    """A library may print anything; it belongs to the log."""
    with pytest.raises(ValueError, match="not an event"):
        parse_event(line)
