"""How long a kubelet waits before it tries again, and how much shorter this one does."""

from __future__ import annotations

FIRST, LONGEST = 10, 300
"""Seconds that a kubelet waits at first and at most; the double says so too, and waits ..."""
HASTE = 30
"""... so many times shorter."""
RETRY_SECONDS = 0.3
"""Between two looks for what is missing, such as a Secret."""


def seconds(times: int) -> int:
    """How long a kubelet waits after so many waits before."""
    return int(min(FIRST * 2**times, LONGEST))


def written(duration: int) -> str:
    """So many seconds, as Go writes them."""
    minutes, rest = divmod(duration, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
