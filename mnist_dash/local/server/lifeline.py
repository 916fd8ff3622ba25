"""The end of a child when its parent ends: stdin is the rope between them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

GRACE_SECONDS = 1.0
"""Between asking the process to end and ending it."""


def hold(descriptor: int, ask_to_end: Callable[[], None]) -> None:
    """End this process soon after `descriptor` (stdin) has reached its end, as it does when its writer dies.

    A thread waits for it, so that neither a busy event loop nor a running inference is in its way; it first
    calls `ask_to_end`. It is a daemon: a process that ends otherwise does not wait for it.
    """
    threading.Thread(target=_watch, args=(descriptor, ask_to_end), name="lifeline", daemon=True).start()


def _watch(descriptor: int, ask_to_end: Callable[[], None]) -> None:
    while _read(descriptor):
        pass
    ask_to_end()
    time.sleep(GRACE_SECONDS)
    os._exit(0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
