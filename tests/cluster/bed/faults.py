"""A reverse proxy in front of a server that, on request, does what networks and busy servers do."""

from __future__ import annotations

import asyncio
import http
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import ClientError, ClientSession, TCPConnector, web
from yarl import URL

from tests.cluster.bed.certificates import Pair

WRITES = ("POST", "PUT", "PATCH", "DELETE")
_PER_CONNECTION = ("connection", "keep-alive", "transfer-encoding")
_REASONS = {429: "TooManyRequests", 500: "InternalError"}
ErrorBody: TypeAlias = Callable[[int, str], dict[str, Any]]
"""A status and a message, as the server in question would write them."""


@dataclass
class Failure:
    """An answer to give in place of the server's, some times."""

    status: int
    times: int
    method: str
    path: str
    message: str

    def fits(self, request: Request) -> bool:
        """Whether it is this request's turn to fail."""
        return self.times > 0 and self.method in ("", request.method) and self.path in request.path


@dataclass(frozen=True)
class Request:
    """One request that came to the proxy, whether or not the server saw it."""

    method: str
    path: str
    """With its query."""


CLOSING_SECONDS = 0.1
"""TLS connections close a moment after their session and say so to nobody (aiohttp, "Graceful shutdown")."""


class FaultProxy:
    """Passes everything on, unless told otherwise. All methods are for the test's own thread."""

    def __init__(
        self, target: str, error_body: ErrorBody, pair: Pair | None = None, ca_file: Path | None = None
    ) -> None:
        self.requests: list[Request] = []
        """All that has come, in order."""
        self._target = target
        self._error_body = error_body
        self._tls = pair.context() if pair else None
        self._target_tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
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
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def fail(self, status: int, times: int = 1, method: str = "", path: str = "", message: str = "") -> None:
        """Answer the next `times` requests of that method whose path has `path` in it with a status.

        An empty `method` or `path` fits all; 429 carries `Retry-After: 1`.
        """
        self._failures.append(Failure(status, times, method, path, message))

    def silence(self, seconds: float) -> None:
        """Answer nothing for so long, then go on where it was left."""
        self._silent_until = time.monotonic() + seconds

    def cut(self, times: int = 1) -> None:
        """Cut the next connections in the middle of the server's answer."""
        self._cuts = times

    def cut_after_writes(self, count: int) -> None:
        """Let so many writes (POST, PUT, PATCH, DELETE) pass; from the next one on, cut every connection.

        That is what a kill of the client between two writes leaves on the server. Server-side dry runs count
        as reads.
        """
        self._writes_left = count

    def mend(self) -> None:
        """Pass everything on again."""
        self._failures.clear()
        self._silent_until = 0.0
        self._cuts = 0
        self._writes_left = None

    def writes(self) -> list[Request]:
        """The requests that were to change something, in order."""
        return [one for one in self.requests if _changes(one)]

    def stop(self) -> None:
        """End it, and every connection through it."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(timeout=10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        connector = TCPConnector(ssl=self._target_tls) if self._target_tls else TCPConnector()
        async with ClientSession(connector=connector, auto_decompress=False) as self._session:
            runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
            await site.start()
            self._port = runner.addresses[0][1]
            self._started.set()
            await self._ended.wait()
            for transport in self._transports:
                transport.abort()  # clients keep their connections open, and nobody waits for them
            await runner.cleanup()
        await asyncio.sleep(CLOSING_SECONDS)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        came = Request(request.method, request.raw_path)
        self.requests.append(came)
        if request.transport:
            self._transports.add(request.transport)
        while (seconds := self._silent_until - time.monotonic()) > 0:
            await asyncio.sleep(min(seconds, 0.05))
        if self._is_over(came):
            return _cut(request)
        failure = next((one for one in self._failures if one.fits(came)), None)
        if failure:
            failure.times -= 1
            return self._failed(failure)
        return await self._pass_on(request)

    def _is_over(self, came: Request) -> bool:
        if self._writes_left is None:
            return False
        if self._writes_left == 0 and _changes(came):
            self._writes_left = -1
        if self._writes_left > 0 and _changes(came):
            self._writes_left -= 1
        return self._writes_left < 0

    def _failed(self, failure: Failure) -> web.Response:
        body = self._error_body(failure.status, failure.message)
        headers = {"Retry-After": "1"} if failure.status == 429 else {}
        return web.json_response(body, status=failure.status, headers=headers)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _PER_CONNECTION
        }
        body = await request.read()
        url = f"{self._target}{request.raw_path}"
        try:
            async with self._session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
            ) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for name, value in answer.headers.items():
                    if name.lower() not in _PER_CONNECTION:
                        response.headers.add(name, value)
                cut = self._cuts > 0
                self._cuts -= cut
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece[: len(piece) // 2] if cut else piece)
                    if cut:
                        return _cut(request, response)
                await response.write_eof()
                return response
        except ClientError:
            return _cut(request)


def _changes(request: Request) -> bool:
    return request.method in WRITES and "dryRun=" not in request.path


def _cut(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport:
        request.transport.abort()
    return response or web.Response()


def kubernetes_error(status: int, message: str) -> dict[str, Any]:
    """What an API server says."""
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


def google_error(status: int, message: str) -> dict[str, Any]:
    """What Cloud Storage says."""
    phrase = http.HTTPStatus(status).phrase
    one = {"message": message or phrase, "domain": "global", "reason": phrase.lower()}
    return {"error": {"code": status, "message": one["message"], "errors": [one]}}
