"""Child processes, both ends: start and stop one, and exit with the parent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

GRACE_SECONDS = 1.0
"""Between asking the process to end and ending it."""


def exit_with_parent(descriptor: int, ask_to_end: Callable[[], None]) -> None:
    """End this process soon after `descriptor` (stdin) has reached its end, as it does when its writer dies.

    A thread waits for it, so that neither a busy event loop nor a running inference is in its way; it first
    calls `ask_to_end`. It is a daemon: a process that ends otherwise does not wait for it.
    """
    threading.Thread(target=_watch, args=(descriptor, ask_to_end), name="lifeline", daemon=True).start()


def _watch(descriptor: int, ask_to_end: Callable[[], None]) -> None:
    while _read(descriptor):
        pass
    ask_to_end()
    time.sleep(GRACE_SECONDS)
    os._exit(0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


LOG_LINES = 200

Event = dict[str, Any]


class ChildProcess:
    """Runs `argv` in a session of its own, so that a Ctrl-C in the terminal does not reach it.

    The child ends by itself when its stdin reaches end of file: it cannot outlive this process, however that
    ends. Each JSON line on its stdout becomes `on_event(self, event)`; its end becomes
    `on_event(self, {"event": "exit", "code": N})`, last and exactly once. Both come from a thread of it.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        on_event: Callable[[ChildProcess, Event], None],
        *,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._on_event = on_event
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
        threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """The last lines that it wrote to stderr."""
        return "\n".join(tuple(self._log))

    @property
    def last_words(self) -> str:
        """Why it ended: its last line if it ended with an error of its own, else how it was ended."""
        code = self._process.poll()
        said = next((line for line in reversed(tuple(self._log)) if line.strip()), "")
        return said if said and (code is None or code > 0) else _ending(code)

    def send(self, line: bytes) -> None:
        """Write one line to its stdin; nothing happens if it is gone."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def end_input(self) -> None:
        """Close its stdin, which tells it to end at once."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def terminate(self) -> None:
        """Ask it to finish what it is doing and end."""
        self._process.send_signal(signal.SIGTERM)  # a process that is gone already is no error

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def wait(self, timeout: float) -> bool:
        """Whether it ended within `timeout` seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _watch(self) -> None:
        errors = threading.Thread(target=self._read_log, name=f"log-{self.name}", daemon=True)
        errors.start()
        for line in _lines(self._process.stdout):
            try:
                event = json.loads(line)
            except ValueError:
                self._log.append(line)
            else:
                self._on_event(self, event if isinstance(event, dict) else {})
        code = self._process.wait()
        errors.join()
        self.end_input()
        self._on_event(self, {"event": "exit", "code": code})

    def _read_log(self) -> None:
        for line in _lines(self._process.stderr):
            self._log.append(line)


def _lines(stream: IO[bytes] | None) -> Iterator[str]:
    assert stream is not None
    with stream:
        for line in stream:
            yield line.decode(errors="replace").rstrip("\n")


def _ending(code: int | None) -> str:
    if code is None:
        return ""
    if code < 0:
        known = {number.value: number.name for number in signal.Signals}
        return f"It was ended by signal {known.get(-code, -code)}."
    return f"It ended with exit code {code}."
