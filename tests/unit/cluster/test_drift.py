"""Which changes by others are reported as drift."""

from __future__ import annotations

from typing import Any

import pytest

from mnist_dash.cluster.drift import find_drift, is_as_applied, managers_of
from mnist_dash.cluster.manifests import service
from mnist_dash.cluster.resources import Object
from mnist_dash.domain import Release, Role

WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"
REPLICAS: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
RULES: dict[str, Any] = {"f:spec": {"f:rules": {}}}
OURS: dict[str, Any] = {"f:metadata": {"f:labels": {"f:app.kubernetes.io/managed-by": {}}}}


def _live(kind: str, fields: Any, *, manager: str = "kubectl", ours: Any = OURS, **content: Any) -> Object:
    """An object called `a` of which another manager set some fields."""
    managed = [
        {"manager": "mnist-dash", "time": "2026-01-01T00:00:00Z", "fieldsV1": ours},
        {"manager": manager, "time": "2026-01-02T04:05:06Z", "fieldsV1": fields},
    ]
    metadata = {"name": "a", "managedFields": managed} | content.pop("metadata", {})
    return {"kind": kind, "metadata": metadata, **content}


def _annotation(name: str) -> dict[str, Any]:
    return {"f:metadata": {"f:annotations": {f"f:{name}": {}}}}


def _container(fields: dict[str, Any]) -> dict[str, Any]:
    inner = {'k:{"name":"tensorflow-serving"}': fields}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": inner}}}}


@pytest.mark.parametrize(
    ("live", "fields"),
    [
        (_live("Deployment", REPLICAS, spec={"replicas": 4}), "spec.replicas (now 4)"),
        (
            _live("Ingress", _annotation(WEIGHT), metadata={"annotations": {WEIGHT: "70"}}),
            f"annotation {WEIGHT} (now 70)",
        ),
        (_live("HTTPRoute", RULES, spec={"rules": [{"matches": []}]}), "spec.rules"),
        (_live("Service", {"f:spec": {"f:selector": {}}}), "spec.selector"),
        (
            _live("Deployment", _container({"f:image": {}, "f:resources": {"f:limits": {"f:cpu": {}}}})),
            'spec.template.spec.containers[name="tensorflow-serving"].image and '
            'spec.template.spec.containers[name="tensorflow-serving"].resources.limits.cpu',
        ),
        (
            _live("Ingress", {"f:metadata": {"f:annotations": {f"f:mnist-dash/{c}": {} for c in "abcde"}}}),
            "annotation mnist-dash/a, annotation mnist-dash/b, annotation mnist-dash/c and 2 more",
        ),
    ],
    ids=["replicas", "weight", "rules", "selector", "container", "many"],
)
def test_drift_names_the_fields_their_values_the_manager_and_the_time(live: Object, fields: str) -> None:
    """The values only where they are short."""
    expected = f"kubectl changed {fields} of {live['kind']} a at 2026-01-02 04:05 UTC."
    assert find_drift([live]) == (expected,)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Deployment", _annotation("deployment.kubernetes.io/revision")),
        ("Deployment", {"f:spec": {"f:template": _annotation("kubectl.kubernetes.io/restartedAt")}}),
        ("Ingress", {"f:spec": {"f:tls": {}}}),
        ("Ingress", _annotation("cert-manager.io/cluster-issuer")),
        ("Service", _annotation("cloud.google.com/neg")),
    ],
)
def test_fields_that_the_dashboard_does_not_apply_are_no_drift(kind: str, fields: dict[str, Any]) -> None:
    """Controllers and people may add to its objects."""
    assert find_drift([_live(kind, fields)]) == ()


def test_a_field_that_the_dashboard_manages_too_is_no_drift() -> None:
    """GitOps that applies the same values changes nothing."""
    assert find_drift([_live("Deployment", REPLICAS, ours=REPLICAS)]) == ()


def test_a_field_in_a_container_that_the_dashboard_manages_may_drift() -> None:
    """Managing an item of a list is not managing all that is in it."""
    live = _live("Deployment", _container({"f:image": {}}), ours=_container({".": {}, "f:name": {}}))
    assert len(find_drift([live])) == 1


def test_an_object_that_another_manager_applied_is_reported_once() -> None:
    """Not field by field."""
    live = _live("Ingress", RULES, manager="argocd", ours={})
    assert find_drift([live]) == ("argocd applied Ingress a at 2026-01-02 04:05 UTC, not the dashboard.",)


def test_drift_without_a_time_is_reported_without_it() -> None:
    """`kubectl scale` leaves none."""
    live = _live("Deployment", REPLICAS)
    del live["metadata"]["managedFields"][1]["time"]
    assert find_drift([live]) == ("kubectl changed spec.replicas of Deployment a.",)


def test_objects_without_managed_fields_have_no_drift() -> None:
    """The server keeps no record of them."""
    assert find_drift([service(Role.NEW, Release.GREEN, "mnist")]) == ()


CONTAINER = '.spec.template.spec.containers[name="tensorflow-serving"]'


def _entry(manager: str, fields: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    return {"manager": manager, "fieldsV1": fields, "subresource": subresource}


CONTAINERS = [{"name": "sidecar"}, {"name": "tensorflow-serving", "image": "a:1"}]
LIVE: Object = {
    "kind": "Deployment",
    "metadata": {
        "annotations": {WEIGHT: "20"},
        "managedFields": [
            _entry("mnist-dash", _container({".": {}, "f:image": {}, "f:name": {}})),
            _entry("kubectl-set", _container({"f:image": {}, "f:env": {"v:1": {}}})),
            _entry("kubectl", {"f:spec": {"f:replicas": {}}}, "scale"),
            _entry("kube-controller-manager", {"f:status": {"f:replicas": {}}}, "status"),
            _entry("argo", {"f:metadata": {"f:annotations": {".": {}, f"f:{WEIGHT}": {}}}}),
            _entry("x", {"f:spec": {"f:ports": {'k:{"protocol":"TCP","port":8501}': {"f:name": {}}}}}),
        ],
    },
    "spec": {"replicas": 2, "template": {"spec": {"containers": CONTAINERS}}},
}


def test_fields_have_the_path_of_a_conflict_and_the_live_value() -> None:
    """None where the field is not there; the managers of the status, which always changes, are left out."""
    assert {manager.name: manager.fields for manager in managers_of(LIVE)} == {
        "mnist-dash": {f"{CONTAINER}.image": "a:1", f"{CONTAINER}.name": "tensorflow-serving"},
        "kubectl-set": {f"{CONTAINER}.image": "a:1", f"{CONTAINER}.env[=1]": 1},
        "kubectl": {".spec.replicas": 2},
        "argo": {f".metadata.annotations.{WEIGHT}": "20"},
        "x": {'.spec.ports[port=8501,protocol="TCP"].name': None},
    }


def test_a_field_is_as_applied_while_the_dashboard_manages_it_too() -> None:
    """Without a record it counts as applied."""
    assert is_as_applied(LIVE, f"{CONTAINER}.image")
    assert not is_as_applied(LIVE, ".spec.replicas")
    assert is_as_applied({"kind": "Deployment", "metadata": {"name": "x"}}, ".spec.replicas")
