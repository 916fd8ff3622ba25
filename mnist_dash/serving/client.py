"""`ServingClient`: asks the models behind a gateway."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import numpy as np
import orjson
import requests
from requests.adapters import BaseAdapter

from mnist_dash.domain import MODEL_NAME, Gateway, Image, Prediction, Role, Route
from mnist_dash.errors import ModelError, ServingError
from mnist_dash.savedmodel import shape_for
from mnist_dash.serving.address import AddressAdapter
from mnist_dash.serving.answers import available, input_shape, prediction, served_by
from mnist_dash.serving.refusals import raise_for_status
from mnist_dash.serving.silence import unreached

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
