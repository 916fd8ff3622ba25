"""Which manager set which field, by the server's record."""

from __future__ import annotations

from typing import Any

from mnist_dash.cluster.managed_fields import is_as_applied, managers_of
from mnist_dash.cluster.resources import Object

CONTAINER = '.spec.template.spec.containers[name="tensorflow-serving"]'
WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"


def _entry(manager: str, fields: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    return {"manager": manager, "fieldsV1": fields, "subresource": subresource}


def _container(**fields: Any) -> dict[str, Any]:
    inner = {'k:{"name":"tensorflow-serving"}': {".": {}, **fields}}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": inner}}}}


CONTAINERS = [{"name": "sidecar"}, {"name": "tensorflow-serving", "image": "a:1"}]
LIVE: Object = {
    "kind": "Deployment",
    "metadata": {
        "annotations": {WEIGHT: "20"},
        "managedFields": [
            _entry("mnist-dash", _container(**{"f:image": {}, "f:name": {}})),
            _entry("kubectl-set", _container(**{"f:image": {}, "f:env": {"v:1": {}}})),
            _entry("kubectl", {"f:spec": {"f:replicas": {}}}, "scale"),
            _entry("kube-controller-manager", {"f:status": {"f:replicas": {}}}, "status"),
            _entry("argo", {"f:metadata": {"f:annotations": {".": {}, f"f:{WEIGHT}": {}}}}),
            _entry("x", {"f:spec": {"f:ports": {'k:{"protocol":"TCP","port":8501}': {"f:name": {}}}}}),
        ],
    },
    "spec": {"replicas": 2, "template": {"spec": {"containers": CONTAINERS}}},
}


def test_fields_have_the_path_of_a_conflict_and_the_live_value() -> None:
    """So that a conflict that the server reports can be looked up; None where the field is not there."""
    fields = {manager.name: manager.fields for manager in managers_of(LIVE)}
    assert fields["mnist-dash"] == {f"{CONTAINER}.image": "a:1", f"{CONTAINER}.name": "tensorflow-serving"}
    assert fields["kubectl-set"] == {f"{CONTAINER}.image": "a:1", f"{CONTAINER}.env[=1]": 1}
    assert fields["kubectl"] == {".spec.replicas": 2}
    assert fields["argo"] == {f".metadata.annotations.{WEIGHT}": "20"}
    assert fields["x"] == {'.spec.ports[port=8501,protocol="TCP"].name': None}


def test_managers_of_the_status_are_left_out() -> None:
    """It changes all the time."""
    assert "kube-controller-manager" not in {manager.name for manager in managers_of(LIVE)}


def test_a_field_is_as_applied_while_the_dashboard_manages_it_too() -> None:
    """Without a record it counts as applied."""
    assert is_as_applied(LIVE, f"{CONTAINER}.image")
    assert not is_as_applied(LIVE, ".spec.replicas")
    assert is_as_applied({"kind": "Deployment", "metadata": {"name": "x"}}, ".spec.replicas")
