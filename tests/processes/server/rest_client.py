"""A client of the model server's REST API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.processes.server.server_process import TIMEOUT

PREDICT = "/v1/models/model:predict"
ONE = json.dumps({"instances": [[[0.5] * 28] * 28]}).encode()
"""A request that the linear model answers."""


@dataclass(frozen=True)
class Answer:
    """An answer; its body is parsed if it is JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Client:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request, its body as JSON unless it is bytes, and read the answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, data, {k.replace("_", "-"): v for k, v in headers.items()})
        response = self.connection.getresponse()
        text = response.read()
        is_json = response.headers["content-type"] == "application/json" and text
        return Answer(response.status, dict(response.headers), json.loads(text) if is_json else text)

    def predict(self, body: Any, **headers: str) -> Answer:
        """POST to `:predict`."""
        return self.ask("POST", PREDICT, body, **headers)


def connected(port: int) -> closing[http.client.HTTPConnection]:
    """Connect to a server."""
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT))


def predict(connection: http.client.HTTPConnection, body: bytes = ONE) -> tuple[int, str | None]:
    """Return status and version of the answer to a request."""
    connection.request("POST", PREDICT, body)
    response = connection.getresponse()
    response.read()
    return response.status, response.headers["x-model-version"]


def states(port: int) -> dict[str, str]:
    """Return the state of each version, as the server reports it."""
    with connected(port) as connection:
        connection.request("GET", "/v1/models/model")
        body = json.loads(connection.getresponse().read())
    return {status["version"]: status["state"] for status in body.get("model_version_status", [])}
