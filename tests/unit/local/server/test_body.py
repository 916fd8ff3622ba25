"""Receiving and unpacking a request's body."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable
from typing import Any

import pytest

from mnist_dash.local.server import rest
from mnist_dash.local.server.codec import HttpError
from mnist_dash.local.server.rest import DisconnectedError, is_gzip, read_body, unpack


def received(messages: Iterable[dict[str, Any]]) -> bytes:
    """What is read from these ASGI messages."""
    queue = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(queue)

    return asyncio.run(read_body(receive))


def chunks(*parts: bytes) -> list[dict[str, Any]]:
    """A body that comes in several messages."""
    last = len(parts) - 1
    return [
        {"type": "http.request", "body": part, "more_body": index < last} for index, part in enumerate(parts)
    ]


def test_a_body_may_come_in_pieces() -> None:
    """Put together in order."""
    assert received(chunks(b"a", b"", b"bc")) == b"abc"


def test_a_message_without_a_body_is_empty() -> None:
    """ASGI lets both keys out."""
    assert received([{"type": "http.request"}]) == b""


def test_a_client_that_goes_away_is_noticed() -> None:
    """There is nobody to answer."""
    with pytest.raises(DisconnectedError):
        received([*chunks(b"a", b"")[:1], {"type": "http.disconnect"}])


def test_a_body_beyond_the_limit_is_read_to_its_end_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """413, and the connection can go on."""
    monkeypatch.setattr(rest, "MOST_BYTES", 4)
    messages = iter(chunks(b"aaa", b"bb", b"c", b"d"))

    with pytest.raises(HttpError, match="larger than 4 bytes") as refused:
        received(messages)
    assert refused.value.status == 413
    assert list(messages) == []


def test_a_body_of_just_the_limit_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is what is allowed."""
    monkeypatch.setattr(rest, "MOST_BYTES", 4)

    assert received(chunks(b"aa", b"bb")) == b"aabb"
    assert unpack(gzip.compress(b"aabb")) == b"aabb"


@pytest.mark.parametrize(
    ("headers", "packed"),
    [
        ([], False),
        ([(b"content-encoding", b"gzip")], True),
        ([(b"content-encoding", b"x-gzip")], True),
        ([(b"content-encoding", b"deflate")], False),
        ([(b"accept-encoding", b"gzip")], False),
    ],
)
def test_gzip_is_announced_by_a_header(headers: list[tuple[bytes, bytes]], packed: bool) -> None:
    """As TensorFlow Serving looks for it."""
    assert is_gzip(headers) is packed


def test_a_gzip_body_is_unpacked() -> None:
    """What follows after its end is ignored, as what follows after the JSON object is."""
    assert unpack(gzip.compress(b"text") + b"more") == b"text"


@pytest.mark.parametrize(
    "damaged", [b"", b"text", gzip.compress(b"text")[:-1], gzip.compress(b"text")[:-8] + bytes(8)]
)
def test_a_damaged_gzip_body_is_refused(damaged: bytes) -> None:
    """400; the checksum counts."""
    with pytest.raises(HttpError, match=r"^JSON Parse error: The gzip body is damaged: ") as refused:
        unpack(damaged)

    assert refused.value.status == 400


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit holds for what it unpacks to."""
    monkeypatch.setattr(rest, "MOST_BYTES", 1_000)

    with pytest.raises(HttpError) as refused:
        unpack(gzip.compress(bytes(10_000_000)))
    assert refused.value.status == 413
