"""Choose the model for a request, then the replica."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from mnist_dash.domain import FORCING, Role
from mnist_dash.local.protocol import Applied, Backend, Drained, RoutingTable, RoutingUpdate

FORCED = {value: Role(route.value) for route, value in FORCING.items()}
"""The route header's values, exactly; any other leaves the request to the split."""
AVOIDED_SECONDS = 1.0
"""How long a replica that refused a connection is tried last, unless a routing update comes sooner."""

_turns = itertools.count(1)


def decide(table: RoutingTable, header: str, dice: Random) -> Role | None:
    """Return the role that answers a request, or None if there is none.

    `header` is the value of X-Mnist-Route (repeated ones joined by ", "; empty if absent). The rules are
    those of ingress-nginx v1.15's balancer, in its order: without Current no answer, without New Current,
    then the header, then an independent draw.
    """
    if not table.current:
        return None
    if not table.new:
        return Role.CURRENT
    if forced := FORCED.get(header):
        return forced
    return Role.NEW if dice.randint(1, 100) <= table.split else Role.CURRENT


@dataclass(eq=False, slots=True)
class Upstream:
    """One replica as the gateway sees it; it keeps its count from update to update."""

    backend: Backend
    in_flight: int = 0
    avoided_until: float = -math.inf
    _last_turn: int = 0

    @contextmanager
    def serving(self) -> Iterator[Backend]:
        """Count one request as in flight here while the block runs."""
        self.in_flight += 1
        self._last_turn = next(_turns)
        try:
            yield self.backend
        finally:
            self.in_flight -= 1

    def avoid(self, now: float) -> None:
        """Try the other replicas first for a while."""
        self.avoided_until = now + AVOIDED_SECONDS

    def rank(self, now: float) -> tuple[bool, int, int]:
        """The order of choice, lowest first: not avoided, least in flight, longest without a request."""
        return self.avoided_until > now, self.in_flight, self._last_turn


def attempts(
    upstreams: Collection[Upstream], clock: Callable[[], float] = time.monotonic
) -> Iterator[Upstream]:
    """Yield each upstream once, the best first; the next is chosen when it is needed."""
    untried = set(upstreams)
    while untried:
        now = clock()
        best = min(untried, key=lambda upstream: upstream.rank(now))
        untried.discard(best)
        yield best


@dataclass
class RoutingGeneration:
    """The routing by one update, and the requests in flight that were decided by it."""

    update: RoutingUpdate
    upstreams: Mapping[Role, tuple[Upstream, ...]]
    in_flight: int = 0


class UpstreamPool:
    """The routing in force, and the earlier ones that still have requests in flight."""

    def __init__(self, report: Callable[[Applied | Drained], None]) -> None:
        self._report = report
        no_routing = RoutingGeneration(RoutingUpdate(0, RoutingTable()), {})
        self._generations = deque([no_routing])
        """From the oldest that is not drained to the one in force."""

    @property
    def routing(self) -> RoutingGeneration:
        """The routing in force; an empty one before the first update."""
        return self._generations[-1]

    def apply(self, update: RoutingUpdate) -> None:
        """Decide every later request by this update."""
        self._generations.append(RoutingGeneration(update, self._upstreams(update.table)))
        self._report(Applied(update.id))
        self._report_drained()

    @contextmanager
    def decided(self, generation: RoutingGeneration) -> Iterator[None]:
        """Count one request as decided by a generation while the block runs."""
        generation.in_flight += 1
        try:
            yield
        finally:
            generation.in_flight -= 1
            self._report_drained()

    def _upstreams(self, table: RoutingTable) -> dict[Role, tuple[Upstream, ...]]:
        """One upstream for each backend, its former one if it had one in either role, and none avoided."""
        former = self.routing.upstreams.values()
        known = {upstream.backend: upstream for upstreams in former for upstream in upstreams}
        for backend in (*table.current, *table.new):
            known.setdefault(backend, Upstream(backend)).avoided_until = -math.inf
        return {role: tuple(known[backend] for backend in dict.fromkeys(table.of(role))) for role in Role}

    def _report_drained(self) -> None:
        # An update is drained once every generation before it has answered its requests.
        while len(self._generations) > 1 and not self._generations[0].in_flight:
            self._generations.popleft()
            self._report(Drained(self._generations[0].update.id))
