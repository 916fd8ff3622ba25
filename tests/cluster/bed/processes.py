"""The programs of the bed, each with a log file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.cluster.bed.reaper import Reaper

START_SECONDS = 120.0
"""The longest start of a program on a busy machine."""
TAIL = 4000


class Programs:
    """Starts programs and kills them at the end, or when this process is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reaper = Reaper()
        self.reaper.remove(folder)
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program whose output goes to `<folder>/<name>.log`."""
        with self.log_of(name).open("wb") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd=self.folder,
                start_new_session=True,
            )
        self.reaper.watch(process.pid)
        self._running.append(process)
        return process

    def log_of(self, name: str) -> Path:
        """Return the log file of a program."""
        return self.folder / f"{name}.log"

    def wait_for(self, name: str, answers: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until a program answers; raises RuntimeError with the end of its log otherwise."""
        try:
            wait_until(answers, f"{name} answers", seconds)
        except TimeoutError as error:
            tail = self.log_of(name).read_text(errors="replace")[-TAIL:]
            raise RuntimeError(f"{error} Its log ends:\n{tail}") from error

    def stop(self) -> None:
        """Kill the programs; the controller manager takes ten seconds to end by itself."""
        for process in self._running:
            process.kill()
        for process in self._running:
            process.wait()
        self.reaper.end()


def wait_until(condition: Callable[[], bool], name: str, seconds: float = 60.0, every: float = 0.03) -> None:
    """Wait for a condition; raises TimeoutError that names it."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"Not within {seconds:g} s: {name}.")
        time.sleep(every)
