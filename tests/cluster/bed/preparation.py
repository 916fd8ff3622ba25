"""What a container needs before it can start: its image, its volumes, its environment. Each is waited for."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.cluster.bed import back_off
from tests.cluster.bed.api_server import ApiServer, Object
from tests.cluster.bed.container import ConfigError, Environment, Volumes
from tests.cluster.bed.images import pull_error
from tests.cluster.bed.pod_events import PodEvents
from tests.cluster.bed.pod_inbox import Mailbox


class Preparation:
    """Prepares one Pod's container; `waits` is told why it does not run yet."""

    def __init__(
        self,
        api: ApiServer,
        pod: Object,
        events: PodEvents,
        mailbox: Mailbox,
        waits: Callable[[str, str], None],
    ) -> None:
        self._api = api
        self._pod = pod
        self._events = events
        self._mailbox = mailbox
        self._waits = waits

    def pull(self, image: str) -> None:
        """Until the image is there, which may be never; raises EndedError, as each of these does."""
        error = pull_error(image)
        if not error:
            self._events.normal("Pulled", f'Container image "{image}" already present on machine')
            return
        for times in itertools.count():
            self._events.normal("Pulling", f'Pulling image "{image}"')
            self._events.warning("Failed", f'Failed to pull image "{image}": {error}')
            self._events.warning("Failed", "Error: ErrImagePull")
            self._waits("ErrImagePull", error)
            self._mailbox.pause(back_off.RETRY_SECONDS)
            self._events.normal("BackOff", f'Back-off pulling image "{image}"')
            self._events.warning("Failed", "Error: ImagePullBackOff")
            self._waits("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {error}')
            self._mailbox.pause(back_off.seconds(times) / back_off.HASTE)

    def mount(self, volumes: Volumes) -> None:
        """Until each volume is there; as on a node, only an event says what is missing."""
        while True:
            try:
                return volumes.fill()
            except ConfigError as error:
                self._events.warning("FailedMount", str(error))
                self._mailbox.pause(back_off.RETRY_SECONDS)

    def environment(self, address: str) -> dict[str, str]:
        """The container's variables, as soon as each is there."""
        while True:
            try:
                return Environment(self._api, self._pod, address).resolve()
            except ConfigError as error:
                self._events.warning("Failed", f"Error: {error}")
                self._waits("CreateContainerConfigError", str(error))
                self._mailbox.pause(back_off.RETRY_SECONDS)
