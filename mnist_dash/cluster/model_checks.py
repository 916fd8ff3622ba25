"""What is known of the models in the buckets: before a deployment, and when a newer version answers."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from mnist_dash.domain import ModelCheck
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.isolated_check import check_model_isolated
from mnist_dash.storage.location import Progress

CHECK_SECONDS = 120.0
MAX_BYTES = 500_000_000
"""A model that is larger is deployed unchecked: one of MNIST digits is a hundred times smaller."""
log = logging.getLogger("mnist_dash")


def check(base: str, credentials: Path | None, progress: Progress | None = None) -> ModelCheck:
    """Look at a model in a bucket; what cannot be looked at from here is told in the check's `unverified`.

    Raises ModelError if the address is wrong, or the model is unfit.
    """
    if not base.startswith("gs:"):
        raise ModelError(
            f"A cluster reads models from Cloud Storage, not {base}.",
            f"Copy it to a bucket: gcloud storage cp -r {base}/model gs://BUCKET/PATH/ and give gs://BUCKET/PATH.",
        )
    try:
        return check_model_isolated(
            base, timeout=CHECK_SECONDS, credentials=credentials, max_bytes=MAX_BYTES, progress=progress
        )
    except ModelError as error:
        if not error.unverified:
            raise
        warning = f"Deployed unchecked: {error.problem}"
        return ModelCheck(base.rstrip("/"), None, (), None, (warning,), unverified=str(error))


class Checks:
    """Checks in the background the versions that answer and that nobody has checked yet."""

    def __init__(self, check: Callable[[str], ModelCheck]) -> None:
        self._check = check
        self._found: dict[tuple[str, int], ModelCheck | None] = {}
        self._to_check: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        threading.Thread(target=self._keep_checking, name="checks", daemon=True).start()

    def of(self, base: str, version: int) -> ModelCheck | None:
        """What was found of this version; None if nothing is known yet, and then it is looked at."""
        if (base, version) not in self._found:
            self._found[base, version] = None
            self._to_check.put((base, version))
        return self._found[base, version]

    def close(self) -> None:
        """Check nothing more."""
        self._to_check.put(None)

    def _keep_checking(self) -> None:
        while job := self._to_check.get():
            base, version = job
            try:
                found = self._check(base)
            except ModelError:  # its Pods tell what is wrong with it
                continue
            except Exception:  # the next version is to be checked all the same
                log.exception("%s could not be checked", base)
                continue
            if found.version == version:
                self._found[job] = found
