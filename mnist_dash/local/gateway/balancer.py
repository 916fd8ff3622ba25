"""Choose the model for a request, then the replica."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from mnist_dash.domain import FORCING, Role
from mnist_dash.local.gateway.protocol import Backend, Event, EventName, RoutingTable, RoutingUpdate

FORCED = {value: Role(route.value) for route, value in FORCING.items()}
"""The route header's values, exactly; any other leaves the request to the split."""


class Dice(Protocol):
    """Where the split's random numbers come from; `random.Random` is one."""

    def randint(self, a: int, b: int, /) -> int:
        """A random integer from a to b, both included."""


def decide(*, current: bool, new: bool, header: str | None, split: int, dice: Dice) -> Role | None:
    """The role that answers one request, or None if nobody may.

    `current` and `new` say whether that role has a ready replica, `header` is the value of X-Mnist-Route
    (repeated ones joined by ", "; None if absent), and `split` the percentage of New. The rules are those
    of ingress-nginx v1.15's balancer, in its order: without Current nobody answers, without New Current
    does, then the header, then an independent draw.
    """
    if not current:
        return None
    if not new:
        return Role.CURRENT
    if forced := FORCED.get(header or ""):
        return forced
    return Role.NEW if dice.randint(1, 100) <= split else Role.CURRENT


AVOIDED_SECONDS = 1.0
"""How long a replica that refused a connection is asked last, unless a new order comes sooner."""

_turns = itertools.count(1)


@dataclass(eq=False, slots=True)
class Upstream:
    """One replica as the gateway sees it; it keeps its count from order to order."""

    member: Backend
    in_flight: int = 0
    avoided_until: float = -math.inf
    _last_turn: int = 0

    @contextmanager
    def taken(self) -> Iterator[Backend]:
        """Count one request as in flight here for as long as the block runs."""
        self.in_flight += 1
        self._last_turn = next(_turns)
        try:
            yield self.member
        finally:
            self.in_flight -= 1

    def avoid(self, now: float) -> None:
        """Ask the others first for a while."""
        self.avoided_until = now + AVOIDED_SECONDS

    def rank(self, now: float) -> tuple[bool, int, int]:
        """What the seats are chosen by, lowest first: not avoided, least in flight, longest not asked."""
        return self.avoided_until > now, self.in_flight, self._last_turn


def attempts(seats: Collection[Upstream], clock: Callable[[], float] = time.monotonic) -> Iterator[Upstream]:
    """Each of the seats once, the best first; each next one is chosen when it is asked for."""
    untried = set(seats)
    while untried:
        now = clock()
        best = min(untried, key=lambda seat: seat.rank(now))
        untried.discard(best)
        yield best


@dataclass(frozen=True)
class RoutingGeneration:
    """An order in force."""

    order: RoutingUpdate
    seats: Mapping[Role, tuple[Upstream, ...]]
    generation: int


@dataclass
class UpstreamPool:
    """The order in force, and the requests that earlier ones left in flight.

    `announce` is called with the events Applied and Drained.
    """

    announce: Callable[[Event], None]
    seating: RoutingGeneration | None = None
    _in_flight: Counter[int] = field(default_factory=Counter)
    """Requests in flight by the generation under which they were decided."""
    _draining: deque[RoutingGeneration] = field(default_factory=deque)

    def apply(self, order: RoutingUpdate) -> None:
        """Put an order in force for every later request."""
        generation = self.seating.generation + 1 if self.seating else 1
        self.seating = RoutingGeneration(order, self._seats(order.table), generation)
        self.announce(Event(EventName.APPLIED, id=order.id))
        self._draining.append(self.seating)
        self._report_drained()

    @contextmanager
    def decided(self, seating: RoutingGeneration) -> Iterator[None]:
        """Count one request as decided under a seating for as long as the block runs."""
        self._in_flight[seating.generation] += 1
        try:
            yield
        finally:
            self._leave(seating.generation)

    def _seats(self, table: RoutingTable) -> dict[Role, tuple[Upstream, ...]]:
        """One seat for each member, its old one if it had one in either role, and none of them avoided."""
        old = (
            {seat.member: seat for seats in self.seating.seats.values() for seat in seats}
            if self.seating
            else {}
        )
        seats = {member: old.get(member) or Upstream(member) for role in Role for member in table.of(role)}
        for seat in seats.values():
            seat.avoided_until = -math.inf
        return {role: tuple(seats[member] for member in dict.fromkeys(table.of(role))) for role in Role}

    def _leave(self, generation: int) -> None:
        self._in_flight[generation] -= 1
        if not self._in_flight[generation]:
            del self._in_flight[generation]
            self._report_drained()

    def _report_drained(self) -> None:
        oldest = min(self._in_flight, default=math.inf)
        while self._draining and self._draining[0].generation <= oldest:
            self.announce(Event(EventName.DRAINED, id=self._draining.popleft().order.id))
