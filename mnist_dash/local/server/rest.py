"""TensorFlow Serving's REST API as an ASGI application: routes, request bodies, status and metadata.

Routes are matched on the raw path with its query, as TensorFlow Serving does: `%3A` is no colon, and `?x=1`
fits no route.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from mnist_dash.domain import MODEL_NAME
from mnist_dash.local.server.codec import Document, HttpError, parse, signature_name
from mnist_dash.local.server.predictor import Predictor, Runnable
from mnist_dash.local.server.versions import Versions, VersionStatus
from mnist_dash.signature import Tensor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 64 << 20
"""Bytes: about 8,000 digits. TensorFlow Serving itself sets no limit below gigabytes."""
BIG_BODY = 1 << 17
"""Bytes from which a body is answered in a thread, so that other requests need not wait for it."""
_NAME, _WHICH = "/([^/:]+)", "(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_ROUTES = {
    "POST": re.compile(f"(?i:/v1/models{_NAME}{_WHICH}):(classify|regress|predict)"),
    "GET": re.compile(f"/v1/models(?:{_NAME})?{_WHICH}(/metadata)?", re.IGNORECASE),
}


@dataclass(frozen=True)
class ModelRequest:
    """The model that a path names, and the action on it."""

    model: str
    version: int | None
    """None for the latest."""
    label: str
    action: str
    """predict, classify or regress for a POST; metadata or empty (the status) for a GET."""

    @property
    def not_served(self) -> HttpError:
        """The error if no such version is served."""
        if self.label:
            return HttpError(f"Unrecognized servable version label: {self.label}")
        which = f"Latest({self.model})" if self.version is None else f"Specific({self.model}, {self.version})"
        return HttpError(f"Servable not found for request: {which}", HTTPStatus.NOT_FOUND)


def parse_route(method: str, path: str) -> ModelRequest:
    """Match a path; raises HttpError (400) if no route of this method fits. There is no 405."""
    pattern = _ROUTES.get(method)
    found = pattern.fullmatch(path) if pattern else None
    if not found:
        raise HttpError(f"Malformed request: {method} {path}")
    name, version, label, action = (part or "" for part in found.groups())
    if not name:
        raise HttpError("Missing model name in request.")
    # Python's int() refuses thousands of digits, so the length is checked first.
    digits = version.lstrip("0") or "0"
    if len(digits) > 19 or int(digits) >= 2**63:
        raise HttpError(f"Failed to convert version: {version} to numeric.")
    action = action.lstrip("/").lower()
    return ModelRequest(unquote(name), int(digits) if version else None, unquote(label), action)


class RestApi:
    """Serves the model named `model` as its versions come and go.

    Small requests are answered on the event loop, which is faster than handing them to a thread; `executor`
    takes the big ones.
    """

    def __init__(self, versions: Versions, executor: Executor) -> None:
        self._versions = versions
        self._executor = executor

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json")]
        try:
            status, body, version = await self._respond(scope, receive)
        except HttpError as error:
            status, body, version = error.status, encode_error(error.problem), None
        except ConnectionResetError:
            return
        if version is not None:
            headers.append((b"x-model-version", b"%d" % version))
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(
        self, scope: MutableMapping[str, Any], receive: Receive
    ) -> tuple[HTTPStatus, bytes, int | None]:
        """Return the status, the body and the version that answered."""
        path = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            path += f"?{scope['query_string'].decode('latin-1')}"
        if not path.lower().startswith("/v1/"):
            raise HttpError(f"Not Found: {path}", HTTPStatus.NOT_FOUND)
        method, headers = scope["method"], dict(scope["headers"])
        if method == "OPTIONS" and b"origin" in headers:  # a browser asks before a cross-origin POST
            return HTTPStatus.OK, b"", None
        request = parse_route(method, path)
        if method == "GET":
            return HTTPStatus.OK, self._describe(request), None
        body = await read_body(receive)
        predictor = self._find(request)
        is_gzip = b"gzip" in headers.get(b"content-encoding", b"")
        if is_gzip or len(body) >= BIG_BODY:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._executor, _answer, request, predictor, body, is_gzip)
        else:
            answer = _answer(request, predictor, body, is_gzip)
        return *answer, predictor.version if predictor else None

    def _find(self, request: ModelRequest) -> Predictor | None:
        is_known = request.model == MODEL_NAME and not request.label
        return self._versions.find(request.version) if is_known else None

    def _describe(self, request: ModelRequest) -> bytes:
        if request.action == "metadata":
            if not (predictor := self._find(request)):
                raise request.not_served
            return encode_metadata(request.model, predictor.model)
        statuses = self._versions.statuses() if request.model == MODEL_NAME else []
        found = [status for status in statuses if request.version in (None, status.version)]
        if not found:
            which = "any versions" if request.version is None else f"version {request.version}"
            raise HttpError(f"Could not find {which} of model {request.model}", HTTPStatus.NOT_FOUND)
        return encode_status(found)


def _answer(
    request: ModelRequest, predictor: Predictor | None, body: bytes, is_gzip: bool
) -> tuple[HTTPStatus, bytes]:
    """Return status and body for a POST. TensorFlow Serving parses the body before it looks for the model."""
    try:
        body = unpack(body) if is_gzip else body
        if predictor and request.action == "predict":
            return HTTPStatus.OK, predictor.answer(body)
        document = parse(body)
        signature_name(document)
        examples = document.get("examples")
        if request.action != "predict" and not (isinstance(examples, list) and examples):
            raise HttpError("'examples' must be a list with at least one item.")
        if not predictor:
            raise request.not_served
        raise HttpError(f"The model has no signature of method tensorflow/serving/{request.action}.")
    except HttpError as error:
        return error.status, encode_error(error.problem)
    except Exception as error:  # no error may reach the HTTP library: it would close the connection
        print(f"A request failed: {error!r}", file=sys.stderr, flush=True)
        return HTTPStatus.INTERNAL_SERVER_ERROR, encode_error(f"Internal: {error!r}")


async def read_body(receive: Receive) -> bytes:
    """Return the whole body; raises HttpError (413) if it is too large, and ConnectionResetError.

    A body that is too large is read to its end without being kept: the connection stays usable.
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        more = message.get("more_body", False)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY:
            chunks.clear()
    if size > MAX_BODY:
        raise _too_large()
    return b"".join(chunks)


def unpack(body: bytes) -> bytes:
    """Return a gzip body's content; raises HttpError (400 if it is damaged, 413 if it holds too much)."""
    unpacker, text = zlib.decompressobj(zlib.MAX_WBITS | 16), b""
    with contextlib.suppress(zlib.error):
        text = unpacker.decompress(body, MAX_BODY + 1)
    if len(text) > MAX_BODY:
        raise _too_large()
    if not unpacker.eof:
        raise HttpError("The gzip body is damaged or ends too early.")
    return text


def _too_large() -> HttpError:
    text = f"The request body is larger than {MAX_BODY} bytes; send fewer instances at once."
    return HttpError(text, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def encode_error(text: str) -> bytes:
    """Return the body of an error response."""
    return json.dumps({"error": text}).encode()


def encode_status(statuses: Iterable[VersionStatus]) -> bytes:
    """Return the response body for a model's status."""
    found = []
    for status in statuses:
        error = {"error_code": "UNKNOWN" if status.error else "OK", "error_message": status.error}
        found.append({"version": str(status.version), "state": status.state, "status": error})
    return json.dumps({"model_version_status": found}).encode()


def encode_metadata(name: str, model: Runnable) -> bytes:
    """Return the response body for `/metadata`, as protobuf's JSON mapping writes it: int64s are strings."""
    signatures = {
        key: {
            "inputs": {name: _tensor_info(tensor) for name, tensor in signature.inputs.items()},
            "outputs": {name: _tensor_info(tensor) for name, tensor in signature.outputs.items()},
            "method_name": signature.method_name,
            "defaults": {},
        }
        for key, signature in model.signatures.items()
    }
    spec = {"name": name, "signature_name": "", "version": str(model.version)}
    metadata = {"signature_def": {"signature_def": signatures}}
    return json.dumps({"model_spec": spec, "metadata": metadata}).encode()


def _tensor_info(tensor: Tensor) -> Document:
    dim = [{"size": str(size), "name": ""} for size in tensor.shape or ()]
    shape = {"dim": dim, "unknown_rank": tensor.shape is None}
    return {"dtype": tensor.dtype, "tensor_shape": shape, "name": tensor.name}
