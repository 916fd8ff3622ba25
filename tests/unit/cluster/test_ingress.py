"""The route as two Ingresses: what is applied, and which faults of live ones are found."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mnist_dash.cluster.ingress import IngressRoutes, weight_of
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_state import RouteConfig

ROUTES = IngressRoutes("my.example.com", "nginx", "mnist")
NGINX = "nginx.ingress.kubernetes.io"
REPAIR = "Set the split again to repair it."


def _live(weight: int = 20) -> tuple[Object, Object]:
    main, canary = ROUTES.objects(RouteConfig(weight))
    return main, canary


def _path(ingress: Object) -> dict[str, Any]:
    path: dict[str, Any] = ingress["spec"]["rules"][0]["http"]["paths"][0]
    return path


def _fault(*live: Object) -> str:
    (fault,) = ROUTES.find_faults(live)
    return fault


def test_both_ingresses_share_host_path_class_and_namespace() -> None:
    """Traefik pairs them by these; TLS is left to others."""
    main, canary = _live()
    expected = copy.deepcopy(canary["spec"])
    expected["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "mnist-current"
    assert main["spec"] == expected
    assert "tls" not in main["spec"]
    assert (main["spec"]["rules"][0]["host"], main["spec"]["ingressClassName"]) == ("my.example.com", "nginx")
    assert (_path(main)["path"], _path(main)["pathType"]) == ("/v1/models", "Prefix")


def test_the_canary_is_off_by_weight_and_never_by_its_switch() -> None:
    """`canary: "false"` would make it a second main Ingress."""
    _, canary = ROUTES.objects(RouteConfig(0, has_new=False))
    annotations = canary["metadata"]["annotations"]
    assert annotations[f"{NGINX}/canary"] == "true"
    assert annotations[f"{NGINX}/canary-weight"] == "0"
    assert annotations[f"{NGINX}/canary-by-header"] == "X-Mnist-Route"


@pytest.mark.parametrize(("scheme", "redirects"), [("http", "false"), ("https", None)])
def test_plain_http_is_not_redirected(scheme: str, redirects: str | None) -> None:
    """With https the controller's own default holds."""
    main, _ = IngressRoutes("my.example.com", "nginx", "mnist", scheme).objects(RouteConfig(20))
    assert main["metadata"].get("annotations", {}).get(f"{NGINX}/ssl-redirect") == redirects


@pytest.mark.parametrize(("text", "weight"), [("20", 20), ("20%", 0), ("150", 100), ("-5", 0), ("", 0)])
def test_a_weight_is_read_as_controllers_do(text: str, weight: int) -> None:
    """Anything but an integer is 0."""
    assert weight_of({f"{NGINX}/canary-weight": text}) == weight


def test_applied_ingresses_have_no_faults_whatever_others_add() -> None:
    """TLS, further rules, Ingresses for other hosts, and other classes do no harm."""
    main, canary = _live()
    main["spec"]["tls"] = [{}]
    main["spec"]["rules"].insert(0, {"host": "other.example.com"})
    other = copy.deepcopy(main)
    other["metadata"]["name"] = "other"
    other["spec"]["rules"].pop()
    classes = [_class("traefik", "traefik.io/ingress-controller"), _class("nginx", "k8s.io/ingress-nginx")]
    assert ROUTES.find_faults([main, canary, other, *classes]) == ()


def test_a_missing_ingress_is_a_fault() -> None:
    """Each by its name."""
    main, canary = _live()
    assert _fault(canary) == f"Ingress mnist is missing. {REPAIR}"
    assert _fault(main) == f"Ingress mnist-canary is missing. {REPAIR}"


@pytest.mark.parametrize(
    ("field", "value", "difference"),
    [
        ("path", "/v2", "path is '/v2' instead of '/v1/models'"),
        ("pathType", "Exact", "pathType is 'Exact' instead of 'Prefix'"),
        (
            "backend",
            {"service": {"name": "mnist-new", "port": {"name": "rest"}}},
            "backend.service.port.number is missing instead of 8501",
        ),
        ("backend", {"resource": {"kind": "Bucket"}}, "backend.service is missing"),
    ],
)
def test_a_changed_path_of_the_canary_is_a_fault(field: str, value: Any, difference: str) -> None:
    """Controllers ignore a canary that does not fit the main Ingress."""
    main, canary = _live()
    _path(canary)[field] = value
    assert _fault(main, canary) == f"Ingress mnist-canary: spec.rules[0].http.paths[0].{difference}. {REPAIR}"


@pytest.mark.parametrize(
    ("annotation", "value", "difference"),
    [
        ("canary", "false", "'false' instead of 'true'"),
        ("canary", None, "missing instead of 'true'"),
        ("canary-by-header", "X-Other", "'X-Other' instead of 'X-Mnist-Route'"),
        ("canary-weight", "20%", "'20%' instead of '0'"),
        ("canary-weight", None, "missing instead of '0'"),
    ],
)
def test_a_changed_annotation_of_the_canary_is_a_fault(
    annotation: str, value: str | None, difference: str
) -> None:
    """With the value that controllers take an unreadable weight for."""
    main, canary = _live()
    annotations = canary["metadata"]["annotations"]
    annotations.pop(f"{NGINX}/{annotation}", None)
    if value is not None:
        annotations[f"{NGINX}/{annotation}"] = value
    expected = f"Ingress mnist-canary: annotation {NGINX}/{annotation} is {difference}. {REPAIR}"
    assert _fault(main, canary) == expected
    config = ROUTES.read([main, canary])
    assert config
    assert config.trouble == (expected,)


def test_several_differences_of_one_object_are_one_fault() -> None:
    """In the order in which the object is written."""
    main, canary = _live()
    canary["spec"] |= {"ingressClassName": "haproxy", "rules": []}
    canary["metadata"]["annotations"][f"{NGINX}/canary"] = "false"
    assert _fault(main, canary) == (
        f"Ingress mnist-canary: annotation {NGINX}/canary is 'false' instead of 'true',"
        f" spec.ingressClassName is 'haproxy' instead of 'nginx', spec.rules[0] is missing. {REPAIR}"
    )


def test_another_total_than_100_is_a_fault() -> None:
    """Only who added the annotation can remove it."""
    main, canary = _live()
    canary["metadata"]["annotations"][f"{NGINX}/canary-weight-total"] = "1000"
    assert "canary-weight-total '1000', not '100'. Remove it." in _fault(main, canary)


def test_a_rival_ingress_is_a_fault() -> None:
    """One on the same host and path, and one that leads to New."""
    main, canary = _live()
    same_path, same_service = _live()
    same_path["metadata"]["name"], same_service["metadata"]["name"] = "old", "direct"
    same_service["spec"]["rules"][0]["host"] = "new.example.com"
    assert "Ingress old has the same host and path" in _fault(main, canary, same_path)
    assert "Ingress direct leads to New too" in _fault(main, canary, same_service)


def _class(name: str, controller: str) -> Object:
    return {"kind": "IngressClass", "metadata": {"name": name}, "spec": {"controller": controller}}


def test_a_class_that_is_missing_or_ignores_canary_annotations_is_a_fault() -> None:
    """With the flag that names an existing class, or the controllers that read them."""
    assert "--ingress-class traefik" in _fault(*_live(), _class("traefik", "traefik.io/ingress-controller"))
    fault = _fault(*_live(), _class("nginx", "nginx.org/ingress-controller"))
    assert fault.startswith("The controller nginx.org/ingress-controller does not read canary annotations.")
    assert "Higress" in fault
