"""What is wrong with a live HTTPRoute, in words."""

from __future__ import annotations

from typing import Any

import pytest

from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_state import RouteConfig

ROUTES = GatewayRoutes("my.example.com", "infra/web", "mnist")
GATEWAY = {"kind": "Gateway", "metadata": {"name": "web", "namespace": "infra"}}


def _live(**conditions: tuple[str, str, str]) -> Object:
    """The HTTPRoute with what its controller says: condition -> (status, reason, message)."""
    (route,) = ROUTES.objects(RouteConfig(20))
    told = {"Accepted": ("True", "Accepted", ""), "ResolvedRefs": ("True", "ResolvedRefs", ""), **conditions}
    parent = {
        "parentRef": route["spec"]["parentRefs"][0],
        "conditions": [
            {"type": kind, "status": status, "reason": reason, "message": message}
            for kind, (status, reason, message) in told.items()
        ],
    }
    return {**route, "status": {"parents": [parent]}}


def _only(*live: Object) -> str:
    (sentence,) = ROUTES.find_faults(live)
    return sentence


def test_nothing_is_wrong_with_a_route_that_is_accepted() -> None:
    """Then nothing is told."""
    assert ROUTES.find_faults([_live()]) == ()


def test_a_missing_route_is_told() -> None:
    """Nobody is answered."""
    assert _only() == (
        "HTTPRoute mnist is missing, so every request is answered with 404."
        " Set the split anew: that writes it as it should be."
    )


def test_a_route_that_nobody_serves_is_told() -> None:
    """With the command that shows whether its Gateway is there."""
    (route,) = ROUTES.objects(RouteConfig(20))
    assert "Gateway infra/web is missing, or its controller does not run" in _only(route)
    assert _only(route).endswith("kubectl get gateway --namespace=infra web")
    assert "though Gateway infra/web is there" in _only(route, GATEWAY)


def test_what_another_gateway_says_does_not_count() -> None:
    """A route may have several parents."""
    route = _live()
    route["status"]["parents"][0]["parentRef"] = {"name": "web"}
    assert "No controller serves HTTPRoute mnist" in _only(route)


def test_a_refusal_is_told_in_the_words_of_the_controller() -> None:
    """With where to look."""
    route = _live(Accepted=("False", "NotAllowedByListeners", "no listener takes it."))
    assert _only(route) == (
        "Gateway infra/web does not accept HTTPRoute mnist (NotAllowedByListeners: no listener takes it)."
        " Look whether a listener of it allows this host, and routes from this namespace."
    )
    route = _live(ResolvedRefs=("False", "BackendNotFound", "services mnist-new not found"))
    assert "cannot find what HTTPRoute mnist leads to (BackendNotFound: services mnist-new" in _only(route)


def test_a_condition_that_is_not_yet_known_is_no_fault() -> None:
    """It will be, soon; and what a controller says of its own conditions is left to it."""
    assert ROUTES.find_faults([_live(Accepted=("Unknown", "Pending", ""))]) == ()
    assert ROUTES.find_faults([_live(Optimised=("False", "Slow", ""))]) == ()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("hostnames", ["other.example.com"], "has the host other.example.com, not my.example.com"),
        ("hostnames", [], "has the host none, not my.example.com"),
        ("parentRefs", [{"name": "web"}], "does not belong to Gateway infra/web"),
        ("parentRefs", [], "does not belong to Gateway infra/web"),
    ],
)
def test_a_changed_place_is_told(field: str, value: Any, says: str) -> None:
    """With what it is and should be."""
    route = _live()
    route["spec"][field] = value
    assert f"HTTPRoute mnist {says}" in _only(route)


def test_a_missing_header_rule_is_told() -> None:
    """No request can be forced to that model then."""
    for index, header, role in ((0, "always", "New"), (1, "never", "Current")):
        route = _live()
        del route["spec"]["rules"][index]
        says = (
            f"lacks the rule for the header X-Mnist-Route: {header}, so no request can be forced to {role}."
        )
        assert says in _only(route)


def test_a_header_rule_to_the_wrong_model_is_told() -> None:
    """`always` may lead to Current while New cannot answer, `never` must not lead to New."""
    route = _live()
    route["spec"]["rules"][1]["backendRefs"] = route["spec"]["rules"][0]["backendRefs"]
    assert "X-Mnist-Route: never" in _only(route)
    (without_new,) = ROUTES.objects(RouteConfig(0, has_new=False))
    assert ROUTES.find_faults([{**_live(), "spec": without_new["spec"]}]) == ()


def test_header_names_are_compared_without_case() -> None:
    """As HTTP has it."""
    route = _live()
    route["spec"]["rules"][0]["matches"][0]["headers"][0]["name"] = "x-mnist-route"
    assert ROUTES.find_faults([route]) == ()


def test_a_weighted_rule_that_is_missing_is_told() -> None:
    """The path was changed, say."""
    route = _live()
    route["spec"]["rules"][2]["matches"][0]["path"]["value"] = "/v2"
    assert "has no rule for the path prefix /v1/models" in _only(route)
    written = ROUTES.read([route])
    assert written
    assert written.weight == 0
    assert written.trouble == ROUTES.find_faults([route])


def test_strange_backends_and_weights_are_told() -> None:
    """Requests go elsewhere, or nowhere."""
    route = _live()
    backends = route["spec"]["rules"][2]["backendRefs"]
    for backend in backends:
        backend["weight"] = 0
    assert "has no weight above 0" in _only(route)
    backends.append({"name": "other"})
    assert "sends requests to other too" in _only(route)


def test_what_a_controller_says_is_no_trouble_of_what_is_written() -> None:
    """Right after it was written, no controller has said anything."""
    (route,) = ROUTES.objects(RouteConfig(20))
    written = ROUTES.read([route])
    assert written
    assert written.trouble == ()
