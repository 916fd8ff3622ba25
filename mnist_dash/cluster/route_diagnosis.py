"""Who is to blame if requests do not reach whom they should: an object, or the controller that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final, Self

from mnist_dash.domain import Finding, Probe, Role, Route, Snapshot
from mnist_dash.route_check import Attribution, Tallies, findings, has_new, routing, tally

READERS: Final = (
    "ingress-nginx, Traefik from 3.7 on (with its provider kubernetesIngressNGINX) and Higress read them; "
    "F5's controller, HAProxy's and APISIX's do not. Use one that does, or Gateway API with --router gateway."
)


@dataclass(frozen=True)
class Controller:
    """The program that reads the routes and divides the requests."""

    name: str = "the controller behind the ingress class"
    reads: str = "the canary annotations (nginx.ingress.kubernetes.io/canary-...)"
    advice: str = READERS

    @classmethod
    def of_class(cls, ingress_class: str) -> Self:
        """The one behind an ingress class."""
        return cls(name=f"the controller behind the ingress class {ingress_class}")

    @classmethod
    def of_gateway(cls, gateway: str) -> Self:
        """The one behind a Gateway, NAMESPACE/NAME."""
        return cls(
            name=f"the controller of the Gateway {gateway}",
            reads="the HTTPRoute's weights and header matches",
            advice="See with kubectl describe httproute whether the Gateway has accepted the route mnist.",
        )


def diagnose(
    probes: Sequence[Probe],
    snapshot: Snapshot,
    faults: Sequence[str],
    controller: Controller = Controller(),
) -> tuple[Finding, ...]:
    """What the probes say, and who is to blame.

    `faults` are sentences about objects that are not as they should be. If there are none, what goes wrong is
    the controller's doing.
    """
    tallies = tally(probes, snapshot)
    found = findings(tallies, snapshot)
    if faults:
        blamed = tuple(Finding(False, fault) for fault in faults)
        return (*blamed, *(replace(one, next_step="") if not one.passed else one for one in found))
    return (*found, *_manner(tallies, snapshot), *_suspicion(tallies, snapshot, controller))


def _suspicion(tallies: Tallies, snapshot: Snapshot, controller: Controller) -> tuple[Finding, ...]:
    """That the controller is to blame, since the objects are not, unless it may still be taking them up."""
    if snapshot.waiting_for or snapshot.trouble or not snapshot.current or not snapshot.current.ready:
        return ()
    if not tallies.answered:
        says = "The routes are applied as they should be, so the requests do not get to who reads them"
        asks = "Does it run, and does the ingress host (or --ingress-address) lead to it?"
        return (Finding(False, f"{says}: {controller.name}.", asks),)
    if all(one.passed for one in routing(tallies, snapshot)):
        return ()
    says = (
        f"The routes are applied as they should be, so {controller.name} does not follow {controller.reads}"
    )
    if tallies.sight is Attribution.ALIKE:
        says = f"If the models differ, {controller.name} does not follow {controller.reads}"
    return (Finding(False, f"{says}.", controller.advice),)


def _manner(tallies: Tallies, snapshot: Snapshot) -> tuple[Finding, ...]:
    """How the controller divides the requests, as far as it is right."""
    split = tallies.of[Route.SPLIT]
    reached = {Role.CURRENT, Role.NEW} <= set(split.roles)
    if tallies.sight is not Attribution.CLEAR or not has_new(snapshot) or not reached or split.missing:
        return ()
    if is_in_turn(split.roles, snapshot.split_desired / 100):
        return (Finding(True, "The controller deals the requests out in turn (round robin)."),)
    return (
        Finding(
            True,
            "The controller does not deal the requests out in turn: it draws lots for each, or there are "
            "several of it, or others ask at the same time.",
        ),
    )


def is_in_turn(roles: Sequence[Role | None], share: float) -> bool:
    """Whether New's part of the answers is never more than one away from its share, from 0 to 1."""
    ahead = [0.0, *accumulate((role is Role.NEW) - share for role in roles)]
    return max(ahead) - min(ahead) <= 1 + 1e-9
