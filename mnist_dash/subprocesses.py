"""Child processes, both ends: start and stop one, and exit with the parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Generic, TypeVar

GRACE_SECONDS = 1.0
"""Between asking this process to end and ending it."""
LOG_LINES = 200

Event = TypeVar("Event")


def exit_with_parent(
    on_line: Callable[[bytes], object] | None = None, *, ask_to_end: Callable[[], object] | None = None
) -> None:
    """End this process when its stdin reaches end of file, as it does when the parent dies.

    A thread reads stdin, so that neither a busy event loop nor a running inference delays the end; it passes
    each line to `on_line`. If `ask_to_end` is given, it is called at the end, a second before the exit.
    """

    def read() -> None:
        # Not sys.stdin: a thread that waits in it holds a lock that the interpreter needs at its exit.
        with contextlib.suppress(OSError), open(0, "rb", closefd=False) as lines:
            for line in lines:
                if on_line:
                    on_line(line)
        if ask_to_end:
            ask_to_end()
            time.sleep(GRACE_SECONDS)
        os._exit(0)

    threading.Thread(target=read, name="stdin", daemon=True).start()


@dataclass(frozen=True)
class Exited:
    """The last event of every child process."""

    reason: str
    """The child's last line if it ended with an error of its own, else its signal or exit code."""


class ChildProcess(Generic[Event]):
    """Runs `argv` in a session of its own, so that a Ctrl-C in the terminal does not reach it.

    The child must call `exit_with_parent`: then it cannot outlive this process. `parse` turns each line of
    its stdout into an event; lines for which it raises ValueError go to the log. `on_event` receives each
    event, and `Exited` last and exactly once, from a thread of the child's.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        parse: Callable[[bytes], Event],
        on_event: Callable[[ChildProcess[Event], Event | Exited], None],
        *,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._parse = parse
        self._on_event = on_event
        self._log: deque[tuple[str, str]] = deque(maxlen=LOG_LINES)
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, pass_fds=pass_fds
        )
        assert process.stdin and process.stdout and process.stderr  # noqa: PT018
        self._process, self._stdin = process, process.stdin
        pipes = (process.stdout, process.stderr)
        threading.Thread(target=self._watch, args=pipes, name=f"watch-{name}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """The last lines that it wrote to stderr, each with its time: `2026-08-07T14:03:22.123Z line`."""
        return "\n".join(f"{time} {line}" for time, line in tuple(self._log))

    def send(self, line: bytes) -> None:
        """Write one line to its stdin; nothing happens if the child has ended."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(line)
            self._stdin.flush()

    def close_stdin(self) -> None:
        """Make it exit at once."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.close()

    def terminate(self) -> None:
        """Ask it to finish its work and end."""
        self._process.terminate()  # does nothing if the process has ended

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def wait(self, timeout: float) -> bool:
        """Whether it ended within `timeout` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        return self._process.poll() is not None

    def _watch(self, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        errors = threading.Thread(target=self._read_log, args=(stderr,), name=f"log-{self.name}", daemon=True)
        errors.start()
        with stdout:
            for line in stdout:
                try:
                    event = self._parse(line)
                except ValueError:
                    self._read_log([line])
                else:
                    self._on_event(self, event)
        code = self._process.wait()
        errors.join()
        stderr.close()
        self.close_stdin()
        self._on_event(self, Exited(self._reason(code)))

    def _read_log(self, lines: Iterable[bytes]) -> None:
        self._log.extend((_now(), line.decode(errors="replace").rstrip("\n")) for line in lines)

    def _reason(self, code: int) -> str:
        if code < 0:
            known = {number.value: number.name for number in signal.Signals}
            return f"It was killed by signal {known.get(-code, -code)}."
        last_line = next((line for _, line in reversed(self._log) if line.strip()), "")
        return last_line if code and last_line else f"It ended with exit code {code}."


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
