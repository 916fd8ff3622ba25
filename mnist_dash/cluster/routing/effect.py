"""Whether the controller already routes as it was told: seen by asking through the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mnist_dash.domain import Image, Prediction, Route
from mnist_dash.errors import ServingError
from mnist_dash.probes import telling_picture
from mnist_dash.who import same

PROBES = 20
"""Requests on the split for one look."""
BLIND_SECONDS = 2.0
"""How long a change is given where both models give the same answers, so that nothing can be seen."""
CANARY_SECONDS = 5.0
"""The same where the split goes from one canary to another: ingress-nginx takes up to about 5 s."""

Ask = Callable[[Image, Route], Prediction]


@dataclass(frozen=True)
class Sight:
    """What one look through the gateway showed."""

    current: int = 0
    """Of the requests on the split, how many were answered as Current answers."""
    new: int = 0
    told_apart: bool = False
    """Whether the two roles gave different answers."""
    problem: str = ""
    """Why there was no answer."""


def look(ask: Ask, *, both: bool) -> Sight:
    """Ask both roles by header, then a few times on the split; nothing is seen unless `both` are ready."""
    if not both:
        return Sight()
    image = telling_picture()
    try:
        current, new = (ask(image, route) for route in (Route.CURRENT, Route.NEW))
        if same(current, new):
            return Sight()
        answers = [ask(image, Route.SPLIT) for _ in range(PROBES)]
    except ServingError as error:
        return Sight(problem=str(error))
    return Sight(
        current=sum(same(answer, current) for answer in answers),
        new=sum(same(answer, new) for answer in answers),
        told_apart=True,
    )


class Effect:
    """Follows what is written in the routes until the gateway divides the traffic by it.

    What was already written when it is first told of counts as in effect.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.told: object = None
        """What it was last told that stands in the routes."""
        self._weight = 0
        self._since = 0.0
        self.observed = 0
        """The share of New, in percent, that the gateway was last seen to follow."""
        self.pending = False
        """Whether something was written that has not been seen to be followed."""

    def written(self, weight: int, *where: object) -> None:
        """This weight stands in the routes now, and this is where they lead."""
        before, self.told, self._weight = self.told, (weight, *where), weight
        if before is None:
            self.observed = weight
        elif self.told != before:
            self.pending, self._since = True, self._clock()

    def seen(self, sight: Sight) -> None:
        """Take into account what a look showed."""
        if self.pending and self._is_followed(self._weight, sight):
            self.observed, self.pending = self._weight, False

    def _is_followed(self, weight: int, sight: Sight) -> bool:
        waited = self._clock() - self._since
        if sight.problem:
            return False
        if not sight.told_apart:
            return waited >= BLIND_SECONDS
        if weight in (0, 100):
            return (sight.current if weight == 0 else sight.new) == PROBES
        left_the_former = {0: sight.new, 100: sight.current}.get(self.observed, 0)
        return left_the_former > 0 or waited >= CANARY_SECONDS
