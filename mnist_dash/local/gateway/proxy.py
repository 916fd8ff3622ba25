"""Forward a request to a replica and return its answer."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from types import TracebackType

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
    hdrs,
)
from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

from mnist_dash.domain import SERVED_BY_HEADER, Role
from mnist_dash.errors import ServingError
from mnist_dash.local.gateway.balancer import Upstream, attempts
from mnist_dash.local.gateway.protocol import Backend


@dataclass(frozen=True)
class Timeouts:
    """The gateway's longest waits, in seconds."""

    connect: float = 1.0
    """For a replica to accept a connection."""
    answer: float = 30.0
    """For a replica's whole answer."""
    request: float = 30.0
    """For a client's whole request, once its head has come."""
    first_order: float = 5.0
    """Of a request that came before the gateway's first order."""


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
class ProxyRequest:
    """A request as it came in: `target` is the raw path and query, `headers` are what goes to the replica."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass(frozen=True)
class ProxyResponse:
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


KEEPALIVE_SECONDS = 2.0
"""An unused connection to a replica is closed after this, well before the replica would close it (uvicorn:
after 5 s): a POST that is sent while the other side closes fails, and may not be repeated."""
_ONE_WRITE = 1024 * 1024
"""Longer bodies are written piece by piece, so that the other requests go on meanwhile."""

log = logging.getLogger(__name__)


class NotSentError(Exception):
    """No byte of the request left the gateway: another replica may be asked."""


class Proxy:
    """The connections to the replicas; an async context manager that closes them at its end."""

    def __init__(self, patience: Timeouts) -> None:
        self._patience = patience
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
            timeout=ClientTimeout(total=patience.answer, sock_connect=patience.connect),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
        )

    async def __aenter__(self) -> Proxy:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, asked: ProxyRequest, role: Role, seats: Collection[Upstream]) -> ProxyResponse:
        """The answer of the least busy replica that accepts a connection; raises UnansweredError.

        Another replica of the same role is asked only if nothing was sent to the first.
        """
        status = 502
        for seat in attempts(seats):
            try:
                with seat.taken() as member:
                    return await self._exchange(asked, role, member)
            except NotSentError as problem:
                seat.avoid(time.monotonic())
                status = 504 if isinstance(problem.__cause__, ConnectionTimeoutError) else 502
                log.warning("%s cannot be reached: %s", seat.member.replica, problem)
        names = ", ".join(seat.member.replica for seat in seats)
        raise UnansweredError(
            status,
            f"No replica of the {role.label} model accepts a connection ({names}).",
            "Replicas that died are replaced; try again in a few seconds.",
        )

    async def _exchange(self, asked: ProxyRequest, role: Role, member: Backend) -> ProxyResponse:
        who = f"Replica {member.replica} of the {role.label} model"
        try:
            return await self._ask(asked, role, member)
        except (ClientConnectorError, ConnectionTimeoutError) as problem:
            raise NotSentError(str(problem)) from problem
        except TimeoutError as problem:
            log.warning("%s did not answer in time", member.replica)
            raise UnansweredError(
                504,
                f"{who} did not answer within {self._patience.answer:g} s.",
                "Send fewer images at once, or deploy more replicas.",
            ) from problem
        except ClientError as problem:
            log.warning("%s broke off: %r", member.replica, problem)
            raise UnansweredError(
                502,
                f"{who} broke off before it had answered.",
                "It may have done the work, so it was not asked again; repeat it if that does no harm.",
            ) from problem

    async def _ask(self, asked: ProxyRequest, role: Role, member: Backend) -> ProxyResponse:
        async with self._session.request(
            asked.method,
            _address(member, asked.target),
            headers=asked.headers,
            data=_payload(asked.body),
            allow_redirects=False,
        ) as response:
            body = await _body(response)
            headers = end_to_end(response.headers)
            if asked.method == hdrs.METH_HEAD and hdrs.CONTENT_LENGTH in response.headers:
                headers[hdrs.CONTENT_LENGTH] = response.headers[hdrs.CONTENT_LENGTH]
            headers[SERVED_BY] = f"role={role}, release={member.release}, replica={member.replica}"
            return ProxyResponse(response.status, response.reason, headers, body)


def _address(member: Backend, target: str) -> URL:
    """Where to ask; the whole target goes in as the path, of which yarl neither decodes nor drops a byte."""
    authority = member.url.removeprefix("http://")
    return URL.build(scheme="http", authority=authority, path=target, encoded=True)


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if len(body) > _ONE_WRITE else body or None


async def _body(response: ClientResponse) -> bytes:
    body = bytearray()
    while piece := await response.content.readany():
        body += piece
        if len(body) > MAX_BODY:
            problem = f"The replica's answer is larger than {MAX_BODY >> 20} MB."
            raise UnansweredError(502, problem, "Send fewer images at once.")
    return bytes(body)
