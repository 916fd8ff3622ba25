"""Which model gets a request: the gateway's decision, as ingress-nginx makes it."""

from __future__ import annotations

from typing import Protocol

from mnist_dash.domain import FORCING, Role

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
