"""The key file for the bucket, which may be replaced while the dashboard runs."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from mnist_dash.cluster.manifests import key_hash
from mnist_dash.errors import EngineError, SettingsError
from mnist_dash.storage.cloud_storage import read_key


class KeyFile:
    """The key file with which the Pods read their bucket; it is read again for every change."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.deployed: bytes | None = None
        """The content that the Pods were last given."""

    @property
    def problem(self) -> str:
        """What is wrong with the file; empty if nothing is, or there is none."""
        try:
            self.read()
        except EngineError as error:
            return str(error)
        return ""

    def read(self) -> bytes | None:
        """Return its content, or None if there is no file; raises EngineError if it is unfit."""
        if self._path is None:
            return None
        try:
            return read_key(self._path)
        except SettingsError as error:
            raise EngineError(error.problem, error.next_step) from error

    def replacement(self, hashes: Set[str]) -> bytes | None:
        """Return the content if it is fit and differs from the key that the Pods were last given.

        `hashes` are of the keys that they have. They count only until this dashboard has deployed a key
        itself, so that two dashboards with two keys do not take turns for ever.
        """
        content = None if self.problem else self.read()
        if content is None or not hashes:
            return None
        if self.deployed is None and key_hash(content) in hashes:
            self.deployed = content
        return content if content != self.deployed else None
