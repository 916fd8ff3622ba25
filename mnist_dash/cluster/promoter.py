"""Who carries a promotion on, and whether it gets on at all."""

from __future__ import annotations

import time
from collections.abc import Callable

from mnist_dash.cluster.advance import acts_of_retreat, acts_of_step, is_due, obstacle, pointers, step_of
from mnist_dash.cluster.changes import Act, Site, state_of
from mnist_dash.cluster.reading.seen import Seen
from mnist_dash.cluster.reading.story import Promotion
from mnist_dash.cluster.routing.route_state import Swap

INTERRUPTED_SECONDS = 15.0
"""A promotion that has not got on for so long is taken for interrupted."""
STEP_SECONDS = 10.0
"""How long a step is waited for that can only be seen through the gateway."""


class Promoter:
    """Carries on the promotion that was asked for here, and watches those of other dashboards.

    How long it stands still is judged by this machine's clock alone: others may go wrong.
    """

    def __init__(
        self, interrupted_after: float = INTERRUPTED_SECONDS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`interrupted_after` is for the promotions of others, in seconds."""
        self._interrupted_after = interrupted_after
        self._clock = clock
        self._mine: Swap | None = None
        self._standing: tuple[object, float] | None = None
        self.take_over = False
        """Whether the promotion that is carried on takes over what others own."""

    @property
    def under_way(self) -> bool:
        """Whether there is a promotion to be carried on."""
        return self._mine is not None

    def begin(self, seen: Seen, *, take_over: bool) -> None:
        """Carry on from now on what stands in the routes."""
        self._mine, self.take_over = state_of(seen).swap, take_over

    def due(self, seen: Seen, swap: Swap, site: Site, observed: int) -> tuple[Act, ...]:
        """What to write now to carry it on; nothing if it is another dashboard's.

        `observed` is the split that the gateway was seen to follow.
        """
        if swap != self._mine:
            return ()
        if retreat := acts_of_retreat(seen, swap, site):
            return retreat
        step, given_up = step_of(seen, swap), self._stood(seen, swap) > STEP_SECONDS
        if not is_due(step, seen, swap, observed, given_up_waiting=given_up):
            return ()
        return acts_of_step(step, seen, site)

    def told(self, seen: Seen) -> Promotion:
        """How the promotion that stands in the routes gets on, whoever began it."""
        swap = state_of(seen).swap
        if swap is None:
            self._mine = self._standing = None
            return Promotion()
        mine = swap == self._mine
        patience = INTERRUPTED_SECONDS if mine else self._interrupted_after
        interrupted = self._stood(seen, swap) >= patience
        return Promotion(mine, interrupted, obstacle(step_of(seen, swap), seen, swap))

    def _stood(self, seen: Seen, swap: Swap) -> float:
        """For how long nothing has changed, in seconds."""
        weight = seen.written.weight if seen.written else 0
        where = (swap, tuple(pointers(seen).items()), weight)
        if self._standing is None or self._standing[0] != where:
            self._standing = (where, self._clock())
        return self._clock() - self._standing[1]
