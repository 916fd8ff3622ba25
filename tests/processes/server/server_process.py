"""A model server as a child process, as the local engine runs it."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any

MODELS = Path(str(files("mnist_dash") / "data" / "models"))
LINEAR = Path(__file__).parents[2] / "data" / "linear"
"""A softmax regression whose input `image` is (-1, 28, 28): short to write down."""
TIMEOUT = 20.0
"""Seconds after which a test fails instead of waiting."""

Event = dict[str, Any]


def command(base: Path, *more: str, port: int = 0) -> list[str]:
    """Return the command line of a server."""
    return [
        *(sys.executable, "-m", "mnist_dash.local.server"),
        *("--model-base", str(base), "--port", str(port), *more),
    ]


class ServerProcess:
    """A supervised server; at the end of the context its stdin is closed, which must end it."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._events: queue.Queue[Event] = queue.Queue()
        self.stray: list[str] = []
        """Lines on stdout that are no event."""
        self.port = 0

    def __enter__(self) -> ServerProcess:
        self.process = subprocess.Popen(
            command(self._base, "--supervised"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.port = self.event("Listening")["port"]
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_input()
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self._reader.join()
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()

    def event(self, name: str) -> Event:
        """Return the next event of that name; others before it are dropped."""
        while True:
            event = self._events.get(timeout=TIMEOUT)
            if event["event"] == name:
                return event

    def end_input(self) -> None:
        """Close its stdin, as the death of this process would."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def log(self) -> str:
        """Return its stderr after the line that it serves; waits for its end."""
        assert self.process.stderr is not None
        first, _, rest = self.process.stderr.read().partition("\n")
        assert first.startswith("Serving version ")
        return rest

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self._events.put(json.loads(line))
            except ValueError:
                self.stray.append(line)


def add_version(base: Path, version: int) -> None:
    """Copy version 1 of a model base, folder by folder and file by file."""
    shutil.copytree(base / "model" / "1", base / "model" / str(version))


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that another process brings about."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.01)
