"""TensorFlow Serving's REST API: routes, request bodies, status and metadata."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from mnist_dash.domain import MODEL_NAME
from mnist_dash.local.server.codec import HttpError, error_json, invalid, not_found, parse, shown
from mnist_dash.local.server.predictor import Predictor, Runnable, refuse_unserved, signature_name
from mnist_dash.local.server.versions import Versions, VersionStatus
from mnist_dash.signature import Signature, Tensor

_NAME = rb"/([^/:]+)"
_WHICH = rb"(?:/versions/(\d+)|/labels/([^/:]+))?"
_ROUTES = {
    "POST": re.compile(rb"/v1/models" + _NAME + _WHICH + rb":(classify|regress|predict)", re.IGNORECASE),
    "GET": re.compile(rb"/v1/models(?:" + _NAME + rb")?" + _WHICH + rb"(?:/(metadata))?", re.IGNORECASE),
}
_LARGEST_VERSION = 2**63 - 1
_POST_VERBS = (b"classify", b"regress", b"predict")


@dataclass(frozen=True)
class Target:
    """The model that a path names, and what is desired of it."""

    model: str
    version: int | None
    """None: the latest."""
    label: str
    verb: str
    """predict, classify or regress; of a GET metadata, or else the status is desired."""

    @property
    def absence(self) -> HttpError:
        """The error if no such version is served."""
        if self.label:
            return invalid(f"Unrecognized servable version label: {self.label}")
        which = f"Latest({self.model})" if self.version is None else f"Specific({self.model}, {self.version})"
        return not_found(f"Servable not found for request: {which}")


def is_rest(path: bytes) -> bool:
    """Whether the path belongs to the REST API at all."""
    return path[:4].lower() == b"/v1/"


def route(method: str, path: bytes) -> Target:
    """What is asked for; raises RefusedError (400) if the path fits no route of this method."""
    pattern = _ROUTES.get(method)
    found = pattern.fullmatch(path) if pattern else None
    # `:PREDICT` matches, as the whole path does in any case, and is then no verb that is known
    if not found or (method == "POST" and found[4] not in _POST_VERBS):
        raise invalid(f"Malformed request: {method} {path.decode('latin-1')}")
    name, version, label, verb = (part or b"" for part in found.groups())
    if not name:
        raise invalid("Missing model name in request.")
    return Target(_decoded(name), _number(version), _decoded(label), verb.decode())


def _number(digits: bytes) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip(b"0") or b"0"
    # more digits than 64 bits hold, which int() need not be bothered with: it refuses thousands
    if len(significant) > 19 or int(significant) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {digits.decode()} to numeric.")
    return int(significant)


def _decoded(part: bytes) -> str:
    return unquote(part.decode("latin-1"), errors="replace")


MOST_BYTES = 64 << 20
"""About 8,000 digits of 784 numbers. TensorFlow Serving itself sets no limit below gigabytes."""
_GZIP = zlib.MAX_WBITS | 16


class DisconnectedError(Exception):
    """The client went away before it had sent all."""


async def read_body(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> bytes:
    """All of a request's body; raises RefusedError (413) if it is too big, and DisconnectedError.

    A body that is too big is read to its end without being kept: the connection stays usable.
    """
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size <= MOST_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
    if size > MOST_BYTES:
        raise _too_big()
    return b"".join(chunks)


def is_gzip(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers say that the body is packed with gzip."""
    return any(name == b"content-encoding" and b"gzip" in value for name, value in headers)


def unpack(body: bytes) -> bytes:
    """What a gzip body holds; raises RefusedError (400 if it is damaged, 413 if it holds too much)."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise invalid(f"JSON Parse error: The gzip body is damaged: {error}") from error
    if len(text) > MOST_BYTES:
        raise _too_big()
    if not unpacker.eof:
        raise invalid("JSON Parse error: The gzip body is damaged: it ends too early")
    return text


def _too_big() -> HttpError:
    text = f"The request body is larger than {MOST_BYTES} bytes; send fewer instances at once"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)


_NOUNS = {"classify": "classification", "regress": "regression"}


def refuse_examples(method: str, body: bytes, predictor: Predictor | None, absent: HttpError) -> HttpError:
    """What is wrong with a request to `:classify` or `:regress`, in TensorFlow Serving's order of looking.

    `absent` is the error if there is no such model.
    """
    try:
        document = parse(body)
        name = signature_name(document)
        _check_examples(document)
    except HttpError as wrong:
        return wrong
    if predictor is None:
        return absent
    signature = predictor.model.signatures.get(name)
    if signature is None:
        return invalid(f"No signature was found with the name: {name}")
    return invalid(
        f"Expected {_NOUNS[method]} signature method_name to be tensorflow/serving/{method}."
        f" Was: {signature.method_name}"
    )


def _check_examples(document: dict[str, Any]) -> None:
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected"
            " and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")


def status_json(statuses: Iterable[VersionStatus]) -> bytes:
    """The body of a status answer."""
    return f"{_json({'model_version_status': [_status(status) for status in statuses]})}\n".encode()


def metadata_json(model_name: str, model: Runnable) -> bytes:
    """The body of a metadata answer."""
    spec = {"name": model_name, "signature_name": "", "version": str(model.version)}
    signatures = {name: _signature(signature) for name, signature in model.signatures.items()}
    return (
        f'{{\n"model_spec":{_json(spec)}\n,\n'
        f'"metadata": {{"signature_def": {_json({"signature_def": signatures})}\n}}\n}}\n'
    ).encode()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _status(status: VersionStatus) -> dict[str, Any]:
    code = "UNKNOWN" if status.error else "OK"
    return {
        "version": str(status.version),
        "state": status.state.value,
        "status": {"error_code": code, "error_message": status.error},
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": _tensors(signature.inputs),
        "outputs": _tensors(signature.outputs),
        "method_name": signature.method_name,
        "defaults": {},
    }


def _tensors(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: _tensor(tensor) for name, tensor in tensors.items()}


def _tensor(tensor: Tensor) -> dict[str, Any]:
    sizes = tensor.shape or ()
    shape = {
        "dim": [{"size": str(size), "name": ""} for size in sizes],
        "unknown_rank": tensor.shape is None,
    }
    return {"dtype": tensor.dtype, "tensor_shape": shape, "name": tensor.name}


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
        except HttpError as refusal:
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
    except HttpError as refusal:
        return refusal.status, error_json(refusal.problem)
    except Exception as error:
        print(f"A request failed: {error!r}", file=sys.stderr, flush=True)
        return HTTPStatus.INTERNAL_SERVER_ERROR, error_json(f"Internal: {error!r}")
