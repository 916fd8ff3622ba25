"""The body of a request: received whole, within a limit, and unpacked if it came as gzip."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from mnist_dash.local.server.refusal import RefusedError, invalid

MOST_BYTES = 64 << 20
"""About 8,000 digits of 784 numbers. TensorFlow Serving itself sets no limit below gigabytes."""
_GZIP = zlib.MAX_WBITS | 16


class DisconnectedError(Exception):
    """The client went away before it had sent all."""


async def read_body(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> bytes:
    """All of a request's body; raises RefusedError (413) if it is too big, and DisconnectedError.

    A body that is too big is read to its end without being kept: the connection stays usable.
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size <= MOST_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
    if size > MOST_BYTES:
        raise _too_big()
    return b"".join(chunks)


def is_gzip(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers say that the body is packed with gzip."""
    return any(name == b"content-encoding" and b"gzip" in value for name, value in headers)


def unpack(body: bytes) -> bytes:
    """What a gzip body holds; raises RefusedError (400 if it is damaged, 413 if it holds too much)."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise invalid(f"JSON Parse error: The gzip body is damaged: {error}") from error
    if len(text) > MOST_BYTES:
        raise _too_big()
    if not unpacker.eof:
        raise invalid("JSON Parse error: The gzip body is damaged: it ends too early")
    return text


def _too_big() -> RefusedError:
    text = f"The request body is larger than {MOST_BYTES} bytes; send fewer instances at once"
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
