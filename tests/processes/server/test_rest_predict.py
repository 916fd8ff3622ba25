"""TensorFlow Serving's REST API over the wire: what `:predict` takes and how it answers."""

from __future__ import annotations

import http.client
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash.local.server.rest import BIG_BODY
from mnist_dash.savedmodel.model import Model
from tests.processes.server.rest_client import PREDICT, Client
from tests.processes.server.server_process import LINEAR, MODELS, TIMEOUT, ServerProcess

IMAGES = np.random.default_rng(0).random((3, 28, 28)).astype(np.float32)
IMAGE = IMAGES[:1].tolist()


@pytest.fixture(scope="module")
def model() -> Model:
    """The same model in this process."""
    return Model.load(LINEAR / "model" / "1")


def outputs(model: Model, images: NDArray[np.float32]) -> list[list[float]]:
    """The model's rows."""
    (name,) = model.signatures["serving_default"].inputs
    (rows,) = model.run({name: images}).values()
    return [[float(value) for value in row] for row in rows]


def float32(rows: Any) -> list[list[float]]:
    """Rows as they are after rounding to float32."""
    return [[float(np.float32(value)) for value in row] for row in rows]


def test_predict_answers_what_the_model_says(client: Client, model: Model) -> None:
    """To the bit, for every row of a batch."""
    answer = client.predict({"instances": IMAGES.tolist()})

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body.keys() == {"predictions"}
    assert float32(answer.body["predictions"]) == outputs(model, IMAGES)


def test_columnar_format_is_answered_in_columnar_format(client: Client, model: Model) -> None:
    """A bare tensor, for there is one output."""
    answer = client.predict({"inputs": IMAGES.tolist()})

    assert answer.body.keys() == {"outputs"}
    assert float32(answer.body["outputs"]) == outputs(model, IMAGES)


def test_inputs_may_be_given_by_name(client: Client, model: Model) -> None:
    """In rows and in columns."""
    (name,) = model.signatures["serving_default"].inputs
    rows = client.predict({"instances": [{name: image} for image in IMAGES.tolist()]})
    columns = client.predict({"inputs": {name: IMAGES.tolist(), "extra": 1}})

    assert rows.body["predictions"] == columns.body["outputs"]


def test_every_answer_of_predict_names_the_version(client: Client) -> None:
    """An error, too, if the model was there to make it."""
    assert client.predict({"instances": IMAGE}).headers["x-model-version"] == "1"
    assert client.predict({"instances": []}).headers["x-model-version"] == "1"


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"instances": IMAGE, "inputs": IMAGE}, 400, "only one of 'inputs' or 'instances' keys to exist"),
        ({}, 400, "Missing 'inputs' or 'instances' key"),
        ({"instances": []}, 400, "No values in 'instances' array"),
        ({"instances": "x"}, 400, "Excepting 'instances' to be an list/array"),
        (
            {"instances": [IMAGE[0], {"image": IMAGE[0]}]},
            400,
            "Expecting value/list but got object at item 1",
        ),
        ({"instances": [{"image": IMAGE[0]}, IMAGE[0]]}, 400, "Expecting object but got list at item 1"),
        ({"instances": [{"image": IMAGE[0], "extra": 1}]}, 400, "must only have keys: image"),
        ({"inputs": {"extra": IMAGE}}, 400, "Missing named input: image in 'inputs' object."),
        ({"instances": [IMAGE[0], IMAGE[0][:27]]}, 400, "Expecting shape [28,28] but got: [27,28]"),
        ({"instances": [[*IMAGE[0][:27], [0]]]}, 400, "Encountered list at unexpected size: 1 at level: 1"),
        ({"instances": [[["0"] * 28] * 28]}, 400, "Type: String is not of expected type: float"),
        ({"instances": [[[True] * 28] * 28]}, 400, "Type: True is not of expected type: float"),
        ({"instances": [[[None] * 28] * 28]}, 400, "Type: Null is not of expected type: float"),
        ({"instances": [[[{}] * 28] * 28]}, 400, "Type: Object is not of expected type: float"),
        ({"instances": [[0] * 784]}, 400, "has shape [1,784], expected [-1,28,28]"),
        ({"instances": [[[0] * 27] * 27]}, 400, "has shape [1,27,27], expected [-1,28,28]"),
        ({"signature_name": "nope", "instances": IMAGE}, 400, 'Serving signature name: "nope" not found'),
        ({"signature_name": None, "instances": IMAGE}, 400, "'signature_name' key must be a string value."),
        ({"signature_name": 1, "instances": IMAGE}, 400, "'signature_name' key must be a string value."),
        ({"signature_name": "", "instances": IMAGE}, 200, ""),
        ({"signature_name": "serving_default", "instances": IMAGE}, 200, ""),
        ({"instances": [[[0] * 28] * 28]}, 200, ""),
        ({"instances": IMAGE, "other": [{"keys": "ignored"}]}, 200, ""),
        ([], 400, "Is not object"),
        ("text", 400, "Is not object"),
        (b"", 400, "JSON Parse error: The document is empty"),
        (b"{", 400, "JSON Parse error: "),
        (b'{"instances": [1] /* one */}', 400, "JSON Parse error: "),
        (b'{"instances": [1],}', 400, "JSON Parse error: "),
        (b'{"instances": [1e400]}', 400, "JSON Parse error: Number too big to be stored in double."),
        (b'{"instances": [nan]}', 400, "JSON Parse error: "),
        (b"[" * 1_000_000, 400, "JSON Parse error: The document is nested too deeply."),
    ],
)
def test_a_request_of_any_form_is_answered(client: Client, body: Any, status: int, error: str) -> None:
    """200, or 400 and why."""
    answer = client.predict(body)

    assert answer.status == status
    assert error in answer.body.get("error", "")


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "Inf", "-Inf", "1e300", "7"])
def test_numbers_that_json_does_not_have_are_taken(client: Client, token: str) -> None:
    """And may come out again."""
    image = json.dumps({"instances": [[[0.5] * 28] * 28]}).replace("0.5", token, 1).encode()
    answer = client.predict(image)

    assert answer.status == 200
    assert len(answer.body["predictions"][0]) == 10


def test_nan_comes_out_as_a_bare_word(linear_server: ServerProcess) -> None:
    """Not as a string, not as null."""
    connection = http.client.HTTPConnection("127.0.0.1", linear_server.port, timeout=TIMEOUT)
    text = json.dumps({"instances": [[[0.5] * 28] * 28]}).replace("0.5", "NaN")
    connection.request("POST", PREDICT, text)
    answer = connection.getresponse().read()
    connection.close()

    assert b"[NaN, NaN" in answer


@pytest.mark.parametrize("rest", [b" x", b'{"instances": []}'])
def test_text_after_the_object_and_a_byte_order_mark_are_ignored(client: Client, rest: bytes) -> None:
    """Both at once."""
    text = json.dumps({"instances": IMAGE}).encode()

    assert client.predict(b"\xef\xbb\xbf" + text + rest).body == client.predict(text).body


@pytest.mark.parametrize(
    ("path", "which"),
    [
        ("/v1/models/nope:predict", "Latest(nope)"),
        ("/v1/models/model/versions/2:predict", "Specific(model, 2)"),
        ("/v1/models/nope/versions/1:predict", "Specific(nope, 1)"),
    ],
)
def test_an_unknown_model_or_version_is_404_after_what_is_wrong_with_the_json(
    client: Client, path: str, which: str
) -> None:
    """JSON first, then the model, then the values."""
    answer = client.ask("POST", path, {"instances": []})

    assert (answer.status, answer.body) == (404, {"error": f"Servable not found for request: {which}"})
    assert client.ask("POST", path, b"{").status == 400
    assert client.ask("POST", path, {"signature_name": 1}).status == 400


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_classify_and_regress_are_400_on_a_predict_signature(client: Client, method: str) -> None:
    """What was wanted, and what it is."""
    answer = client.ask("POST", f"/v1/models/model:{method}", {"examples": [{"image": 1}]})

    assert answer.status == 400
    assert (
        f"method_name to be tensorflow/serving/{method}. Was: tensorflow/serving/predict"
        in answer.body["error"]
    )


def test_a_big_batch_is_answered_in_order(client: Client, model: Model) -> None:
    """It takes another way through the server, and several inferences."""
    images = np.random.default_rng(1).random((200, 28, 28)).astype(np.float32)
    body = json.dumps({"instances": images.tolist()}).encode()
    assert len(body) > BIG_BODY

    got = np.array(client.predict(body).body["predictions"], np.float32)
    assert np.allclose(got, outputs(model, images), atol=1e-6)


def test_both_bundled_models_are_answered_for() -> None:
    """The CNN takes a channel more."""
    with ServerProcess(MODELS / "cnn") as server:
        cnn = Model.load(MODELS / "cnn" / "model" / "1")
        client = Client(server.port)
        answer = client.predict({"instances": IMAGES[..., np.newaxis].tolist()})
        client.connection.close()

    assert float32(answer.body["predictions"]) == outputs(cnn, IMAGES[..., np.newaxis])
