"""Real ends for the gateway's tests: replicas that listen in this process, and the gateway as a child."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import IO

from mnist_dash.domain import Release
from mnist_dash.local.gateway.protocol import Backend, Event, EventName, RoutingTable, RoutingUpdate

PATIENCE = 10.0
"""Seconds after which a test gives up waiting for what should come at once."""


BODY = b'{"predictions": [[1.0]]}'
"""What a replica answers unless a test wants something else."""


@dataclass(frozen=True)
class Seen:
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
    """What a replica answers: so many bytes at once, the rest when it is free, or nothing after the cut."""

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
    """A backend that remembers what it was asked; while `free` is clear, its answers wait."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer = Answer()
        self.seen: list[Seen] = []
        self.asked = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self._open: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def member(self) -> Backend:
        """How an order names it."""
        host, port = self._server.server_address[:2]
        return Backend(self.name, Release(self.name.split("-")[0]), f"http://{host!s}:{port}")

    def wait_asked(self) -> None:
        """Wait until one more request has come in."""
        assert self.asked.acquire(timeout=PATIENCE)

    def drop_connections(self) -> None:
        """Break off every connection, whatever is under way on it."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End as a process does that is killed: nobody listens any more, and every connection breaks off."""
        self._server.shutdown()
        self._server.server_close()
        self.drop_connections()

    def close(self) -> None:
        """End, also if it was killed before."""
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
                replica.seen.append(
                    Seen(self.requestline, tuple(self.headers.items()), body, self.client_address)
                )
                replica.asked.release()
                answer = replica.answer
                with suppress(OSError):
                    self.wfile.write(answer.to_wire(self.command)[: answer.at_once])
                    replica.free.wait(PATIENCE)
                    self.wfile.write(answer.to_wire(self.command)[answer.at_once :])
                self.close_connection = self.close_connection or replica.answer.cut_after is not None

        return Handler


Member = Replica | Backend


def _members(backends: Iterable[Member]) -> tuple[Backend, ...]:
    return tuple(backend.member if isinstance(backend, Replica) else backend for backend in backends)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that a test broke off is no news."""


class Gateway:
    """A gateway process on an inherited socket."""

    def __init__(self, listener: socket.socket, log: IO[bytes], flags: Iterable[str] = ()) -> None:
        self.port: int = listener.getsockname()[1]
        self._numbers = iter(range(1, 1_000_000))
        self._events: queue.Queue[Event | None] = queue.Queue()
        fd = str(listener.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mnist_dash.local.gateway", "--fd", fd, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[listener.fileno()],
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            with suppress(BrokenPipeError):
                pipe.close()

    def write(self, line: bytes) -> None:
        """Write one line of the control channel."""
        assert self.process.stdin
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def order(self, split: int = 0, current: Iterable[Member] = (), new: Iterable[Member] = ()) -> int:
        """Order a table, wait until it is applied, and return its number."""
        number = next(self._numbers)
        self.write(RoutingUpdate(number, RoutingTable(split, _members(current), _members(new))).to_line())
        self.wait(EventName.APPLIED, number)
        return number

    def next_event(self, timeout: float = PATIENCE) -> Event | None:
        """The next event, or None at the end of the gateway's stdout; raises queue.Empty."""
        return self._events.get(timeout=timeout)

    def wait(self, name: EventName, number: int | None = None) -> Event:
        """The next event of this name (and number), past all others."""
        while event := self.next_event():
            if event.event is name and number in (None, event.id):
                return event
        raise AssertionError(f"the gateway ended before it was {name}")

    def has_drained(self, number: int) -> bool:
        """Whether an order is reported as drained by the time that one more, senseless line is answered."""
        self.write(b"senseless\n")
        drained = False
        while (event := self.next_event()) and event.event is not EventName.REFUSED:
            drained |= event == Event(EventName.DRAINED, id=number)
        return drained

    def ask(self, headers: Iterable[tuple[str, str]] = ()) -> Got:
        """One prediction on a connection of its own."""
        with closing(self.client()) as client:
            return ask(client, headers=headers)

    def client(self) -> http.client.HTTPConnection:
        """A client that keeps its connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._events.put(Event.from_line(line))
        self._events.put(None)


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
def gateway(log: Path, *flags: str) -> Iterator[Gateway]:
    """A gateway that listens; at the end its log must hold no traceback."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1024) as listener,
        log.open("wb") as lines,
        Gateway(listener, lines, flags) as running,
    ):
        running.wait(EventName.LISTENING)
        yield running
    assert "Traceback" not in log.read_text()


@dataclass(frozen=True)
class Got:
    """An answer as a client received it."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def replica(self) -> str:
        """Who answered, by X-Served-By; empty for the gateway itself."""
        return self.headers.get("X-Served-By", "").rpartition("replica=")[2]


def ask(
    client: http.client.HTTPConnection,
    method: str = "POST",
    target: str = "/v1/models/model:predict",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Got:
    """One request on a kept connection, with these headers and no others but Host and Content-Length."""
    client.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers:
        client.putheader(name, value)
    if body or method == "POST":
        client.putheader("Content-Length", str(len(body)))
    client.endheaders(body or None)
    response = client.getresponse()
    return Got(response.status, response.headers, response.read())


def ask_raw(port: int, request: bytes) -> Got:
    """One request as these very bytes on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            return Got(response.status, response.headers, response.read())


def error_of(got: Got) -> str:
    """The text of an error, which has exactly TensorFlow Serving's form."""
    assert got.headers["Content-Type"] == "application/json"
    error = json.loads(got.body)
    assert list(error) == ["error"]
    return str(error["error"])
