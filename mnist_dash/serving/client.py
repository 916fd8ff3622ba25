"""The TensorFlow Serving REST client, used with every engine."""

from __future__ import annotations

import json
import time
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import numpy as np
import orjson
import requests
from numpy.typing import NDArray
from requests.adapters import BaseAdapter, HTTPAdapter

from mnist_dash.domain import (
    DIGITS,
    MODEL_NAME,
    SERVED_BY_HEADER,
    VERSION_HEADER,
    Gateway,
    Image,
    Prediction,
    Release,
    Role,
    Route,
)
from mnist_dash.errors import ModelError, ServingError
from mnist_dash.serving.http_errors import raise_for_status, unreached
from mnist_dash.signature import shape_for, to_probabilities

CONNECTIONS = 16


class AddressAdapter(HTTPAdapter):
    """Connects to the gateway's address, if it has one; certificate and SNI stay those of its host."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(pool_maxsize=CONNECTIONS)
        self._address = urlsplit(f"//{gateway.address}")

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        """Scheme, host and port to connect to, and what TLS has to know."""
        where, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if not self._address.hostname:
            return where, tls
        named = {"server_hostname": where["host"]} if where["scheme"] == "https" else {}
        return {**where, "host": self._address.hostname, "port": self._address.port}, {**tls, **named}


DEFAULT_INPUT_SHAPE = (-1, 28, 28, 1)
AVAILABLE = "AVAILABLE"

E = TypeVar("E", Role, Release)


def prediction(response: requests.Response, milliseconds: float) -> Prediction:
    """The prediction in an answer; raises ServingError if there is none, or one that no model can mean."""
    served = served_by(response)
    return Prediction(
        probabilities=_probabilities(_json(response)),
        role=_member(Role, served.get("role")),
        release=_member(Release, served.get("release")),
        version=_integer(response.headers.get(VERSION_HEADER)),
        replica=served.get("replica", ""),
        milliseconds=milliseconds,
    )


def input_shape(response: requests.Response) -> tuple[int, ...]:
    """Shape of the input that the metadata declare, -1 where it is free; MNIST's usual one if they do not."""
    try:
        signatures = _json(response)["metadata"]["signature_def"]["signature_def"]
        (tensor,) = signatures["serving_default"]["inputs"].values()
        return tuple(int(dim["size"]) for dim in tensor["tensor_shape"]["dim"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return DEFAULT_INPUT_SHAPE


def available(response: requests.Response) -> tuple[int | None, str]:
    """The highest version that is served, by the model's status, or None and how the highest one is."""
    try:
        versions = {int(v["version"]): v for v in _json(response)["model_version_status"]}
        served = [number for number, v in versions.items() if v["state"] == AVAILABLE]
        return (max(served), "") if served else (None, _unserved(versions))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, "The answer is not a model's status."


def _unserved(versions: dict[int, Any]) -> str:
    if not versions:
        return "The model server knows no version of the model."
    highest = versions[max(versions)]
    reason = str(highest.get("status", {}).get("error_message", ""))
    return f"Version {max(versions)} is in the state {highest['state']}. {reason}".strip()


def served_by(response: requests.Response) -> dict[str, str]:
    """Who answered, by the header: role, release and replica, as far as they are told."""
    header = response.headers.get(SERVED_BY_HEADER, "")  # other programs put other things in it
    return parse_keqv_list([item for item in parse_http_list(header) if "=" in item])


def _json(response: requests.Response) -> Any:
    try:
        return json.loads(response.content)  # NaN comes as a bare token, which the standard library reads
    except (ValueError, RecursionError):
        raise ServingError(
            "The answer is not JSON: something other than a model server answered.",
            "Check the gateway's address.",
        ) from None


def _probabilities(answer: Any) -> NDArray[np.float64]:
    try:
        rows = answer["predictions"]
        row = rows[0]
        if isinstance(row, dict):
            row = _answering(row)
        values = np.asarray(row, dtype=np.float64)
    except (KeyError, IndexError, TypeError, ValueError, StopIteration):
        raise ServingError("The answer holds no predictions.", "Is it a model of MNIST digits?") from None
    if values.shape != (DIGITS,):
        raise ServingError(
            f"The answer has the shape {values.shape} instead of ten probabilities.",
            "Is it a model of MNIST digits?",
        )
    if not np.isfinite(values).all():
        raise ServingError("The model answered with NaN or infinity.", "It is broken: deploy another one.")
    probabilities: NDArray[np.float64] = to_probabilities(values[np.newaxis])[0]
    return probabilities


def _answering(outputs: dict[str, Any]) -> Any:
    """Of several outputs the one with ten values; if there are more, the one that is called probabilities."""
    ten = {name: value for name, value in outputs.items() if np.shape(value) == (DIGITS,)}
    return next((value for name, value in ten.items() if "prob" in name.lower()), next(iter(ten.values())))


def _member(kind: type[E], value: str | None) -> E | None:
    return kind(value) if value in set(kind) else None


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


CONNECT_SECONDS, READ_SECONDS = 3.0, 15.0
STATUS_SECONDS = 2.0
ATTEMPTS = 3


class ServingClient:
    """Predicts through a gateway on kept-alive connections; may be used from several threads at once.

    `transport` replaces the HTTP adapter in tests.
    """

    def __init__(self, gateway: Gateway, *, transport: BaseAdapter | None = None) -> None:
        self._gateway = gateway
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment must not stand before the gateway
        self._session.verify = gateway.ca_file or True
        self._session.mount(gateway.url, transport or AddressAdapter(gateway))
        if gateway.address:  # else the Host header would name the address
            self._session.headers["Host"] = urlsplit(gateway.url).netloc
        self._shapes: dict[Route, tuple[int, ...]] = {}

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._session.close()

    def predict(self, image: Image, route: Route = Route.SPLIT) -> Prediction:
        """Ask about one digit, (28, 28) float32 in [0, 1]; raises ServingError with a plain sentence.

        The model's signature decides the shape that is sent. On the split the body fits Current; if the
        gateway then chose a New model that wants another shape, New is asked again by header, so that the
        choice stays the gateway's.
        """
        asked = route
        chosen: Route = Route.CURRENT if route is Route.SPLIT else route
        for _ in range(ATTEMPTS):  # models may change roles between the question and the answer
            shape = self._shape(chosen)
            started = time.perf_counter()
            response = self._post(image, shape, asked)
            milliseconds = (time.perf_counter() - started) * 1000
            if response.status_code != requests.codes.bad_request:
                break
            asked = chosen = _refuser(response, asked)
            self._shapes.pop(chosen, None)
        raise_for_status(response)
        return prediction(response, milliseconds)

    def status(self, route: Route, *, seconds: float = STATUS_SECONDS) -> tuple[int | None, str]:
        """The version that is served on a forced route, or None and why there is none, in words.

        Waits at most `seconds` for the connection and as long for the answer. A controller may answer for New
        with Current while New has no ready replica.
        """
        try:
            response = self._send("GET", "", route, seconds=seconds)
            raise_for_status(response)
            return available(response)
        except ServingError as error:
            return None, str(error)

    def _post(self, image: Image, shape: tuple[int, ...], route: Route) -> requests.Response:
        try:
            instances = np.ascontiguousarray(shape_for(image[np.newaxis], shape), dtype=np.float32)
        except ModelError as error:  # no check saw it: a newer version in the folder, or another's model
            raise ServingError(error.problem, error.next_step) from error
        body = orjson.dumps({"instances": instances}, option=orjson.OPT_SERIALIZE_NUMPY)
        return self._send("POST", ":predict", route, body)

    def _shape(self, route: Route) -> tuple[int, ...]:
        """Shape of the input that the model on this route declares, read once and kept until a 400."""
        if not (shape := self._shapes.get(route)):
            response = self._send("GET", "/metadata", route)
            raise_for_status(response)
            shape = self._shapes[route] = input_shape(response)
        return shape

    def _send(
        self, method: str, verb: str, route: Route, body: bytes | None = None, seconds: float = READ_SECONDS
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                f"{self._gateway.url}/v1/models/{MODEL_NAME}{verb}",
                data=body,
                headers=route.headers,
                timeout=(min(seconds, CONNECT_SECONDS), seconds),
                allow_redirects=False,
            )
        except OSError as error:  # also what requests raises for a file of authorities that is not there
            raise unreached(error, self._gateway) from error


def _refuser(response: requests.Response, asked: Route) -> Route:
    """The route to the model that refused; if nobody says, New: on the split, Current's shape was sent."""
    if role := served_by(response).get("role"):
        return Route.CURRENT if role == Role.CURRENT else Route.NEW
    return Route.NEW if asked is Route.SPLIT else asked
