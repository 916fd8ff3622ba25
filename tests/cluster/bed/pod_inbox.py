"""The messages to a Pod's thread: its container has ended, or the Pod has to end."""

from __future__ import annotations

import contextlib
import queue
import time

FOREVER = float("inf")


class TerminationError(Exception):
    """The Pod has to end within `grace` seconds."""

    def __init__(self, grace: float) -> None:
        super().__init__(f"to end within {grace:g} s")
        self.grace = grace


class PodInbox:
    """Takes messages from any thread for the thread of the Pod."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[int | TerminationError] = queue.SimpleQueue()

    def post_exit(self, code: int) -> None:
        """Report the exit code of the container."""
        self._messages.put(code)

    def post_termination(self, grace: float) -> None:
        """Ask the Pod to end."""
        self._messages.put(TerminationError(grace))

    def wait_for_exit(self, seconds: float) -> int | None:
        """Return the exit code, or None after that time; raises TerminationError if the Pod has to end."""
        with contextlib.suppress(queue.Empty):
            message = self._messages.get(timeout=None if seconds == FOREVER else max(seconds, 0))
            if isinstance(message, TerminationError):
                raise message
            return message
        return None

    def wait_for_end(self, seconds: float) -> int | None:
        """Return the exit code, or None after that time, which a request to end can only shorten."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.wait_for_exit(end - time.monotonic())
            except TerminationError as request:
                end = min(end, time.monotonic() + request.grace)

    def pause(self, seconds: float) -> None:
        """Wait while no container runs; raises TerminationError if the Pod has to end."""
        self.wait_for_exit(seconds)
