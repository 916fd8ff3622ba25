"""Compare the model server with simpler ones: the same model, the same requests, the same run.

    pip install -e '.[bench]' && python benchmarks/server.py [linear|cnn ...]

Each server is a process; the load comes from this process, over persistent connections. The servers take
turns in short rounds, so that other load of the machine affects all of them: the ratio of a round is that of
its neighbours, and the spread is that of the ratios. The naive server is FastAPI with OpenVINO
(`naive_server.py`), and also with TensorFlow if that is installed; the lean one is starlette and orjson
(`plain_server.py`). Takes about a minute for each model.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil

from mnist_dash.dataset import load_digits

MODELS = Path(str(files("mnist_dash") / "data" / "models"))
STARTS, ROUNDS, ROUND_SECONDS, MOST_REQUESTS = 3, 8, 0.5, 5_000
CONCURRENCY = (1, 4, 16)
TIMEOUT = 30.0


@dataclass
class Contender:
    """One server and its measurements."""

    name: str
    argv: Sequence[str]
    starts: list[float] = field(default_factory=list)
    """Seconds from starting the process to the first answer."""
    seconds: dict[int, float] = field(default_factory=lambda: dict.fromkeys(CONCURRENCY, 0.0))
    latencies: dict[int, list[float]] = field(default_factory=lambda: {c: [] for c in CONCURRENCY})
    rates: dict[int, list[float]] = field(default_factory=lambda: {c: [] for c in CONCURRENCY})
    """Requests per second of each round."""
    megabytes: float = 0.0

    def rate(self, concurrency: int) -> float:
        """Requests per second."""
        return len(self.latencies[concurrency]) / self.seconds[concurrency]

    def milliseconds(self, concurrency: int, percentile: float) -> float:
        """Return a percentile of the latency."""
        return float(np.percentile(self.latencies[concurrency], percentile)) * 1e3

    def figures(self) -> dict[str, float]:
        """Return all measurements by their names in the table."""
        found = {"start to first answer, s": float(np.median(self.starts)), "resident, MB": self.megabytes}
        for concurrency in CONCURRENCY:
            found[f"requests/s at {concurrency}"] = self.rate(concurrency)
            found[f"p50 at {concurrency}, ms"] = self.milliseconds(concurrency, 50)
            found[f"p99 at {concurrency}, ms"] = self.milliseconds(concurrency, 99)
        return found


def contenders(model: str, port: int) -> list[Contender]:
    """Return the servers to compare, ours first, on consecutive ports."""
    python, naive = sys.executable, str(Path(__file__).with_name("naive_server.py"))
    base = MODELS / model
    ours = ["-m", "mnist_dash.local.server", "--model-base", str(base), "--port"]
    found = [Contender("ours", [python, *ours, str(port)])]
    version = str(base / "model" / "1")
    lean = str(Path(__file__).with_name("plain_server.py"))
    found.append(Contender("starlette", [python, lean, version, str(port + 1)]))
    for number, backend in enumerate(["openvino", "tensorflow"], 2):
        if find_spec(backend):
            argv = [python, naive, backend, version, str(port + number)]
            found.append(Contender(f"FastAPI + {backend}", argv))
    return found


class Client:
    """A persistent connection that repeats the same bytes, so that the client costs as little as possible."""

    def __init__(self, port: int, body: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        if self._socket.getsockname() == self._socket.getpeername():  # TCP lets a free port answer itself
            self._socket.close()
            raise ConnectionRefusedError
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = "POST /v1/models/model:predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def ask(self) -> bytes:
        """Read the body of a response, which must be a 200."""
        self._socket.sendall(self._request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._read()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._read()
        assert head.startswith(b"HTTP/1.1 200"), answer
        return body

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _read(self) -> bytes:
        part = self._socket.recv(1 << 16)
        assert part, "The server closed the connection."
        return part


@contextlib.contextmanager
def running(contender: Contender, body: bytes) -> Iterator[psutil.Process]:
    """Start the server, wait for its first answer and record how long that took."""
    began = time.perf_counter()
    with subprocess.Popen(contender.argv, stdout=subprocess.DEVNULL) as process:
        try:
            first_answer(int(contender.argv[-1]), body, process)
            contender.starts.append(time.perf_counter() - began)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def first_answer(port: int, body: bytes, process: subprocess.Popen[bytes]) -> bytes:
    """Repeat the request until it is answered."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        try:
            client = Client(port, body)
        except ConnectionRefusedError:
            time.sleep(0.005)
            continue
        with contextlib.closing(client):
            return client.ask()
    sys.exit(f"{process.args!r} did not start")


def load(contender: Contender, concurrency: int, body: bytes) -> None:
    """Run one round of requests with a number of clients; the first request of each is not counted."""
    clients = [Client(int(contender.argv[-1]), body) for _ in range(concurrency)]
    for client in clients:
        client.ask()
    latencies: list[list[float]] = [[] for _ in clients]
    began = time.perf_counter()

    def work(client: Client, mine: list[float]) -> None:
        now = time.perf_counter()
        while now - began < ROUND_SECONDS and len(mine) < MOST_REQUESTS // concurrency:
            client.ask()
            before, now = now, time.perf_counter()
            mine.append(now - before)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(clients, latencies, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    contender.seconds[concurrency] += seconds
    contender.rates[concurrency].append(sum(map(len, latencies)) / seconds)
    contender.latencies[concurrency] += itertools.chain.from_iterable(latencies)
    for client in clients:
        client.close()


def measure(model: str) -> list[Contender]:
    """Measure all servers with one model."""
    body = request_body(model)
    found = contenders(model, free_ports(4))
    for _ in range(STARTS - 1):
        for contender in found:
            with running(contender, body):
                pass
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(running(contender, body)) for contender in found]
        agree(found, body)
        for _ in range(ROUNDS):
            for concurrency in CONCURRENCY:
                for contender in found:
                    load(contender, concurrency, body)
        for contender, process in zip(found, processes, strict=True):
            contender.megabytes = process.memory_info().rss / 1e6
    return found


def request_body(model: str) -> bytes:
    """Return one digit in the input shape of the bundled model."""
    image = load_digits().images[0]
    return json.dumps(
        {"instances": [(image[..., np.newaxis] if model == "cnn" else image).tolist()]}
    ).encode()


def agree(found: Sequence[Contender], body: bytes) -> None:
    """Check that all servers give the same answers."""
    answers = []
    for contender in found:
        with contextlib.closing(Client(int(contender.argv[-1]), body)) as client:
            answers.append(json.loads(client.ask())["predictions"])
    assert all(np.allclose(answers[0], answer, atol=1e-5) for answer in answers)


def free_ports(count: int) -> int:
    """Find a number of consecutive free ports and return the first."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            first: int = listener.getsockname()[1]
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def show(model: str, found: Sequence[Contender]) -> None:
    """Return a table of the measurements, with the ratio to ours in the same run."""
    print(f"\n{model:<26}" + "".join(f"{contender.name:>30}" for contender in found))
    ours = found[0].figures()
    for name, value in ours.items():
        row = f"{name:<26}{value:>30.2f}"
        for contender in found[1:]:
            theirs = contender.figures()[name]
            row += f"{theirs:>20.2f} ({theirs / value:5.2f}x)"
        print(row)
    for concurrency, contender in itertools.product(CONCURRENCY, found[1:]):
        pairs = zip(found[0].rates[concurrency], contender.rates[concurrency], strict=True)
        low, middle, high = np.percentile([mine / theirs for mine, theirs in pairs], [25, 50, 75])
        print(f"ours / {contender.name} at {concurrency}: {middle:.2f} (quartiles {low:.2f} to {high:.2f})")


def main(models: Sequence[str]) -> None:
    """Run the benchmark and print the results."""
    began, used = time.perf_counter(), sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for model in models:
        show(model, measure(model))
    seconds = time.perf_counter() - began
    own = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - used
    print(f"\n{seconds:.0f} s in all. The load itself took {own / seconds:.0%} of one core on average.")


if __name__ == "__main__":
    main(sys.argv[1:] or ["linear", "cnn"])
