"""The versions of the model: which one answers, and a watcher that follows the model's folder."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mnist_dash.errors import ModelError
from mnist_dash.local.protocol import VersionFailed, VersionServed
from mnist_dash.local.server.predictor import Predictor, Runnable
from mnist_dash.storage.base_diagnosis import version_folders
from mnist_dash.storage.location import FolderLocation

POLL_SECONDS = 0.25
COPY_SECONDS = 2.0
"""A version that does not load may still be being copied for this long after the last change of its files."""
RETRY_SECONDS = 10.0
"""A version that did not load is tried again after this long, though its files have not changed."""


VersionState = Literal["LOADING", "AVAILABLE", "END"]
"""The state of a version; TensorFlow Serving has START and UNLOADING, too."""


@dataclass(frozen=True)
class VersionStatus:
    """One version in a status response."""

    version: int
    state: VersionState
    error: str = ""
    """Why it could not be loaded; empty if nothing is wrong."""


class Versions:
    """The version that answers, and the status of all others.

    One version answers at a time, as under TensorFlow Serving's default policy. A replaced version lives
    on until its running requests are answered, and is reported as END while the server runs. Any thread may
    read, one may write: values are replaced as a whole.
    """

    def __init__(self) -> None:
        self._statuses: Mapping[int, VersionStatus] = {}
        self.served: Predictor | None = None

    def find(self, version: int | None) -> Predictor | None:
        """Return the predictor for this version (None for the latest), if it is served."""
        served = self.served
        return served if served and version in (None, served.version) else None

    def statuses(self) -> list[VersionStatus]:
        """Return the status of every known version, the highest first."""
        return sorted(self._statuses.values(), key=lambda status: status.version, reverse=True)

    def set_status(self, status: VersionStatus) -> None:
        """Record the status of a version that does not answer."""
        self._statuses = {**self._statuses, status.version: status}

    def forget_loading(self, version: int) -> None:
        """Drop a version that is no longer loaded, unless an error of it is known."""
        loading = VersionStatus(version, "LOADING")
        self._statuses = {v: status for v, status in self._statuses.items() if status != loading}

    def serve(self, predictor: Predictor | None) -> None:
        """Answer with this version from now on (with None: with none), instead of the previous one."""
        changed = {}
        if self.served:
            changed[self.served.version] = VersionStatus(self.served.version, "END")
        if predictor:
            changed[predictor.version] = VersionStatus(predictor.version, "AVAILABLE")
        self._statuses, self.served = {**self._statuses, **changed}, predictor


@dataclass
class _Candidate:
    """The version that should answer and does not yet."""

    version: int
    files: frozenset[tuple[str, int, int]]
    since: float
    """When these files were first observed."""
    tried: float | None = None
    problem: str = ""
    is_reported: bool = False


@dataclass(eq=False)
class VersionWatcher:
    """Serves the highest version in the model's folder, and follows it as the folder changes."""

    _folder: Path
    _versions: Versions
    _load: Callable[[Path], Runnable]
    _report: Callable[[VersionServed | VersionFailed], None]
    clock: Callable[[], float] = time.monotonic
    _candidate: _Candidate | None = None

    def load_first(self) -> None:
        """Serve the highest version that loads, so that a restart with a broken new version still answers.

        The error of a higher version is reported. Raises ModelError, the highest version's, if none loads.
        """
        present = self._list()
        if not present:
            lack = "does not exist" if present is None else "holds no numbered version"
            step = f"Put a SavedModel there, the first as {self._folder / '1'}."
            raise ModelError(f"{self._folder} {lack}.", step)
        errors: list[ModelError] = []
        for version in sorted(present, reverse=True):
            try:
                self._versions.serve(self._load_warm(present[version]))
                break
            except ModelError as error:
                errors.append(error)
        else:
            raise errors[0]
        if errors:
            self._report(VersionFailed(str(errors[0])))

    def run(self, stop: threading.Event) -> None:
        """Poll the folder until `stop` is set."""
        while not stop.wait(POLL_SECONDS):
            self.poll()

    def poll(self) -> None:
        """Look at the folder once; a higher version takes over if its files are complete."""
        present, served = self._list(), self._versions.served
        if present is None:  # a disk that is away for a moment; TensorFlow Serving waits, too
            return
        if not present:
            self._consider(None)
            if served:
                self._versions.serve(None)
                self._report(VersionFailed(f"{self._folder} holds no version, so nothing is served."))
        elif served and served.version == max(present):
            self._consider(None)
        else:
            self._pursue(max(present), present[max(present)])

    def _list(self) -> Mapping[int, Path] | None:
        """Return the numbered versions and their folders, or None if the folder cannot be read."""
        try:
            versions = version_folders(FolderLocation(self._folder).entries())
        except (OSError, ModelError):
            return None
        return {number: self._folder / name for number, name in versions.items()}

    def _pursue(self, version: int, folder: Path) -> None:
        """Load a version once its files rest for one poll; report it if they rest and it does not load."""
        now, files = self.clock(), _list_files(folder)
        candidate = self._candidate
        if candidate is None or (candidate.version, candidate.files) != (version, files):
            self._consider(_Candidate(version, files, since=now))
        elif candidate.tried is None or now - candidate.tried >= RETRY_SECONDS:
            candidate.tried = now
            self._try(candidate, folder)
        elif not candidate.is_reported and now - candidate.since >= COPY_SECONDS:
            candidate.is_reported = True
            self._versions.set_status(VersionStatus(version, "END", candidate.problem))
            self._report(VersionFailed(candidate.problem))

    def _consider(self, candidate: _Candidate | None) -> None:
        if self._candidate:
            self._versions.forget_loading(self._candidate.version)
        if candidate:
            self._versions.set_status(VersionStatus(candidate.version, "LOADING"))
        self._candidate = candidate

    def _try(self, candidate: _Candidate, folder: Path) -> None:
        try:
            predictor = self._load_warm(folder)
        except ModelError as error:
            candidate.problem = str(error)
        except Exception as error:  # whatever is wrong with the new version, the old one keeps answering
            candidate.problem = f"{folder} cannot be loaded: {str(error) or type(error).__name__}."
        else:
            if _list_files(folder) == candidate.files:  # else it was read while it was written
                self._candidate = None
                self._versions.serve(predictor)
                self._report(VersionServed(predictor.version))

    def _load_warm(self, folder: Path) -> Predictor:
        predictor = Predictor(self._load(folder))
        predictor.warm_up()
        return predictor


def _list_files(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Return path, size in bytes and time of the last change in ns of every file that does not vanish."""
    found = set()
    for parent, _, names in os.walk(folder):
        for path in (os.path.join(parent, name) for name in names):
            with contextlib.suppress(OSError):
                status = os.stat(path)
                found.add((path, status.st_size, status.st_mtime_ns))
    return frozenset(found)
