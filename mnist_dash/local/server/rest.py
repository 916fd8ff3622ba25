"""The model server's ASGI application: TensorFlow Serving's REST API.

Routes and the order of checks follow github tensorflow/serving, model_servers/http_rest_api_handler.cc.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from functools import partial
from http import HTTPStatus
from typing import Any

from mnist_dash.domain import MODEL_NAME
from mnist_dash.local.server.answers import error_json
from mnist_dash.local.server.body import DisconnectedError, is_gzip, read_body, unpack
from mnist_dash.local.server.classify import refuse_examples
from mnist_dash.local.server.describe import metadata_json, status_json
from mnist_dash.local.server.predict import Predictor, refuse_unserved
from mnist_dash.local.server.refusal import RefusedError, not_found
from mnist_dash.local.server.target import Target, is_rest, route
from mnist_dash.local.server.versions import Versions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Response = tuple[int, Headers, bytes]

BIG_BODY = 1 << 17
"""Bytes from which a body is answered in a thread, so that other requests need not wait for it."""

_JSON: Headers = [(b"content-type", b"application/json")]
_HTML: Headers = [(b"content-type", b"text/html")]
_NO_PAGE = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"


class RestApi:
    """Serves the model named `model` as its versions come and go.

    Small requests are answered in the event loop, which is quicker than handing them to a thread; `executor`
    takes the big ones.
    """

    def __init__(self, versions: Versions, executor: Executor) -> None:
        self._versions = versions
        self._executor = executor

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            status, headers, body = await self._respond(scope, receive)
        except DisconnectedError:
            return
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: MutableMapping[str, Any], receive: Receive) -> Response:
        path = scope["raw_path"]
        if scope["query_string"]:
            path += b"?" + scope["query_string"]
        if not is_rest(path):
            return HTTPStatus.NOT_FOUND, _HTML, _NO_PAGE
        try:
            target = route(scope["method"], path)
            if scope["method"] == "GET":
                return HTTPStatus.OK, _JSON, self._describe(target)
            body = await read_body(receive)
        except RefusedError as refusal:
            return refusal.status, _JSON, error_json(refusal.problem)
        return await self._predict(target, body, is_gzip(scope["headers"]))

    async def _predict(self, target: Target, body: bytes, packed: bool) -> Response:
        predictor = self._find(target)
        work = partial(_answer, target, predictor, body, packed)
        if packed or len(body) >= BIG_BODY:
            status, text = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        else:
            status, text = work()
        if predictor is None:
            return status, _JSON, text
        return status, [*_JSON, (b"x-model-version", b"%d" % predictor.version)], text

    def _find(self, target: Target) -> Predictor | None:
        known = target.model == MODEL_NAME and not target.label
        return self._versions.find(target.version) if known else None

    def _describe(self, target: Target) -> bytes:
        if target.verb == "metadata":
            predictor = self._find(target)
            if predictor is None:
                raise target.absence
            return metadata_json(target.model, predictor.model)
        statuses = self._versions.statuses() if target.model == MODEL_NAME else []
        if target.version is not None:
            statuses = [status for status in statuses if status.version == target.version]
            if not statuses:
                raise not_found(f"Could not find version {target.version} of model {target.model}")
        if not statuses:
            raise not_found(f"Could not find any versions of model {target.model}")
        return status_json(statuses)


def _answer(target: Target, predictor: Predictor | None, body: bytes, packed: bool) -> tuple[int, bytes]:
    """Status and body of the answer to a POST. Every failure becomes one: none may reach the HTTP library."""
    try:
        if packed:
            body = unpack(body)
        if target.verb != "predict":
            raise refuse_examples(target.verb, body, predictor, target.absence)
        if predictor is None:
            raise refuse_unserved(body, target.absence)
        return HTTPStatus.OK, predictor.answer(body)
    except RefusedError as refusal:
        return refusal.status, error_json(refusal.problem)
    except Exception as error:
        print(f"A request failed: {error!r}", file=sys.stderr, flush=True)
        return HTTPStatus.INTERNAL_SERVER_ERROR, error_json(f"Internal: {error!r}")
