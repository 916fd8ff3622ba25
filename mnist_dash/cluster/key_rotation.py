"""The key file for the bucket, which may change while the dashboard runs."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from mnist_dash.cluster.manifests import key_hash
from mnist_dash.errors import EngineError, SettingsError
from mnist_dash.storage.key_file import read_key


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

    def replacement(self, given: Set[str]) -> bytes | None:
        """The content if it is fit, and another one than the Pods were last given; else None.

        `given` are the hashes of what they have; they count until this dashboard has given them a key itself,
        so that two dashboards with two keys do not go on taking turns.
        """
        try:
            content = self.read()
        except EngineError:
            return None
        if content is None or not given:
            return None
        if self._deployed is None and key_hash(content) in given:
            self._deployed = content
        return content if content != self._deployed else None

    def deployed(self, content: bytes) -> None:
        """Note that the Pods were given this content."""
        self._deployed = content
