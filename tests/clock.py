"""A clock that only a test moves."""

from __future__ import annotations


class Clock:
    """A substitute for `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
