"""The routes of both kinds, through their one seam."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mnist_dash.cluster.http_route import GatewayRoutes, backends
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.resources import INGRESS, SPLIT, Object, is_ours, kind_of
from mnist_dash.cluster.route_state import PendingPromotion, RouteConfig, RouteState
from mnist_dash.cluster.routes import Routes, routes_for
from mnist_dash.domain import HistoryEntry, Release
from mnist_dash.settings import EngineKind, RouterKind, Scheme, Settings

HOST = "my.example.com"
INGRESS_ROUTES = IngressRoutes(HOST, "nginx", "mnist")
GATEWAY_ROUTES = GatewayRoutes(HOST, "infra/web", "mnist")
STATE = RouteState(
    split=20,
    swap=PendingPromotion(Release.GREEN, Release.BLUE, 0, True, "ann", 1.5),
    can_undo=True,
    history=(HistoryEntry(1.0, "ann", "Deploy"),),
)
NGINX = "nginx.ingress.kubernetes.io"
both = pytest.mark.parametrize("routes", [INGRESS_ROUTES, GATEWAY_ROUTES], ids=["ingress", "gateway"])


def _canary(written: RouteConfig) -> dict[str, str]:
    annotations: dict[str, str] = INGRESS_ROUTES.objects(written)[1]["metadata"]["annotations"]
    return annotations


def _rules(written: RouteConfig) -> list[dict[str, Any]]:
    (route,) = GATEWAY_ROUTES.objects(written)
    rules: list[dict[str, Any]] = route["spec"]["rules"]
    return rules


def _shares(rule: dict[str, Any]) -> dict[str, int]:
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


@both
@pytest.mark.parametrize(
    "written",
    [
        RouteConfig(0, RouteState()),
        RouteConfig(20, STATE),
        RouteConfig(100, RouteState(split=100)),
        RouteConfig(0, RouteState(split=30), has_new=False),
        RouteConfig(1, RouteState(split=99)),
    ],
)
def test_what_is_written_is_read_back(routes: Routes, written: RouteConfig) -> None:
    """Nothing is wrong with it either."""
    assert routes.read(routes.objects(written)) == written


@both
def test_without_the_object_that_keeps_the_state_nothing_is_read(routes: Routes) -> None:
    """Nothing was deployed yet, or somebody deleted it."""
    others = [one for one in routes.objects(RouteConfig(20)) if one["metadata"]["name"] != routes.state_name]
    assert routes.read(others) is None
    assert routes.read([]) is None


@both
def test_every_object_is_ours_and_of_a_kind_that_is_listed(routes: Routes) -> None:
    """Else a poll would not see it."""
    for one in routes.objects(RouteConfig(20)):
        assert is_ours(one)
        assert kind_of(one) in routes.kinds
        assert one["metadata"]["namespace"] == "mnist"


@both
def test_the_state_lies_on_the_object_that_is_named_for_it(routes: Routes) -> None:
    """And on no other."""
    with_state = [
        one for one in routes.objects(RouteConfig(20)) if SPLIT in one["metadata"].get("annotations", {})
    ]
    assert [(kind_of(one), one["metadata"]["name"]) for one in with_state] == [
        (routes.state_kind, routes.state_name)
    ]


@both
def test_a_damaged_state_is_told(routes: Routes) -> None:
    """By the name of the object and the annotation."""
    live = routes.objects(RouteConfig(20, STATE))
    live[-1]["metadata"]["annotations"][SPLIT] = "many"
    written = routes.read(live)
    assert written
    assert written.state.split == 20
    assert [SPLIT in sentence and routes.state_name in sentence for sentence in written.trouble] == [True]


@both
def test_a_is_weight_ours_until_somebody_else_sets_it(routes: Routes) -> None:
    """By the server's record of who owns it."""
    annotation: Object = {"f:metadata": {"f:annotations": {f"f:{NGINX}/canary-weight": {}}}}
    fields = annotation if routes.state_kind is INGRESS else {"f:spec": {"f:rules": {}}}
    live = routes.objects(RouteConfig(20))
    for managers, ours in (([], True), (["mnist-dash"], True), (["mnist-dash", "x"], True), (["x"], False)):
        entries = [{"manager": manager, "fieldsV1": fields} for manager in managers]
        live[-1]["metadata"]["managedFields"] = entries
        assert routes.is_weight_ours(live) is ours
    assert routes.is_weight_ours([])


def test_both_ingresses_share_host_path_class_and_namespace() -> None:
    """Traefik matches them up by these."""
    main, canary = INGRESS_ROUTES.objects(RouteConfig(20))
    same = copy.deepcopy(canary["spec"])
    same["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "mnist-current"
    assert main["spec"] == same
    (rule,) = main["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == (HOST, "/v1/models", "Prefix")
    assert main["spec"]["ingressClassName"] == "nginx"


def test_nobody_owns_tls_by_us() -> None:
    """Another manager may add it."""
    assert all("tls" not in one["spec"] for one in INGRESS_ROUTES.objects(RouteConfig(20)))


def test_the_canary_is_off_by_weight_and_never_by_its_switch() -> None:
    """`canary: "false"` would make it a second main Ingress."""
    annotations = _canary(RouteConfig(0, has_new=False))
    assert annotations[f"{NGINX}/canary"] == "true"
    assert annotations[f"{NGINX}/canary-weight"] == "0"
    assert annotations[f"{NGINX}/canary-by-header"] == "X-Mnist-Route"


def test_every_annotation_is_a_string() -> None:
    """The API server refuses anything else."""
    for one in INGRESS_ROUTES.objects(RouteConfig(20, STATE)):
        assert all(isinstance(value, str) for value in one["metadata"].get("annotations", {}).values())


@pytest.mark.parametrize(("scheme", "redirects"), [("http", "false"), ("https", None)])
def test_plain_http_is_not_redirected(scheme: str, redirects: str | None) -> None:
    """With https the controller's own default holds."""
    main, _ = IngressRoutes(HOST, "nginx", "mnist", scheme).objects(RouteConfig(20))
    assert main["metadata"].get("annotations", {}).get(f"{NGINX}/ssl-redirect") == redirects


@pytest.mark.parametrize("weight", [0, 1, 20, 100])
def test_the_weights_of_a_gateway_are_percentages(weight: int) -> None:
    """They sum to 100."""
    shares = {one["name"]: one["weight"] for one in backends(weight)}
    assert shares == {"mnist-current": 100 - weight, "mnist-new": weight}
    assert _shares(_rules(RouteConfig(weight))[-1]) == shares


def test_the_header_forces_a_request_to_one_role() -> None:
    """A rule that matches a header precedes the weighted one."""
    always, never, weighted = _rules(RouteConfig(20))
    assert [one["value"] for one in always["matches"][0]["headers"]] == ["always"]
    assert [one["value"] for one in never["matches"][0]["headers"]] == ["never"]
    assert "headers" not in weighted["matches"][0]
    assert (_shares(always), _shares(never)) == ({"mnist-new": 1}, {"mnist-current": 1})


def test_what_is_forced_to_new_goes_to_current_while_new_cannot_answer() -> None:
    """A Gateway would answer 503 otherwise."""
    always, *_ = _rules(RouteConfig(0, has_new=False))
    assert _shares(always) == {"mnist-current": 1}


def test_the_route_belongs_to_the_gateway_of_the_settings() -> None:
    """In whichever namespace that is."""
    (route,) = GATEWAY_ROUTES.objects(RouteConfig(20))
    (parent,) = route["spec"]["parentRefs"]
    assert (parent["namespace"], parent["name"]) == ("infra", "web")
    (route,) = GatewayRoutes(HOST, "web", "mnist").objects(RouteConfig(20))
    assert route["spec"]["parentRefs"][0]["namespace"] == "mnist"


@pytest.mark.parametrize(("current", "new", "percent"), [(1, 1, 50), (3, 1, 25), (0, 7, 100), (2, 0, 0)])
def test_weights_are_read_as_proportions(current: int, new: int, percent: int) -> None:
    """Whoever set them need not think in percent."""
    live: list[Object] = GATEWAY_ROUTES.objects(RouteConfig(20))
    weighted = live[0]["spec"]["rules"][-1]["backendRefs"]
    weighted[0]["weight"], weighted[1]["weight"] = current, new
    written = GATEWAY_ROUTES.read(live)
    assert written
    assert written.weight == percent


def test_the_settings_choose_the_routes() -> None:
    """`--router` does."""
    settings = Settings(
        engine=EngineKind.KUBERNETES,
        ingress_host=HOST,
        namespace="mnist",
        ingress_class="nginx",
        scheme=Scheme.HTTP,
    )
    assert routes_for(settings) == INGRESS_ROUTES
    settings = Settings(
        engine=EngineKind.KUBERNETES,
        ingress_host=HOST,
        namespace="mnist",
        router=RouterKind.GATEWAY,
        gateway="infra/web",
    )
    assert routes_for(settings) == GATEWAY_ROUTES
