"""The versions of the model: which are loaded, and watching the folder for new ones."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from mnist_dash.errors import ModelError
from mnist_dash.local.server.predictor import Predictor, Runnable


class VersionState(StrEnum):
    """What a version is doing; the values are TensorFlow Serving's."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True)
class VersionStatus:
    """One version as the status request reports it."""

    version: int
    state: VersionState
    error: str = ""
    """Why it could not be loaded; empty if nothing is wrong."""


class Versions:
    """The version that answers, and what became of the others. May be used from several threads at once.

    One version answers at a time, as under TensorFlow Serving's default policy. A version that another took
    over from is dropped at once, lives on until the requests that it is answering are done, and is reported
    as END for as long as the server runs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[int, VersionStatus] = {}
        self._served: Predictor | None = None

    @property
    def served(self) -> Predictor | None:
        """The version that answers, if any does."""
        return self._served

    def find(self, version: int | None) -> Predictor | None:
        """What answers a request for this version (None for the latest), if anything does."""
        served = self._served
        return served if served is not None and version in (None, served.version) else None

    def statuses(self) -> list[VersionStatus]:
        """All that were ever seen, the highest first."""
        with self._lock:
            return sorted(self._statuses.values(), key=lambda status: status.version, reverse=True)

    def loading(self, version: int) -> None:
        """A version was seen and is being loaded."""
        self._note(VersionStatus(version, VersionState.LOADING))

    def failed(self, version: int, problem: str) -> None:
        """A version could not be loaded."""
        self._note(VersionStatus(version, VersionState.END, problem))

    def forget_loading(self, version: int) -> None:
        """A version is being loaded no more, and nothing is known against it."""
        with self._lock:
            status = self._statuses.get(version)
            if status is not None and status.state is VersionState.LOADING:
                del self._statuses[version]

    def serve(self, predictor: Predictor | None) -> None:
        """Let this version answer from now on (or, with None, nothing), in place of the one before it."""
        with self._lock:
            if self._served is not None:
                self._put(VersionStatus(self._served.version, VersionState.END))
            if predictor is not None:
                self._put(VersionStatus(predictor.version, VersionState.AVAILABLE))
            self._served = predictor

    def _note(self, status: VersionStatus) -> None:
        with self._lock:
            self._put(status)

    def _put(self, status: VersionStatus) -> None:
        self._statuses[status.version] = status


POLL_SECONDS = 0.25
PATIENCE_SECONDS = 2.0
"""For how long after its last change a version that does not load may be one that is being copied."""
RETRY_SECONDS = 10.0
"""After which a version that did not load is tried again though its files have not changed."""

Files = frozenset[tuple[str, int, int]]
"""Path, size and time of the last change of every file."""


class Listener(Protocol):
    """Is told what becomes of versions, in the thread that watches."""

    def version(self, version: int) -> None:
        """This version has taken over."""

    def trouble(self, problem: str) -> None:
        """The version that should answer cannot; `problem` says why."""


@dataclass
class _Candidate:
    """The version that should answer and does not yet."""

    version: int
    files: Files
    since: float
    """When it was first seen with these files."""
    tried: float | None = None
    problem: str = ""
    told: bool = False


class VersionWatcher:
    """Makes the version that answers the one that the folder says it should be."""

    def __init__(
        self,
        folder: Path,
        versions: Versions,
        load: Callable[[Path], Runnable],
        listener: Listener,
        *,
        shown: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`shown` is what to call the folder in messages, if it is a copy of what the user knows."""
        self._folder = folder
        self._shown = shown or str(folder)
        self._versions = versions
        self._load = load
        self._listener = listener
        self._clock = clock
        self._candidate: _Candidate | None = None

    def load_first(self) -> int:
        """Load the highest version that can be loaded, let it answer, and return its number.

        What is wrong with a higher one is told as trouble. Raises ModelError, the highest one's, if none can.
        """
        present = self._present()
        if not present:
            lack = "does not exist" if present is None else "holds no numbered version"
            raise ModelError(
                f"{self._shown} {lack}.", f"Put a SavedModel there, the first as {self._shown}/1."
            )
        problems: list[ModelError] = []
        for version in sorted(present, reverse=True):
            try:
                predictor = self._ready(present[version])
            except ModelError as error:
                problems.append(error)
                continue
            self._versions.serve(predictor)
            if problems:
                self._listener.trouble(str(problems[0]))
            return predictor.version
        raise problems[0]

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop` is set."""
        while not stop.wait(POLL_SECONDS):
            self.poll()

    def poll(self) -> None:
        """Look once; another version takes over if it is there and ready."""
        present = self._present()
        if present is None:
            return
        served = self._versions.served
        if not present:
            self._consider(None)
            self._serve_nothing()
        elif served is not None and served.version == max(present):
            self._consider(None)
        else:
            self._pursue(max(present), present[max(present)])

    def _present(self) -> Mapping[int, Path] | None:
        """The numbered versions and their folders; None if that cannot be told."""
        try:
            with os.scandir(self._folder) as entries:
                return {
                    int(entry.name): Path(entry.path)
                    for entry in entries
                    if entry.name.isascii() and entry.name.isdecimal() and entry.is_dir()
                }
        except OSError:
            return None

    def _serve_nothing(self) -> None:
        if self._versions.served is not None:
            self._versions.serve(None)
            self._listener.trouble(f"{self._shown} holds no version any more, so nothing is served.")

    def _pursue(self, version: int, folder: Path) -> None:
        now, files = self._clock(), _files(folder)
        candidate = self._candidate
        if candidate is None or (candidate.version, candidate.files) != (version, files):
            self._consider(_Candidate(version, files, since=now))
        elif candidate.tried is None or now - candidate.tried >= RETRY_SECONDS:
            candidate.tried = now
            self._try(candidate, folder)
        elif not candidate.told and now - candidate.since >= PATIENCE_SECONDS:
            candidate.told = True
            self._versions.failed(version, candidate.problem)
            self._listener.trouble(candidate.problem)

    def _consider(self, candidate: _Candidate | None) -> None:
        if self._candidate is not None:
            self._versions.forget_loading(self._candidate.version)
        if candidate is not None:
            self._versions.loading(candidate.version)
        self._candidate = candidate

    def _try(self, candidate: _Candidate, folder: Path) -> None:
        try:
            predictor = self._ready(folder)
        except ModelError as error:
            candidate.problem = str(error)
        except Exception as error:  # the version that answers is not to suffer from whatever the new one is
            reason = str(error) or type(error).__name__
            candidate.problem = self._named(f"{folder} cannot be loaded: {reason}.")
        else:
            if _files(folder) == candidate.files:  # else it was read while it was being written
                self._candidate = None
                self._versions.serve(predictor)
                self._listener.version(predictor.version)

    def _ready(self, folder: Path) -> Predictor:
        try:
            predictor = Predictor(self._load(folder))
            predictor.warm_up()
        except ModelError as error:
            raise ModelError(self._named(error.problem), self._named(error.next_step)) from error
        return predictor

    def _named(self, text: str) -> str:
        return text.replace(str(self._folder), self._shown)


def _files(folder: Path) -> Files:
    """What lies in a folder; what vanishes meanwhile is left out."""
    found = set()
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.stat(os.path.join(parent, name))
            except OSError:
                continue
            found.add((os.path.join(parent, name), status.st_size, status.st_mtime_ns))
    return frozenset(found)
