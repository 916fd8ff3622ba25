"""The probes of a container, run by its spec, but ten times more often.

A probe has to fail for as long as on a cluster, or a busy machine would look like a broken container. Only a
fault that a test has asked for counts after the spec's number of tries, to keep the test short.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import urllib3

from tests.cluster.bed.api_server import Object

SPEED_UP = 10
MIN_PERIOD, MAX_PERIOD = 0.05, 1.0
"""Seconds between two probes."""
_ORDERED = "HTTP probe failed with statuscode: 503"


@dataclass(frozen=True)
class Verdict:
    """The result of a try; `passed` is None until its threshold is reached."""

    passed: bool | None
    message: str
    """Why the try failed; empty if it passed."""


class Probe:
    """One probe of a container, `startup`, `readiness` or `liveness`."""

    def __init__(self, kind: str, spec: Object, address: str, ports: dict[str, int]) -> None:
        self.kind = kind
        self._spec = spec
        self._address = address
        self._ports = ports
        self._period = min(max(spec.get("periodSeconds", 10) / SPEED_UP, MIN_PERIOD), MAX_PERIOD)
        self._patience = spec.get("failureThreshold", 3) * spec.get("periodSeconds", 10)
        self._passes = self._failures = 0
        self._failing_since = 0.0
        self.due = time.monotonic()

    def run(self, ordered_to_fail: bool) -> Verdict:
        """Try once, and set when the next try is due."""
        message = _ORDERED if ordered_to_fail else self._try()
        self.due = time.monotonic() + self._period
        if not message:
            self._passes, self._failures = self._passes + 1, 0
            return Verdict(True if self._passes >= self._spec.get("successThreshold", 1) else None, "")
        self._failing_since = self._failing_since if self._failures else time.monotonic()
        self._passes, self._failures = 0, self._failures + 1
        enough = self._failures >= self._spec.get("failureThreshold", 3)
        if not ordered_to_fail:
            enough = enough and time.monotonic() - self._failing_since >= self._patience
        return Verdict(False if enough else None, message)

    def _try(self) -> str:
        timeout = float(self._spec.get("timeoutSeconds", 1))
        action = self._spec["httpGet"]
        port = action["port"]
        port = self._ports[port] if isinstance(port, str) else port
        return _http_get(f"http://{self._address}:{port}{action['path']}", timeout)


def _http_get(url: str, timeout: float) -> str:
    """Return a kubelet's message if the probe fails; empty if it passes."""
    try:
        headers = {"Connection": "close"}
        answer = urllib3.request("GET", url, headers=headers, timeout=timeout, retries=False)
    except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ProtocolError):
        place = urllib3.util.parse_url(url).netloc
        return f'Get "{url}": dial tcp {place}: connect: connection refused'
    except urllib3.exceptions.HTTPError:
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    return "" if 200 <= answer.status < 400 else f"HTTP probe failed with statuscode: {answer.status}"
