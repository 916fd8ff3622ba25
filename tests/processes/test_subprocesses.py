"""Child processes: their events, their log, and their end."""

from __future__ import annotations

import json
import queue
import sys
import time
from datetime import datetime
from typing import Any

import pytest

from mnist_dash.subprocesses import ChildProcess, Exited

PATIENCE = 20.0
ECHO = """
import sys, time
from mnist_dash.subprocesses import exit_with_parent
print("loading ...", flush=True)  # before the thread that reads lines: two prints at once would share a line
exit_with_parent(lambda line: print(line.decode(), end="", flush=True), ask_to_end={ask_to_end})
time.sleep(60)
"""


def start(code: str) -> tuple[ChildProcess[Any], queue.SimpleQueue[Any]]:
    """A child that runs Python code, and its events."""
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    child = ChildProcess(
        "child", [sys.executable, "-c", code], json.loads, lambda _, event: events.put(event)
    )
    return child, events


@pytest.mark.parametrize("ask_to_end", [None, "lambda: print(0, flush=True)"])
def test_a_child_reads_lines_until_its_stdin_is_closed(ask_to_end: str | None) -> None:
    """Then it may report its end, and exits by itself; output that is no event belongs to the log."""
    child, events = start(ECHO.format(ask_to_end=ask_to_end))
    child.send(b'{"id": 1}\n')
    assert events.get(timeout=PATIENCE) == {"id": 1}
    child.close_stdin()
    if ask_to_end:
        assert events.get(timeout=PATIENCE) == 0
    assert events.get(timeout=PATIENCE) == Exited("It ended with exit code 0.")
    written, _, line = child.log.partition(" ")
    assert line == "loading ..."
    assert abs(datetime.fromisoformat(written).timestamp() - time.time()) < 120
    child.send(b"to a child that has ended\n")
    child.terminate()


def test_a_child_that_fails_has_its_last_line_as_the_reason() -> None:
    """Python's own is the error's."""
    child, events = start("raise ValueError('no room left')")
    assert child.wait(PATIENCE)
    assert events.get(timeout=PATIENCE) == Exited("ValueError: no room left")


def test_a_child_that_is_killed_has_the_signal_as_the_reason() -> None:
    """Its last line has nothing to do with it."""
    child, events = start(ECHO.format(ask_to_end=None))
    child.send(b"1\n")
    assert events.get(timeout=PATIENCE) == 1
    child.kill()
    assert events.get(timeout=PATIENCE) == Exited("It was killed by signal SIGKILL.")
