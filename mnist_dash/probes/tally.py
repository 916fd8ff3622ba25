"""Who answered the requests, as far as the answers tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from mnist_dash import who
from mnist_dash.domain import Prediction, Probe, Role, Route, Snapshot, State

ASKED: Final = {Route.CURRENT: 5, Route.NEW: 5, Route.SPLIT: 100}
"""How many requests are sent on each route."""


class Sight(Enum):
    """How well the answers tell who gave them."""

    CLEAR = auto()
    """They say so, or each header has answers of its own."""
    ALIKE = auto()
    """All are the same."""
    MIXED = auto()
    """They are not all the same, but do not depend on the header."""
    MOVING = auto()
    """The same, while models are being replaced: a role may have answers of two kinds."""


@dataclass(frozen=True)
class Tally:
    """Who answered the requests on one route."""

    route: Route
    roles: tuple[Role | None, ...] = ()
    """Who gave each answer, in their order; None where it was neither model, or cannot be told."""
    problem: str = ""

    @property
    def asked(self) -> int:
        """How many requests were to be sent."""
        return ASKED[self.route]

    @property
    def answered(self) -> int:
        """How many were answered."""
        return len(self.roles)

    @property
    def missing(self) -> int:
        """How many were not."""
        return self.asked - self.answered

    def by(self, role: Role | None) -> int:
        """How many were answered by this role."""
        return self.roles.count(role)


@dataclass(frozen=True)
class Tallies:
    """What all the probes together tell."""

    sight: Sight
    of: dict[Route, Tally]

    @property
    def answered(self) -> int:
        """How many requests were answered, on all routes."""
        return sum(one.answered for one in self.of.values())


def tally(probes: Sequence[Probe], snapshot: Snapshot) -> Tallies:
    """Who answered: by what the answers say, or by comparing those of the two forced routes.

    Answers that came with the one header only are that role's; a controller that ignores the header, or never
    sends anything to New, gives itself away by having no such answers.
    """
    of = {probe.route: probe for probe in probes}
    answers = [answer for probe in probes for answer in probe.answers]
    if all(who.by_release(answer, snapshot) for answer in answers):
        return _tallies(Sight.CLEAR, of, lambda answer: who.by_release(answer, snapshot))
    current, new = (_kinds(of[route].answers) for route in (Route.CURRENT, Route.NEW))
    if not any(who.same(one, other) for one in current for other in new):
        return _tallies(Sight.CLEAR, of, lambda answer: _role_by_kind(answer, current, new))
    return _tallies(_unclear(answers, snapshot), of, lambda _: None)


def _tallies(
    sight: Sight, probes: dict[Route, Probe], role_of: Callable[[Prediction], Role | None]
) -> Tallies:
    return Tallies(
        sight,
        {
            route: Tally(route, tuple(role_of(answer) for answer in probe.answers), probe.problem)
            for route, probe in probes.items()
        },
    )


def _kinds(answers: Sequence[Prediction]) -> list[Prediction]:
    """One answer of each kind; a role that is being re-deployed has two."""
    kinds: list[Prediction] = []
    for answer in answers:
        if not any(who.same(answer, kind) for kind in kinds):
            kinds.append(answer)
    return kinds


def _role_by_kind(
    answer: Prediction, current: Sequence[Prediction], new: Sequence[Prediction]
) -> Role | None:
    if any(who.same(answer, kind) for kind in current):
        return Role.CURRENT
    return Role.NEW if any(who.same(answer, kind) for kind in new) else None


def _unclear(answers: Sequence[Prediction], snapshot: Snapshot) -> Sight:
    if len(_kinds(answers)) == 1:
        return Sight.ALIKE
    moving = any(d and d.state is State.UPDATING for d in (snapshot.current, snapshot.new))
    return Sight.MOVING if moving or snapshot.interrupted_promotion else Sight.MIXED
