"""Find out why requests do not reach the right model: an object, or the controller that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from mnist_dash.cluster.ingress import CANARY_CONTROLLERS
from mnist_dash.domain import Finding, Probe, Snapshot
from mnist_dash.route_check import Attribution, diagnose_route, judge_answers, tally


@dataclass(frozen=True)
class RouteController:
    """The program that reads the route objects and divides the requests."""

    name: str
    reads: str
    advice: str

    @classmethod
    def of_class(cls, ingress_class: str) -> Self:
        """Return the controller of an ingress class."""
        name = f"the controller of the ingress class {ingress_class}"
        return cls(name, "canary annotations", CANARY_CONTROLLERS)

    @classmethod
    def of_gateway(cls, gateway: str) -> Self:
        """Return the controller of a Gateway, NAMESPACE/NAME."""
        advice = "See with kubectl describe httproute whether the Gateway has accepted the route mnist."
        return cls(f"the controller of the Gateway {gateway}", "weights and header matches", advice)


def diagnose(
    probes: Sequence[Probe],
    snapshot: Snapshot,
    faults: Sequence[str],
    controller: RouteController,
    addresses: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Judge the probes, and name the cause.

    `faults` are those of the objects; without any, the controller is the cause. `addresses` are those that
    the controller has published.
    """
    found = diagnose_route(probes, snapshot)
    if not faults:
        return (*found, *_suspect(probes, snapshot, controller, addresses))
    # Failed findings are symptoms of the faults, whose next steps count.
    symptoms = (finding if finding.passed else replace(finding, next_step="") for finding in found)
    return (*(Finding(False, fault) for fault in faults), *symptoms)


def _suspect(
    probes: Sequence[Probe], snapshot: Snapshot, controller: RouteController, addresses: Sequence[str]
) -> tuple[Finding, ...]:
    """Suspect the controller, unless it may still be taking up a change or there is no model to answer."""
    if snapshot.waiting_for or snapshot.trouble or not snapshot.current or not snapshot.current.ready:
        return ()
    if not any(probe.answers for probe in probes):
        published = f"has published {', '.join(addresses)}" if addresses else "has published no address"
        problem = f"The objects are right, but requests do not reach {controller.name}, which {published}."
        return (Finding(False, problem, "Check the ingress host, or set --ingress-address."),)
    answers = tally(probes, snapshot)
    if all(finding.passed for finding in judge_answers(answers, snapshot)):
        return ()
    identical = answers.attribution is Attribution.IDENTICAL
    condition = "If the models differ," if identical else "The objects are right, so"
    problem = f"{condition} {controller.name} does not follow {controller.reads}."
    return (Finding(False, problem, controller.advice),)
