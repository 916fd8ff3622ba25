"""A reverse proxy that injects faults of networks and busy servers on request."""

from __future__ import annotations

import asyncio
import http
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, TCPConnector, web
from yarl import URL

from tests.cluster.bed.certificates import Pair

WRITES = ("POST", "PUT", "PATCH", "DELETE")
_PER_CONNECTION = ("connection", "keep-alive", "transfer-encoding")
_REASONS = {429: "TooManyRequests", 500: "InternalError"}


@dataclass
class Failure:
    """An answer that replaces the server's a number of times."""

    status: int
    times: int
    method: str
    path: str
    message: str

    def matches(self, request: Request) -> bool:
        """Whether this request fails."""
        return self.times > 0 and self.method in ("", request.method) and self.path in request.path


@dataclass(frozen=True)
class Request:
    """One request to the proxy, whether or not it reached the server."""

    method: str
    path: str
    """With its query."""


CLOSING_SECONDS = 0.1
"""TLS connections close a moment after their session (aiohttp, "Graceful shutdown")."""


class FaultProxy:
    """Forwards all requests, except as a test asks. Call its methods from the test's thread only."""

    def __init__(self, target: str, pair: Pair, ca_file: Path) -> None:
        self.requests: list[Request] = []
        """All requests, in order."""
        self._target = target
        self._tls = pair.context()
        self._target_tls = ssl.create_default_context(cafile=ca_file)
        self._failures: list[Failure] = []
        self._silent_until = 0.0
        self._cuts = 0
        self._transports: set[asyncio.Transport] = set()
        self._writes_left: int | None = None
        self._ended = asyncio.Event()
        self._started = threading.Event()
        self._port = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="proxy", daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    @property
    def url(self) -> str:
        """The address of the proxy."""
        return f"https://127.0.0.1:{self._port}"

    def fail(self, status: int, times: int = 1, method: str = "", path: str = "", message: str = "") -> None:
        """Answer the next `times` requests of this method and with `path` in their path by a status.

        An empty `method` or `path` matches all; 429 carries `Retry-After: 1`.
        """
        self._failures.append(Failure(status, times, method, path, message))

    def silence(self, seconds: float) -> None:
        """Hold all requests for some seconds, then forward them."""
        self._silent_until = time.monotonic() + seconds

    def cut(self, times: int = 1) -> None:
        """Cut the next connections in the middle of the server's answer."""
        self._cuts = times

    def cut_after_writes(self, count: int) -> None:
        """Forward so many writes (POST, PUT, PATCH, DELETE); from the next write on, cut every connection.

        To the server this is a client that is killed between two writes. Server-side dry runs count as reads.
        """
        self._writes_left = count

    def reset(self) -> None:
        """Forward all requests again."""
        self._failures.clear()
        self._silent_until = 0.0
        self._cuts = 0
        self._writes_left = None

    def writes(self) -> list[Request]:
        """Return the requests that write, in order."""
        return [request for request in self.requests if _is_write(request)]

    def stop(self) -> None:
        """Stop the proxy and close its connections."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(timeout=10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        connector = TCPConnector(ssl=self._target_tls)
        async with ClientSession(connector=connector, auto_decompress=False) as self._session:
            runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
            await site.start()
            self._port = runner.addresses[0][1]
            self._started.set()
            await self._ended.wait()
            for transport in self._transports:
                transport.abort()  # clients keep their connections open
            await runner.cleanup()
        await asyncio.sleep(CLOSING_SECONDS)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        received = Request(request.method, request.raw_path)
        self.requests.append(received)
        if request.transport:
            self._transports.add(request.transport)
        while (seconds := self._silent_until - time.monotonic()) > 0:
            await asyncio.sleep(min(seconds, 0.05))
        if self._is_cut_off(received):
            return _cut(request)
        failure = next((failure for failure in self._failures if failure.matches(received)), None)
        if failure:
            failure.times -= 1
            return self._error_response(failure)
        return await self._forward(request)

    def _is_cut_off(self, received: Request) -> bool:
        if self._writes_left is None:
            return False
        if self._writes_left == 0 and _is_write(received):
            self._writes_left = -1
        if self._writes_left > 0 and _is_write(received):
            self._writes_left -= 1
        return self._writes_left < 0

    def _error_response(self, failure: Failure) -> web.Response:
        body = _error_body(failure.status, failure.message)
        headers = {"Retry-After": "1"} if failure.status == 429 else {}
        return web.json_response(body, status=failure.status, headers=headers)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {key: text for key, text in request.headers.items() if key.lower() not in _PER_CONNECTION}
        body = await request.read() or None
        url = URL(f"{self._target}{request.raw_path}", encoded=True)
        try:
            async with self._session.request(request.method, url, headers=headers, data=body) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for name, value in answer.headers.items():
                    if name.lower() not in _PER_CONNECTION:
                        response.headers.add(name, value)
                cut = self._cuts > 0
                self._cuts -= cut
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk[: len(chunk) // 2] if cut else chunk)
                    if cut:
                        return _cut(request, response)
                await response.write_eof()
                return response
        except ClientError:
            return _cut(request)


def _is_write(request: Request) -> bool:
    return request.method in WRITES and "dryRun=" not in request.path


def _cut(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport:
        request.transport.abort()
    return response or web.Response()


def _error_body(status: int, message: str) -> dict[str, Any]:
    """Return the error body of an API server."""
    phrase = http.HTTPStatus(status).phrase
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message or phrase,
        "reason": _REASONS.get(status, phrase.replace(" ", "")),
        "code": status,
    }
