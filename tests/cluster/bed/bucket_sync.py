"""The project's model server with models in Cloud Storage: `bucket_sync.py --model-base gs://... FLAGS`.

TensorFlow Serving reads buckets itself. Here the newest versions are copied to the folder `gs:/bucket/path`
in the working directory, the container's home, which vanishes with it. The server follows that folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from mnist_dash.domain import MODEL_NAME
from mnist_dash.errors import ModelError
from mnist_dash.local.server import __main__ as server
from mnist_dash.storage.base_diagnosis import find_versions
from mnist_dash.storage.location import BucketLocation, Location

POLL_SECONDS = 1.0
"""As TensorFlow Serving does."""
KEPT = 2
"""How many of the highest versions are copied: the one to be served, and one in case it does not load."""


class BucketSync:
    """Keeps `folder` as `<base>/model` is, but for its older versions."""

    def __init__(self, base: BucketLocation, folder: Path) -> None:
        self._base = base
        self._folder = folder
        self._copied: dict[int, frozenset[tuple[str, int]]] = {}
        """The objects of a version, and their generations, when it was last copied."""

    def sync(self) -> None:
        """Copy new and changed versions, remove old ones; raises ModelError, and then changes nothing."""
        versions = find_versions(self._base)
        newest = sorted(versions, reverse=True)[:KEPT]
        for version in newest:
            self._copy(version, versions[version])
        for path in self._folder.iterdir():
            if int(path.name) not in newest:
                self._copied.pop(int(path.name), None)
                shutil.rmtree(path)

    def follow(self) -> None:
        """Sync for ever; each new problem is printed once."""
        problem = ""
        while True:
            time.sleep(POLL_SECONDS)
            before, problem = problem, ""
            try:
                self.sync()
            except ModelError as error:
                problem = str(error)
            if problem and problem != before:
                print(problem, file=sys.stderr, flush=True)

    def _copy(self, version: int, source: Location) -> None:
        """Copy a version, and again if it has changed: it may have been half uploaded."""
        assert isinstance(source, BucketLocation)
        target = self._folder / str(version)
        objects = frozenset((blob.name, blob.generation) for blob in source.list_objects())
        if objects == self._copied.get(version):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder.parent) as aside:
            new = source.fetch(Path(aside) / "new")
            if target.exists():
                target.rename(Path(aside) / "old")
            new.rename(target)
        self._copied[version] = objects


def main(argv: Sequence[str]) -> int:
    """Copy the model base if it is a bucket's, and serve it; returns the exit code."""
    base = argv[argv.index("--model-base") + 1]
    if base.startswith("gs:"):
        try:
            sync = BucketSync(BucketLocation.from_url(base), Path(base) / MODEL_NAME)
            sync.sync()
        except ModelError as error:
            print(" ".join(str(error).split()), file=sys.stderr, flush=True)
            return 1
        threading.Thread(target=sync.follow, name="bucket", daemon=True).start()
    return server.main(argv)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
