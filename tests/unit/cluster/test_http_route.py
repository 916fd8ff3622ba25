"""The route as an HTTPRoute: what is applied, and which faults of a live one are found."""

from __future__ import annotations

from typing import Any

import pytest

from mnist_dash.cluster.http_route import GatewayRoutes, backends, weights_of
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_state import RouteConfig

ROUTES = GatewayRoutes("my.example.com", "infra/web", "mnist")
REPAIR = "Set the split again to repair it."


def _conditions(**refusals: str) -> Object:
    """A status that accepts everything but these conditions, which have a reason."""
    reasons = {"Accepted": "", "ResolvedRefs": ""} | refusals
    return {
        "conditions": [
            {"type": kind, "status": str(not reason), "reason": reason, "message": "as it is."}
            for kind, reason in reasons.items()
        ]
    }


def _live(**refusals: str) -> Object:
    (route,) = ROUTES.objects(RouteConfig(20))
    parent = {"parentRef": route["spec"]["parentRefs"][0], **_conditions(**refusals)}
    return {**route, "status": {"parents": [parent]}}


def _rules(config: RouteConfig) -> list[Object]:
    (route,) = ROUTES.objects(config)
    rules: list[Object] = route["spec"]["rules"]
    return rules


def _fault(*live: Object) -> str:
    (fault,) = ROUTES.find_faults(live)
    return fault


@pytest.mark.parametrize("weight", [0, 1, 20, 100])
def test_the_weights_are_percentages(weight: int) -> None:
    """They sum to 100."""
    shares = {"mnist-current": 100 - weight, "mnist-new": weight}
    assert {backend["name"]: backend["weight"] for backend in backends(weight)} == shares
    assert weights_of(_rules(RouteConfig(weight))[-1]) == shares


def test_the_header_forces_a_request_to_one_role() -> None:
    """By rules that match it, which precede the weighted one."""
    always, never, weighted = _rules(RouteConfig(20))
    assert [header["value"] for header in always["matches"][0]["headers"]] == ["always"]
    assert [header["value"] for header in never["matches"][0]["headers"]] == ["never"]
    assert "headers" not in weighted["matches"][0]
    assert (weights_of(always), weights_of(never)) == ({"mnist-new": 1}, {"mnist-current": 1})


def test_requests_forced_to_new_go_to_current_while_new_cannot_answer() -> None:
    """A Gateway would answer 503 otherwise."""
    assert weights_of(_rules(RouteConfig(0, has_new=False))[0]) == {"mnist-current": 1}


def test_the_route_belongs_to_the_gateway_of_the_settings() -> None:
    """By default in the namespace of the route."""
    for gateway, expected in (("infra/web", ("infra", "web")), ("web", ("mnist", "web"))):
        (route,) = GatewayRoutes("my.example.com", gateway, "mnist").objects(RouteConfig(20))
        (parent,) = route["spec"]["parentRefs"]
        assert (parent["namespace"], parent["name"]) == expected


@pytest.mark.parametrize(("current", "new", "percent"), [(1, 1, 50), (3, 1, 25), (0, 7, 100), (2, 0, 0)])
def test_weights_are_read_as_proportions(current: int, new: int, percent: int) -> None:
    """Who sets them need not think in percent, and that is no fault."""
    live = _live()
    weighted = live["spec"]["rules"][-1]["backendRefs"]
    weighted[0]["weight"], weighted[1]["weight"] = current, new
    config = ROUTES.read([live])
    assert config
    assert config.weight == percent
    assert ROUTES.find_faults([live]) == ()


def test_an_accepted_route_has_no_faults_whatever_others_add() -> None:
    """Another host or Gateway does no harm, nor do conditions that are unknown or a controller's own."""
    route = _live(Optimised="Slow")
    route["status"]["parents"][0]["conditions"][0]["status"] = "Unknown"
    route["spec"]["hostnames"].insert(0, "other.example.com")
    route["spec"]["parentRefs"].insert(0, {"name": "web"})
    assert ROUTES.find_faults([route]) == ()
    (without_new,) = ROUTES.objects(RouteConfig(0, has_new=False))
    assert ROUTES.find_faults([{**_live(), "spec": without_new["spec"]}]) == ()


def test_a_missing_route_is_a_fault() -> None:
    """No request is answered."""
    assert _fault() == f"HTTPRoute mnist is missing. {REPAIR}"


def test_a_route_without_a_status_of_the_gateway_is_a_fault() -> None:
    """The status of another Gateway does not count, and none is needed to read the route."""
    fault = (
        "No controller serves HTTPRoute mnist."
        " Check that Gateway infra/web exists, and that its controller runs."
    )
    (route,) = ROUTES.objects(RouteConfig(20))
    assert _fault(route) == fault
    config = ROUTES.read([route])
    assert config
    assert config.trouble == ()
    other = _live()
    other["status"]["parents"][0]["parentRef"] = {"name": "web"}
    assert _fault(other) == fault


@pytest.mark.parametrize("condition", ["Accepted", "ResolvedRefs"])
def test_a_refused_route_is_a_fault_with_the_message_of_the_controller(condition: str) -> None:
    """And its reason."""
    assert _fault(_live(**{condition: "Because"})) == (
        f"HTTPRoute mnist in Gateway infra/web is not {condition} (Because: as it is)."
        " See its conditions with kubectl describe."
    )


def test_a_gateway_that_is_not_programmed_is_a_fault() -> None:
    """Only that of the settings."""
    gateway: Object = {"kind": "Gateway", "metadata": {"name": "web", "namespace": "infra"}}
    gateway["status"] = _conditions(Programmed="AddressNotAssigned")
    fault = _fault(_live(), gateway)
    assert fault.startswith("Gateway infra/web is not Programmed (AddressNotAssigned: as it is)")
    gateway["metadata"]["namespace"] = "elsewhere"
    assert ROUTES.find_faults([_live(), gateway]) == ()


@pytest.mark.parametrize(
    ("field", "value", "difference"),
    [
        ("hostnames", ["a.com"], "spec.hostnames[0] is 'a.com' instead of 'my.example.com'"),
        ("hostnames", [], "spec.hostnames[0] is missing instead of 'my.example.com'"),
        ("parentRefs", [], "spec.parentRefs[0] is missing"),
        ("rules", [], "spec.rules[0] is missing, spec.rules[1] is missing, spec.rules[2] is missing"),
    ],
)
def test_a_changed_field_is_a_fault(field: str, value: Any, difference: str) -> None:
    """With the value and the one that the dashboard applies."""
    route = _live()
    route["spec"][field] = value
    assert _fault(route) == f"HTTPRoute mnist: {difference}. {REPAIR}"


def test_a_changed_rule_is_a_fault() -> None:
    """One that is missing, leads elsewhere as well, or sends nothing anywhere."""
    route = _live()
    del route["spec"]["rules"][1]
    assert "spec.rules[1] is missing" in _fault(route)
    route = _live()
    route["spec"]["rules"][1]["backendRefs"][0]["name"] = "mnist-new"
    assert "spec.rules[1].backendRefs[0].name is 'mnist-new' instead of 'mnist-current'" in _fault(route)
    route = _live()
    weighted = route["spec"]["rules"][2]["backendRefs"]
    weighted.append({"name": "other"})
    assert "spec.rules[2].backendRefs has 3 entries instead of 2" in _fault(route)
    weighted.pop()
    for backend in weighted:
        backend["weight"] = 0
    assert "spec.rules[2].backendRefs[0].weight is 0 instead of 100" in _fault(route)
