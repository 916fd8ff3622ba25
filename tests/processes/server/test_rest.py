"""TensorFlow Serving's REST API over the wire: its routes, its transport, status and metadata."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mnist_dash.local.server.predictor import Predictor
from mnist_dash.local.server.rest import MOST_BYTES, RestApi
from mnist_dash.local.server.versions import Versions
from tests.processes.server.rest_client import PREDICT, Client
from tests.processes.server.server_process import TIMEOUT, ServerProcess
from tests.unit.local.server.fake_model import Arrays, FakeModel

IMAGE = [[[0.5] * 28] * 28]


@pytest.mark.parametrize("path", ["/v1/models/model/versions/1:predict", "/V1/models/mo%64el:predict"])
def test_predict_may_name_the_version(client: Client, path: str) -> None:
    """The answer is the same."""
    body = {"instances": IMAGE}

    assert client.ask("POST", path, body).body == client.predict(body).body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PREDICT),
        ("PUT", PREDICT),
        ("DELETE", PREDICT),
        ("PATCH", PREDICT),
        ("OPTIONS", PREDICT),
        ("POST", "/v1/models/model"),
        ("PUT", "/v1/models/model"),
        ("POST", f"{PREDICT}/"),
        ("GET", "/v1/models/model/"),
        ("POST", f"{PREDICT}?x=1"),
        ("POST", "/v1/models/model%3Apredict"),
        ("POST", "/v1/models/model:explain"),
    ],
)
def test_what_fits_no_route_is_400(client: Client, method: str, path: str) -> None:
    """There is no 405, a query is part of the path, `%3A` is no colon."""
    answer = client.ask(method, path, {"instances": IMAGE} if method != "GET" else None)

    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.body == {"error": f"Malformed request: {method} {path}"}


def test_head_is_400_without_a_body(client: Client) -> None:
    """And the connection goes on."""
    answer = client.ask("HEAD", "/v1/models/model")

    assert (answer.status, answer.body) == (400, b"")
    assert client.ask("GET", "/v1/models/model").status == 200


@pytest.mark.parametrize("path", ["/", "/v2/models/model", "/v1", "/metrics"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_any_other_path_is_404(client: Client, method: str, path: str) -> None:
    """Whatever the method."""
    assert client.ask(method, path).status == 404


def test_there_is_no_list_of_models(client: Client) -> None:
    """A model must be named."""
    answer = client.ask("GET", "/v1/models")

    assert (answer.status, answer.body) == (400, {"error": "Missing model name in request."})


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/models/nope:predict", {}, 404),
        (PREDICT, b"", 400),
        ("/v1/models", None, 400),
        ("/v1/x", None, 400),
    ],
)
def test_every_error_under_v1_is_a_json_object_with_one_member(
    client: Client, path: str, body: Any, status: int
) -> None:
    """Whatever went wrong."""
    answer = client.ask("GET" if body is None else "POST", path, body)

    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert [*answer.body] == ["error"]


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png"]
)
def test_the_content_type_of_a_request_is_never_looked_at(client: Client, kind: str) -> None:
    """curl sends a form's."""
    assert client.predict({"instances": IMAGE}, Content_Type=kind).status == 200


def test_a_chunked_body_is_accepted(client: Client) -> None:
    """Without a length."""
    text = json.dumps({"instances": IMAGE}).encode()
    pieces = (text[start : start + 1000] for start in range(0, len(text), 1000))
    client.connection.request("POST", PREDICT, pieces, encode_chunked=True)

    assert client.connection.getresponse().status == 200


def test_a_gzip_body_is_accepted(client: Client) -> None:
    """Announced by Content-Encoding."""
    body = {"instances": IMAGE}
    packed = client.predict(gzip.compress(json.dumps(body).encode()), Content_Encoding="gzip")

    assert packed.status == 200
    assert packed.body == client.predict(body).body


def test_a_damaged_gzip_body_is_400(client: Client) -> None:
    """And not the end of the connection."""
    assert client.predict(b"no gzip", Content_Encoding="gzip").status == 400
    assert client.ask("GET", "/v1/models/model").status == 200


def test_a_body_beyond_the_limit_is_413(client: Client) -> None:
    """Announced or not, it is not kept; the connection goes on."""
    answer = client.predict(bytes(MOST_BYTES + 1))

    assert answer.status == 413
    assert client.ask("GET", "/v1/models/model").status == 200


def test_keep_alive_survives_errors(client: Client) -> None:
    """One connection for a 400, a 404, another 404, and an answer."""
    client.connection.connect()
    port = client.connection.sock.getsockname()[1]
    statuses = [
        client.predict(b"{").status,
        client.ask("POST", "/v1/models/nope:predict", {}).status,
        client.ask("GET", "/nope").status,
        client.ask("PUT", PREDICT, b"x" * 100_000).status,
        client.predict({"instances": IMAGE}).status,
    ]

    assert statuses == [400, 404, 404, 400, 200]
    assert client.connection.sock.getsockname()[1] == port


def test_two_requests_at_once_on_one_connection_are_both_answered(linear_server: ServerProcess) -> None:
    """In order."""
    request = b"GET /v1/models/%s HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", linear_server.port), TIMEOUT) as connection:
        connection.sendall(request % b"model" + request % b"nope")
        seen = b""
        while seen.count(b"HTTP/1.1") < 2 or not seen.endswith(b"}"):
            seen += connection.recv(65536)

    assert seen.index(b"200 OK") < seen.index(b"404 Not Found")


@pytest.mark.parametrize("path", ["/v1/models/model", "/v1/models/model/versions/1"])
def test_status_says_which_version_is_available(client: Client, path: str) -> None:
    """Of the model, or of one version of it."""
    status = {"error_code": "OK", "error_message": ""}

    assert client.ask("GET", path).body == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": status}]
    }


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/models/nope", "Could not find any versions of model nope"),
        ("/v1/models/model/versions/2", "Could not find version 2 of model model"),
        ("/v1/models/nope/metadata", "Servable not found for request: Latest(nope)"),
        ("/v1/models/model/versions/2/metadata", "Servable not found for request: Specific(model, 2)"),
    ],
)
def test_status_and_metadata_of_what_is_not_there_are_404(client: Client, path: str, error: str) -> None:
    """A model or a version."""
    answer = client.ask("GET", path)

    assert (answer.status, answer.body) == (404, {"error": error})


@pytest.mark.parametrize("path", ["/v1/models/model/metadata", "/v1/models/model/versions/1/metadata"])
def test_metadata_says_what_the_model_takes_and_gives(client: Client, path: str) -> None:
    """Names, dtypes and sizes as in saved_model.pb."""
    body = client.ask("GET", path).body
    signature = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
    ((_, tensor),) = signature["inputs"].items()

    assert body["model_spec"] == {"name": "model", "signature_name": "", "version": "1"}
    assert tensor["dtype"] == "DT_FLOAT"
    assert tensor["tensor_shape"] == {
        "dim": [{"size": size, "name": ""} for size in ("-1", "28", "28")],
        "unknown_rank": False,
    }
    assert tensor["name"].startswith("serving_default_")
    assert (signature["method_name"], signature["defaults"]) == ("tensorflow/serving/predict", {})


def asked(api: RestApi, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What the application sends for a POST to `:predict`."""
    incoming, sent = iter(messages), []

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {"method": "POST", "raw_path": PREDICT.encode(), "query_string": b"", "headers": []}
    asyncio.run(api(scope, receive, send))
    return sent


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """For big requests."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_an_error_in_the_server_itself_is_a_500_in_json(
    executor: ThreadPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says so on stderr, without a traceback."""

    def fail(_: Arrays) -> Arrays:
        raise RuntimeError("bug")

    versions = Versions()
    versions.serve(Predictor(FakeModel(answer=fail)))
    body = b'{"instances": [[[1, 2], [3, 4]]]}'
    start, end = asked(RestApi(versions, executor), {"type": "http.request", "body": body})

    assert start["status"] == 500
    assert json.loads(end["body"]) == {"error": "Internal: RuntimeError('bug')"}
    assert capsys.readouterr().err == "A request failed: RuntimeError('bug')\n"


def test_nothing_is_sent_to_a_client_that_went_away(executor: ThreadPoolExecutor) -> None:
    """And nothing is raised."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    assert asked(RestApi(Versions(), executor), *messages) == []
