"""The REST API as an ASGI application: routes, bodies, status, metadata, and what comes before the model."""

from __future__ import annotations

import asyncio
import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mnist_dash.local.server import rest
from mnist_dash.local.server.codec import Arrays, HttpError
from mnist_dash.local.server.predictor import Predictor
from mnist_dash.local.server.rest import ModelRequest, RestApi, parse_route, read_body, unpack
from mnist_dash.local.server.versions import Versions, VersionStatus
from tests.unit.local.server.fake_model import FakeModel

PREDICT = "/v1/models/model:predict"
IMAGE = b'{"instances": [[[1, 2], [3, 4]]]}'


@pytest.mark.parametrize(
    ("method", "path", "request_"),
    [
        *(
            ("POST", f"/v1/models/model:{action}", ModelRequest("model", None, "", action))
            for action in ("predict", "classify", "regress")
        ),
        ("POST", "/v1/models/model/versions/2:predict", ModelRequest("model", 2, "", "predict")),
        ("POST", "/v1/models/model/versions/007:predict", ModelRequest("model", 7, "", "predict")),
        ("POST", "/v1/models/model/labels/canary:predict", ModelRequest("model", None, "canary", "predict")),
        ("POST", "/V1/Models/model:predict", ModelRequest("model", None, "", "predict")),
        ("POST", "/v1/models/mo%64el:predict", ModelRequest("model", None, "", "predict")),
        ("POST", "/v1/models/a%3Ab:predict", ModelRequest("a:b", None, "", "predict")),
        ("GET", "/v1/models/model", ModelRequest("model", None, "", "")),
        ("GET", f"/v1/models/model/versions/{2**63 - 1}", ModelRequest("model", 2**63 - 1, "", "")),
        ("GET", "/v1/models/model/labels/canary", ModelRequest("model", None, "canary", "")),
        ("GET", "/v1/models/model/metadata", ModelRequest("model", None, "", "metadata")),
        ("GET", "/v1/models/model/versions/2/metadata", ModelRequest("model", 2, "", "metadata")),
        ("GET", "/v1/models/model?x=1", ModelRequest("model?x=1", None, "", "")),
        ("GET", "/v1/models/model%3Apredict", ModelRequest("model:predict", None, "", "")),
    ],
)
def test_the_routes_of_tensorflow_serving(method: str, path: str, request_: ModelRequest) -> None:
    """Each in any case, with names percent-decoded after they were matched."""
    assert parse_route(method, path) == request_


@pytest.mark.parametrize(
    ("method", "paths"),
    [
        ("GET", "versions/1 labels/a model:predict . model/ model/versions/ model/versions/one"),
        (
            "GET",
            f"model/versions/1/labels/a model/metadata/ model/versions/{2**63} model/versions/{'1' * 5_000}",
        ),
        ("POST", "model model/metadata model:predict/ model:predict?x=1 model%3Apredict model:PREDICT"),
        ("POST", "model:explain :predict a/b:predict"),
        *((method, "model model:predict") for method in ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")),
    ],
)
def test_other_methods_and_paths_are_400(method: str, paths: str) -> None:
    """There is no 405; a query is part of the path, `%3A` is no colon, and a version has 64 bits."""
    for path in paths.split():
        with pytest.raises(HttpError) as refused:
            parse_route(method, f"/v1/models/{path.removeprefix('.')}")
        assert refused.value.status == 400


def messages(*parts: bytes) -> list[dict[str, Any]]:
    """Return a body as ASGI messages."""
    last = len(parts) - 1
    return [
        {"type": "http.request", "body": part, "more_body": index < last} for index, part in enumerate(parts)
    ]


def received(incoming: list[dict[str, Any]]) -> bytes:
    """Read a body from ASGI messages, which are used up."""

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    return asyncio.run(read_body(receive))


def test_a_body_may_come_in_pieces() -> None:
    """They are joined in order; ASGI lets empty ones out. A client may go away before the last."""
    assert received(messages(b"a", b"", b"bc")) == b"abc"
    assert received([{"type": "http.request"}]) == b""
    with pytest.raises(ConnectionResetError):
        received([*messages(b"a", b"")[:1], {"type": "http.disconnect"}])


def test_a_body_above_the_limit_is_read_to_its_end_and_413(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection stays usable; a body of the limit is accepted."""
    monkeypatch.setattr(rest, "MAX_BODY", 4)
    incoming = messages(b"aaa", b"bb", b"c", b"d")

    with pytest.raises(HttpError) as refused:
        received(incoming)
    assert (refused.value.status, incoming) == (413, [])
    assert received(messages(b"aa", b"bb")) == b"aabb"
    assert unpack(gzip.compress(b"aabb") + b"more") == b"aabb"  # text after the end is ignored


@pytest.mark.parametrize(
    "damaged", [b"", b"text", gzip.compress(b"text")[:-1], gzip.compress(b"text")[:-8] + bytes(8)]
)
def test_a_damaged_gzip_body_is_400(damaged: bytes) -> None:
    """The checksum counts."""
    with pytest.raises(HttpError) as refused:
        unpack(damaged)

    assert refused.value.status == 400


def test_a_gzip_bomb_is_413_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit holds for the content."""
    monkeypatch.setattr(rest, "MAX_BODY", 1_000)

    with pytest.raises(HttpError) as refused:
        unpack(gzip.compress(bytes(10_000_000)))
    assert refused.value.status == 413


def ask(
    versions: Versions, method: str, path: str, *incoming: dict[str, Any], **headers: str
) -> list[dict[str, Any]]:
    """Return the ASGI messages that the application sends."""
    queue, sent = list(incoming), []

    async def receive() -> dict[str, Any]:
        return queue.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": method, "raw_path": path.encode(), "query_string": b"", "headers": raw}
    with ThreadPoolExecutor(1) as executor:
        asyncio.run(RestApi(versions, executor)(scope, receive, send))
    return sent


def answer(versions: Versions, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    """Return the status and the JSON body of an answer."""
    start, end = ask(versions, method, path, *messages(body), **headers)
    return start["status"], json.loads(end["body"])


def serving(model: FakeModel) -> Versions:
    """Return versions of which one serves."""
    versions = Versions()
    versions.serve(Predictor(model))
    return versions


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
def test_gzip_is_announced_by_a_header(encoding: str) -> None:
    """As TensorFlow Serving looks for it."""
    packed, versions = gzip.compress(IMAGE), serving(FakeModel())

    assert answer(versions, "POST", PREDICT, packed, content_encoding=encoding)[0] == 200
    assert answer(versions, "POST", PREDICT, packed, accept_encoding=encoding)[0] == 400


@pytest.mark.parametrize(
    ("path", "bodies", "status"),
    [
        ("/v1/models/nope:predict", [b"{", b'{"signature_name": 1}'], 400),
        ("/v1/models/nope:predict", [b"{}", b'{"signature_name": "nope"}'], 404),
        ("/v1/models/model/versions/2:predict", [b"{}"], 404),
        ("/v1/models/model/labels/canary:predict", [b"{}"], 400),
        ("/v1/models/nope:classify", [b"{}"], 400),
        ("/v1/models/nope:classify", [b'{"examples": [{}]}'], 404),
        ("/v1/models/model:classify", [b"", b'{"examples": 1}', b'{"examples": []}'], 400),
        *((f"/v1/models/model:{verb}", [b'{"examples": [{}]}'], 400) for verb in ("classify", "regress")),
        ("/v1/models/model:predict", [b'{"signature_name": "\\ud800"}'], 400),
        *((path, [IMAGE], 404) for path in ("/V2/models/model:predict", "/v1", "/")),
    ],
)
def test_the_json_is_checked_before_the_model_is_looked_up(
    path: str, bodies: list[bytes], status: int
) -> None:
    """Each error is an object with one member."""
    for body in bodies:
        found, document = answer(serving(FakeModel()), "POST", path, body)
        assert (found, [*document]) == (status, ["error"])


def test_status_lists_every_version_with_its_error() -> None:
    """The highest first; of one version only that one."""
    versions = serving(FakeModel(1))
    versions.set_status(VersionStatus(2, "END", "It is broken."))
    error, no_error = ("UNKNOWN", "It is broken."), ("OK", "")
    broken, fine = (
        {"version": version, "state": state, "status": {"error_code": code, "error_message": message}}
        for version, state, (code, message) in (("2", "END", error), ("1", "AVAILABLE", no_error))
    )

    assert answer(versions, "GET", "/v1/models/model") == (200, {"model_version_status": [broken, fine]})
    assert answer(versions, "GET", "/v1/models/model/versions/1")[1] == {"model_version_status": [fine]}


def test_an_error_in_the_server_itself_is_a_500_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One line reports it on stderr, without a traceback."""

    def fail(_: Arrays) -> Arrays:
        raise RuntimeError("bug")

    status, body = answer(serving(FakeModel(answer=fail)), "POST", PREDICT, IMAGE)

    assert (status, body) == (500, {"error": "Internal: RuntimeError('bug')"})
    assert capsys.readouterr().err == "A request failed: RuntimeError('bug')\n"


def test_no_answer_is_sent_to_a_client_that_went_away() -> None:
    """And no error is raised."""
    incoming = [*messages(b"{", b"")[:1], {"type": "http.disconnect"}]

    assert ask(Versions(), "POST", PREDICT, *incoming) == []
