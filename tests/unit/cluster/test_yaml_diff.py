"""Objects as clean YAML, and what a change changes in it."""

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
from mnist_dash.cluster.yaml_diff import clean, difference, to_yaml
from mnist_dash.domain import HistoryEntry, ModelCheck, Release, Role

MODEL = ModelSpec(ModelCheck("gs://b/mnist", 1, (784,), 0.9), 2, "2026-01-02T03:04:05+00:00", "ann: Deploy")
KEY = b'{"private_key": "very secret"}'


def _deployment(replicas: int = 2) -> Object:
    model = ModelSpec(MODEL.check, replicas, MODEL.deployed_at, MODEL.cause)
    return deployment(Release.GREEN, model, "mnist", "tensorflow/serving:2.19.0", "")


def _ingresses(*what: str) -> list[Object]:
    history = tuple(HistoryEntry(1.0, "ann", one) for one in what)
    return IngressRoutes("my.example.com", "nginx", "mnist").objects(
        RouteConfig(20, RouteState(20, history=history))
    )


def _as_served(one: Object) -> Object:
    """The object as a server returns it: with defaults, in the order of the alphabet."""
    live = copy.deepcopy(one)
    live["metadata"] |= {
        "uid": "1",
        "resourceVersion": "2",
        "generation": 3,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [{"manager": "mnist-dash"}],
    }
    live["status"] = {"replicas": 2}
    match one["kind"]:
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


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: str(one["kind"]))
def test_what_the_server_adds_makes_no_difference(one: Object) -> None:
    """Only what the dashboard applies is shown."""
    assert difference(one, _as_served(one)) == ""
    assert to_yaml([_as_served(one)]) == to_yaml([one])


def test_a_difference_names_the_object_and_shows_both_values() -> None:
    """As a unified difference."""
    assert difference(_deployment(2), _as_served(_deployment(3))).splitlines() == [
        "--- Deployment/mnist-green (now)",
        "+++ Deployment/mnist-green (after)",
        "@@ -13,7 +13,7 @@",
        "     kubernetes.io/change-cause: 'ann: Deploy'",
        " spec:",
        "   progressDeadlineSeconds: 600",
        "-  replicas: 2",
        "+  replicas: 3",
        "   revisionHistoryLimit: 3",
        "   selector:",
        "     matchLabels:",
    ]


def test_an_object_that_is_made_or_deleted_is_shown_in_full() -> None:
    """Each line is added, or taken away."""
    lines = len(to_yaml([_deployment()]).splitlines())
    made = difference(None, _deployment()).splitlines()[3:]
    gone = difference(_deployment(), None).splitlines()[3:]
    assert [line[0] for line in made] == ["+"] * lines
    assert [line[0] for line in gone] == ["-"] * lines
    assert difference(None, None) == ""


def test_a_value_other_than_the_default_is_shown() -> None:
    """Somebody has set it."""
    other = _as_served(_deployment())
    other["spec"]["template"]["spec"]["dnsPolicy"] = "Default"
    assert "+      dnsPolicy: Default" in difference(_deployment(), other)


def test_a_key_file_is_never_shown() -> None:
    """Only whether it is another one."""
    before, after = secret(b"{}", "mnist"), secret(KEY, "mnist")
    shown = difference(before, after)
    assert f"+  key.json: sha256:{hashlib.sha256(KEY).hexdigest()}" in shown
    assert f"-  key.json: sha256:{hashlib.sha256(b'{}').hexdigest()}" in shown
    for text in (shown, to_yaml([after]), difference(None, {**after, "stringData": {"a": "very secret"}})):
        assert base64.b64encode(KEY).decode() not in text
        assert "very secret" not in text
    assert difference(after, copy.deepcopy(after)) == ""


def test_the_history_is_no_difference() -> None:
    """It changes with every change, and tells nothing of what is changed."""
    before, after = _ingresses("one")[1], _ingresses("one", "two")[1]
    assert before != after
    assert difference(before, after) == ""


def test_yaml_is_read_back_as_what_was_applied() -> None:
    """Strings stay strings: a weight of "20", a switch of "true"."""
    assert list(yaml.safe_load_all(to_yaml(OBJECTS))) == OBJECTS


def test_yaml_has_the_telling_keys_first() -> None:
    """As people write it."""
    text = to_yaml([_as_served(_deployment())])
    assert text.startswith("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: mnist-green\n")
    assert list(clean(_as_served(_deployment()))) == ["apiVersion", "kind", "metadata", "spec"]


def test_objects_are_documents_of_one_file() -> None:
    """In the order in which they are given, without references from one to another."""
    labels = {"a": "b"}
    shared: list[Object] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}} for name in "ab"
    ]
    text = to_yaml(shared)
    assert text.count("---\n") == 1
    assert "&" not in text
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(text)] == ["a", "b"]


def test_a_secret_is_a_comment_how_to_make_it() -> None:
    """An empty one would take the place of the real one."""
    text = to_yaml([secret(KEY, "mnist"), namespace("mnist")])
    assert "\n#   kubectl create secret generic mnist-gcs-credentials --namespace=mnist --from-file=" in text
    assert "#   kubectl label secret mnist-gcs-credentials" in text
    assert [one["kind"] for one in yaml.safe_load_all(text) if one] == ["Namespace"]


def test_what_is_cleaned_is_left_as_it_was() -> None:
    """The caller's objects are not changed."""
    live = _as_served(_deployment())
    before = copy.deepcopy(live)
    clean(live)
    difference(None, live)
    assert live == before
