"""A fake ingress controller with a model behind it, over HTTP or HTTPS."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Controller(ThreadingHTTPServer):
    """Records the hosts of the requests, the callers, and the names in TLS handshakes."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hosts, self.callers, self.names = list[str](), set[object](), list[str | None]()
        if context:
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def address(self) -> str:
        """The address, as HOST:PORT."""
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers like a model server."""

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
    """Run a controller during the block."""
    with Controller(context) as controller:
        threading.Thread(target=controller.serve_forever, args=(0.01,), daemon=True).start()
        yield controller
        controller.shutdown()
