"""How often the cluster is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable

PROMOTING_SECONDS = 0.2
MOVING_SECONDS = 1.0
RESTING_SECONDS = 5.0
VIEWER_SECONDS = 15.0
"""So long after it last asked for a snapshot somebody counts as looking: an open page asks every second."""
RETRY_SECONDS = (1.0, 2.0, RESTING_SECONDS)
"""After the first, the second and every further failure."""


class Pace:
    """Decides when to look next; it does not depend on how many are looking."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._viewed = clock()
        self.failures = 0
        """Looks that failed since the last one that did not."""

    def viewed(self) -> bool:
        """Note that somebody is looking; returns whether nobody was before."""
        before, self._viewed = self._viewed, self._clock()
        return self._viewed - before > VIEWER_SECONDS

    def seconds(self, *, promoting: bool, driving: bool, moving: bool) -> float | None:
        """Until the next look; None: until somebody looks.

        `driving` is that something waits for this dashboard to carry it on, `moving` that what is observed is
        not yet what is wanted.
        """
        watched = self._clock() - self._viewed <= VIEWER_SECONDS
        if not watched and not promoting:
            return RESTING_SECONDS if driving else None
        if self.failures:
            return RETRY_SECONDS[min(self.failures, len(RETRY_SECONDS)) - 1]
        if promoting:
            return PROMOTING_SECONDS
        return MOVING_SECONDS if driving or moving else RESTING_SECONDS
