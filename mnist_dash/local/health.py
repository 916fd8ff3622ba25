"""Whether a replica that runs still answers."""

from __future__ import annotations

import http.client

from mnist_dash.domain import MODEL_NAME

PROBE_SECONDS = 1.0
PROBE_WAIT = 2.0
UNHEALTHY_AFTER = 3
"""Probes in a row without an answer after which a replica is replaced."""


def answers(port: int, *, timeout: float = PROBE_WAIT) -> bool:
    """Whether the model server on this local port reports its model within `timeout` seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", f"/v1/models/{MODEL_NAME}")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
