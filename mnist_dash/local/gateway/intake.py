"""A client's request, taken in whole before it is decided, so that a slow client keeps no replica busy."""

from __future__ import annotations

import asyncio

from aiohttp import HttpVersion11, hdrs, web

from mnist_dash.local.gateway.messages import MAX_BODY, Asked, UnansweredError, end_to_end


async def received(request: web.BaseRequest, seconds: float) -> Asked:
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
    return Asked(request.method, target, headers, body)


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
