"""Who set which field, by the server's record."""

from __future__ import annotations

from typing import Any

from mnist_dash.cluster.managed_fields import is_as_applied, owners_of
from mnist_dash.cluster.resources import Object

CONTAINER = '.spec.template.spec.containers[name="tensorflow-serving"]'
WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"


def _entry(manager: str, time: str, fields: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    entry = {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields}
    return entry | ({"time": time} if time else {}) | ({"subresource": subresource} if subresource else {})


def _container(**fields: Any) -> dict[str, Any]:
    inner = {'k:{"name":"tensorflow-serving"}': {".": {}, **fields}}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": inner}}}}


def _object(*entries: dict[str, Any]) -> Object:
    return {"kind": "Deployment", "metadata": {"name": "mnist-green", "managedFields": list(entries)}}


LIVE = _object(
    _entry("mnist-dash", "2026-01-02T03:00:00Z", _container(**{"f:image": {}, "f:name": {}})),
    _entry("kubectl-set", "2026-01-02T04:00:00Z", _container(**{"f:image": {}, "f:env": {"v:1": {}}})),
    _entry("kubectl", "", {"f:spec": {"f:replicas": {}}}, "scale"),
    _entry("kube-controller-manager", "2026-01-02T05:00:00Z", {"f:status": {"f:replicas": {}}}, "status"),
    _entry("helm", "2026-01-01T00:00:00Z", {"f:metadata": {"f:annotations": {f"f:{WEIGHT}": {}}}}),
    _entry("argo", "2026-01-03T00:00:00Z", {"f:metadata": {"f:annotations": {".": {}, f"f:{WEIGHT}": {}}}}),
)


def test_paths_are_written_as_in_a_conflict() -> None:
    """So that what the server says of a conflict can be looked up."""
    fields = {owner.manager: owner.fields for owner in owners_of(LIVE)}
    assert fields["mnist-dash"] == {f"{CONTAINER}.image", f"{CONTAINER}.name"}
    assert fields["kubectl-set"] == {f"{CONTAINER}.image", f"{CONTAINER}.env[=1]"}
    assert fields["argo"] == {f".metadata.annotations.{WEIGHT}"}


def test_list_items_with_several_keys_are_written_in_their_order() -> None:
    """Numbers without quotes."""
    ports: dict[str, Any] = {"f:spec": {"f:ports": {'k:{"protocol":"TCP","port":8501}': {"f:name": {}}}}}
    (owner,) = owners_of(_object(_entry("x", "", ports)))
    assert owner.fields == {'.spec.ports[port=8501,protocol="TCP"].name'}


def test_who_writes_the_status_owns_nothing() -> None:
    """It changes all the time."""
    assert "kube-controller-manager" not in {owner.manager for owner in owners_of(LIVE)}


def test_a_field_is_as_applied_while_the_dashboard_owns_it_too() -> None:
    """A server that keeps no record is believed."""
    assert is_as_applied(LIVE, f"{CONTAINER}.image")
    assert not is_as_applied(LIVE, ".spec.replicas")
    assert is_as_applied({"kind": "Deployment", "metadata": {"name": "x"}}, ".spec.replicas")
