"""Check models in the background: those that answer, and that no deployment has checked yet."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from mnist_dash.domain import ModelCheck
from mnist_dash.errors import ModelError

log = logging.getLogger("mnist_dash")


class BackgroundChecks:
    """Remembers the checks of model versions; a thread makes the missing ones, one after the other."""

    def __init__(self, check: Callable[[str], ModelCheck]) -> None:
        self._check = check
        self._found: dict[tuple[str, int | None], ModelCheck | None] = {}
        """By base and version; under None the last check of any version."""
        self._to_check: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        threading.Thread(target=self._keep_checking, name="checks", daemon=True).start()

    def add(self, check: ModelCheck) -> None:
        """Remember a check that was made elsewhere."""
        self._found[check.base, check.version] = self._found[check.base, None] = check

    def find(self, base: str, version: int | None) -> ModelCheck | None:
        """Return the check of a version, or None if it is not known yet; then it is made.

        While the version is not known (None), this is the last check of any version of the base.
        """
        if version is not None and (base, version) not in self._found:
            self._found[base, version] = None
            self._to_check.put((base, version))
        return self._found.get((base, version))

    def close(self) -> None:
        """Make no more checks."""
        self._to_check.put(None)

    def _keep_checking(self) -> None:
        while job := self._to_check.get():
            base, version = job
            try:
                if (check := self._check(base)).version == version:
                    self._found[job] = self._found[base, None] = check
            except ModelError:
                pass  # the replicas report what is wrong with it
            except Exception:  # the next version is to be checked all the same
                log.exception("%s could not be checked", base)
