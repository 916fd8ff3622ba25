"""A fake API server on 127.0.0.1 that gives the responses that a test puts in."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass(frozen=True)
class ReceivedRequest:
    """One request, with its header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class FakeResponse:
    """A response to give."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Cut the connection in the middle of the body."""
    silent: bool = False
    """Send nothing until the test ends."""


def failure_status(code: int, message: str, *, reason: str = "", **details: Any) -> FakeResponse:
    """An error as an API server reports it, with a `Status` object."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return FakeResponse(code, {**body, "reason": reason, "details": details})


class FakeApiServer(ThreadingHTTPServer):
    """Gives each list of responses in order, and then repeats the last one; knows the user as `alice`."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[ReceivedRequest] = []
        self.responses: dict[tuple[str, str], list[FakeResponse]] = {}
        self.stopped = threading.Event()
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.server_port}"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.respond("POST", REVIEW, FakeResponse(201, {"status": {"userInfo": {"username": "alice"}}}))

    def respond(self, method: str, path: str, *responses: FakeResponse) -> None:
        """Set the responses to a method on a path."""
        self.responses[method, path] = list(responses)

    def requests(self, method: str) -> list[ReceivedRequest]:
        """Return the received requests of a method, in order."""
        return [request for request in self.received if request.method == method]

    def stop(self) -> None:
        """Stop serving."""
        self.stopped.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, *_: object) -> None:
        """Ignore handshakes that fail on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeApiServer

    def _handle(self) -> None:
        url = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.loads(content) if content else None
        query = dict(parse_qsl(url.query))
        self.server.received.append(ReceivedRequest(self.command, url.path, query, headers, body))
        responses = self.server.responses.get((self.command, url.path), [FakeResponse(404, "page not found")])
        response = responses.pop(0) if len(responses) > 1 else responses[0]
        if response.silent:
            self.server.stopped.wait()
            self.close_connection = True
        else:
            self._send(response)

    def _send(self, response: FakeResponse) -> None:
        text = response.body if isinstance(response.body, str) else json.dumps(response.body)
        content = text.encode()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if response.cut else content)
        self.close_connection = response.cut

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815  # names that the base class calls

    def log_message(self, *args: object) -> None:
        """Log nothing."""
