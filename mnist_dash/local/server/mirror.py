"""The newest versions of a model base in a bucket as a local folder, which follows the bucket."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mnist_dash.domain import MODEL_NAME
from mnist_dash.errors import ModelError
from mnist_dash.local.server.versions import Listener
from mnist_dash.storage.base_diagnosis import find_versions, version_folders
from mnist_dash.storage.location import BucketLocation

POLL_SECONDS = 1.0
"""As TensorFlow Serving does."""
KEPT = 2
"""So many of the highest versions are here: the one to be served, and one in case that it does not load."""


class Mirror:
    """A folder that is kept as `<base>/model` is, but for its older versions.

    A version appears when all of it has been copied. What has vanished from the bucket vanishes here, too; if
    the bucket cannot be listed, or the model's folder is gone altogether, all stays as it is.
    """

    def __init__(self, base: BucketLocation, root: Path) -> None:
        self._base = base
        self.source = base / MODEL_NAME
        self.folder = root / MODEL_NAME
        self._copied: dict[int, frozenset[tuple[str, int]]] = {}
        """The objects of a version, and their generations, when it was last copied."""

    def fill(self) -> None:
        """Copy for the first time; raises ModelError if there is no version, or it cannot be copied."""
        find_versions(self._base)
        if problem := self.poll():
            raise problem

    def run(self, stop: threading.Event, listener: Listener) -> None:
        """Follow the bucket until `stop` is set; each new trouble with it is told once."""
        told = ""
        while not stop.wait(POLL_SECONDS):
            problem = str(self.poll() or "")
            if problem and problem != told and not stop.is_set():
                listener.trouble(problem)
            told = problem

    def poll(self) -> ModelError | None:
        """Look once, and copy what is new; returns what is in the way, if anything is."""
        try:
            there = version_folders(self.source.entries())
        except ModelError as error:
            return error
        except (FileNotFoundError, NotADirectoryError):
            return ModelError(f"{self.source} is gone.", "What was copied of it is kept.")
        try:
            self._follow(there)
        except ModelError as error:
            return error
        except OSError as error:
            return ModelError(f"{self.source} cannot be copied to {self.folder}: {error.strerror}.")
        return None

    def _follow(self, there: Mapping[int, str]) -> None:
        """Copy what is to be here of the versions that are in the bucket, then remove what is not."""
        desired = sorted(there, reverse=True)[:KEPT]
        for version in desired:
            place, target = self.source / there[version], self.folder / str(version)
            if version == desired[0]:
                self._renew(version, place, target)
            elif not target.exists():
                place.fetch(target)
        for version in self._here() - set(desired):
            self._copied.pop(version, None)
            shutil.rmtree(self.folder / str(version))

    def _renew(self, version: int, place: BucketLocation, target: Path) -> None:
        """Copy the highest version again if it has changed since: it may have been half uploaded."""
        objects = place.generations()
        if objects == self._copied.get(version):
            return
        if target.exists():
            with tempfile.TemporaryDirectory(dir=self.folder.parent) as side:
                _replace(target, place.fetch(Path(side) / target.name))
        else:
            place.fetch(target)
        self._copied[version] = objects

    def _here(self) -> set[int]:
        self.folder.mkdir(exist_ok=True)
        return {int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()}


def _replace(folder: Path, new: Path) -> None:
    """Give a folder the files of another one, and no others, without its being away for a moment."""
    named = {path.relative_to(new) for path in new.rglob("*")}
    for path in list(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder) not in named:
            path.unlink()
    shutil.copytree(new, folder, dirs_exist_ok=True, copy_function=os.replace)


@contextmanager
def mirrored(base: str) -> Iterator[Mirror]:
    """A mirror of `gs://bucket/path` in a temporary folder, empty yet; raises as `place_of` does."""
    place = BucketLocation.from_url(base)
    with tempfile.TemporaryDirectory(prefix="mnist-dash-mirror-", ignore_cleanup_errors=True) as root:
        yield Mirror(place, Path(root))
