"""The back-off of a kubelet, and by how much the double shortens it."""

from __future__ import annotations

FIRST, LONGEST = 10, 300
"""Seconds of the first and the longest back-off of a kubelet, which the double reports as well."""
SPEED_UP = 30
"""The double waits so many times shorter."""
RETRY_SECONDS = 0.3
"""Seconds between two attempts to find a missing object, such as a Secret."""


def delay(times: int) -> int:
    """Return the seconds of a back-off that follows so many others."""
    return int(min(FIRST * 2**times, LONGEST))


def format_seconds(duration: int) -> str:
    """Format seconds as Go does."""
    minutes, rest = divmod(duration, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
