"""The kubelet's HTTPS port, from which the API server fetches the logs of containers."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.cluster.bed.certificates import Pair
from tests.cluster.bed.network import NODE_ADDRESS

PORT = 10250
Answer = tuple[int, str]
Logs = Callable[[str, str, str, bool], Answer]
"""From namespace, Pod, container and whether to read the previous run, to a status and a text."""
_PATH = re.compile(r"/containerLogs/([^/]+)/([^/]+)/([^/]+)")


def serve(logs: Logs, pair: Pair) -> ThreadingHTTPServer:
    """Serve at the node's address in a thread, until `shutdown()`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            status, text = _answer(logs, url.path, parse_qs(url.query))
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((NODE_ADDRESS, PORT), Handler)
    server.daemon_threads = True
    server.socket = pair.context().wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, name="kubelet-logs", daemon=True).start()
    return server


def _answer(logs: Logs, path: str, query: dict[str, list[str]]) -> Answer:
    found = _PATH.fullmatch(path)
    if not found:
        return 404, "404 page not found\n"
    status, text = logs(found[1], found[2], found[3], query.get("previous") == ["true"])
    if status == 200 and query.get("timestamps") != ["true"]:
        text = "".join(line.partition(" ")[2] for line in text.splitlines(keepends=True))
    if status == 200 and (tail := query.get("tailLines")):
        text = "".join(text.splitlines(keepends=True)[-int(tail[0]) :] if int(tail[0]) else [])
    if status == 200 and (limit := query.get("limitBytes")):
        text = text[: int(limit[0])]
    return status, text
