"""What the gateway is seen to do: the split that it follows, and the versions that answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mnist_dash.cluster.effect import Effect, look
from mnist_dash.cluster.route_state import Written
from mnist_dash.cluster.seen import Seen
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
    """Asks through the gateway, as any client does: for versions each time, for the split after a change."""

    def __init__(self, serving: ServingClient) -> None:
        self._serving = serving
        self._effect = Effect()
        self.view = View()

    def look(self, seen: Seen) -> View:
        """See what there is to see, given what stands in the cluster's objects."""
        ready = [role for role in Role if seen.ready_addresses(role)]
        written = seen.written or Written(weight=0, has_new=False)
        self._effect.written(written.weight, written.has_new, *(seen.pointer(role) for role in Role))
        versions, problem = self._versions(seen, ready)
        if self._effect.pending and not problem:
            self._effect.seen(look(self._serving.predict, both=len(ready) == len(Role)))
        self.view = View(self._effect.observed, self._effect.pending, problem, versions)
        return self.view

    def _versions(self, seen: Seen, ready: list[Role]) -> tuple[dict[Release, int | None], str]:
        """While the pointers are on their way, what is asked for by role cannot be told by release."""
        if seen.written and seen.written.state.swap:
            return dict(self.view.versions), ""
        versions: dict[Release, int | None] = {}
        problems = []
        for role in ready:
            version, problem = self._serving.status(Route(role.value), seconds=STATUS_SECONDS)
            versions[seen.pointer(role)] = version
            problems.append(problem)
        return versions, next(filter(None, problems), "")
