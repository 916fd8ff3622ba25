"""What the answers to the probes mean, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from mnist_dash.domain import FORCING, ROUTE_HEADER, Finding, Probe, Role, Route, Snapshot
from mnist_dash.probes.tally import ASKED, Sight, Tallies, Tally, tally

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
    if tallies.sight is not Sight.CLEAR:
        return (_unclear(tallies, snapshot),)
    return tuple(
        finding
        for route, one in tallies.of.items()
        if one.answered
        for finding in (_split if route is Route.SPLIT else _forced)(one, snapshot)
    )


def has_new(snapshot: Snapshot) -> bool:
    """Whether New can be asked at all."""
    return snapshot.new is not None and snapshot.new.ready > 0


def _unclear(tallies: Tallies, snapshot: Snapshot) -> Finding:
    current, new = snapshot.current, snapshot.new
    if tallies.sight is Sight.ALIKE:
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
    if tallies.sight is Sight.MOVING:
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
    new, split = one.by(Role.NEW), snapshot.split_wanted
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
