"""What a Pod's thread waits for: the exit of its container, or the wish that it ends."""

from __future__ import annotations

import contextlib
import queue
import time

FOREVER = float("inf")


class EndedError(Exception):
    """The Pod is to end within so many seconds."""

    def __init__(self, grace: float) -> None:
        super().__init__(f"to end within {grace:g} s")
        self.grace = grace


class Mailbox:
    """Takes messages from any thread, for one that waits."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[int | EndedError] = queue.SimpleQueue()

    def exited(self, code: int) -> None:
        """The container has ended."""
        self._messages.put(code)

    def end(self, grace: float) -> None:
        """The Pod is to end."""
        self._messages.put(EndedError(grace))

    def exit_within(self, seconds: float) -> int | None:
        """The exit code, if it comes within that time; raises EndedError if the Pod is to end."""
        with contextlib.suppress(queue.Empty):
            message = self._messages.get(timeout=None if seconds == FOREVER else max(seconds, 0))
            if isinstance(message, EndedError):
                raise message
            return message
        return None

    def ended_within(self, seconds: float) -> int | None:
        """The exit code, if it comes within that time; a wish to end can only shorten it."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.exit_within(end - time.monotonic())
            except EndedError as asked:
                end = min(end, time.monotonic() + asked.grace)

    def pause(self, seconds: float) -> None:
        """Wait while nothing runs; raises EndedError if the Pod is to end."""
        self.exit_within(seconds)
