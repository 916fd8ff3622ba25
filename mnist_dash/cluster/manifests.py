"""The manifests that the dashboard applies, as pure functions."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from mnist_dash.cluster.resources import (
    CHANGE_CAUSE,
    CHECKED,
    CONTAINER,
    CREDENTIALS_HASH,
    DEPLOYED_AT,
    DEPLOYMENT,
    GRPC_PORT,
    NAMESPACE,
    POD,
    RELEASE_LABEL,
    REST_PORT,
    SECRET,
    SECRET_NAME,
    SERVICE,
    Kind,
    Object,
    annotations_of,
    deployment_name,
    labels,
    labels_of,
    selector_of,
    service_name,
)
from mnist_dash.domain import MODEL_NAME, ModelCheck, Release, Role

KEY_NAME: Final = "key.json"
KEY_FOLDER: Final = "/var/run/secrets/mnist-dash"
STATUS_PATH: Final = f"/v1/models/{MODEL_NAME}"
READY_PATH: Final = f"{STATUS_PATH}/metadata"
"""Answered with 200 only when a version is loaded; the port is open before that."""
START_SECONDS: Final = 300
"""How long a model may take to be fetched and loaded."""
LINGER_SECONDS: Final = 10
"""A Pod that is taken out answers on for so long: controllers learn of it up to 5 s later."""
GRACE_SECONDS: Final = 30
UID: Final = 10001
"""Not the image's root, and nobody's in particular."""
BASE_VARIABLE: Final = "MODEL_BASE_PATH"
"""The image looks for the model in the folder `model` under it."""


def pod_spec(release: Release, base: str, image: str, *, has_key: bool) -> Object:
    """What the Pods of a release are; with `has_key`, the key file of the Secret is mounted."""
    scratch = {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}
    # Readable by the group that the Pod's process is in, and by nobody else.
    key = {"name": "credentials", "secret": {"secretName": SECRET_NAME, "defaultMode": 0o440}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector_of(release)},
            }
        ],
        "containers": [_container(base, image, has_key=has_key)],
        "volumes": [scratch, key] if has_key else [scratch],
    }


def _container(base: str, image: str, *, has_key: bool) -> Object:
    env = {BASE_VARIABLE: base, "MODEL_NAME": MODEL_NAME}
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]
    if has_key:
        env["GOOGLE_APPLICATION_CREDENTIALS"] = f"{KEY_FOLDER}/{KEY_NAME}"
        mounts.append({"name": "credentials", "mountPath": KEY_FOLDER, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": image,
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "ports": [
            {"name": "rest", "containerPort": REST_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": "200m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # Until the model is loaded, nothing but the time limit can kill the server.
        "startupProbe": _probe(READY_PATH, period=1, timeout=2, failures=START_SECONDS),
        "readinessProbe": _probe(READY_PATH, period=2, timeout=5, failures=3),
        # A busy server answers late: only a minute without any answer is death.
        "livenessProbe": _probe(STATUS_PATH, period=10, timeout=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": LINGER_SECONDS}}},
        "volumeMounts": mounts,
    }


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "rest", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "successThreshold": 1,
        "failureThreshold": failures,
    }


@dataclass(frozen=True)
class ModelSpec:
    """What one release runs."""

    check: ModelCheck
    replicas: int
    deployed_at: str
    """ISO time; it makes a re-deploy of an unchanged base roll, so that the folder is read anew."""
    cause: str
    """Who asked for what, as `kubectl rollout history` shows it."""


def namespace(name: str) -> Object:
    """The namespace in which everything lies."""
    return {
        "apiVersion": NAMESPACE.api,
        "kind": NAMESPACE.name,
        "metadata": {"name": name, "labels": labels("namespace")},
    }


def secret(key: bytes, namespace: str) -> Object:
    """The Secret with the content of a Google key file."""
    return {
        **_head(SECRET, SECRET_NAME, namespace, labels("credentials")),
        "type": "Opaque",
        "data": {KEY_NAME: base64.b64encode(key).decode()},
    }


def key_hash(key: bytes) -> str:
    """What tells one key file from another without giving it away."""
    return hashlib.sha256(key).hexdigest()


def service(role: Role, release: Release, namespace: str) -> Object:
    """The Service of a role; its selector is the pointer to the release."""
    return {
        **_head(SERVICE, service_name(role), namespace, labels("model")),
        "spec": {
            "type": "ClusterIP",
            "selector": selector_of(release),
            "ports": [
                {"name": name, "port": port, "protocol": "TCP", "targetPort": name}
                for name, port in (("rest", REST_PORT), ("grpc", GRPC_PORT))
            ],
        },
    }


def pointer_of(service: Object) -> Release | None:
    """The release that a Service selects, whatever else it asks for, or None if it selects none."""
    label = (service.get("spec", {}).get("selector") or {}).get(RELEASE_LABEL)
    return Release(label) if label in set(Release) else None


def deployment(release: Release, model: ModelSpec, namespace: str, image: str, key_hash: str) -> Object:
    """The Deployment of a release: TensorFlow Serving with its model.

    `key_hash` is that of the key in the Secret; empty where there is no key to mount.
    """
    head = _head(DEPLOYMENT, deployment_name(release), namespace, _labels(release))
    head["metadata"]["annotations"] = {CHANGE_CAUSE: model.cause}
    return {
        **head,
        "spec": {
            "replicas": model.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 2 * START_SECONDS,
            "selector": {"matchLabels": selector_of(release)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": _labels(release),
                    "annotations": _pod_annotations(model, key_hash),
                },
                "spec": pod_spec(release, model.check.base, image, has_key=bool(key_hash)),
            },
        },
    }


def _head(kind: Kind, name: str, namespace: str, labels: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": kind.api, "kind": kind.name, "metadata": metadata}


def _labels(release: Release) -> dict[str, str]:
    return {**labels("model"), RELEASE_LABEL: release.value}


def _pod_annotations(model: ModelSpec, key_hash: str) -> dict[str, str]:
    annotations = {DEPLOYED_AT: model.deployed_at, CHECKED: _checked(model.check)}
    return {**annotations, CREDENTIALS_HASH: key_hash} if key_hash else annotations


def _checked(check: ModelCheck) -> str:
    found = {
        "base": check.base,
        "version": check.version,
        "input_shape": list(check.input_shape),
        "accuracy": check.accuracy,
        "warnings": list(check.warnings),
        "unverified": check.unverified,
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def model_of(one: Object) -> ModelSpec | None:
    """What a Deployment or a Pod of ours runs, read back; None if it does not run TensorFlow Serving.

    The base is what the container is told. What was found by the check counts only if it was found of that
    base, and is left out if it cannot be read. A Pod is 1 replica.
    """
    spec: dict[str, Any] = one.get("spec") or {}
    pod = one if one.get("kind") == POD.name else spec.get("template") or {}
    base = _base(pod.get("spec") or {})
    if base is None:
        return None
    annotations = annotations_of(pod)
    return ModelSpec(
        check=_read_checked(annotations.get(CHECKED, ""), base),
        replicas=spec.get("replicas", 1),
        deployed_at=annotations.get(DEPLOYED_AT, ""),
        cause=annotations_of(one).get(CHANGE_CAUSE, ""),
    )


def release_of(one: Object) -> Release | None:
    """The release that a Deployment or a Pod belongs to by its label, or None if it has none."""
    label = labels_of(one).get(RELEASE_LABEL)
    return Release(label) if label in set(Release) else None


def image_of(deployment: Object) -> str:
    """The image that a Deployment runs; empty if it runs no TensorFlow Serving."""
    container = _serving(deployment["spec"]["template"]["spec"])
    return str(container.get("image", "")) if container else ""


def _serving(pod_spec: Object) -> Object | None:
    containers: Iterable[Object] = pod_spec.get("containers") or ()
    return next((one for one in containers if one["name"] == CONTAINER), None)


def _base(pod_spec: Object) -> str | None:
    container = _serving(pod_spec) or {}
    return next(
        (one.get("value", "") for one in container.get("env") or () if one["name"] == BASE_VARIABLE), None
    )


def _read_checked(text: str, base: str) -> ModelCheck:
    try:
        found = json.loads(text)
        check = ModelCheck(
            base=found["base"],
            version=None if found["version"] is None else int(found["version"]),
            input_shape=tuple(int(size) for size in found["input_shape"]),
            accuracy=None if found["accuracy"] is None else float(found["accuracy"]),
            warnings=tuple(str(warning) for warning in found["warnings"]),
            unverified=str(found.get("unverified", "")),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        check = ModelCheck("", None, (), None)
    return check if check.base == base else ModelCheck(base, None, (), None)
