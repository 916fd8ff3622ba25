"""TensorFlow Serving's REST API over the wire."""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash.local.server.rest import BIG_BODY, MAX_BODY
from mnist_dash.savedmodel.model import Model
from tests.processes.server.rest_client import PREDICT, Client
from tests.processes.server.server_process import LINEAR, MODELS, TIMEOUT, ServerProcess

IMAGES = np.random.default_rng(0).random((3, 28, 28)).astype(np.float32)
IMAGE = IMAGES[:1].tolist()
STATUS = "/v1/models/model"


@pytest.fixture(scope="module")
def model() -> Model:
    """The same model in this process."""
    return Model.load(LINEAR / "model" / "1")


def outputs(model: Model, images: NDArray[np.float32]) -> list[list[float]]:
    """Return the model's rows."""
    (name,) = model.signatures["serving_default"].inputs
    (rows,) = model.run({name: images}).values()
    return [[float(value) for value in row] for row in rows]


def float32(rows: Any) -> list[list[float]]:
    """Return rows rounded to float32."""
    return [[float(np.float32(value)) for value in row] for row in rows]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("PATCH", PREDICT, 400), ("OPTIONS", PREDICT, 400), ("GET", "/v1/x", 400)),
        *(("POST", f"{PREDICT}?x=1", 400), ("POST", f"{STATUS}%3Apredict", 400)),
        *(("GET", "/v1/models/nope", 404), ("GET", f"{STATUS}/versions/2", 404)),
        *(("GET", "/v1/models/nope/metadata", 404), ("POST", "/v1/models/nope:predict", 404)),
    ],
)
def test_every_error_under_v1_is_a_json_object_with_one_member(
    client: Client, method: str, path: str, status: int
) -> None:
    """There is no 405, a query is part of the path, `%3A` is no colon."""
    answer = client.ask(method, path, {"instances": IMAGE} if method != "GET" else None)

    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert [*answer.body] == ["error"]


def test_head_is_400_and_options_with_an_origin_is_200_without_a_body(client: Client) -> None:
    """And the connection stays usable."""
    head = client.ask("HEAD", STATUS)
    options = client.ask("OPTIONS", PREDICT, Origin="https://example.com")

    assert (head.status, head.body) == (400, b"")
    assert (options.status, options.body) == (200, b"")
    assert client.ask("GET", STATUS).status == 200


def test_a_chunked_body_of_any_content_type_is_accepted(client: Client) -> None:
    """curl sends a form's type, a streaming client no length."""
    text = json.dumps({"instances": IMAGE}).encode()
    pieces = (text[start : start + 1000] for start in range(0, len(text), 1000))
    client.connection.request("POST", PREDICT, pieces, {"Content-Type": "image/png"}, encode_chunked=True)

    assert client.connection.getresponse().status == 200


def test_a_gzip_body_is_accepted(client: Client) -> None:
    """Announced by Content-Encoding; a damaged one is not the end of the connection."""
    body = {"instances": IMAGE}
    packed = client.predict(gzip.compress(json.dumps(body).encode()), Content_Encoding="gzip")

    assert client.predict(b"no gzip", Content_Encoding="gzip").status == 400
    assert packed.body == client.predict(body).body


def test_keep_alive_survives_errors(client: Client) -> None:
    """One connection for errors of all kinds, also of a body above the limit, and an answer."""
    client.connection.connect()
    port = client.connection.sock.getsockname()[1]
    statuses = [
        client.predict(b"{").status,
        client.predict(bytes(MAX_BODY + 1)).status,
        client.ask("POST", "/v1/models/nope:predict", {}).status,
        client.ask("GET", "/nope").status,
        client.ask("PUT", PREDICT, b"x" * 100_000).status,
        client.predict({"instances": IMAGE}).status,
    ]

    assert statuses == [400, 413, 404, 404, 400, 200]
    assert client.connection.sock.getsockname()[1] == port


def test_two_requests_at_once_on_one_connection_are_both_answered(linear_server: ServerProcess) -> None:
    """In order."""
    request = b"GET /v1/models/%s HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", linear_server.port), TIMEOUT) as connection:
        connection.sendall(request % b"model" + request % b"nope")
        received = b""
        while received.count(b"HTTP/1.1") < 2 or not received.endswith(b"}"):
            received += connection.recv(65536)

    assert received.index(b"200 OK") < received.index(b"404 Not Found")


@pytest.mark.parametrize("path", [f"{STATUS}/metadata", f"{STATUS}/versions/1/metadata"])
def test_metadata_has_every_signature_of_the_file(client: Client, path: str) -> None:
    """Names, dtypes and sizes as in saved_model.pb, the signature that initialises the model included."""
    body = client.ask("GET", path).body
    signatures = body["metadata"]["signature_def"]["signature_def"]
    ((_, tensor),) = signatures["serving_default"]["inputs"].items()
    init = signatures["__saved_model_init_op"]

    assert body["model_spec"] == {"name": "model", "signature_name": "", "version": "1"}
    assert tensor["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in tensor["tensor_shape"]["dim"]] == ["-1", "28", "28"]
    assert tensor["name"].startswith("serving_default_")
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    assert (init["inputs"], init["method_name"]) == ({}, "")
    assert init["outputs"]["__saved_model_init_op"] == {
        "dtype": "DT_INVALID",
        "tensor_shape": {"dim": [], "unknown_rank": True},
        "name": "NoOp",
    }


@pytest.mark.parametrize("path", [PREDICT, f"{STATUS}/versions/1:predict", "/V1/models/mo%64el:predict"])
def test_predict_answers_with_the_models_rows(client: Client, model: Model, path: str) -> None:
    """To the bit, for every row of a batch."""
    answer = client.ask("POST", path, {"instances": IMAGES.tolist()})

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body.keys() == {"predictions"}
    assert float32(answer.body["predictions"]) == outputs(model, IMAGES)


def test_every_answer_of_predict_names_the_version(client: Client) -> None:
    """An error, too, if the model was there to make it."""
    assert client.predict({"instances": IMAGE}).headers["x-model-version"] == "1"
    assert client.predict({"instances": []}).headers["x-model-version"] == "1"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        *((b"", 400), (b"[" * 1_000_000, 400), ({"instances": [[0] * 784]}, 400)),
        ({"signature_name": "__saved_model_init_op", "instances": IMAGE}, 400),
        ({"signature_name": "serving_default", "instances": IMAGE}, 200),
        ({"instances": [{"image": IMAGE[0]}], "other": [{"keys": "ignored"}]}, 200),
        (b"\xef\xbb\xbf" + json.dumps({"instances": IMAGE}).encode() + b"ignored", 200),
    ],
)
def test_a_request_of_any_form_is_answered(client: Client, body: Any, status: int) -> None:
    """With 200, or 400 and the reason."""
    answer = client.predict(body)

    assert (answer.status, [*answer.body]) == (status, ["predictions" if status == 200 else "error"])


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Inf", "1e300"])
def test_numbers_beyond_json_are_accepted(client: Client, token: str) -> None:
    """And may come out again, as bare words."""
    answer = client.predict(json.dumps({"instances": [[[0.5] * 28] * 28]}).replace("0.5", token, 1).encode())

    assert answer.status == 200
    assert np.isnan(answer.body["predictions"][0]).all() == (token == "NaN")


def test_a_big_batch_is_answered_in_order(client: Client, model: Model) -> None:
    """It takes another way through the server, and several inferences."""
    images = np.random.default_rng(1).random((200, 28, 28)).astype(np.float32)
    body = json.dumps({"instances": images.tolist()}).encode()
    assert len(body) > BIG_BODY

    rows = np.array(client.predict(body).body["predictions"], np.float32)
    assert np.allclose(rows, outputs(model, images), atol=1e-6)


def test_the_bundled_cnn_is_served() -> None:
    """It takes a channel more."""
    with ServerProcess(MODELS / "cnn") as server:
        cnn = Model.load(MODELS / "cnn" / "model" / "1")
        client = Client(server.port)
        answer = client.predict({"instances": IMAGES[..., np.newaxis].tolist()})
        client.connection.close()

    assert float32(answer.body["predictions"]) == outputs(cnn, IMAGES[..., np.newaxis])
