"""What is wrong with live Ingresses, in words."""

from __future__ import annotations

from typing import Any

import pytest

from mnist_dash.cluster.ingress import IngressRoutes, weight_of
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_state import RouteConfig

ROUTES = IngressRoutes("my.example.com", "nginx", "mnist")
NGINX = "nginx.ingress.kubernetes.io"


def _live() -> tuple[Object, Object]:
    main, canary = ROUTES.objects(RouteConfig(20))
    return main, canary


def _path(ingress: Object) -> dict[str, Any]:
    path: dict[str, Any] = ingress["spec"]["rules"][0]["http"]["paths"][0]
    return path


def _only(live: list[Object]) -> str:
    (sentence,) = ROUTES.find_faults(live)
    return sentence


def test_nothing_is_wrong_with_what_the_dashboard_wrote() -> None:
    """Then nothing is told."""
    assert ROUTES.find_faults(_live()) == ()


def test_a_missing_ingress_is_told_with_its_effect() -> None:
    """Without the main one nobody is answered, without the canary only Current answers."""
    main, canary = _live()
    assert _only([canary]) == (
        "Ingress mnist is missing, so every request is answered with 404."
        " Set the split anew: that writes it as it should be."
    )
    assert "Ingress mnist-canary is missing, so all requests go to Current." in _only([main])


def test_a_changed_host_is_told_of_both() -> None:
    """By the name of the Ingress, with what it is and should be."""
    for index, name, effect in (
        (0, "mnist", "so requests to my.example.com do not reach Current"),
        (1, "mnist-canary", "so controllers ignore it and all requests go to Current"),
    ):
        live = list(_live())
        live[index]["spec"]["rules"][0]["host"] = "other.example.com"
        assert f"Ingress {name} has the host other.example.com, not my.example.com, {effect}." in _only(live)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("path", "/v2", "the path /v2, not /v1/models"),
        ("pathType", "Exact", "the path type Exact, not Prefix"),
        (
            "backend",
            {"service": {"name": "mnist-current", "port": {"number": 8501}}},
            "the Service mnist-current, not mnist-new",
        ),
        (
            "backend",
            {"service": {"name": "mnist-new", "port": {"name": "rest"}}},
            "the port rest, not 8501",
        ),
        ("backend", {"resource": {"kind": "Bucket"}}, "the Service none, not mnist-new and the port none"),
    ],
)
def test_a_changed_path_of_the_canary_is_told(field: str, value: Any, says: str) -> None:
    """Controllers ignore a canary that does not fit the main Ingress."""
    main, canary = _live()
    _path(canary)[field] = value
    assert f"Ingress mnist-canary has {says}" in _only([main, canary])


def test_a_changed_class_is_told() -> None:
    """Another controller serves it then, or none."""
    main, canary = _live()
    canary["spec"]["ingressClassName"] = "haproxy"
    assert "Ingress mnist-canary has the class haproxy, not nginx, so controllers" in _only([main, canary])
    del canary["spec"]["ingressClassName"]
    assert "the class none, not nginx" in _only([main, canary])


def test_an_ingress_without_rules_is_told() -> None:
    """It says so, and nothing of a host."""
    main, canary = _live()
    del main["spec"]["rules"]
    assert "Ingress mnist has no rule, so requests" in _only([main, canary])


def test_a_further_rule_of_somebody_else_does_no_harm() -> None:
    """As long as ours is there."""
    main, canary = _live()
    main["spec"]["rules"].insert(0, {"host": "other.example.com"})
    assert ROUTES.find_faults([main, canary]) == ()


@pytest.mark.parametrize(
    ("annotation", "value", "says"),
    [
        ("canary", "false", "'false', not 'true', which makes it a second main Ingress"),
        ("canary", None, f"no annotation {NGINX}/canary, not 'true'"),
        ("canary-by-header", "X-Other", "'X-Other', not 'X-Mnist-Route', so no request can be forced"),
        ("canary-weight", "20%", "'20%', no integer from 0 to 100, which controllers take for 0"),
        ("canary-weight", "150", "'150', no integer from 0 to 100, which controllers take for 100"),
        ("canary-weight", "-5", "which controllers take for 0"),
        ("canary-weight", None, f"no annotation {NGINX}/canary-weight, no integer"),
        ("canary-weight-total", "1000", "'1000', so its weight is no percentage. Remove it."),
    ],
)
def test_a_changed_annotation_of_the_canary_is_told(annotation: str, value: str | None, says: str) -> None:
    """With the Ingress, the annotation and its effect."""
    main, canary = _live()
    annotations = canary["metadata"]["annotations"]
    annotations.pop(f"{NGINX}/{annotation}", None)
    if value is not None:
        annotations[f"{NGINX}/{annotation}"] = value
    sentence = _only([main, canary])
    assert sentence.startswith("Ingress mnist-canary has ")
    assert f"{NGINX}/{annotation}" in sentence
    assert says in sentence


@pytest.mark.parametrize(("text", "weight"), [("20", 20), ("20%", 0), ("150", 100), ("-5", 0), ("", 0)])
def test_a_weight_is_read_as_controllers_do(text: str, weight: int) -> None:
    """What is no integer is 0."""
    assert weight_of({f"{NGINX}/canary-weight": text}) == weight


def test_another_ingress_on_the_same_path_is_told() -> None:
    """Which of them wins is luck."""
    main, canary = _live()
    other = ROUTES.objects(RouteConfig(20))[0]
    other["metadata"]["name"] = "old"
    assert "Ingress old has the same host and path" in _only([main, canary, other])
    other["spec"]["rules"][0]["host"] = "other.example.com"
    assert ROUTES.find_faults([main, canary, other]) == ()


def test_another_ingress_to_the_service_of_new_is_told() -> None:
    """The canary's Service must be named by no other."""
    main, canary = _live()
    other = ROUTES.objects(RouteConfig(20))[1]
    other["metadata"]["name"] = "direct"
    other["spec"]["rules"][0]["host"] = "new.example.com"
    assert "Ingress direct leads to Service mnist-new too" in _only([main, canary, other])


def test_a_missing_class_is_told_if_the_classes_were_read() -> None:
    """With the flag that names one that is there."""
    traefik = {"kind": "IngressClass", "metadata": {"name": "traefik"}}
    assert "--ingress-class traefik" in _only([*_live(), traefik])
    nginx = {"kind": "IngressClass", "metadata": {"name": "nginx"}}
    assert ROUTES.find_faults([*_live(), traefik, nginx]) == ()


def test_faults_are_read_along_with_what_is_written() -> None:
    """The page tells them."""
    main, canary = _live()
    canary["metadata"]["annotations"][f"{NGINX}/canary-weight"] = "20%"
    written = ROUTES.read([main, canary])
    assert written
    assert written.weight == 0
    assert written.trouble == ROUTES.find_faults([main, canary])
