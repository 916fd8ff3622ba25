"""Replicas that listen in this process, and the gateway as a child process."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from mnist_dash.domain import Release
from mnist_dash.local.protocol import (
    Applied,
    Backend,
    Drained,
    Listening,
    ProcessEvent,
    RoutingTable,
    RoutingUpdate,
    parse_event,
)
from mnist_dash.subprocesses import ChildProcess, Exited

Client: TypeAlias = http.client.HTTPConnection
PATIENCE = 10.0
"""Seconds after which a test gives up waiting."""
BODY = b'{"predictions": [[1.0]]}'
"""The default answer of a replica."""


@dataclass(frozen=True)
class Received:
    """A request as a replica received it."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    peer: tuple[str, int]

    def all(self, name: str) -> list[str]:
        """The values of one header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Answer:
    """A replica's answer: `at_once` bytes, the rest when it is free, nothing after `cut_after` bytes."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("Content-Type", "application/json")])
    body: bytes = BODY
    at_once: int = 0
    cut_after: int | None = None

    def to_wire(self, method: str) -> bytes:
        """The bytes of the answer."""
        lengths = [] if self.status in (204, 304) else [("Content-Length", str(len(self.body)))]
        head = "".join(f"{name}: {value}\r\n" for name, value in [*self.headers, *lengths])
        body = b"" if method == "HEAD" else self.body
        return (f"HTTP/1.1 {self.status} Fine\r\n{head}\r\n".encode("latin-1") + body)[: self.cut_after]


class Replica:
    """A replica that keeps the requests it received; while `free` is clear, its answers wait."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer = Answer()
        self.requests: list[Received] = []
        self.asked = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self._open: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def backend(self) -> Backend:
        """Its entry in a routing table."""
        host, port = self._server.server_address[:2]
        return Backend(self.name, Release(self.name.split("-")[0]), f"http://{host!s}:{port}")

    @property
    def last(self) -> Received:
        """The last request."""
        return self.requests[-1]

    def wait_asked(self) -> None:
        """Wait until one more request has come in."""
        assert self.asked.acquire(timeout=PATIENCE)

    def drop_connections(self) -> None:
        """Break off every connection."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """Stop listening and break off every connection, as a process does that is killed."""
        self._server.shutdown()
        self._server.server_close()
        self.drop_connections()

    def close(self) -> None:
        """End; may be called after `kill`."""
        self.free.set()
        self.kill()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                replica._open.add(self.connection)

            def finish(self) -> None:
                replica._open.discard(self.connection)
                with suppress(OSError):
                    super().finish()

            def parse_request(self) -> bool:
                """Serve every method in the same way."""
                parsed = super().parse_request()
                setattr(self, f"do_{self.command}", self.serve)
                return parsed

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                replica.requests.append(
                    Received(self.requestline, tuple(self.headers.items()), body, self.client_address)
                )
                replica.asked.release()
                answer = replica.answer
                with suppress(OSError):
                    self.wfile.write(answer.to_wire(self.command)[: answer.at_once])
                    replica.free.wait(PATIENCE)
                    self.wfile.write(answer.to_wire(self.command)[answer.at_once :])
                self.close_connection = self.close_connection or replica.answer.cut_after is not None

        return Handler


def _backends(replicas: Iterable[Replica | Backend]) -> tuple[Backend, ...]:
    return tuple(r.backend if isinstance(r, Replica) else r for r in replicas)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about a connection that a test broke off."""


class Gateway:
    """A gateway process on an inherited socket."""

    def __init__(self, listener: socket.socket, flags: Iterable[str] = ()) -> None:
        self.port: int = listener.getsockname()[1]
        self._update = RoutingUpdate(0, RoutingTable())
        self._events: queue.SimpleQueue[ProcessEvent | Exited] = queue.SimpleQueue()
        fd = listener.fileno()
        argv = [sys.executable, "-m", "mnist_dash.local.gateway", "--fd", str(fd), *flags]
        self.process = ChildProcess(
            "gateway", argv, parse_event, lambda _, event: self._events.put(event), pass_fds=[fd]
        )
        self.wait(Listening(self.port))

    def route(
        self, split: int = 0, current: Iterable[Replica | Backend] = (), new: Iterable[Replica | Backend] = ()
    ) -> int:
        """Send a routing update, wait until it is applied, and return its number."""
        self._send(RoutingTable(split, _backends(current), _backends(new)))
        return self._update.id

    def has_drained(self, number: int) -> bool:
        """Whether an update is reported as drained before one more, with the same table, is applied."""
        return Drained(number) in self._send(self._update.table)

    def wait(self, expected: ProcessEvent | Exited) -> list[ProcessEvent | Exited]:
        """Wait for an event, and return those before it."""
        earlier: list[ProcessEvent | Exited] = []
        while (event := self._events.get(timeout=PATIENCE)) != expected:
            assert not isinstance(event, Exited), f"{event.reason} {self.process.log}"
            earlier.append(event)
        return earlier

    def ask(self, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """One prediction on a connection of its own."""
        with closing(self.client()) as client:
            return ask(client, headers=headers)

    def client(self) -> Client:
        """A client that keeps its connection."""
        return Client("127.0.0.1", self.port, timeout=PATIENCE)

    def close(self) -> None:
        """End it; its log must hold no traceback."""
        self.process.kill()
        assert self.process.wait(PATIENCE)
        assert "Traceback" not in self.process.log

    def _send(self, table: RoutingTable) -> list[ProcessEvent | Exited]:
        self._update = RoutingUpdate(self._update.id + 1, table)
        self.process.send(self._update.to_line())
        return self.wait(Applied(self._update.id))


@contextmanager
def replicas(*names: str) -> Iterator[list[Replica]]:
    """Replicas of these names, gone at the end."""
    running = [Replica(name) for name in names]
    try:
        yield running
    finally:
        for replica in running:
            replica.close()


@contextmanager
def gateway(*flags: str) -> Iterator[Gateway]:
    """A gateway that listens."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1024) as listener,
        closing(Gateway(listener, flags)) as running,
    ):
        yield running


@dataclass(frozen=True)
class Response:
    """An answer as a client received it."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def role(self) -> str:
        """The role that was chosen, by X-Served-By; empty if there was none."""
        return self._served_by("role")

    @property
    def replica(self) -> str:
        """The replica that was asked, by X-Served-By; empty if there was none."""
        return self._served_by("replica")

    def _served_by(self, key: str) -> str:
        parts = self.headers.get("X-Served-By", "").split(", ")
        return next((part.partition("=")[2] for part in parts if part.startswith(f"{key}=")), "")


def ask(
    client: Client,
    method: str = "POST",
    target: str = "/v1/models/model:predict",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """One request on a kept connection, with these headers and no others but Host and Content-Length."""
    client.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers:
        client.putheader(name, value)
    if body or method == "POST":
        client.putheader("Content-Length", str(len(body)))
    client.endheaders(body or None)
    response = client.getresponse()
    return Response(response.status, response.headers, response.read())


def ask_raw(port: int, request: bytes) -> Response:
    """One request as these very bytes on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            return Response(response.status, response.headers, response.read())


def error_of(response: Response) -> str:
    """The text of an error of the gateway's own, which has exactly TensorFlow Serving's form."""
    assert response.headers["Content-Type"] == "application/json"
    error = json.loads(response.body)
    assert list(error) == ["error"]
    return str(error["error"])
