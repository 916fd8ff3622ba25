"""The routes of both kinds, through their common interface, and the cause of wrong answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mnist_dash.cluster.engine import routes_for
from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.resources import INGRESS, SPLIT, Object, annotations_of, is_ours, kind_of, name_of
from mnist_dash.cluster.route_faults import published_addresses
from mnist_dash.cluster.route_state import PendingPromotion, RouteConfig, RouteState
from mnist_dash.cluster.routes import Routes, diagnose
from mnist_dash.domain import Finding, HistoryEntry, Probe, Release, Role, Snapshot, State
from mnist_dash.settings import EngineKind, RouterKind, Scheme, Settings
from tests.fakes import deployment, snapshot
from tests.unit.test_route_check import ALL_ALIKE, CURRENT, NEW, divided, sent

HOST = "my.example.com"
INGRESS_ROUTES = IngressRoutes(HOST, "nginx", "mnist")
GATEWAY_ROUTES = GatewayRoutes(HOST, "infra/web", "mnist")
STATE = RouteState(
    split=20,
    promotion=PendingPromotion(Release.GREEN, Release.BLUE, 0, True, "ann", 1.5),
    can_undo=True,
    history=(HistoryEntry(1.0, "ann", "Deploy"),),
)
both = pytest.mark.parametrize("routes", [INGRESS_ROUTES, GATEWAY_ROUTES], ids=["ingress", "gateway"])


@both
@pytest.mark.parametrize(
    "config",
    [
        RouteConfig(0, RouteState()),
        RouteConfig(20, STATE),
        RouteConfig(100, RouteState(split=100)),
        RouteConfig(0, RouteState(split=30), has_new=False),
        RouteConfig(1, RouteState(split=99)),
    ],
)
def test_an_applied_config_is_read_back(routes: Routes, config: RouteConfig) -> None:
    """Without any trouble."""
    assert routes.read(routes.objects(config)) == config


@both
def test_without_the_object_that_keeps_the_state_nothing_is_read(routes: Routes) -> None:
    """Nothing was deployed yet, or it was deleted."""
    others = [item for item in routes.objects(RouteConfig(20)) if name_of(item) != routes.state_name]
    assert routes.read(others) is None


@both
def test_every_object_is_ours_and_of_a_kind_that_is_listed(routes: Routes) -> None:
    """Else a poll would miss it. The API server refuses annotations that are no strings."""
    for item in routes.objects(RouteConfig(20, STATE)):
        assert is_ours(item)
        assert kind_of(item) in routes.kinds
        assert item["metadata"]["namespace"] == "mnist"
        assert all(isinstance(value, str) for value in annotations_of(item).values())


@both
def test_only_the_object_of_that_name_keeps_the_state(routes: Routes) -> None:
    """By its annotations."""
    keepers = [name_of(item) for item in routes.objects(RouteConfig(20)) if SPLIT in annotations_of(item)]
    assert keepers == [routes.state_name]


@both
def test_a_damaged_state_is_reported(routes: Routes) -> None:
    """By the names of the object and the annotation."""
    live = routes.objects(RouteConfig(20, STATE))
    live[-1]["metadata"]["annotations"][SPLIT] = "many"
    config = routes.read(live)
    assert config
    assert config.state.split == 20
    (sentence,) = config.trouble
    assert SPLIT in sentence
    assert routes.state_name in sentence


@both
def test_a_weight_is_ours_until_another_manager_sets_it(routes: Routes) -> None:
    """By the server's record of managed fields."""
    weight: Object = {"f:annotations": {"f:nginx.ingress.kubernetes.io/canary-weight": {}}}
    fields = {"f:metadata": weight} if INGRESS in routes.kinds else {"f:spec": {"f:rules": {}}}
    live = routes.objects(RouteConfig(20))
    for managers, ours in (([], True), (["mnist-dash"], True), (["mnist-dash", "x"], True), (["x"], False)):
        entries = [{"manager": manager, "fieldsV1": fields} for manager in managers]
        live[-1]["metadata"]["managedFields"] = entries
        assert routes.is_weight_ours(live) is ours
    assert routes.is_weight_ours([])


def test_published_addresses_are_those_of_our_ingresses_and_the_gateway() -> None:
    """Each once; an object without a status has none."""
    main, canary = INGRESS_ROUTES.objects(RouteConfig(20))
    foreign = {"kind": "Ingress", "metadata": {"name": "other"}, "status": _balancer(ip="10.0.0.3")}
    gateway = {"kind": "Gateway", "status": {"addresses": [{"type": "IPAddress", "value": "10.0.0.2"}]}}
    live = [{**main, "status": _balancer(hostname="lb")}, {**canary, "status": _balancer(hostname="lb")}]
    assert published_addresses([*live, main, foreign, gateway]) == ["lb", "10.0.0.2"]


def _balancer(**address: str) -> Object:
    return {"loadBalancer": {"ingress": [address]}}


def test_the_settings_choose_the_routes() -> None:
    """By `--router`."""
    common = Settings(
        engine=EngineKind.KUBERNETES,
        ingress_host=HOST,
        namespace="mnist",
        ingress_class="nginx",
        scheme=Scheme.HTTP,
    )
    assert routes_for(common) == INGRESS_ROUTES
    assert routes_for(replace(common, router=RouterKind.GATEWAY, gateway="infra/web")) == GATEWAY_ROUTES


HEADER_IGNORED = sent([CURRENT] * 4 + [NEW], [CURRENT] * 4 + [NEW], [CURRENT] * 80 + [NEW] * 20)
NOT_READY = {role: deployment(role, ready=0, state=State.STARTING) for role in Role}


def applied(routes: Routes) -> list[Object]:
    """The objects that lead as the dashboard applied them."""
    return routes.objects(RouteConfig(20))


def failures(
    probes: Sequence[Probe],
    observed: Snapshot | None = None,
    routes: Routes = INGRESS_ROUTES,
    live: Sequence[Object] = (),
) -> list[Finding]:
    """The failed findings, with all objects right."""
    found = diagnose(probes, observed or snapshot(), routes, live or applied(routes))
    return [finding for finding in found if not finding.passed]


def test_a_controller_that_follows_the_objects_is_not_suspected() -> None:
    """Nothing else is found than that each route reaches its model."""
    assert len(diagnose(divided(), snapshot(), INGRESS_ROUTES, applied(INGRESS_ROUTES))) == 3
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
    (route,) = applied(GATEWAY_ROUTES)
    accepted = {"parents": [{"parentRef": {"namespace": "infra", "name": "web"}}]}
    suspicion = failures(HEADER_IGNORED, routes=GATEWAY_ROUTES, live=[{**route, "status": accepted}])[-1]
    assert "the controller of the Gateway infra/web does not follow weights" in suspicion.message
    assert "describe httproute" in suspicion.next_step


def test_a_fault_of_an_object_comes_first_and_the_controller_is_not_suspected() -> None:
    """The other failures are its symptoms, and have no next step of their own."""
    fault = "Ingress mnist-canary is missing. Set the split again to repair it."
    found = diagnose(HEADER_IGNORED, snapshot(), INGRESS_ROUTES, applied(INGRESS_ROUTES)[:1])
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
    live = [{**item, "status": published_in} for item in applied(INGRESS_ROUTES)]
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
