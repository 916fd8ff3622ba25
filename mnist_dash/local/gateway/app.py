"""The gateway as an HTTP application: accept a request, choose the model, forward it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any

import orjson
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from mnist_dash.domain import ROUTE_HEADER
from mnist_dash.local.gateway.balancer import Dice, RoutingGeneration, UpstreamPool, decide
from mnist_dash.local.gateway.protocol import RoutingUpdate
from mnist_dash.local.gateway.proxy import (
    MAX_BODY,
    Proxy,
    ProxyRequest,
    Timeouts,
    UnansweredError,
    end_to_end,
)


async def received(request: web.BaseRequest, seconds: float) -> ProxyRequest:
    """The request with its whole body, for which it waits `seconds`; raises UnansweredError."""
    target = _target(request)
    try:
        async with asyncio.timeout(seconds):
            body = await _body(request)
    except TimeoutError as problem:
        raise UnansweredError(408, f"The request did not come in whole within {seconds:g} s.") from problem
    headers = end_to_end(request.headers)
    headers["X-Forwarded-For"] = request.remote or "unknown"
    headers["X-Forwarded-Host"] = request.headers.get(hdrs.HOST, "")
    headers["X-Forwarded-Proto"] = "http"
    return ProxyRequest(request.method, target, headers, body)


def _target(request: web.BaseRequest) -> str:
    """The path and query byte for byte; a client that takes the gateway for a proxy sends a whole URL."""
    if request.method == hdrs.METH_CONNECT:
        raise UnansweredError(
            400, "A CONNECT request cannot be sent on.", "Ask for a path such as /v1/models."
        )
    target = request.raw_path
    return target if target.startswith(("/", "*")) else request.rel_url.raw_path_qs


async def _body(request: web.BaseRequest) -> bytes:
    try:
        if int(request.headers.get(hdrs.CONTENT_LENGTH, "0")) > MAX_BODY:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY)
        await _say_continue(request)
        return await request.read()
    except web.HTTPRequestEntityTooLarge as problem:
        raise UnansweredError(
            413, f"The request is larger than {MAX_BODY >> 20} MB.", "Send fewer images at once."
        ) from problem
    except web.RequestPayloadError as problem:
        raise UnansweredError(400, f"The request's body cannot be read: {problem}.") from problem
    except ConnectionError as problem:
        raise UnansweredError(400, "The client left before it had sent its whole request.") from problem


async def _say_continue(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send the body; the low-level server leaves this to its handler."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


class GatewayApp:
    """Answers requests by the order in force; an aiohttp handler.

    Requests that come before the first order wait for it: a gateway that was restarted inherits connections
    that its predecessor left waiting.
    """

    def __init__(
        self, relay: Proxy, roster: UpstreamPool, patience: Timeouts, dice: Dice | None = None
    ) -> None:
        self._relay = relay
        self._roster = roster
        self._patience = patience
        self._dice = dice or random.Random()
        self._told = asyncio.Event()

    def apply(self, order: RoutingUpdate) -> bool:
        """Decide every later request under this order; returns whether its table is another one."""
        before = self._roster.seating
        self._roster.apply(order)
        self._told.set()
        return before is None or before.order.table != order.table

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """The answer to one request: a replica's, or a JSON error of the gateway's own."""
        try:
            asked = await received(request, self._patience.request)
            return await self._answer(asked, request.headers.getall(ROUTE_HEADER, None))
        except UnansweredError as problem:
            return error_response(problem.status, str(problem))

    async def _answer(self, asked: ProxyRequest, route: list[str] | None) -> web.Response:
        seating = await self._seating()
        table = seating.order.table
        role = decide(
            current=bool(table.current),
            new=bool(table.new),
            header=", ".join(route) if route else None,
            split=table.split,
            dice=self._dice,
        )
        if role is None:
            raise UnansweredError(
                503,
                "No Current model is ready to answer.",
                "Deploy a Current model, or wait until it is ready; New is never asked in its place.",
            )
        with self._roster.decided(seating):
            answer = await self._relay.send(asked, role, seating.seats[role])
        return web.Response(
            status=answer.status, reason=answer.reason, headers=answer.headers, body=answer.body
        )

    async def _seating(self) -> RoutingGeneration:
        if self._roster.seating is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), self._patience.first_order)
        if self._roster.seating is None:
            raise UnansweredError(
                503,
                "The gateway has not been told which models there are.",
                "The dashboard tells it when it has started; try again in a few seconds.",
            )
        return self._roster.seating


def error_response(status: int, text: str) -> web.Response:
    """A JSON error as TensorFlow Serving words it, `{"error": text}`."""
    return web.Response(status=status, body=orjson.dumps({"error": text}), content_type="application/json")


_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "lingering_time": 2.0,  # an upload that was refused is read and dropped this long
}

log = logging.getLogger(__name__)


class HttpServer(web.Server):
    """Accepts connections, and has their requests answered by an entrance."""

    def __init__(self, entrance: GatewayApp) -> None:
        super().__init__(entrance, request_factory=_request)

    def __call__(self) -> web.RequestHandler:
        """The protocol of one client connection."""
        return _Connection(self, loop=asyncio.get_running_loop(), **_OPTIONS)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - the signature is aiohttp's
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP, or a fault in the gateway, and close the connection."""
        if status < 500:
            answer = error_response(status, f"This is no HTTP request: {_first_line(message)}.")
        else:
            log.error("The gateway itself failed.", exc_info=exc)
            answer = error_response(status, "The gateway itself failed. Its log says why.")
        answer.force_close()
        return answer


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


def _first_line(message: str | None) -> str:
    """What aiohttp's parser says, without the picture that it draws below."""
    return (message or "").partition("\n")[0].rstrip(" :.")
