"""Prepare the start of a container: wait for its image and its volumes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.cluster.bed import back_off
from tests.cluster.bed.container import ConfigError, Volumes
from tests.cluster.bed.images import pull_error
from tests.cluster.bed.pod_events import PodEvents
from tests.cluster.bed.pod_inbox import PodInbox


class Preparation:
    """Prepares one Pod's container, and reports while it waits."""

    def __init__(
        self, events: PodEvents, inbox: PodInbox, report_waiting: Callable[[str, str], None]
    ) -> None:
        self._events = events
        self._inbox = inbox
        self._report_waiting = report_waiting

    def pull(self, image: str) -> None:
        """Wait until the image exists. This and the other methods raise TerminationError."""
        error = pull_error(image)
        if not error:
            self._events.normal("Pulled", f'Container image "{image}" already present on machine')
            return
        for times in itertools.count():
            self._events.normal("Pulling", f'Pulling image "{image}"')
            self._events.warning("Failed", f'Failed to pull image "{image}": {error}')
            self._events.warning("Failed", "Error: ErrImagePull")
            self._report_waiting("ErrImagePull", error)
            self._inbox.pause(back_off.RETRY_SECONDS)
            self._events.normal("BackOff", f'Back-off pulling image "{image}"')
            self._events.warning("Failed", "Error: ImagePullBackOff")
            self._report_waiting(
                "ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {error}'
            )
            self._inbox.pause(back_off.delay(times) / back_off.SPEED_UP)

    def mount(self, volumes: Volumes) -> None:
        """Wait until each volume exists; as on a node, only an event names a missing object."""
        while True:
            try:
                return volumes.fill()
            except ConfigError as error:
                self._events.warning("FailedMount", str(error))
                self._inbox.pause(back_off.RETRY_SECONDS)
