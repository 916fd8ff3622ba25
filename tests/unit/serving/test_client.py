"""The REST client: its requests, what it reads from answers, and the translation of HTTP errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from mnist_dash.domain import Gateway, Release, Role, Route
from mnist_dash.errors import ServingError
from mnist_dash.serving.client import READ_SECONDS, ServingClient

IMAGE = np.linspace(0, 1, 784, dtype=np.float32).reshape(28, 28)
GATEWAY = Gateway("http://my.example.com", "10.0.0.1:8080")
TEN = [0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0]

Answer = tuple[int, Any, dict[str, str]]
Handler = Callable[[requests.PreparedRequest], Answer]


class Transport(BaseAdapter):
    """Answers requests from a function, and remembers them."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self.handler, self.requests = handler, list[requests.PreparedRequest]()
        self.timeouts: list[object] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        assert options["timeout"], "every call has a time-out"
        self.requests.append(request)
        self.timeouts.append(options["timeout"])
        status, body, headers = self.handler(request)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers)
        response.raw = HTTPResponse(BytesIO(raw), status=status, preload_content=False)
        response.request, response.url = request, request.url or ""
        return response

    def close(self) -> None:
        pass


def tensor(*shape: int, dtype: str = "DT_FLOAT") -> dict[str, Any]:
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(n), "name": ""} for n in shape]}}


def metadata(*shape: int) -> dict[str, Any]:
    signature = {"inputs": {"x": tensor(*shape)}, "outputs": {"y": tensor(-1, 10)}}
    return {"metadata": {"signature_def": {"signature_def": {"serving_default": signature}}}}


def model(
    shape: tuple[int, ...] = (-1, 28, 28, 1),
    answer: Any = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Handler:
    """One model behind the gateway."""

    def handle(request: requests.PreparedRequest) -> Answer:
        if request.method == "GET":
            return 200, metadata(*shape), {}
        return status, {"predictions": [TEN]} if answer is None else answer, headers or {}

    return handle


def strict_models(route: Callable[[requests.PreparedRequest], tuple[str, tuple[int, ...]]]) -> Handler:
    """Models by role and input shape, which answer 400 to another shape."""

    def handle(request: requests.PreparedRequest) -> Answer:
        role, shape = route(request)
        if request.method == "GET":
            return 200, metadata(-1, *shape), {}
        fits = np.shape(json.loads(request.body or b"")["instances"]) == (1, *shape)
        answer = {"predictions": [TEN]} if fits else {"error": "shape"}
        return (200 if fits else 400), answer, {"X-Served-By": f"role={role}"}

    return handle


def client(handler: Handler) -> tuple[ServingClient, Transport]:
    transport = Transport(handler)
    return ServingClient(GATEWAY, transport=transport), transport


def test_a_prediction_has_the_model_that_answered() -> None:
    """From the headers of gateway and replica; another gateway may send others."""
    headers = {"X-Served-By": "role=new, release=green, replica=green-3", "X-Model-Version": "12"}
    prediction = client(model(headers=headers))[0].predict(IMAGE)
    assert (prediction.role, prediction.release) == (Role.NEW, Release.GREEN)
    assert (prediction.replica, prediction.version) == ("green-3", 12)
    assert (prediction.digit, prediction.confidence) == (7, 0.9)
    np.testing.assert_allclose(prediction.probabilities, TEN)
    prediction = client(model(headers={"X-Served-By": "role=boss"}))[0].predict(IMAGE)
    assert (prediction.role, prediction.release, prediction.version) == (None, None, None)
    assert prediction.replica == ""


@pytest.mark.parametrize("shape", [(-1, 28, 28, 1), (-1, 28, 28), (-1, 784)])
def test_the_signature_decides_the_shape(shape: tuple[int, ...]) -> None:
    """And the pixels keep their order."""
    serving, transport = client(model(shape))
    serving.predict(IMAGE)
    instances = np.array(json.loads(transport.requests[-1].body or b"")["instances"])
    assert instances.shape == (1, *shape[1:])
    np.testing.assert_array_equal(instances.ravel().astype(np.float32), IMAGE.ravel())


def test_a_signature_that_fits_digits_is_named() -> None:
    """As of TensorFlow Serving's own example, whose `serving_default` takes text; its shapes are unknown."""
    unknown = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [], "unknown_rank": True}}
    text = {"inputs": {"inputs": unknown | {"dtype": "DT_STRING"}}, "outputs": {"scores": unknown}}
    fit = {"inputs": {"images": unknown}, "outputs": {"scores": unknown}}
    document = metadata()
    document["metadata"]["signature_def"]["signature_def"] = {"serving_default": text, "predict_images": fit}
    serving, transport = client(
        lambda r: (200, document if r.method == "GET" else {"predictions": [TEN]}, {})
    )
    assert serving.predict(IMAGE).digit == 7
    body = json.loads(transport.requests[-1].body or b"")
    assert body["signature_name"] == "predict_images"
    assert np.shape(body["instances"]) == (1, 784)


@pytest.mark.parametrize(
    ("route", "header"), [(Route.SPLIT, None), (Route.CURRENT, "never"), (Route.NEW, "always")]
)
def test_a_route_is_forced_by_header(route: Route, header: str | None) -> None:
    """With the gateway's own headers beside it."""
    serving, transport = client(model())
    serving.predict(IMAGE, route)
    assert transport.requests[-1].headers.get("X-Mnist-Route") == header
    assert transport.requests[-1].headers["Host"] == "my.example.com"
    assert transport.requests[-1].url == "http://my.example.com/v1/models/model:predict"


def test_the_shape_is_read_once() -> None:
    """Each further prediction is one request."""
    serving, transport = client(model())
    for _ in range(3):
        serving.predict(IMAGE)
    assert [r.method for r in transport.requests] == ["GET", "POST", "POST", "POST"]


def test_several_digits_are_predicted_in_one_request() -> None:
    """In their order; an answer to some of them only is an error."""
    other = TEN[::-1]
    serving, transport = client(model(answer={"predictions": [TEN, other]}))
    first, second = serving.predict_batch(np.stack([IMAGE, IMAGE]), Route.NEW)
    assert (first.digit, second.digit) == (7, 2)
    assert len([request for request in transport.requests if request.method == "POST"]) == 1
    with pytest.raises(ServingError, match="holds 2 predictions"):
        serving.predict_batch(np.stack([IMAGE] * 3))


def test_a_new_model_of_another_shape_gets_a_second_request() -> None:
    """It is forced to the model that the gateway chose."""

    def route(request: requests.PreparedRequest) -> tuple[str, tuple[int, ...]]:
        is_current = request.headers.get("X-Mnist-Route") == "never"  # the split always chooses New here
        return ("current", (28, 28)) if is_current else ("new", (784,))

    serving, transport = client(strict_models(route))
    assert serving.predict(IMAGE, Route.SPLIT).role is Role.NEW
    assert transport.requests[-1].headers["X-Mnist-Route"] == "always"
    assert serving.predict(IMAGE, Route.CURRENT).role is Role.CURRENT


def test_a_replaced_model_of_another_shape_gets_its_own_shape() -> None:
    """A 400 removes the remembered shape."""
    shapes: list[tuple[int, ...]] = [(28, 28)]
    serving, _ = client(strict_models(lambda _: ("current", shapes[-1])))
    serving.predict(IMAGE)
    shapes.append((784,))
    assert serving.predict(IMAGE).digit == 7


def test_a_model_that_refuses_its_own_shape_gets_three_requests() -> None:
    """Then its error is passed on."""
    serving, transport = client(model(answer={"error": "no"}, status=400))
    with pytest.raises(ServingError, match=r"refused the request \(400\)\. no\."):
        serving.predict(IMAGE)
    assert [r.method for r in transport.requests] == ["GET", "POST"] * 3


def test_the_probabilities_are_chosen_and_computed() -> None:
    """From logits by softmax; TensorFlow Serving answers with an object for several outputs."""
    prediction = client(model(answer={"predictions": [[0, 0, 0, 20, 0, 0, 0, 0, 0, -5]]}))[0].predict(IMAGE)
    assert prediction.digit == 3
    assert prediction.probabilities.sum() == pytest.approx(1)
    answer = {"predictions": [{"features": [1.0, 2.0], "probabilities": TEN}]}
    assert client(model(answer=answer))[0].predict(IMAGE).digit == 7
    answer = {"predictions": [{"logits": [0.0] * 10, "softmax": TEN}]}
    assert client(model(answer=answer))[0].predict(IMAGE).digit == 7


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (400, {"error": "bad shape"}, r"refused the request \(400\)\. bad shape\."),
        (404, {"error": "Servable not found"}, r"knows no such model \(404\)\. Servable not found\."),
        (500, {"error": "boom"}, r"server failed \(500\)\. boom\."),
        (502, b"<html>", r"broke off or took too long \(502\)"),
        (503, {"error": "It starts."}, r"No model is ready to answer \(503\)\. It starts\."),
        (504, b"", r"took too long \(504\)"),
        (200, b"<html>hello</html>", "not JSON"),
        (200, b"[" * 100_000, "not JSON"),
        (200, {}, "no predictions"),
        (200, [1, 2], "no predictions"),
        (200, {"predictions": []}, "no predictions"),
        (200, {"predictions": [["a"] * 10]}, "no predictions"),
        (200, {"predictions": [[0.1] * 9]}, r"shape \(9,\)"),
        (200, {"predictions": [[TEN]]}, r"shape \(1, 10\)"),
        (200, b'{"predictions": [[NaN, 0, 0, 0, 0, 0, 0, 0, 0, 0]]}', "NaN or infinity"),
        (200, b'{"predictions": [[Infinity, 0, 0, 0, 0, 0, 0, 0, 0, 0]]}', "NaN or infinity"),
    ],
)
def test_an_unusable_answer_is_explained(status: int, answer: Any, words: str) -> None:
    """By a ServingError with the model server's own message."""
    with pytest.raises(ServingError, match=words) as caught:
        client(model(answer=answer, status=status))[0].predict(IMAGE)
    assert caught.value.is_transient == (status in (502, 503, 504))


@pytest.mark.parametrize(
    ("served_by", "role", "replica"),
    [
        ("role=new, release=green, replica=green-3", Role.NEW, "green-3"),
        ("role=current", Role.CURRENT, ""),
        ("cache-fra-1", None, ""),
    ],
)
@pytest.mark.parametrize(("status", "answer"), [(502, {"error": "It died."}), (200, {})])
def test_an_error_names_the_model_that_the_response_names(
    status: int, answer: Any, served_by: str, role: Role | None, replica: str
) -> None:
    """An ingress controller does not say which model it chose."""
    with pytest.raises(ServingError) as caught:
        client(model(answer=answer, status=status, headers={"X-Served-By": served_by}))[0].predict(IMAGE)
    assert (caught.value.role, caught.value.replica) == (role, replica)


def test_a_request_waits_as_long_as_the_caller_says() -> None:
    """For the connection it waits 3 s at most."""
    serving, transport = client(model())
    serving.predict(IMAGE)
    serving.predict(IMAGE, seconds=5)
    serving.predict(IMAGE, seconds=2)
    assert transport.timeouts[-3:] == [(3, READ_SECONDS), (3, 5), (2, 2)]


@pytest.mark.parametrize(
    ("gateway", "error", "next_step"),
    [
        (GATEWAY, requests.ConnectTimeout(), "--ingress-address"),
        (Gateway("http://127.0.0.1:8501"), requests.ConnectTimeout(), "See under Objects"),
        (GATEWAY, requests.ReadTimeout(), "overloaded or restarting"),
        (GATEWAY, requests.exceptions.ChunkedEncodingError("cut"), "Try again"),
    ],
)
def test_a_request_without_an_answer_has_a_next_step(
    gateway: Gateway, error: Exception, next_step: str
) -> None:
    """The reasons are those of tests/unit/test_network_errors.py."""

    def fail(_: requests.PreparedRequest) -> Answer:
        raise error

    with pytest.raises(ServingError, match=f"The gateway at {gateway.url}.* cannot be reached: ") as caught:
        ServingClient(gateway, transport=Transport(fail)).predict(IMAGE)
    assert next_step in caught.value.next_step
    assert caught.value.is_transient == (next_step == "Try again")


@pytest.mark.parametrize(
    ("status", "location", "body", "problem", "next_step"),
    [
        (404, "", b"404 page not found\n", "is no model server", "reads the routes"),
        (503, "", b"no available server\n", "No model is ready to answer (503)", "Wait"),
        (400, "", b"Client sent an HTTP request to an HTTPS server.", "expects https", "--scheme https"),
        (400, "", b"<html>The plain HTTP request was sent to HTTPS port", "expects https", "--scheme https"),
        (401, "", b"<html>", "refused the request (401)", "without a login"),
        (418, "", b"<html>", "refused the request (418)", "controller's log"),
        (308, "https://my.example.com/v1", b"", "all requests to https", "--scheme https"),
        (302, "http://my.example.com/login", b"", "/login.", "without a redirect"),
        (302, "https://login.example.com/?state=hidden", b"", "login.example.com/.", "without a redirect"),
    ],
)
def test_an_error_of_another_program_is_explained(
    status: int, location: str, body: bytes, problem: str, next_step: str
) -> None:
    """Ingress controllers and programs in front of them do not answer in JSON."""
    headers = {"Location": location} if location else {}
    with pytest.raises(ServingError) as caught:
        client(lambda _: (status, body, headers))[0].predict(IMAGE)
    assert problem in caught.value.problem
    assert next_step in caught.value.next_step


def status_of(*versions: tuple[str, str, str]) -> dict[str, Any]:
    """A model's status: version, state and error of each."""
    return {
        "model_version_status": [
            {"version": version, "state": state, "status": {"error_code": "OK", "error_message": error}}
            for version, state, error in versions
        ]
    }


@pytest.mark.parametrize(
    ("code", "document", "version", "why"),
    [
        (200, status_of(("2", "AVAILABLE", "")), 2, ""),
        (200, status_of(("3", "LOADING", ""), ("2", "AVAILABLE", ""), ("1", "AVAILABLE", "")), 2, ""),
        (200, status_of(("3", "LOADING", "")), None, "Version 3 is in the state LOADING."),
        (200, status_of(("10", "END", "No."), ("9", "END", "")), None, "Version 10 is in the state END. No."),
        (200, status_of(), None, "The model server knows no version of the model."),
        (200, {"ok": True}, None, "The answer is not a model's status."),
        (200, [], None, "The answer is not a model's status."),
        (404, {"error": "Servable not found"}, None, "knows no such model (404)"),
        (503, b"no available server", None, "No model is ready"),
    ],
)
def test_the_status_is_the_highest_available_version(
    code: int, document: Any, version: int | None, why: str
) -> None:
    """Or the reason why there is none."""
    serving, transport = client(lambda _: (code, document, {}))
    assert serving.status(Route.NEW)[0] == version
    assert why in serving.status(Route.NEW)[1]
    assert transport.requests[0].url == "http://my.example.com/v1/models/model"
    assert transport.requests[0].headers["X-Mnist-Route"] == "always"
