"""The objects that run the models."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import asdict
from typing import Any

import pytest

from mnist_dash.cluster.manifests import (
    GRACE_SECONDS,
    LINGER_SECONDS,
    ModelSpec,
    deployment,
    image_of,
    key_hash,
    model_of,
    namespace,
    pointer_of,
    release_of,
    secret,
    service,
)
from mnist_dash.cluster.resources import CHECKED, MANAGED_BY, Object, is_ours
from mnist_dash.domain import ModelCheck, Release, Role

CHECK = ModelCheck("gs://bucket/mnist", 3, (-1, 28, 28, 1), 0.98, 2000, ("It is large.",))
MODEL = ModelSpec(CHECK, replicas=2, deployed_at="2026-01-02T03:04:05+00:00", cause="ann: Deploy it")
IMAGE = "tensorflow/serving:2.19.0"


def _deployment(model: ModelSpec = MODEL, key: bytes | None = None) -> Object:
    return deployment(Release.GREEN, model, "mnist", IMAGE, key_hash(key) if key else "")


def _pod(live: Object) -> dict[str, Any]:
    spec: dict[str, Any] = live["spec"]["template"]["spec"]
    return spec


def _container(live: Object) -> dict[str, Any]:
    (container,) = _pod(live)["containers"]
    return dict(container)


def _env(live: Object) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in _container(live)["env"]}


def test_every_object_carries_the_dashboards_label() -> None:
    """An object without it is never changed."""
    objects = [namespace("mnist"), secret(b"{}", "mnist"), _deployment()]
    objects += [service(role, Release.BLUE, "mnist") for role in Role]
    assert all(map(is_ours, objects))
    assert _deployment()["spec"]["template"]["metadata"]["labels"][MANAGED_BY] == "mnist-dash"


def test_a_key_file_is_encoded_once() -> None:
    """The older program did it twice, and no Pod could read it."""
    key = b'{"type": "service_account", "name": "\xc3\xa9"}\n'
    assert base64.b64decode(secret(key, "mnist")["data"]["key.json"]) == key


def test_the_selector_of_a_service_is_the_pointer_to_a_release() -> None:
    """It is read back from there, for both roles."""
    for role in Role:
        for release in Release:
            assert pointer_of(service(role, release, "mnist")) is release


@pytest.mark.parametrize("selector", [None, {}, {"app": "x"}, {"mnist-dash/release": "red"}])
def test_a_selector_of_anything_else_points_at_no_release(selector: dict[str, str] | None) -> None:
    """Another program has changed it."""
    assert pointer_of({"metadata": {"name": "mnist-new"}, "spec": {"selector": selector}}) is None


def test_selectors_match_the_pods_of_their_release_only() -> None:
    """Those of the Services, and of the Deployment itself."""
    spec = _deployment()["spec"]
    pods = spec["template"]["metadata"]["labels"].items()
    assert service(Role.NEW, Release.GREEN, "mnist")["spec"]["selector"].items() <= pods
    assert not service(Role.NEW, Release.BLUE, "mnist")["spec"]["selector"].items() <= pods
    assert spec["selector"]["matchLabels"].items() <= pods


def test_tensorflow_serving_gets_its_base_and_its_ports() -> None:
    """8501 speaks REST, 8500 gRPC; the Services lead to the ports by their names."""
    container = _container(_deployment())
    assert _env(_deployment()) == {"MODEL_BASE_PATH": "gs://bucket/mnist", "MODEL_NAME": "model"}
    own = {port["name"]: port["containerPort"] for port in container["ports"]}
    ports = service(Role.NEW, Release.GREEN, "mnist")["spec"]["ports"]
    assert {port["targetPort"]: port["port"] for port in ports} == own == {"rest": 8501, "grpc": 8500}
    assert container["resources"]["requests"].keys() == container["resources"]["limits"].keys()


def test_a_pod_is_ready_when_its_model_answers_and_only_long_silence_kills_it() -> None:
    """The metadata of a model that is not loaded is a 404, while the port is open already."""
    probes = _container(_deployment())
    startup, readiness, liveness = (probes[f"{name}Probe"] for name in ("startup", "readiness", "liveness"))
    for probe in (startup, readiness):
        assert probe["httpGet"] == {"path": "/v1/models/model/metadata", "port": "rest", "scheme": "HTTP"}
    assert liveness["httpGet"]["path"] == "/v1/models/model"
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
    assert startup["periodSeconds"] * startup["failureThreshold"] == 300
    assert _deployment()["spec"]["progressDeadlineSeconds"] > 300


def test_a_rolling_update_loses_no_request() -> None:
    """A new Pod comes before an old live goes, which answers for longer than controllers need to notice."""
    rolling = _deployment()["spec"]["strategy"]["rollingUpdate"]
    assert (rolling["maxUnavailable"], rolling["maxSurge"]) == (0, 1)
    assert _container(_deployment())["lifecycle"] == {"preStop": {"sleep": {"seconds": LINGER_SECONDS}}}
    assert LINGER_SECONDS > 5  # ingress-nginx takes up to about 5 s
    assert _pod(_deployment())["terminationGracePeriodSeconds"] == GRACE_SECONDS > LINGER_SECONDS


def test_a_pod_fits_the_restricted_pod_security_level() -> None:
    """No root, no privileges, no writable image, no account token."""
    pod, container = _pod(_deployment()), _container(_deployment())
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_a_key_is_mounted_read_only_and_named_to_the_server() -> None:
    """Its group may read it, and its hash rolls the Pods when it changes."""
    live = _deployment(key=b"{}")
    mount = next(m for m in _container(live)["volumeMounts"] if m["name"] == "credentials")
    volume = next(v for v in _pod(live)["volumes"] if v["name"] == "credentials")
    assert mount["readOnly"] is True
    assert _env(live)["GOOGLE_APPLICATION_CREDENTIALS"] == f"{mount['mountPath']}/key.json"
    assert volume["secret"] == {"secretName": "mnist-gcs-credentials", "defaultMode": 0o440}
    assert _pod(live)["securityContext"]["fsGroup"]
    assert live["spec"]["template"] != _deployment(key=b"{ }")["spec"]["template"]


def test_without_a_key_none_is_mounted() -> None:
    """The Pods then have Workload Identity, or the bucket is public."""
    text = json.dumps(_deployment())
    assert "credentials" not in text
    assert "GOOGLE" not in text


def test_a_redeploy_of_the_same_base_rolls_but_other_replicas_do_not() -> None:
    """TensorFlow Serving must read the folder again."""
    later = ModelSpec(CHECK, 2, "2026-01-02T03:04:06+00:00", MODEL.cause)
    assert _deployment(later)["spec"]["template"] != _deployment()["spec"]["template"]
    more = ModelSpec(CHECK, 5, MODEL.deployed_at, "bob: more")
    assert _deployment(more)["spec"]["template"] == _deployment()["spec"]["template"]


@pytest.mark.parametrize(
    "check",
    [
        CHECK,
        ModelCheck("gs://b/é 'x'", None, (), None, unverified="No permission to read it."),
        ModelCheck("gs://b/m", 1, (784,), 1.0),
    ],
)
def test_a_model_is_read_back_from_its_deployment(check: ModelCheck) -> None:
    """With any result of the check."""
    model = ModelSpec(check, 2, MODEL.deployed_at, MODEL.cause)
    assert model_of(_deployment(model)) == model
    assert image_of(_deployment()) == IMAGE
    assert release_of(_deployment()) is Release.GREEN


def test_a_model_is_read_back_from_a_pod() -> None:
    """As live replica, without a cause."""
    pod = {"kind": "Pod", **_deployment()["spec"]["template"]}
    assert model_of(pod) == ModelSpec(CHECK, 1, MODEL.deployed_at, "")
    assert release_of(pod) is Release.GREEN


def test_a_check_of_another_base_does_not_count() -> None:
    """Another program changed the container's environment."""
    live = _deployment()
    live["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "gs://other/mnist"
    model = model_of(live)
    assert model
    assert model.check == ModelCheck("gs://other/mnist", None, (), None)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"base": "gs://bucket/mnist"}', '{"base":"gs://bucket/mnist","version":"x"}']
    + [json.dumps({**asdict(CHECK), name: "x"}) for name in ("version", "accuracy", "digits", "input_shape")],
)
def test_a_damaged_check_is_left_out(text: str) -> None:
    """The model itself is still read."""
    live = _deployment()
    live["spec"]["template"]["metadata"]["annotations"][CHECKED] = text
    model = model_of(live)
    assert model
    assert model.check == ModelCheck("gs://bucket/mnist", None, (), None)
    assert model.replicas == 2


def test_a_check_on_an_unknown_number_of_digits_is_left_out() -> None:
    """Earlier versions tried 200 and did not say so; the model is checked again."""
    live = _deployment()
    found = asdict(CHECK)
    del found["digits"]
    live["spec"]["template"]["metadata"]["annotations"][CHECKED] = json.dumps(found)
    model = model_of(live)
    assert model
    assert model.check == ModelCheck("gs://bucket/mnist", None, (), None)


@pytest.mark.parametrize("missing", ["annotations", "labels"])
def test_missing_metadata_is_read_as_empty(missing: str) -> None:
    """Another program removed it."""
    live = copy.deepcopy(_deployment())
    for metadata in (live["metadata"], live["spec"]["template"]["metadata"]):
        metadata.pop(missing)
    assert model_of(live)
    assert release_of(live) is (None if missing == "labels" else Release.GREEN)


def test_a_deployment_of_something_else_runs_no_model() -> None:
    """Its container has another name."""
    live = _deployment()
    live["spec"]["template"]["spec"]["containers"][0]["name"] = "nginx"
    assert model_of(live) is None
    assert image_of(live) == ""
