"""The server of the gateway's clients: aiohttp's, with bodies left as they are and every error in JSON."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from mnist_dash.local.gateway.entrance import Entrance, error_response
from mnist_dash.local.gateway.messages import MAX_BODY

_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "lingering_time": 2.0,  # an upload that was refused is read and dropped this long
}

log = logging.getLogger(__name__)


class HttpServer(web.Server):
    """Accepts connections, and has their requests answered by an entrance."""

    def __init__(self, entrance: Entrance) -> None:
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
