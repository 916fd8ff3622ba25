"""What the gateway is seen to do: the split that it follows, and the versions that answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mnist_dash.cluster.reading.seen import Seen
from mnist_dash.cluster.routing.effect import Effect, look
from mnist_dash.cluster.routing.route_state import Written
from mnist_dash.domain import Release, Role, Route
from mnist_dash.serving import ServingClient

STATUS_SECONDS = 2.0
"""For how long one look waits for an answer."""


@dataclass(frozen=True)
class View:
    """What was seen through the gateway."""

    split: int = 0
    """The share of New that it follows, in percent."""
    pending: bool = False
    """Whether that is not yet the share that was written."""
    problem: str = ""
    """Why the models cannot be reached, though they are ready."""
    versions: Mapping[Release, int | None] = field(default_factory=dict)
    """The version that each release answers with."""


class GatewayWatch:
    """Asks through the gateway, as any client does: for versions each time, for the split after a change.

    May be used from several threads at once.
    """

    def __init__(self, serving: ServingClient) -> None:
        self._serving = serving
        self._effect = Effect()
        self._lock = threading.Lock()
        self._view = View()

    def view(self, seen: Seen) -> View:
        """What was last seen, given what stands in the cluster's objects now; asks nobody."""
        written = seen.written or Written(weight=0, has_new=False)
        self._effect.written(written.weight, written.has_new, *(seen.pointer(role) for role in Role))
        return self._told()

    def _told(self) -> View:
        self._view = replace(self._view, split=self._effect.observed, pending=self._effect.pending)
        return self._view

    def look(self, seen: Seen) -> View:
        """See what there is to see."""
        with self._lock:
            self.view(seen)
            about = self._effect.told
            ready = [role for role in Role if seen.ready_addresses(role)]
            versions, problem = self._versions(seen, ready)
            if self._effect.pending and not problem:
                sight = look(self._serving.predict, both=len(ready) == len(Role))
                if self._effect.told == about:  # else something else was written meanwhile
                    self._effect.seen(sight)
                if not self._effect.pending:  # now New's can be told
                    versions, problem = self._versions(seen, ready)
            self._view = replace(self._view, problem=problem, versions=versions)
            return self._told()

    def _versions(self, seen: Seen, ready: list[Role]) -> tuple[dict[Release, int | None], str]:
        """While the pointers are on their way, what is asked for by role cannot be told by release.

        Nor can New's, before the gateway is seen to lead to it: until then Current may answer for it.
        """
        if seen.written and seen.written.state.swap:
            return dict(self._view.versions), ""
        versions: dict[Release, int | None] = {}
        problems = []
        for role in ready:
            release = seen.pointer(role)
            version, problem = self._serving.status(Route(role.value), seconds=STATUS_SECONDS)
            unsure = role is Role.NEW and self._effect.pending
            versions[release] = self._view.versions.get(release) if unsure else version
            problems.append(problem)
        return versions, next(filter(None, problems), "")
