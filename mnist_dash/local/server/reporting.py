"""What the model server says about itself: to people, or to the process that supervises it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Protocol

from mnist_dash.local.server.watching import Listener


class Reporter(Listener, Protocol):
    """Is told of all that those outside may want to know."""

    def listening(self, host: str, port: int, version: int) -> None:
        """The model is loaded and connections are accepted."""

    def ending(self) -> None:
        """It was told to end, and soon takes no more requests."""


class ForPeople:
    """One line on stdout when it is ready, and what happens later on stderr."""

    def listening(self, host: str, port: int, version: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        print(f"Serving version {version} at http://{shown}:{port}/v1/models/model", flush=True)

    def ending(self) -> None:
        pass  # whoever told it to knows

    def version(self, version: int) -> None:
        log(f"Version {version} has taken over.")

    def trouble(self, problem: str) -> None:
        log(problem)


class ForSupervisor:
    """One JSON object for each event, on what was stdout; all that anyone else prints goes to stderr."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)  # native libraries print to descriptor 1, whatever sys.stdout is

    def listening(self, host: str, port: int, version: int) -> None:
        log(f"Serving version {version} on {host}:{port}.")
        self._write(event="listening", port=port, version=version)

    def ending(self) -> None:
        self._write(event="ending")

    def version(self, version: int) -> None:
        log(f"Version {version} has taken over.")
        self._write(event="version", version=version)

    def trouble(self, problem: str) -> None:
        log(problem)
        self._write(event="trouble", problem=problem)

    def _write(self, **event: str | int) -> None:
        with contextlib.suppress(
            BrokenPipeError
        ):  # who reads no more has ended, and then so will this process
            os.write(self._descriptor, json.dumps(event).encode() + b"\n")


def log(line: str) -> None:
    """Write one line to stderr."""
    print(line, file=sys.stderr, flush=True)
