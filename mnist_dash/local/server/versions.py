"""Which versions of the model are known to the server, and the one that answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum

from mnist_dash.local.server.predict import Predictor


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
