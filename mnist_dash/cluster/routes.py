"""Both ways to divide the traffic between the Services, and why requests do not reach the right model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_faults import published_addresses
from mnist_dash.domain import Finding, Probe, Snapshot
from mnist_dash.route_check import Attribution, diagnose_route, judge_answers, tally

Routes: TypeAlias = IngressRoutes | GatewayRoutes


def diagnose(
    probes: Sequence[Probe], snapshot: Snapshot, routes: Routes, live: Sequence[Object]
) -> tuple[Finding, ...]:
    """Judge the probes, and name the cause: the live objects or, if these are right, their controller."""
    found = diagnose_route(probes, snapshot)
    faults = routes.find_faults(live)
    if not faults:
        return (*found, *_suspect_controller(probes, snapshot, routes, live))
    # Failed findings are symptoms of the faults, whose next steps count.
    symptoms = (finding if finding.passed else replace(finding, next_step="") for finding in found)
    return (*(Finding(False, fault) for fault in faults), *symptoms)


def _suspect_controller(
    probes: Sequence[Probe], snapshot: Snapshot, routes: Routes, live: Sequence[Object]
) -> tuple[Finding, ...]:
    """Suspect it, unless it may still be taking up a change or there is no model to answer."""
    if snapshot.waiting_for or snapshot.trouble or not snapshot.current or not snapshot.current.ready:
        return ()
    if not any(probe.answers for probe in probes):
        published = ", ".join(published_addresses(live)) or "no address"
        unreached = f"requests do not reach {routes.controller}, which has published {published}"
        step = "Check the ingress host, or set --ingress-address."
        return (Finding(False, f"The objects are right, but {unreached}.", step),)
    answers = tally(probes, snapshot)
    if all(finding.passed for finding in judge_answers(answers, snapshot)):
        return ()
    identical = answers.attribution is Attribution.IDENTICAL
    condition = "If the models differ," if identical else "The objects are right, so"
    problem = f"{condition} {routes.controller} does not follow {routes.reads}."
    return (Finding(False, problem, routes.advice),)
