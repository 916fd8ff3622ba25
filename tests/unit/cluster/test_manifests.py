"""The objects that run the models."""

from __future__ import annotations

import base64
import copy
import json
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

CHECK = ModelCheck("gs://bucket/mnist", 3, (-1, 28, 28, 1), 0.98, ("It is large.",), "")
MODEL = ModelSpec(CHECK, replicas=2, deployed_at="2026-01-02T03:04:05+00:00", cause="ann: Deploy it")
IMAGE = "tensorflow/serving:2.19.0"


def _deployment(model: ModelSpec = MODEL, key: bytes | None = None) -> Object:
    return deployment(Release.GREEN, model, "mnist", IMAGE, key_hash(key) if key else "")


def _pod(one: Object) -> dict[str, Any]:
    spec: dict[str, Any] = one["spec"]["template"]["spec"]
    return spec


def _container(one: Object) -> dict[str, Any]:
    (container,) = _pod(one)["containers"]
    return dict(container)


def _env(one: Object) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in _container(one)["env"]}


def test_every_object_carries_the_label_by_which_it_is_known() -> None:
    """What does not is refused by name elsewhere."""
    objects = [namespace("mnist"), secret(b"{}", "mnist"), _deployment()]
    objects += [service(role, Release.BLUE, "mnist") for role in Role]
    assert all(is_ours(one) for one in objects)
    assert _deployment()["spec"]["template"]["metadata"]["labels"][MANAGED_BY] == "mnist-dash"


def test_a_key_file_is_encoded_once() -> None:
    """The older program did it twice, and no Pod could read it."""
    key = b'{"type": "service_account", "name": "\xc3\xa9"}\n'
    assert base64.b64decode(secret(key, "mnist")["data"]["key.json"]) == key


def test_the_selector_of_a_service_is_the_pointer_to_a_release() -> None:
    """It is read back from there, whichever role it is of."""
    for role in Role:
        for release in Release:
            assert pointer_of(service(role, release, "mnist")) is release


@pytest.mark.parametrize("selector", [None, {}, {"app": "x"}, {"mnist-dash/release": "red"}])
def test_a_selector_of_anything_else_points_at_no_release(selector: dict[str, str] | None) -> None:
    """Somebody else has changed it."""
    assert pointer_of({"metadata": {"name": "mnist-new"}, "spec": {"selector": selector}}) is None


def test_a_service_selects_the_pods_of_its_release_only() -> None:
    """The selector is a part of the labels of those Pods, and contradicts the other release's."""
    pods = _deployment()["spec"]["template"]["metadata"]["labels"].items()
    assert service(Role.NEW, Release.GREEN, "mnist")["spec"]["selector"].items() <= pods
    assert not service(Role.NEW, Release.BLUE, "mnist")["spec"]["selector"].items() <= pods


def test_a_deployment_finds_its_own_pods_by_its_selector() -> None:
    """The API server refuses it otherwise."""
    spec = _deployment()["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_tensorflow_serving_is_told_its_base_and_the_name_of_the_model() -> None:
    """The image looks in the folder `model` under the base."""
    assert _env(_deployment()) == {"MODEL_BASE_PATH": "gs://bucket/mnist", "MODEL_NAME": "model"}


def test_the_services_lead_to_the_named_ports_of_the_pods() -> None:
    """8501 speaks REST, 8500 gRPC."""
    container = {port["name"]: port["containerPort"] for port in _container(_deployment())["ports"]}
    ports = service(Role.NEW, Release.GREEN, "mnist")["spec"]["ports"]
    assert {port["targetPort"]: port["port"] for port in ports} == container == {"rest": 8501, "grpc": 8500}


def test_a_pod_is_ready_when_its_model_answers() -> None:
    """The metadata of a model that is not loaded is a 404, while the port is open already."""
    probes = _container(_deployment())
    for name in ("startupProbe", "readinessProbe"):
        assert probes[name]["httpGet"]["path"] == "/v1/models/model/metadata"
        assert probes[name]["httpGet"]["port"] == "rest"


def test_only_long_silence_kills_a_server() -> None:
    """A busy one answers late; one that still loads its model is not asked at all."""
    probe = _container(_deployment())["livenessProbe"]
    assert probe["httpGet"]["path"] == "/v1/models/model"
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 60
    startup = _container(_deployment())["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 300


def test_a_rolling_update_never_drops_below_the_wanted_replicas() -> None:
    """A new Pod comes before an old one goes."""
    rolling = _deployment()["spec"]["strategy"]["rollingUpdate"]
    assert (rolling["maxUnavailable"], rolling["maxSurge"]) == (0, 1)


def test_a_pod_that_is_taken_out_answers_until_everybody_knows() -> None:
    """ingress-nginx takes up to about 5 s; the grace period must not end the pause."""
    assert _container(_deployment())["lifecycle"] == {"preStop": {"sleep": {"seconds": LINGER_SECONDS}}}
    assert LINGER_SECONDS > 5
    assert _pod(_deployment())["terminationGracePeriodSeconds"] == GRACE_SECONDS > LINGER_SECONDS


def test_the_rollout_waits_longer_than_a_model_may_take_to_load() -> None:
    """Else a slow start would be told as a failed one."""
    startup = _container(_deployment())["startupProbe"]["failureThreshold"]
    assert _deployment()["spec"]["progressDeadlineSeconds"] > startup


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


def test_what_a_pod_may_use_is_limited() -> None:
    """And asked for, so that it is scheduled where there is room."""
    resources = _container(_deployment())["resources"]
    assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}


def test_a_key_is_mounted_read_only_and_named_to_the_server() -> None:
    """Its group may read it, and its hash rolls the Pods when it changes."""
    one = _deployment(key=b"{}")
    mount = next(m for m in _container(one)["volumeMounts"] if m["name"] == "credentials")
    volume = next(v for v in _pod(one)["volumes"] if v["name"] == "credentials")
    assert mount["readOnly"] is True
    assert _env(one)["GOOGLE_APPLICATION_CREDENTIALS"] == f"{mount['mountPath']}/key.json"
    assert volume["secret"] == {"secretName": "mnist-gcs-credentials", "defaultMode": 0o440}
    assert _pod(one)["securityContext"]["fsGroup"]
    assert one["spec"]["template"] != _deployment(key=b"{ }")["spec"]["template"]


def test_without_a_key_nothing_of_it_is_mounted() -> None:
    """Workload Identity or a public bucket then."""
    text = json.dumps(_deployment())
    assert "credentials" not in text
    assert "GOOGLE" not in text


def test_a_redeploy_of_an_unchanged_base_rolls() -> None:
    """TensorFlow Serving must read the folder anew."""
    later = ModelSpec(CHECK, 2, "2026-01-02T03:04:06+00:00", MODEL.cause)
    assert _deployment(later)["spec"]["template"] != _deployment()["spec"]["template"]


def test_a_change_of_replicas_alone_does_not_roll() -> None:
    """Who asked for it, and how many, are not in the Pods."""
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
    """Whatever was found of it."""
    model = ModelSpec(check, 2, MODEL.deployed_at, MODEL.cause)
    assert model_of(_deployment(model)) == model
    assert image_of(_deployment()) == IMAGE
    assert release_of(_deployment()) is Release.GREEN


def test_a_model_is_read_back_from_a_pod() -> None:
    """One replica, and nobody asked for it."""
    pod = {"kind": "Pod", **_deployment()["spec"]["template"]}
    assert model_of(pod) == ModelSpec(CHECK, 1, MODEL.deployed_at, "")
    assert release_of(pod) is Release.GREEN


def test_what_was_found_of_another_base_does_not_count() -> None:
    """Somebody changed the container's environment."""
    one = _deployment()
    one["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "gs://other/mnist"
    model = model_of(one)
    assert model
    assert model.check == ModelCheck("gs://other/mnist", None, (), None)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"base": "gs://bucket/mnist"}', '{"base":"gs://bucket/mnist","version":"x"}'],
)
def test_a_damaged_check_is_left_out(text: str) -> None:
    """The model itself is still told."""
    one = _deployment()
    one["spec"]["template"]["metadata"]["annotations"][CHECKED] = text
    model = model_of(one)
    assert model
    assert model.check == ModelCheck("gs://bucket/mnist", None, (), None)
    assert model.replicas == 2


@pytest.mark.parametrize("missing", ["annotations", "labels"])
def test_what_a_deployment_lacks_is_read_as_empty(missing: str) -> None:
    """Somebody removed it."""
    one = copy.deepcopy(_deployment())
    for metadata in (one["metadata"], one["spec"]["template"]["metadata"]):
        metadata.pop(missing)
    assert model_of(one)
    assert release_of(one) is (None if missing == "labels" else Release.GREEN)


def test_a_deployment_of_something_else_runs_no_model() -> None:
    """It has another container."""
    one = _deployment()
    one["spec"]["template"]["spec"]["containers"][0]["name"] = "nginx"
    assert model_of(one) is None
    assert image_of(one) == ""
