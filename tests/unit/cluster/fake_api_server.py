"""Stands for an API server where no cluster is needed: it gives the answers that a test puts in."""

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
class Asked:
    """One request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Their names in small letters."""
    body: Any


@dataclass
class Answer:
    """One answer to give."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Cut the connection in the middle of the body."""
    silent: bool = False
    """Say nothing until the test ends."""


class StandIn:
    """A server on 127.0.0.1; each list of answers is given in order, the last one again and again."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # TLS that fails on purpose
        if context:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._scheme = "https" if context else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.answer("POST", REVIEW, Answer(201, {"status": {"userInfo": {"username": "alice"}}}))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def answer(self, method: str, path: str, *answers: Answer) -> None:
        """Give these answers to a method on a path."""
        self._answers[method, path] = list(answers)

    def requests(self, method: str) -> list[Asked]:
        """What came by a method, in order."""
        return [one for one in self.asked if one.method == method]

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        answers = self._answers.get((asked.method, asked.path))
        if not answers:
            return Answer(404, "404 page not found")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                parts = urlsplit(self.path)
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(text) if text else None
                asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
                answer = standin._next(asked)
                if answer.silent:
                    standin._ended.wait()
                    self.close_connection = True
                else:
                    self._give(answer)

            def _give(self, answer: Answer) -> None:
                text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                content = text.encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if answer.cut else content)
                self.close_connection = answer.cut

            do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815  # names that the base class calls

            def log_message(self, *args: object) -> None:
                """The tests say what went wrong."""

        return Handler


def status(code: int, message: str, *, reason: str = "", **details: Any) -> Answer:
    """A refusal as an API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return Answer(code, {**body, "reason": reason, "details": details})
