"""The TensorFlow Serving REST client: the one way to predict, whichever engine."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, TypeVar
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
    Image,
    Prediction,
    Release,
    Role,
    Route,
)
from mnist_dash.errors import ModelError, ServingError
from mnist_dash.savedmodel import shape_for, to_probabilities

CONNECT_SECONDS, READ_SECONDS = 3.0, 15.0
ATTEMPTS = 3
DEFAULT_INPUT_SHAPE = (-1, 28, 28, 1)

E = TypeVar("E", Role, Release)


class ServingClient:
    """Predicts through a gateway on kept-alive connections; may be used from several threads at once.

    `transport` replaces the HTTP adapter in tests.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, transport: BaseAdapter | None = None
    ) -> None:
        self._model_url = f"{url}/v1/models/{MODEL_NAME}"
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment must not stand before the gateway
        self._session.mount(url, transport or HTTPAdapter(pool_maxsize=16))
        self._session.headers.update(headers or {})
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
        return _prediction(response, milliseconds)

    def _post(self, image: Image, shape: tuple[int, ...], route: Route) -> requests.Response:
        try:
            instances = np.ascontiguousarray(shape_for(image[np.newaxis], shape), dtype=np.float32)
        except (
            ModelError
        ) as error:  # no check saw it: a newer version in the folder, or another program's model
            raise ServingError(error.problem, error.next_step) from error
        body = orjson.dumps({"instances": instances}, option=orjson.OPT_SERIALIZE_NUMPY)
        return self._send("POST", ":predict", route, body)

    def _shape(self, route: Route) -> tuple[int, ...]:
        """Shape of the input that the model on this route declares, read once and kept until a 400."""
        if not (shape := self._shapes.get(route)):
            response = self._send("GET", "/metadata", route)
            _raise_for_status(response)
            shape = self._shapes[route] = _input_shape(_json(response))
        return shape

    def _send(self, method: str, verb: str, route: Route, body: bytes | None = None) -> requests.Response:
        try:
            return self._session.request(
                method,
                f"{self._model_url}{verb}",
                data=body,
                headers=route.headers,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
            )
        except requests.Timeout:
            raise ServingError(
                f"The gateway at {self._model_url} did not answer in time.",
                "The model may be overloaded or restarting: try again.",
            ) from None
        except requests.ConnectionError as error:
            raise ServingError(
                f"The gateway at {self._model_url} cannot be reached: {_last_words(error)}.",
                "See under Objects whether it runs.",
            ) from error
        except requests.RequestException as error:
            raise ServingError(
                f"The gateway's answer broke off: {_last_words(error)}.", "Try again."
            ) from error


def _prediction(response: requests.Response, milliseconds: float) -> Prediction:
    _raise_for_status(response)
    served_by = _served_by(response)
    return Prediction(
        probabilities=_probabilities(_json(response)),
        role=_member(Role, served_by.get("role")),
        release=_member(Release, served_by.get("release")),
        version=_integer(response.headers.get(VERSION_HEADER)),
        replica=served_by.get("replica", ""),
        milliseconds=milliseconds,
    )


def _refuser(response: requests.Response, asked: Route) -> Route:
    """The route to the model that refused; if nobody says, New: on the split, Current's shape was sent."""
    if role := _served_by(response).get("role"):
        return Route.CURRENT if role == Role.CURRENT else Route.NEW
    return Route.NEW if asked is Route.SPLIT else asked


def _raise_for_status(response: requests.Response) -> None:
    code = response.status_code
    if code == requests.codes.ok:
        return
    words = _error_text(response)
    if code == requests.codes.service_unavailable:
        raise ServingError(f"No model is there to answer (503). {words}", "Wait for a ready replica.")
    if code in (requests.codes.bad_gateway, requests.codes.gateway_timeout):
        raise ServingError(f"The model broke off or took too long ({code}). {words}", "Try again.")
    if code == requests.codes.not_found:
        raise ServingError(f"The gateway knows no such model (404). {words}", "Is the address right?")
    if 400 <= code < 500:
        raise ServingError(
            f"The model refused the request ({code}). {words}", "Is it a model of MNIST digits?"
        )
    raise ServingError(f"The model server failed ({code}). {words}", "See its log under Objects.")


def _error_text(response: requests.Response) -> str:
    try:
        text = str(json.loads(response.content)["error"])
    except (ValueError, KeyError, TypeError):
        text = response.reason or ""
    text = " ".join(text.split())[:300]
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


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


def _input_shape(metadata: Any) -> tuple[int, ...]:
    try:
        signatures = metadata["metadata"]["signature_def"]["signature_def"]
        (tensor,) = signatures["serving_default"]["inputs"].values()
        return tuple(int(dim["size"]) for dim in tensor["tensor_shape"]["dim"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return DEFAULT_INPUT_SHAPE


def _served_by(response: requests.Response) -> dict[str, str]:
    header = response.headers.get(SERVED_BY_HEADER, "")  # other programs put other things in it
    return parse_keqv_list([item for item in parse_http_list(header) if "=" in item])


def _member(kind: type[E], value: str | None) -> E | None:
    return kind(value) if value in set(kind) else None


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _last_words(error: Exception) -> str:
    """The innermost reason of a chain of foreign errors, without their class names and addresses."""
    while (cause := error.__cause__ or error.__context__) and isinstance(cause, Exception):
        error = cause
    return str(getattr(error, "strerror", None) or error).rstrip(".")
