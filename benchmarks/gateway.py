"""Measure what the gateway adds to a prediction: the same request with and without it, in one run.

    python benchmarks/gateway.py

One model server with the bundled CNN, the gateway in front of it, and a light client on persistent
connections, each in a process of its own. Rounds with and without the gateway alternate, so that other load
of the machine affects both. Takes about 25 s.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np
import orjson
import uvloop

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Release
from mnist_dash.local.protocol import Applied, Backend, Listening, RoutingTable, RoutingUpdate, parse_event

ROUND_SECONDS, ROUNDS = 1.0, 5
CONCURRENCY = (1, 16)
TIMEOUT = 5.0


@dataclass
class Sample:
    """The requests of all rounds of one kind."""

    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def median(self) -> float:
        """Median latency in milliseconds."""
        return float(np.median(self.milliseconds))

    @property
    def p99(self) -> float:
        """99th percentile of the latency in milliseconds."""
        return float(np.percentile(self.milliseconds, 99))

    @property
    def throughput(self) -> float:
        """Requests per second."""
        return len(self.milliseconds) / self.seconds


def predict_request() -> bytes:
    """Return an HTTP request that predicts one digit, as the page's client sends it."""
    image = load_digits().images[:1].astype(np.float32).reshape(1, 28, 28, 1)
    body = orjson.dumps({"instances": image}, option=orjson.OPT_SERIALIZE_NUMPY)
    head = (
        "POST /v1/models/model:predict HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def child(module: str, *flags: str, fds: Sequence[int] = ()) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a child process that reports its port and exits when its stdin is closed."""
    argv = [sys.executable, "-m", f"mnist_dash.local.{module}", *flags]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, pass_fds=fds) as process:
        assert process.stdout
        listening = parse_event(process.stdout.readline())
        assert isinstance(listening, Listening)
        yield process, listening.port


def tell(gateway: subprocess.Popen[bytes], server_port: int) -> None:
    """Route every request of the gateway to one server."""
    assert gateway.stdin
    assert gateway.stdout
    member = Backend("blue-1", Release.BLUE, f"http://127.0.0.1:{server_port}")
    gateway.stdin.write(RoutingUpdate(1, RoutingTable(0, (member,))).to_line())
    gateway.stdin.flush()
    assert parse_event(gateway.stdout.readline()) == Applied(1)


async def ask(port: int, request: bytes, until: float, milliseconds: list[float]) -> None:
    """Repeat the request on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (start := time.perf_counter()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head[:13]:
            raise RuntimeError(head.decode())
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        milliseconds.append((time.perf_counter() - start) * 1e3)
    writer.close()
    await writer.wait_closed()


async def one_round(port: int, request: bytes, concurrency: int, seconds: float, sample: Sample) -> None:
    """Send requests to one port for a number of seconds."""
    start = time.perf_counter()
    askers = (ask(port, request, start + seconds, sample.milliseconds) for _ in range(concurrency))
    await asyncio.wait_for(asyncio.gather(*askers), seconds + TIMEOUT)
    sample.seconds += time.perf_counter() - start


async def compare(ports: tuple[int, int], request: bytes, concurrency: int) -> tuple[Sample, Sample]:
    """Measure the server directly and through the gateway, in alternating rounds after a short warm-up."""
    samples = Sample(), Sample()
    for port in ports:
        await one_round(port, request, concurrency, 0.3, Sample())
    for _ in range(ROUNDS):
        for port, sample in zip(ports, samples, strict=True):
            await one_round(port, request, concurrency, ROUND_SECONDS, sample)
    return samples


def report(concurrency: int, direct: Sample, through: Sample) -> None:
    """Print both samples, the difference and the ratios."""
    print(f"\n{concurrency} at a time        median ms    p99 ms  requests/s")
    for name, sample in (("direct", direct), ("through gateway", through)):
        print(f"  {name:<18}{sample.median:9.3f}{sample.p99:10.3f}{sample.throughput:12.0f}")
    print(f"  {'added':<18}{through.median - direct.median:9.3f}{through.p99 - direct.p99:10.3f}")
    ratios = through.median / direct.median, through.p99 / direct.p99, through.throughput / direct.throughput
    print(f"  {'ratio':<18}{ratios[0]:9.2f}{ratios[1]:10.2f}{ratios[2]:12.2f}")


def main() -> None:
    """Run the comparison and print it."""
    base = str(files("mnist_dash") / "data" / "models" / "cnn")
    request = predict_request()
    print(f"one prediction: {len(request):,} bytes")
    with (
        socket.create_server(("127.0.0.1", 0), backlog=1024) as listener,
        child("server", "--port", "0", "--model-base", base, "--supervised") as (_, server),
        child("gateway", "--fd", str(listener.fileno()), fds=[listener.fileno()]) as (process, port),
    ):
        tell(process, server)
        for concurrency in CONCURRENCY:
            report(concurrency, *uvloop.run(compare((server, port), request, concurrency)))


if __name__ == "__main__":
    main()
