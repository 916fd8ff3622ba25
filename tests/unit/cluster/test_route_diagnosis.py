"""Which cause is named if requests do not reach the right model: an object or the controller."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_state import RouteConfig
from mnist_dash.cluster.routes import Routes, diagnose
from mnist_dash.domain import Finding, Probe, Role, Snapshot, State
from tests.fakes import deployment, snapshot
from tests.unit.test_route_check import ALL_ALIKE, CURRENT, NEW, divided, sent

NGINX = IngressRoutes("my.example.com", "nginx", "mnist")
HEADER_IGNORED = sent([CURRENT] * 4 + [NEW], [CURRENT] * 4 + [NEW], [CURRENT] * 80 + [NEW] * 20)
NOT_READY = {role: deployment(role, ready=0, state=State.STARTING) for role in Role}


def applied(routes: Routes) -> list[Object]:
    """The objects that lead as the dashboard applied them."""
    return routes.objects(RouteConfig(20))


def failures(
    probes: Sequence[Probe],
    observed: Snapshot | None = None,
    routes: Routes = NGINX,
    live: Sequence[Object] = (),
) -> list[Finding]:
    """The failed findings, with all objects right."""
    found = diagnose(probes, observed or snapshot(), routes, live or applied(routes))
    return [finding for finding in found if not finding.passed]


def test_a_controller_that_follows_the_objects_is_not_suspected() -> None:
    """Nothing else is found than that each route reaches its model."""
    assert len(diagnose(divided(), snapshot(), NGINX, applied(NGINX))) == 3
    assert failures(divided()) == []


@pytest.mark.parametrize(
    ("probes", "condition"),
    [(ALL_ALIKE, "If the models differ, "), (HEADER_IGNORED, "The objects are right, so ")],
    ids=["annotations ignored", "header ignored"],
)
def test_with_right_objects_the_controller_is_the_cause(probes: Sequence[Probe], condition: str) -> None:
    """With those that read the annotations; equal answers may also be those of equal models."""
    suspicion = failures(probes)[-1]
    cause = "the controller of the ingress class nginx does not follow canary annotations."
    assert suspicion.message == condition + cause
    assert "Higress" in suspicion.next_step
    assert "--router gateway" in suspicion.next_step


def test_the_controller_of_a_gateway_is_suspected_by_what_it_reads() -> None:
    """It reads no annotations."""
    routes = GatewayRoutes("my.example.com", "infra/web", "mnist")
    (route,) = applied(routes)
    accepted = {"parentRef": {"namespace": "infra", "name": "web"}}
    suspicion = failures(HEADER_IGNORED, routes=routes, live=[{**route, "status": {"parents": [accepted]}}])[
        -1
    ]
    assert "the controller of the Gateway infra/web does not follow weights" in suspicion.message
    assert "describe httproute" in suspicion.next_step


def test_a_fault_of_an_object_comes_first_and_the_controller_is_not_suspected() -> None:
    """The other failures are its symptoms, and have no next step of their own."""
    fault = "Ingress mnist-canary is missing. Set the split again to repair it."
    found = diagnose(HEADER_IGNORED, snapshot(), NGINX, applied(NGINX)[:1])
    assert found[0] == Finding(False, fault)
    assert not any("the controller of" in finding.message for finding in found)
    assert {finding.next_step for finding in found if not finding.passed} == {""}


def test_the_controller_is_not_suspected_while_a_change_is_pending() -> None:
    """It needs its time."""
    found = failures(ALL_ALIKE, snapshot(waiting_for="The gateway is taking it up."))
    assert not any("does not follow" in finding.message for finding in found)


@pytest.mark.parametrize(
    ("addresses", "published"),
    [((), "has published no address"), (("10.0.0.1", "10.0.0.2"), "has published 10.0.0.1, 10.0.0.2")],
)
def test_without_any_answer_the_requests_go_elsewhere(addresses: Sequence[str], published: str) -> None:
    """The client's own sentence comes first, and the published addresses show where they should go."""
    published_in = {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}
    live = [{**item, "status": published_in} for item in applied(NGINX)]
    first, second = failures(sent([], [], [], "It knows no models (404)."), live=live)
    assert "knows no models (404)" in first.message
    assert second.message.endswith(f"reach the controller of the ingress class nginx, which {published}.")
    assert "--ingress-address" in second.next_step


def test_the_controller_is_not_suspected_while_current_is_not_ready() -> None:
    """There is no model to answer."""
    assert len(failures(sent([], [], [], "No model (503)."), snapshot(current=NOT_READY[Role.CURRENT]))) == 1


@pytest.mark.parametrize(
    "probes",
    [ALL_ALIKE, sent([CURRENT] * 5, [], [CURRENT] * 80, "No model (503).")],
    ids=["ingress", "gateway"],
)
def test_no_controller_is_suspected_while_new_is_not_ready(probes: Sequence[Probe]) -> None:
    """An ingress controller asks Current then, and a Gateway refuses."""
    assert failures(probes, snapshot(new=NOT_READY[Role.NEW])) == []
