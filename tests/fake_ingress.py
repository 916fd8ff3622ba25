"""What stands for an ingress controller with a model behind it, over http or https."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Controller(ThreadingHTTPServer):
    """An ingress controller with a model behind it; remembers the hosts it was asked for, and its callers."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hosts, self.callers, self.names = list[str](), set[object](), list[str | None]()
        if context:
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers as a model server does."""

    protocol_version = "HTTP/1.1"
    server: Controller

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"predictions": [[1.0] + [0.0] * 9]})

    def _answer(self, document: object) -> None:
        self.server.hosts.append(self.headers["Host"])
        self.server.callers.add(self.client_address)
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running(context: ssl.SSLContext | None = None) -> Iterator[Controller]:
    """A controller for a while."""
    with Controller(context) as controller:
        threading.Thread(target=controller.serve_forever, args=(0.01,), daemon=True).start()
        yield controller
        controller.shutdown()
