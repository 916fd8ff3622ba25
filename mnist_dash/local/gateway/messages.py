"""What goes through the gateway: a request, its answer, and the headers that either may keep."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from mnist_dash.domain import SERVED_BY_HEADER
from mnist_dash.errors import ServingError

MAX_BODY = 64 * 1024 * 1024
"""The largest request or answer in bytes: both are held whole, so an answer cut short is a clean 502."""
SERVED_BY = istr(SERVED_BY_HEADER)
"""The header that says who answered, an RFC 8941 dictionary: `role=new, release=green, replica=green-1`."""
_HOP_BY_HOP = (
    *(hdrs.CONNECTION, hdrs.KEEP_ALIVE, hdrs.PROXY_AUTHENTICATE, hdrs.PROXY_AUTHORIZATION),
    *(hdrs.TE, hdrs.TRAILER, hdrs.TRANSFER_ENCODING, hdrs.UPGRADE, "Proxy-Connection"),
)
_OURS = (
    *(hdrs.CONTENT_LENGTH, hdrs.EXPECT, hdrs.X_FORWARDED_FOR, hdrs.X_FORWARDED_HOST, hdrs.X_FORWARDED_PROTO),
    SERVED_BY,
)
"""Set anew: bodies are held whole, and what a client says about its own origin is not to be believed."""
_DROPPED = tuple(istr(name) for name in (*_HOP_BY_HOP, *_OURS))


@dataclass(frozen=True)
class Asked:
    """A request as it came in: `target` is the raw path and query, `headers` are what goes to the replica."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """A replica's answer, or the gateway's own."""

    status: int
    reason: str | None
    headers: CIMultiDict[str]
    body: bytes


class UnansweredError(ServingError):
    """The gateway has no replica's answer to give; `status` is the HTTP status that says so."""

    def __init__(self, status: int, problem: str, next_step: str = "") -> None:
        super().__init__(problem, next_step)
        self.status = status


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that a gateway passes on (RFC 9110, 7.6.1), in order, repeated ones too.

    A value that is not UTF-8 is left out: aiohttp cannot write it.
    """
    kept = CIMultiDict(headers)
    for name in (*_DROPPED, *_named(headers)):
        kept.popall(name, None)
    for name, value in headers.items():
        if not value.isascii() and not is_utf8(value):
            kept.popall(name, None)
    return kept


def _named(headers: CIMultiDictProxy[str]) -> list[str]:
    """The headers that the Connection header declares to be of this connection only."""
    return [name.strip() for value in headers.getall(hdrs.CONNECTION, ()) for name in value.split(",")]


def is_utf8(text: str) -> bool:
    """Whether the bytes behind a text that aiohttp decoded were UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
