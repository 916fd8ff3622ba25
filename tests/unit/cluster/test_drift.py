"""What somebody else changed, in the user's words."""

from __future__ import annotations

from typing import Any

import pytest

from mnist_dash.cluster.drift import changes_from_outside
from mnist_dash.cluster.manifests import service
from mnist_dash.cluster.resources import Object
from mnist_dash.domain import Release, Role

NGINX = "nginx.ingress.kubernetes.io"
TIME = "2026-01-02T04:05:06Z"
OURS: dict[str, Any] = {"f:metadata": {"f:labels": {"f:app.kubernetes.io/managed-by": {}}}}


def _live(kind: str, name: str, fields: dict[str, Any], manager: str = "kubectl", ours: Any = OURS) -> Object:
    """An object of which somebody else owns some fields."""
    entries = [
        {"manager": "mnist-dash", "time": "2026-01-01T00:00:00Z", "fieldsV1": ours},
        {"manager": manager, "time": TIME, "fieldsV1": fields},
    ]
    labels = {"mnist-dash/release": "green"} if kind == "Deployment" else {}
    return {"kind": kind, "metadata": {"name": name, "labels": labels, "managedFields": entries}}


def _annotation(name: str) -> dict[str, Any]:
    return {"f:metadata": {"f:annotations": {f"f:{name}": {}}}}


def _container(fields: dict[str, Any]) -> dict[str, Any]:
    inner = {'k:{"name":"tensorflow-serving"}': fields}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": inner}}}}


BASE: dict[str, Any] = {'k:{"name":"MODEL_BASE_PATH"}': {"f:value": {}}}


@pytest.mark.parametrize(
    ("kind", "name", "fields", "says"),
    [
        ("Ingress", "mnist-canary", _annotation(f"{NGINX}/canary-weight"), "The split was"),
        ("Ingress", "mnist-canary", _annotation(f"{NGINX}/canary"), "The canary switch was"),
        ("Ingress", "mnist-canary", _annotation("mnist-dash/swap"), "What the dashboard remembers was"),
        ("Ingress", "mnist", {"f:spec": {"f:rules": {}}}, "The route to the models was"),
        (
            "HTTPRoute",
            "mnist",
            {"f:spec": {"f:rules": {}}},
            "The split, or another rule of HTTPRoute mnist, was",
        ),
        (
            "Service",
            "mnist-new",
            {"f:spec": {"f:selector": {}}},
            "The release that Service mnist-new points at was",
        ),
        (
            "Deployment",
            "mnist-green",
            {"f:spec": {"f:replicas": {}}},
            "The number of replicas of mnist-green was",
        ),
        ("Deployment", "mnist-green", _container({"f:image": {}}), "The image of mnist-green was"),
        ("Deployment", "mnist-green", _container({"f:env": BASE}), "The model base of mnist-green was"),
        (
            "Deployment",
            "mnist-green",
            _container({"f:resources": {"f:limits": {"f:cpu": {}, "f:memory": {}}}}),
            "The resources of mnist-green were",
        ),
        (
            "Deployment",
            "mnist-green",
            {"f:metadata": {"f:labels": {"f:mnist-dash/release": {}}}},
            "The labels of Deployment mnist-green were",
        ),
        ("Secret", "mnist-gcs-credentials", {"f:data": {"f:key.json": {}}}, "The key file was"),
    ],
)
def test_a_change_is_told_with_who_and_when(kind: str, name: str, fields: dict[str, Any], says: str) -> None:
    """Once, however many fields it took."""
    assert changes_from_outside([_live(kind, name, fields)]) == (
        f"{says} changed by kubectl at 2026-01-02 04:05 UTC.",
    )


def test_a_deployment_is_called_by_its_role_if_a_service_points_at_it() -> None:
    """That is what it is to the user."""
    live = [
        service(Role.CURRENT, Release.BLUE, "mnist"),
        service(Role.NEW, Release.GREEN, "mnist"),
        _live("Deployment", "mnist-green", {"f:spec": {"f:replicas": {}}}, "hpa"),
    ]
    assert changes_from_outside(live) == (
        "The number of replicas of New (mnist-green) was changed by hpa at 2026-01-02 04:05 UTC.",
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Deployment", _annotation("deployment.kubernetes.io/revision")),
        ("Deployment", {"f:spec": {"f:template": _annotation("kubectl.kubernetes.io/restartedAt")}}),
        ("Ingress", {"f:spec": {"f:tls": {}}}),
        ("Ingress", _annotation("cert-manager.io/cluster-issuer")),
        ("Service", _annotation("cloud.google.com/neg")),
        ("Pod", {"f:spec": {"f:containers": {}}}),
        ("EndpointSlice", {"f:endpoints": {}}),
    ],
)
def test_what_the_dashboard_does_not_apply_is_for_others(kind: str, fields: dict[str, Any]) -> None:
    """Controllers and people may add to its objects."""
    assert changes_from_outside([_live(kind, "mnist", fields)]) == ()


def test_a_field_that_the_dashboard_owns_too_is_as_it_applied_it() -> None:
    """GitOps that applies the same values is no change."""
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    assert changes_from_outside([_live("Deployment", "mnist-green", fields, ours=fields)]) == ()


def test_an_item_of_a_list_that_the_dashboard_owns_may_have_a_part_of_somebody_else() -> None:
    """Owning a container is not owning all that is in it."""
    ours = _container({".": {}, "f:name": {}})
    one = _live("Deployment", "mnist-green", _container({"f:image": {}}), ours=ours)
    assert len(changes_from_outside([one])) == 1


def test_an_object_that_somebody_else_made_is_told_once() -> None:
    """Not field by field."""
    one = _live("Ingress", "mnist", {"f:spec": {"f:rules": {}, "f:ingressClassName": {}}}, "argocd", ours={})
    assert changes_from_outside([one]) == (
        "Ingress mnist was put in place by argocd at 2026-01-02 04:05 UTC, not by the dashboard.",
    )


def test_a_change_without_a_time_is_told_without_one() -> None:
    """`kubectl scale` leaves none."""
    one = _live("Deployment", "mnist-green", {"f:spec": {"f:replicas": {}}})
    del one["metadata"]["managedFields"][1]["time"]
    assert changes_from_outside([one]) == ("The number of replicas of mnist-green was changed by kubectl.",)


def test_objects_without_a_record_are_unchanged() -> None:
    """Nothing is known of them."""
    assert changes_from_outside([service(Role.NEW, Release.GREEN, "mnist")]) == ()
