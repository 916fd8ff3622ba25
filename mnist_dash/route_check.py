"""Test the route to the models: send probes through the gateway and judge its answers."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from mnist_dash import attribution
from mnist_dash.dataset import load_digits
from mnist_dash.domain import (
    FORCING,
    ROUTE_HEADER,
    Finding,
    Image,
    Prediction,
    Probe,
    Role,
    Route,
    Snapshot,
    State,
)
from mnist_dash.errors import MnistDashError

ASKED: Final = {Route.CURRENT: 5, Route.NEW: 5, Route.SPLIT: 100}
"""How many requests are sent on each route."""


class Attribution(Enum):
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

    sight: Attribution
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
    if all(attribution.role_of(answer, snapshot) for answer in answers):
        return _tallies(Attribution.CLEAR, of, lambda answer: attribution.role_of(answer, snapshot))
    current, new = (_kinds(of[route].answers) for route in (Route.CURRENT, Route.NEW))
    if not any(attribution.is_same_model(one, other) for one in current for other in new):
        return _tallies(Attribution.CLEAR, of, lambda answer: _role_by_kind(answer, current, new))
    return _tallies(_unclear(answers, snapshot), of, lambda _: None)


def _tallies(
    sight: Attribution, probes: dict[Route, Probe], role_of: Callable[[Prediction], Role | None]
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
        if not any(attribution.is_same_model(answer, kind) for kind in kinds):
            kinds.append(answer)
    return kinds


def _role_by_kind(
    answer: Prediction, current: Sequence[Prediction], new: Sequence[Prediction]
) -> Role | None:
    if any(attribution.is_same_model(answer, kind) for kind in current):
        return Role.CURRENT
    return Role.NEW if any(attribution.is_same_model(answer, kind) for kind in new) else None


def _unclear(answers: Sequence[Prediction], snapshot: Snapshot) -> Attribution:
    if len(_kinds(answers)) == 1:
        return Attribution.ALIKE
    moving = any(d and d.state is State.UPDATING for d in (snapshot.current, snapshot.new))
    return Attribution.MOVING if moving or snapshot.interrupted_promotion else Attribution.MIXED


SECONDS: Final = 10.0
"""When no further request is sent."""
DIGITS_IN_PICTURE: Final = 50

Predict = Callable[[Image, Route], Prediction]


def send(predict: Predict, *, clock: Callable[[], float] = time.monotonic) -> tuple[Probe, ...]:
    """Ask a few times on every route; what goes wrong stands in the probe.

    No request is sent after 10 s. `predict` is called from three threads at once.
    """
    picture, until = ambiguous_image(), clock() + SECONDS

    def probe(route: Route) -> Probe:
        answers: list[Prediction] = []
        problem = ""
        for _ in range(ASKED[route]):
            if clock() > until:
                return Probe(route, tuple(answers), problem or "The time for the test was up.")
            try:
                answers.append(predict(picture, route))
            except MnistDashError as error:
                problem = str(error)
        return Probe(route, tuple(answers), problem)

    with ThreadPoolExecutor(len(ASKED), thread_name_prefix="mnist-dash-probe") as pool:
        return tuple(pool.map(probe, ASKED))


@functools.cache
def ambiguous_image() -> Image:
    """Many digits on top of each other: no model is sure about them, so that two hardly answer alike."""
    picture: Image = load_digits().images[:DIGITS_IN_PICTURE].mean(axis=0)
    picture.setflags(write=False)
    return picture


CHANCE: Final = 6e-7
"""The least probability of a count that is still put down to chance, that of 5 standard deviations."""
ALL: Final = sum(ASKED.values())
ROUTE_WORDS: Final = {
    **{route: f"With the header {ROUTE_HEADER}: {value}" for route, value in FORCING.items()},
    Route.SPLIT: "Without the header",
}
NOT_READY: Final = "New has no ready replica"


def judge(probes: Sequence[Probe], snapshot: Snapshot) -> tuple[Finding, ...]:
    """What the probes say: does each route reach whom it should, and is the share as the split says."""
    return findings(tally(probes, snapshot), snapshot)


def findings(tallies: Tallies, snapshot: Snapshot) -> tuple[Finding, ...]:
    """The same from who answered how often."""
    if not tallies.answered:
        problem = next(filter(None, (one.problem for one in tallies.of.values())), "")
        return (Finding(False, f"None of {ALL} requests was answered. {problem}".strip()),)
    unanswered = (_unanswered(one, snapshot) for one in tallies.of.values() if one.missing)
    return (*routing(tallies, snapshot), *unanswered)


def routing(tallies: Tallies, snapshot: Snapshot) -> tuple[Finding, ...]:
    """What the answers that there are say: whether each is from whom it should be."""
    if tallies.sight is not Attribution.CLEAR:
        return (_unclear_findings(tallies, snapshot),)
    return tuple(
        finding
        for route, one in tallies.of.items()
        if one.answered
        for finding in (_split if route is Route.SPLIT else _forced)(one, snapshot)
    )


def has_new(snapshot: Snapshot) -> bool:
    """Whether New can be asked at all."""
    return snapshot.new is not None and snapshot.new.ready > 0


def _unclear_findings(tallies: Tallies, snapshot: Snapshot) -> Finding:
    current, new = snapshot.current, snapshot.new
    if tallies.sight is Attribution.ALIKE:
        alike = f"All {tallies.answered} answers are the same, with and without the header {ROUTE_HEADER}"
        if not has_new(snapshot):
            return Finding(True, f"{alike}, as it should be: {NOT_READY}, and Current gives them all.")
        if current and new and (current.base, current.version) == (new.base, new.version):
            return Finding(
                True,
                f"{alike}: Current and New are the same model, so that nobody can tell who gave them.",
                "Deploy another model as New to see how the requests are divided.",
            )
        return Finding(
            False,
            f"{alike}: either no request reaches New, or both models answer alike.",
            "If they are different models, the gateway heeds neither the header nor the split.",
        )
    if tallies.sight is Attribution.MOVING:
        return Finding(
            True,
            "Who gave the answers cannot be told while models are being replaced.",
            "Test again when both are ready.",
        )
    if not has_new(snapshot):
        return Finding(
            False,
            f"The answers differ, though {NOT_READY}: not all come from the same Current model.",
            "Does another route send requests for this host elsewhere? See under Objects.",
        )
    return Finding(
        False,
        f"The header {ROUTE_HEADER} makes no difference: requests with it reach now the one model, now the "
        "other.",
        "The gateway, or something before it, ignores the header or takes it away.",
    )


def _forced(one: Tally, snapshot: Snapshot) -> Iterator[Finding]:
    role = Role.CURRENT if one.route is Route.CURRENT else Role.NEW
    if role is Role.NEW and not has_new(snapshot):
        reached = f"{one.by(Role.CURRENT)} of {one.asked} requests reached Current"
        yield Finding(True, f"{ROUTE_WORDS[one.route]}, {reached}, since {NOT_READY}.")
        return
    well = one.by(role) == one.answered
    yield Finding(
        well,
        f"{ROUTE_WORDS[one.route]}, {one.by(role)} of {one.asked} requests reached {role.label}.",
        "" if well else "The gateway, or something before it, ignores the header or takes it away.",
    )


def _split(one: Tally, snapshot: Snapshot) -> Iterator[Finding]:
    new, split = one.by(Role.NEW), snapshot.split_desired
    told = f"{ROUTE_WORDS[one.route]}, {new} of {one.answered} requests that were answered reached New"
    if not one.missing:
        told = f"{ROUTE_WORDS[one.route]}, {new} of {one.asked} requests reached New"
    if not has_new(snapshot):
        yield Finding(new == 0, f"{told}; {NOT_READY}.")
    else:
        well = is_chance(new, one.answered, split / 100)
        waiting = snapshot.waiting_for or "The gateway does not divide the requests as it was told."
        yield Finding(well, f"{told}; the split is {split} %.", "" if well else waiting)
    if unknown := one.by(None):
        yield Finding(
            False,
            f"{ROUTE_WORDS[one.route]}, {unknown} of {one.asked} answers are those of neither model.",
            "Does another route send requests for this host elsewhere? See under Objects.",
        )


def _unanswered(one: Tally, snapshot: Snapshot) -> Finding:
    told = f"{ROUTE_WORDS[one.route]}, {one.missing} of {one.asked} requests got no answer"
    if one.route is not Route.CURRENT and not has_new(snapshot):
        return Finding(
            True,
            f"{told}: {NOT_READY}, and this gateway gives its share to nobody else. {one.problem}".strip(),
        )
    return Finding(False, f"{told}. {one.problem}".strip())


def is_chance(hits: int, tries: int, share: float) -> bool:
    """Whether so many hits are no wonder if each try hits with the probability `share`, 0 to 1."""

    def probability(k: int) -> float:
        return math.comb(tries, k) * share**k * (1 - share) ** (tries - k)

    fewer, more = sum(map(probability, range(hits + 1))), sum(map(probability, range(hits, tries + 1)))
    return min(fewer, more) >= CHANCE
