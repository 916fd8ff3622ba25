"""The gateway as an HTTP application: accept a request, choose the model, forward it."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import orjson
from aiohttp import HttpVersion11, hdrs, web

from mnist_dash.domain import ROUTE_HEADER, SERVED_BY_HEADER, Role
from mnist_dash.local.gateway.balancer import UpstreamPool, decide
from mnist_dash.local.gateway.proxy import (
    MAX_BODY,
    Proxy,
    ProxyError,
    ProxyRequest,
    Timeouts,
    end_to_end,
    read_body,
)
from mnist_dash.local.protocol import HEALTH_PATH, RoutingUpdate

_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "lingering_time": 2.0,  # seconds for which the rest of a refused upload is read and dropped
}

log = logging.getLogger(__name__)


class GatewayApp(web.Server):
    """Answers requests by the routing in force.

    Requests that come before the first routing update wait for it: a gateway that was restarted inherits
    connections that its predecessor left waiting.
    """

    def __init__(self, proxy: Proxy, pool: UpstreamPool, timeouts: Timeouts) -> None:
        super().__init__(self.answer)
        self._proxy = proxy
        self._pool = pool
        self._timeouts = timeouts
        self._dice = random.Random()
        self._has_routing = asyncio.Event()

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of one client connection."""
        return _Connection(self, loop=asyncio.get_running_loop(), **_OPTIONS)

    def apply(self, line: bytes) -> None:
        """Decide every later request by the routing update in a line."""
        update = RoutingUpdate.from_line(line)
        self._pool.apply(update)
        self._has_routing.set()
        log.info("%s", describe_routing(update))

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request: with a replica's answer, or with a JSON error of the gateway's own."""
        if request.raw_path == HEALTH_PATH:
            return web.Response()
        try:
            received = await receive(request, self._timeouts.request)
            return await self._forward(received, ", ".join(request.headers.getall(ROUTE_HEADER, ())))
        except ProxyError as error:
            return error_response(error.status, str(error), error.served_by)

    async def _forward(self, request: ProxyRequest, route: str) -> web.Response:
        if not self._has_routing.is_set():
            await self._wait_for_routing()
        routing = self._pool.routing
        role = decide(routing.update.table, route, self._dice)
        if role is None:
            raise ProxyError(
                503, "No Current model is ready to answer. Deploy a Current model, or wait until it is ready."
            )
        with self._pool.decided(routing):
            return await self._proxy.send(request, role, routing.upstreams[role])

    async def _wait_for_routing(self) -> None:
        try:
            async with asyncio.timeout(self._timeouts.first_update):
                await self._has_routing.wait()
        except TimeoutError as error:
            raise ProxyError(503, "The gateway is starting. Try again in a few seconds.") from error


def describe_routing(update: RoutingUpdate) -> str:
    """Describe the routing of an update in a line of the log."""
    table = update.table
    replicas = (
        f"{role.label}: {', '.join(f'{it.replica} at {it.url}' for it in table.of(role)) or 'no replica'}"
        for role in Role
    )
    return f"Routing {update.id}: {table.split} % to New. {'; '.join(replicas)}."


async def receive(request: web.BaseRequest, seconds: float) -> ProxyRequest:
    """Read a request with its whole body within so many seconds; raises ProxyError."""
    target = _target(request)
    try:
        async with asyncio.timeout(seconds):
            body = await _body(request)
    except TimeoutError as error:
        raise ProxyError(408, f"The request did not come in whole within {seconds:g} s.") from error
    except web.RequestPayloadError as error:
        raise ProxyError(400, f"The request's body cannot be read: {error}.") from error
    except ConnectionError as error:
        raise ProxyError(400, "The client left before it had sent its whole request.") from error
    headers = end_to_end(request.headers)
    headers[hdrs.X_FORWARDED_FOR] = request.remote or "unknown"
    headers[hdrs.X_FORWARDED_HOST] = request.headers.get(hdrs.HOST, "")
    headers[hdrs.X_FORWARDED_PROTO] = "http"
    return ProxyRequest(request.method, target, headers, body)


def _target(request: web.BaseRequest) -> str:
    """The path and query byte for byte; a client that takes the gateway for a proxy sends a whole URL."""
    if request.method == hdrs.METH_CONNECT:
        raise ProxyError(400, "The gateway does not forward CONNECT. Request a path such as /v1/models.")
    target = request.raw_path
    return target if target.startswith(("/", "*")) else request.rel_url.raw_path_qs


async def _body(request: web.BaseRequest) -> bytes:
    too_large = ProxyError(413, f"The request is larger than {MAX_BODY >> 20} MB. Send fewer images at once.")
    if int(request.headers.get(hdrs.CONTENT_LENGTH, "0")) > MAX_BODY:
        raise too_large
    # A client may wait for this before it sends the body; the low-level server leaves it to its handler.
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    return await read_body(request.content, too_large)


def error_response(status: int, text: str, served_by: str = "") -> web.Response:
    """Return an error in TensorFlow Serving's form, `{"error": text}`, with the model that it is about."""
    headers = {SERVED_BY_HEADER: served_by} if served_by else {}
    body = orjson.dumps({"error": text})
    return web.Response(status=status, headers=headers, body=body, content_type="application/json")


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - the signature is aiohttp's
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer malformed HTTP, or a fault in the gateway, and close the connection."""
        if status < 500:
            # The first line of the parser's message, without the drawing of the place below it.
            problem = (message or "").partition("\n")[0].rstrip(" :.")
            response = error_response(status, f"This is not an HTTP request: {problem}.")
        else:
            log.error("The gateway failed.", exc_info=exc)
            response = error_response(status, "The gateway failed. Its log has the details.")
        response.force_close()
        return response
