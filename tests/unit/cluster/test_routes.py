"""The routes of both kinds, through their common interface."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_dash.cluster.engine import routes_for
from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.resources import INGRESS, SPLIT, Object, annotations_of, is_ours, kind_of, name_of
from mnist_dash.cluster.route_faults import published_addresses
from mnist_dash.cluster.route_state import PendingPromotion, RouteConfig, RouteState
from mnist_dash.cluster.routes import Routes
from mnist_dash.domain import HistoryEntry, Release
from mnist_dash.settings import EngineKind, RouterKind, Scheme, Settings

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
