"""Forward a request to a replica and return its answer."""

from __future__ import annotations

import io
import logging
import os
import re
import time
from collections.abc import Collection
from dataclasses import dataclass

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from mnist_dash.domain import SERVED_BY_HEADER, Role
from mnist_dash.local.gateway.balancer import Upstream, attempts
from mnist_dash.local.protocol import Backend

MAX_BODY = 64 * 1024 * 1024
"""The largest request or answer in bytes: both are held whole, so an answer cut short is a clean 502."""
KEEPALIVE_SECONDS = 2.0
"""An unused connection to a replica is closed after this, well before the replica would close it (uvicorn:
after 5 s): a POST that is sent while the other side closes fails, and may not be repeated."""
_ONE_WRITE = 1024 * 1024
"""Longer bodies are written piece by piece, so that other requests are not held up."""
_HOP_BY_HOP = (
    *(hdrs.CONNECTION, hdrs.KEEP_ALIVE, hdrs.PROXY_AUTHENTICATE, hdrs.PROXY_AUTHORIZATION),
    *(hdrs.TE, hdrs.TRAILER, hdrs.TRANSFER_ENCODING, hdrs.UPGRADE, "Proxy-Connection"),
)
_OURS = (
    *(hdrs.CONTENT_LENGTH, hdrs.EXPECT, hdrs.X_FORWARDED_FOR, hdrs.X_FORWARDED_HOST, hdrs.X_FORWARDED_PROTO),
    SERVED_BY_HEADER,
)
"""Set anew: bodies are held whole, and a client's claims about its own origin are not to be believed."""
_DROPPED = frozenset(name.lower() for name in (*_HOP_BY_HOP, *_OURS))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timeouts:
    """The gateway's longest waits, in seconds."""

    connect: float = 1.0
    """For a replica to accept a connection."""
    answer: float = 30.0
    """For a replica's whole answer."""
    request: float = 30.0
    """For a client's whole request, once its head has come."""
    first_update: float = 5.0
    """Of a request that came before the gateway's first routing update."""


@dataclass(frozen=True)
class ProxyRequest:
    """A request to forward: `target` is the raw path and query, `headers` are those for the replica."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes


class ProxyError(Exception):
    """There is no replica's answer; `status` is the HTTP status that says so.

    `served_by` is the value of X-Served-By: the model that was chosen, and the replica if one was reached.
    """

    def __init__(self, status: int, problem: str, served_by: str = "") -> None:
        super().__init__(problem)
        self.status = status
        self.served_by = served_by


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers that a gateway passes on (RFC 9110, 7.6.1), in order, repeated ones too.

    A value that is not UTF-8 is left out: aiohttp cannot write it.
    """
    dropped = _DROPPED
    if connection := ",".join(headers.getall(hdrs.CONNECTION, ())):
        dropped = _DROPPED.union(name.strip().lower() for name in connection.split(","))
    return CIMultiDict([(k, v) for k, v in headers.items() if k.lower() not in dropped and _is_utf8(v)])


def _is_utf8(value: str) -> bool:
    # aiohttp decodes bytes that are not UTF-8 as surrogates.
    return value.isascii() or value.encode(errors="ignore").decode() == value


async def read_body(stream: aiohttp.StreamReader, too_large: ProxyError) -> bytes:
    """Read a body to its end; raises `too_large` beyond MAX_BODY."""
    body = bytearray()
    while piece := await stream.readany():
        body += piece
        if len(body) > MAX_BODY:
            raise too_large
    return bytes(body)


def reason_of(error: aiohttp.ClientError) -> str:
    """Return why a replica did not answer: aiohttp's own texts hold tuples and bytes in Python's notation."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    message = str(getattr(error, "message", "") or error or type(error).__name__)
    return re.split(r"\n|: <", message)[0].rstrip(" :.")


class Proxy:
    """The connections to the replicas."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=timeouts.answer, sock_connect=timeouts.connect),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
        )

    async def aclose(self) -> None:
        await self._session.close()

    async def send(self, request: ProxyRequest, role: Role, upstreams: Collection[Upstream]) -> web.Response:
        """Return the answer of the least busy replica that accepts a connection; raises ProxyError.

        Another replica of the same role is tried only if nothing was sent to the first.
        """
        status = 502
        for upstream in attempts(upstreams):
            try:
                with upstream.serving() as backend:
                    return await self._forward(request, role, backend)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                upstream.avoid(time.monotonic())
                status = 504 if isinstance(error, aiohttp.ConnectionTimeoutError) else 502
                log.warning("%s cannot be reached: %s.", upstream.backend.replica, reason_of(error))
        names = ", ".join(upstream.backend.replica for upstream in upstreams)
        problem = f"No replica of the {role.label} model accepts a connection ({names})."
        problem += " Replicas that died are replaced; try again in a few seconds."
        raise ProxyError(status, problem, f"role={role}")

    async def _forward(self, request: ProxyRequest, role: Role, backend: Backend) -> web.Response:
        who = f"Replica {backend.replica} of the {role.label} model"
        served_by = f"role={role}, release={backend.release}, replica={backend.replica}"
        body = request.body
        # As the path, the target keeps every byte: yarl neither decodes nor drops any.
        address = backend.url.removeprefix("http://")
        url = URL.build(scheme="http", authority=address, path=request.target, encoded=True)
        try:
            async with self._session.request(
                request.method,
                url,
                headers=request.headers,
                data=io.BytesIO(body) if len(body) > _ONE_WRITE else body or None,
                allow_redirects=False,
            ) as response:
                problem = f"The replica's answer is larger than {MAX_BODY >> 20} MB. Send fewer images."
                body = await read_body(response.content, ProxyError(502, problem, served_by))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise  # nothing was sent
        except TimeoutError as error:
            log.warning("%s did not answer in time.", backend.replica)
            problem = f"{who} did not answer within {self._timeouts.answer:g} s."
            problem += " Send fewer images at once, or deploy more replicas."
            raise ProxyError(504, problem, served_by) from error
        except aiohttp.ClientError as error:
            log.warning("%s broke off: %s.", backend.replica, reason_of(error))
            problem = f"{who} broke off before it had answered. The request was not repeated."
            raise ProxyError(502, problem, served_by) from error
        headers = end_to_end(response.headers)
        if request.method == hdrs.METH_HEAD and hdrs.CONTENT_LENGTH in response.headers:
            headers[hdrs.CONTENT_LENGTH] = response.headers[hdrs.CONTENT_LENGTH]
        headers[SERVED_BY_HEADER] = served_by
        return web.Response(status=response.status, reason=response.reason, headers=headers, body=body)
