"""The programs that the bed runs, each with a log file of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.cluster.bed.reaper import Warden

START_SECONDS = 120.0
"""For how long a program may take to answer: seconds alone, more on a busy machine."""
LAST_WORDS = 4000


class Programs:
    """Starts programs and kills them all at the end, and if this process is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warden = Warden()
        self.warden.remove(folder)
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
        self.warden.watch(process.pid)
        self._running.append(process)
        return process

    def log_of(self, name: str) -> Path:
        """Where the output of a program goes."""
        return self.folder / f"{name}.log"

    def wait_for(self, name: str, answers: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until a program answers; raises RuntimeError with its last words if it does not."""
        try:
            wait_until(answers, f"{name} answers", seconds)
        except TimeoutError as error:
            last_words = self.log_of(name).read_text(errors="replace")[-LAST_WORDS:]
            raise RuntimeError(f"{error} It said:\n{last_words}") from error

    def stop(self) -> None:
        """Kill them: the controller manager would take ten seconds to end otherwise."""
        for process in self._running:
            process.kill()
        for process in self._running:
            process.wait()
        self.warden.end()


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60.0, every: float = 0.03) -> None:
    """Wait for a condition; raises TimeoutError that says `what` did not come true."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"Not within {seconds:g} s: {what}.")
        time.sleep(every)
