"""The TensorFlow Serving REST client, used with every engine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import numpy as np
import orjson
import requests
from numpy.typing import NDArray
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connectionpool import ConnectionPool

from mnist_dash import domain
from mnist_dash.domain import Gateway, Image, Prediction, Release, Role, Route
from mnist_dash.errors import ModelError, ServingError
from mnist_dash.serving.http_errors import raise_for_status, translate_network_error
from mnist_dash.signature import (
    SERVING_DEFAULT,
    Adapter,
    Signature,
    Tensor,
    adapter_of,
    choose_outputs,
    shape_for,
    to_probabilities,
)

CONNECTIONS: Final = 16
CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 15.0
STATUS_SECONDS: Final = 2.0
ATTEMPTS: Final = 3


class AddressAdapter(HTTPAdapter):
    """Connects to the gateway's address, if it has one; certificate and SNI stay those of its host."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(pool_maxsize=CONNECTIONS)
        self._address = urlsplit(f"//{gateway.address}")
        self._connections: ConnectionPool | None = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> ConnectionPool:
        """Return the gateway's connections; requests itself would look for them anew for each request."""
        if self._connections is None:
            self._connections = super().get_connection_with_tls_context(*args, **kwargs)
        return self._connections

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        """Return scheme, host and port to connect to, and the arguments of TLS."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if not self._address.hostname:
            return host, tls
        names = {"server_hostname": host["host"]} if host["scheme"] == "https" else {}
        return {**host, "host": self._address.hostname, "port": self._address.port}, {**tls, **names}


class ServingClient:
    """Predicts through a gateway on kept-alive connections; may be used from several threads at once.

    `transport` replaces the HTTP adapter in tests.
    """

    def __init__(self, gateway: Gateway, *, transport: BaseAdapter | None = None) -> None:
        self._gateway = gateway
        # Not a session: it would double the time of a request, use the environment's proxy, and send
        # cookies that keep all requests at one model.
        self._transport = transport or AddressAdapter(gateway)
        self._adapters: dict[Route, Adapter] = {}

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._transport.close()

    def predict(
        self, image: Image, route: Route = Route.SPLIT, *, seconds: float = READ_SECONDS
    ) -> Prediction:
        """Predict one digit, (28, 28) float32 in [0, 1]; raises ServingError, after `seconds` at the latest.

        The model's signatures decide the shape of the request. On the split the body fits Current; if the
        gateway chose a New model that needs another shape, the request is repeated to New by header, so that
        the choice stays the gateway's.
        """
        (prediction,) = self.predict_batch(image[np.newaxis], route, seconds=seconds)
        return prediction

    def predict_batch(
        self, images: NDArray[np.float32], route: Route = Route.SPLIT, *, seconds: float = READ_SECONDS
    ) -> list[Prediction]:
        """Predict (n, 28, 28) digits in one request, as `predict` does; each has the time of the request."""
        destination = route
        model: Route = Route.CURRENT if route is Route.SPLIT else route
        for _ in range(ATTEMPTS):  # models may change roles between a request and its answer
            adapter = self._adapter(model, seconds)
            started = time.perf_counter()
            response = self._post(images, adapter, destination, seconds)
            milliseconds = (time.perf_counter() - started) * 1000
            if response.status_code != requests.codes.bad_request:
                break
            destination = model = _route_to_answering_model(response, destination)
            self._adapters.pop(model, None)
        with _naming_model(response):
            raise_for_status(response)
            return read_predictions(response, milliseconds, len(images))

    def status(self, route: Route, *, seconds: float = STATUS_SECONDS) -> tuple[int | None, str]:
        """Return the version that is served on a forced route, or None and the reason why there is none.

        Waits at most `seconds` for the connection and as long for the answer. A controller may answer for New
        with Current while New has no ready replica.
        """
        try:
            response = self._send("GET", "", route, seconds=seconds)
            raise_for_status(response)
            return read_version(response)
        except ServingError as error:
            return None, str(error)

    def _post(
        self, images: NDArray[np.float32], adapter: Adapter, route: Route, seconds: float
    ) -> requests.Response:
        instances = shape_for(images, adapter.input_shape)
        document: dict[str, Any] = {"instances": np.ascontiguousarray(instances, dtype=np.float32)}
        if adapter.signature != SERVING_DEFAULT:
            document["signature_name"] = adapter.signature
        body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        return self._send("POST", ":predict", route, body, seconds)

    def _adapter(self, route: Route, seconds: float) -> Adapter:
        """Return how digits fit the model on this route by its metadata, read once and kept until a 400."""
        if not (adapter := self._adapters.get(route)):
            response = self._send("GET", "/metadata", route, seconds=seconds)
            with _naming_model(response):
                raise_for_status(response)
                adapter = self._adapters[route] = read_adapter(response)
        return adapter

    def _send(
        self, method: str, verb: str, route: Route, body: bytes | None = None, seconds: float = READ_SECONDS
    ) -> requests.Response:
        request = requests.PreparedRequest()
        request.method, request.body = method, body
        request.url = f"{self._gateway.url}/v1/models/{domain.MODEL_NAME}{verb}"
        headers = {"Accept": "application/json", **route.headers}
        if body is not None:
            headers["Content-Length"] = str(len(body))
        if self._gateway.address:  # else the Host header would name the address
            headers["Host"] = urlsplit(self._gateway.url).netloc
        request.headers = requests.structures.CaseInsensitiveDict(headers)
        timeout = (min(seconds, CONNECT_SECONDS), seconds)
        try:
            response = self._transport.send(request, timeout=timeout, verify=self._gateway.ca_file or True)
            _ = response.content  # read here, because that may fail too
            return response
        except OSError as error:  # requests' errors are OSErrors, and so is that of a missing --ca-file
            raise translate_network_error(error, self._gateway) from error


def read_predictions(response: requests.Response, milliseconds: float, count: int = 1) -> list[Prediction]:
    """Read `count` predictions from an answer; raises ServingError if it holds others, or impossible ones."""
    served_by = _read_served_by(response)
    release = served_by.get("release")
    version = response.headers.get(domain.VERSION_HEADER, "")
    return [
        Prediction(
            probabilities=probabilities,
            role=_role_in(served_by),
            release=Release(release) if release in set(Release) else None,
            version=int(version) if version.isdecimal() else None,
            replica=served_by.get("replica", ""),
            milliseconds=milliseconds,
        )
        for probabilities in _read_probabilities(_parse_json(response), count)
    ]


def read_adapter(response: requests.Response) -> Adapter:
    """Read how digits fit a model from its metadata; MNIST's usual input by default. Raises ServingError."""
    try:
        signatures = _parse_json(response)["metadata"]["signature_def"]["signature_def"]
        return adapter_of({name: _read_signature(name, entry) for name, entry in signatures.items()})
    except ModelError as error:  # an unchecked model: a newer version in the folder, or another program's
        raise ServingError(error.problem, error.next_step) from error
    except (KeyError, TypeError, ValueError, AttributeError):
        return Adapter(SERVING_DEFAULT, "", (-1, 28, 28, 1), "")


def _read_signature(name: str, entry: Any) -> Signature:
    inputs, outputs = (
        {
            key: Tensor(key, tensor["dtype"], _read_shape(tensor.get("tensor_shape")))
            for key, tensor in part.items()
        }
        for part in (entry["inputs"], entry["outputs"])
    )
    return Signature(name, inputs, outputs, "")


def _read_shape(shape: Any) -> tuple[int, ...] | None:
    if not shape or shape.get("unknown_rank"):
        return None
    return tuple(int(dim["size"]) for dim in shape.get("dim", []))


def read_version(response: requests.Response) -> tuple[int | None, str]:
    """Read the highest available version from a model's status, or None and the state of the highest."""
    try:
        versions = {int(v["version"]): v for v in _parse_json(response)["model_version_status"]}
        available = [number for number, v in versions.items() if v["state"] == "AVAILABLE"]
        if available:
            return max(available), ""
        if not versions:
            return None, "The model server knows no version of the model."
        latest = versions[max(versions)]
        reason = str(latest.get("status", {}).get("error_message", ""))
        return None, f"Version {max(versions)} is in the state {latest['state']}. {reason}".strip()
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, "The answer is not a model's status."


@contextmanager
def _naming_model(response: requests.Response) -> Iterator[None]:
    """Let errors name the model and the replica that the response names."""
    try:
        yield
    except ServingError as error:
        served_by = _read_served_by(response)
        error.role, error.replica = _role_in(served_by), served_by.get("replica", "")
        raise


def _role_in(served_by: dict[str, str]) -> Role | None:
    role = served_by.get("role")
    return Role(role) if role in set(Role) else None


def _read_served_by(response: requests.Response) -> dict[str, str]:
    """Read role, release and replica from the header, as far as it has them."""
    header = response.headers.get(domain.SERVED_BY_HEADER, "")  # other programs put other things in it
    return parse_keqv_list([item for item in parse_http_list(header) if "=" in item])


def _route_to_answering_model(response: requests.Response, route: Route) -> Route:
    """Return the route to the model that answered 400; by default New, as a split has Current's shape."""
    if role := _read_served_by(response).get("role"):
        return Route.CURRENT if role == Role.CURRENT else Route.NEW
    return Route.NEW if route is Route.SPLIT else route


def _parse_json(response: requests.Response) -> Any:
    try:
        return json.loads(response.content)  # the standard library reads bare NaN tokens
    except (ValueError, RecursionError):
        problem = "The answer is not JSON: it does not come from a model server."
        raise ServingError(problem, "Check the gateway's address.") from None


def _read_probabilities(answer: Any, count: int) -> NDArray[np.float64]:
    """Return (count, 10) probabilities."""
    check_model = "Check that it is a model of MNIST digits."
    try:
        rows = [_choose_output(row) if isinstance(row, dict) else row for row in answer["predictions"]]
        values = np.asarray(rows, dtype=np.float64)
    except (KeyError, IndexError, TypeError, ValueError):
        raise ServingError("The answer holds no predictions.", check_model) from None
    if len(values) != count:
        raise ServingError(f"The answer holds {len(values) or 'no'} predictions.", check_model)
    if values.shape[1:] != (domain.DIGITS,):
        problem = f"The answer has the shape {values.shape[1:]}, not ten probabilities."
        raise ServingError(problem, check_model)
    if not np.isfinite(values).all():
        raise ServingError("The model answered with NaN or infinity.", "Deploy another model.")
    return to_probabilities(values)


def _choose_output(outputs: dict[str, Any]) -> Any:
    """Return the output with ten values; of several, the answer by its name."""
    ten = [name for name, value in outputs.items() if np.shape(value) == (domain.DIGITS,)]
    return outputs[choose_outputs(ten)[0]]
