"""Kill the bed's programs when the process that started them has ended, even by SIGKILL.

The program reads its stdin: a line `+PID` names a process group to kill, `-PID` one that has ended,
`=FOLDER` a folder to remove. At the end of stdin it kills the groups and removes the folders.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path


class Reaper:
    """Starts the program and writes to its stdin. Usable from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", __file__], stdin=subprocess.PIPE, start_new_session=True
        )

    def watch(self, group: int) -> None:
        """Kill this process group at the end."""
        self._send(f"+{group}")

    def release(self, group: int) -> None:
        """Forget a process group that has ended."""
        self._send(f"-{group}")

    def remove(self, folder: Path) -> None:
        """Remove this folder at the end."""
        self._send(f"={folder}")

    def end(self) -> None:
        """Close the stdin, and wait until all is killed and removed."""
        with self._lock:
            assert self._process.stdin
            self._process.stdin.close()
        self._process.wait(timeout=60)

    def _send(self, line: str) -> None:
        with self._lock, contextlib.suppress(ValueError, BrokenPipeError):  # it has ended
            assert self._process.stdin
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()


def main() -> None:
    """Wait for the end of stdin, then kill and remove."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    groups: set[int] = set()
    folders: list[str] = []
    for line in sys.stdin:
        match line[0], line[1:].rstrip("\n"):
            case "+", group:
                groups.add(int(group))
            case "-", group:
                groups.discard(int(group))
            case "=", folder:
                folders.append(folder)
    for group_id in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group_id, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
