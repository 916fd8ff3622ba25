"""The key file for the bucket, which may change while the dashboard runs."""

from __future__ import annotations

from pathlib import Path

from mnist_dash.errors import EngineError, SettingsError
from mnist_dash.storage.credentials import read_key


class KeyFile:
    """The file with which the Pods read their bucket; it is read anew for every change."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._deployed: bytes | None = None

    @property
    def problem(self) -> str:
        """What is wrong with it, in words; empty if nothing is, or none was given."""
        try:
            self.read()
        except EngineError as error:
            return str(error)
        return ""

    def read(self) -> bytes | None:
        """Its content, or None if there is none; raises EngineError if it is unfit."""
        if self._path is None:
            return None
        try:
            return read_key(self._path)
        except SettingsError as error:
            raise EngineError(error.problem, error.next_step) from error

    def replaced(self) -> bytes | None:
        """The new content if it is another one than when it was last asked, and fit; else None."""
        try:
            content = self.read()
        except EngineError:
            return None
        before, self._deployed = self._deployed, content
        return content if before is not None and content != before else None
