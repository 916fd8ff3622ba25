"""Test the route to the models: send requests through the gateway, and judge which model answers them."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from mnist_dash import attribution, domain
from mnist_dash.dataset import load_digits
from mnist_dash.domain import Finding, Image, Prediction, Probe, Role, Route, Snapshot, State
from mnist_dash.errors import MnistDashError

REQUESTS: Final = {Route.CURRENT: 5, Route.NEW: 5, Route.SPLIT: 100}
"""The number of requests on each route."""
SECONDS: Final = 10.0
"""The time after which no further request is sent."""
DIGITS_IN_IMAGE: Final = 50
SMALLEST_CHANCE: Final = 6e-7
"""A count that is less probable than this is no chance; it is 5 standard deviations away."""

Predict = Callable[[Image, Route], Prediction]


def send_probes(predict: Predict, *, clock: Callable[[], float] = time.monotonic) -> tuple[Probe, ...]:
    """Send the requests of every route; an error becomes the problem of its probe.

    `predict` is called from three threads at once.
    """
    image, deadline = ambiguous_image(), clock() + SECONDS

    def probe(route: Route) -> Probe:
        answers: list[Prediction] = []
        problem = ""
        for _ in range(REQUESTS[route]):
            if clock() > deadline:
                problem = problem or f"The test ends after {SECONDS:.0f} s."
                break
            try:
                answers.append(predict(image, route))
            except MnistDashError as error:
                problem = str(error)
        return Probe(route, tuple(answers), problem)

    with ThreadPoolExecutor(len(REQUESTS), thread_name_prefix="mnist-dash-probe") as pool:
        return tuple(pool.map(probe, REQUESTS))


@functools.cache
def ambiguous_image() -> Image:
    """Return the mean of many digits: no model is sure about it, so two models hardly answer alike."""
    image: Image = load_digits().images[:DIGITS_IN_IMAGE].mean(axis=0)
    image.setflags(write=False)
    return image


class Attribution(Enum):
    """How far the answers show which model gave them."""

    IDENTIFIED = auto()  # they name it, or each header has answers of its own
    IDENTICAL = auto()
    MIXED = auto()  # they differ, but not by the header
    CHANGING = auto()  # the same, while models are being replaced: a role may give answers of two models


@dataclass(frozen=True)
class Tally:
    """Which models answered on each route."""

    attribution: Attribution
    roles: Mapping[Route, Sequence[Role | None]]
    """A role for each answer, None where it was neither model; meaningful only if the answers identify it."""


def tally(probes: Sequence[Probe], snapshot: Snapshot) -> Tally:
    """Attribute each answer by its release or, without that, by comparing it with those of the forced routes.

    An answer that occurs with one header only is of that role. A gateway that ignores the header, or sends
    nothing to New, shows by having no such answers.
    """
    of = {probe.route: probe.answers for probe in probes}
    answers = [answer for probe in probes for answer in probe.answers]
    distinct = {Role(route.value): _distinct(of[route]) for route in (Route.CURRENT, Route.NEW)}
    are_named = all(attribution.role_of(answer, snapshot) for answer in answers)

    def role_of(answer: Prediction) -> Role | None:
        if are_named:
            return attribution.role_of(answer, snapshot)
        return next((role for role in Role if _is_among(answer, distinct[role])), None)

    roles = {route: [role_of(answer) for answer in of[route]] for route in of}
    if are_named or not any(_is_among(answer, distinct[Role.NEW]) for answer in distinct[Role.CURRENT]):
        return Tally(Attribution.IDENTIFIED, roles)
    if len(_distinct(answers)) == 1:
        return Tally(Attribution.IDENTICAL, roles)
    updating = any(d and d.state is State.UPDATING for d in (snapshot.current, snapshot.new))
    changing = updating or snapshot.interrupted_promotion
    return Tally(Attribution.CHANGING if changing else Attribution.MIXED, roles)


def _distinct(answers: Sequence[Prediction]) -> list[Prediction]:
    """Return one answer of each model; a role that is being re-deployed has two."""
    distinct: list[Prediction] = []
    for answer in answers:
        if not _is_among(answer, distinct):
            distinct.append(answer)
    return distinct


def _is_among(answer: Prediction, answers: Sequence[Prediction]) -> bool:
    return any(attribution.is_same_model(answer, other) for other in answers)


NOT_READY: Final = "New has no ready replica"
_WHERE: Final = {
    **{route: f"With the header {domain.ROUTE_HEADER}: {value}" for route, value in domain.FORCING.items()},
    Route.SPLIT: "Without the header",
}
_HEADER_IGNORED: Final = "The gateway, or a proxy before it, ignores or removes the header."
_OTHER_ROUTE: Final = "Check under Objects whether another route leads requests for this host elsewhere."


def diagnose_route(probes: Sequence[Probe], snapshot: Snapshot) -> tuple[Finding, ...]:
    """Judge whether each route reaches the right model, and whether New's share fits the split."""
    if not any(probe.answers for probe in probes):
        problem = next((probe.problem for probe in probes if probe.problem), "")
        return (Finding(False, f"None of {sum(REQUESTS.values())} requests was answered. {problem}".strip()),)
    return (*judge_answers(tally(probes, snapshot), snapshot), *_judge_missing(probes, snapshot))


def judge_answers(tally: Tally, snapshot: Snapshot) -> tuple[Finding, ...]:
    """Judge whether the answers are from the right models."""
    if tally.attribution is not Attribution.IDENTIFIED:
        return (_judge_unidentified(tally, snapshot),)
    return tuple(
        finding
        for route, roles in tally.roles.items()
        if roles
        for finding in (_judge_split if route is Route.SPLIT else _judge_forced)(route, roles, snapshot)
    )


def _judge_unidentified(tally: Tally, snapshot: Snapshot) -> Finding:
    current, new = snapshot.current, snapshot.new
    count = sum(map(len, tally.roles.values()))
    same = f"All {count} answers are the same, with and without the header {domain.ROUTE_HEADER}"
    match tally.attribution, snapshot.has_ready_new:
        case Attribution.CHANGING, _:
            step = "Test again when both models are ready."
            return Finding(True, "Answers cannot be attributed while models are being replaced.", step)
        case Attribution.IDENTICAL, False:
            return Finding(True, f"{same}: {NOT_READY}, so Current gives them all.")
        case Attribution.IDENTICAL, True:
            if current and new and (current.base, current.version) == (new.base, new.version):
                step = "Deploy another model as New to see how the requests are divided."
                return Finding(True, f"{same}: Current and New are the same model.", step)
            return Finding(False, f"{same}: either no request reaches New, or both models answer alike.")
        case _, False:
            return Finding(False, f"The answers differ, though {NOT_READY}.", _OTHER_ROUTE)
    effect = f"The header {domain.ROUTE_HEADER} makes no difference: both models answer requests with it."
    return Finding(False, effect, _HEADER_IGNORED)


def _judge_forced(route: Route, roles: Sequence[Role | None], snapshot: Snapshot) -> Iterator[Finding]:
    role = Role.CURRENT if route is Route.CURRENT else Role.NEW
    if role is Role.NEW and not snapshot.has_ready_new:
        reached = f"{roles.count(Role.CURRENT)} of {REQUESTS[route]} requests reached Current"
        yield Finding(True, f"{_WHERE[route]}, {reached}, since {NOT_READY}.")
        return
    passed = roles.count(role) == len(roles)
    reached = f"{roles.count(role)} of {REQUESTS[route]} requests reached {role.label}"
    yield Finding(passed, f"{_WHERE[route]}, {reached}.", "" if passed else _HEADER_IGNORED)


def _judge_split(route: Route, roles: Sequence[Role | None], snapshot: Snapshot) -> Iterator[Finding]:
    new, split = roles.count(Role.NEW), snapshot.split_desired
    answered = "" if len(roles) == REQUESTS[route] else " answered"
    reached = f"{_WHERE[route]}, {new} of {len(roles)}{answered} requests reached New"
    if not snapshot.has_ready_new:
        yield Finding(new == 0, f"{reached}; {NOT_READY}.")
    elif is_chance(new, len(roles), split / 100):
        yield Finding(True, f"{reached}; the split is {split} %.")
    else:
        step = snapshot.waiting_for or "The gateway does not follow the split."
        yield Finding(False, f"{reached}; the split is {split} %.", step)
    if unknown := roles.count(None):
        strange = f"{_WHERE[route]}, {unknown} of {REQUESTS[route]} answers are from neither model."
        yield Finding(False, strange, _OTHER_ROUTE)


def _judge_missing(probes: Sequence[Probe], snapshot: Snapshot) -> Iterator[Finding]:
    for probe in probes:
        requests = REQUESTS[probe.route]
        if missing := requests - len(probe.answers):
            # A Gateway refuses New's share; an ingress controller sends it to Current.
            expected = probe.route is not Route.CURRENT and not snapshot.has_ready_new
            reason = f", since {NOT_READY}" if expected else ""
            unanswered = f"{_WHERE[probe.route]}, {missing} of {requests} requests got no answer{reason}."
            yield Finding(expected, f"{unanswered} {probe.problem}".strip())


def is_chance(hits: int, tries: int, share: float) -> bool:
    """Whether chance explains so many hits, if each try hits with the probability `share`, 0 to 1."""

    def probability(k: int) -> float:
        return math.comb(tries, k) * share**k * (1 - share) ** (tries - k)

    fewer, more = sum(map(probability, range(hits + 1))), sum(map(probability, range(hits, tries + 1)))
    return min(fewer, more) >= SMALLEST_CHANCE
