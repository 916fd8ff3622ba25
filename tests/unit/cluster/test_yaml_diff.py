"""Objects as clean YAML, and the difference that a change makes."""

from __future__ import annotations

import base64
import copy
import hashlib

import pytest
import yaml

from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.manifests import ModelSpec, deployment, namespace, secret, service
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_state import RouteConfig, RouteState
from mnist_dash.cluster.yaml_diff import clean, diff_yaml, to_yaml
from mnist_dash.domain import HistoryEntry, ModelCheck, Release, Role

MODEL = ModelSpec(
    ModelCheck("gs://b/mnist", 1, (784,), 0.9, 2000), 2, "2026-01-02T03:04:05+00:00", "ann: Deploy"
)
KEY = b'{"private_key": "very secret"}'


def _deployment(replicas: int = 2) -> Object:
    model = ModelSpec(MODEL.check, replicas, MODEL.deployed_at, MODEL.cause)
    return deployment(Release.GREEN, model, "mnist", "tensorflow/serving:2.19.0", "")


def _ingresses(*changes: str) -> list[Object]:
    history = tuple(HistoryEntry(1.0, "ann", change) for change in changes)
    return IngressRoutes("my.example.com", "nginx", "mnist").objects(
        RouteConfig(20, RouteState(20, history=history))
    )


def _as_served(applied: Object) -> Object:
    """Return the object as the server does: with defaults, in alphabetical order."""
    live = copy.deepcopy(applied)
    live["metadata"] |= {
        "uid": "1",
        "resourceVersion": "2",
        "generation": 3,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [{"manager": "mnist-dash"}],
    }
    live["status"] = {"replicas": 2}
    match applied["kind"]:
        case "Deployment":
            live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "4"
            live["spec"]["template"]["spec"] |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always"}
            live["spec"]["template"]["spec"]["containers"][0] |= {
                "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        case "Service":
            live["spec"] |= {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "sessionAffinity": "None"}
            live["spec"] |= {"ipFamilies": ["IPv4"], "internalTrafficPolicy": "Cluster"}
        case "Namespace":
            live["metadata"]["labels"]["kubernetes.io/metadata.name"] = "mnist"
            live["spec"] = {"finalizers": ["kubernetes"]}
    return {key: live[key] for key in sorted(live)}


OBJECTS = [namespace("mnist"), _deployment(), service(Role.NEW, Release.GREEN, "mnist"), *_ingresses("one")]


@pytest.mark.parametrize("applied", OBJECTS, ids=lambda applied: str(applied["kind"]))
def test_fields_that_the_server_adds_make_no_difference(applied: Object) -> None:
    """Only those that the dashboard applies are shown."""
    assert diff_yaml(applied, _as_served(applied)) == ""
    assert to_yaml([_as_served(applied)]) == to_yaml([applied])


def test_a_difference_names_the_object_and_shows_both_values() -> None:
    """As a unified difference."""
    shown = diff_yaml(_deployment(2), _as_served(_deployment(3))).splitlines()
    assert shown[:2] == ["--- Deployment/mnist-green (now)", "+++ Deployment/mnist-green (after)"]
    assert [line for line in shown[2:] if line[0] in "+-"] == ["-  replicas: 2", "+  replicas: 3"]


def test_a_created_or_deleted_object_is_shown_in_full() -> None:
    """Each line is added, or removed."""
    lines = len(to_yaml([_deployment()]).splitlines())
    created = diff_yaml(None, _deployment()).splitlines()[3:]
    deleted = diff_yaml(_deployment(), None).splitlines()[3:]
    assert [line[0] for line in created] == ["+"] * lines
    assert [line[0] for line in deleted] == ["-"] * lines
    assert diff_yaml(None, None) == ""


def test_a_value_other_than_the_default_is_shown() -> None:
    """Another manager has set it."""
    other = _as_served(_deployment())
    other["spec"]["template"]["spec"]["dnsPolicy"] = "Default"
    assert "+      dnsPolicy: Default" in diff_yaml(_deployment(), other)


def test_a_key_file_is_never_shown() -> None:
    """Only its hash is, which shows whether it is another key."""
    before, after = secret(b"{}", "mnist"), secret(KEY, "mnist")
    shown = diff_yaml(before, after)
    assert f"+  key.json: sha256:{hashlib.sha256(KEY).hexdigest()}" in shown
    assert f"-  key.json: sha256:{hashlib.sha256(b'{}').hexdigest()}" in shown
    for text in (shown, to_yaml([after]), diff_yaml(None, {**after, "stringData": {"a": "very secret"}})):
        assert base64.b64encode(KEY).decode() not in text
        assert "very secret" not in text
    assert diff_yaml(after, copy.deepcopy(after)) == ""


def test_the_history_is_no_difference() -> None:
    """It changes with every change."""
    before, after = _ingresses("one")[1], _ingresses("one", "two")[1]
    assert before != after
    assert diff_yaml(before, after) == ""


def test_yaml_reads_back_as_the_applied_objects() -> None:
    """Strings stay strings: a weight of "20", a switch of "true"."""
    assert list(yaml.safe_load_all(to_yaml(OBJECTS))) == OBJECTS


def test_yaml_has_the_important_keys_first() -> None:
    """As people write it."""
    text = to_yaml([_as_served(_deployment())])
    assert text.startswith("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: mnist-green\n")
    assert list(clean(_as_served(_deployment()))) == ["apiVersion", "kind", "metadata", "spec"]


def test_yaml_has_no_references_between_objects() -> None:
    """Equal parts are written out in each document."""
    labels = {"a": "b"}
    text = to_yaml({"kind": "Service", "metadata": {"name": name, "labels": labels}} for name in "ab")
    assert text.count("---\n") == 1
    assert "&" not in text


def test_a_secret_becomes_a_comment_that_says_how_to_create_it() -> None:
    """An empty one would take the place of the real one."""
    text = to_yaml([secret(KEY, "mnist"), namespace("mnist")])
    assert "\n#   kubectl create secret generic mnist-gcs-credentials --namespace=mnist --from-file=" in text
    assert "#   kubectl label secret mnist-gcs-credentials" in text
    assert [item["kind"] for item in yaml.safe_load_all(text) if item] == ["Namespace"]
