"""The manifests that the dashboard applies, and the model specs read back from them, as pure functions."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from mnist_dash.cluster import resources
from mnist_dash.cluster.resources import Object, labels
from mnist_dash.domain import MODEL_NAME, ModelCheck, Release, Role

KEY_NAME: Final = "key.json"
KEY_FOLDER: Final = "/var/run/secrets/mnist-dash"
STATUS_PATH: Final = f"/v1/models/{MODEL_NAME}"
READY_PATH: Final = f"{STATUS_PATH}/metadata"
"""Answers 200 only once a version is loaded; the port is open before that."""
START_SECONDS: Final = 300
"""How long a model may take to load."""
LINGER_SECONDS: Final = 10
"""A Pod that is being deleted keeps answering for so long: controllers notice up to 5 s later."""
GRACE_SECONDS: Final = 30
UID: Final = 10001
"""An unprivileged user instead of the image's root."""
BASE_VARIABLE: Final = "MODEL_BASE_PATH"
"""The image serves the model in the folder `model` under this base."""


def pod_spec(release: Release, base: str, image: str, *, has_key: bool) -> Object:
    """Return the Pod spec of a release; with `has_key`, the Secret's key file is mounted."""
    scratch = {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}
    # Readable only by the group of the Pod's process.
    key = {"name": "credentials", "secret": {"secretName": resources.SECRET_NAME, "defaultMode": 0o440}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        # The image starts the server from a shell. As process 1 that would ignore SIGTERM, and the Pod would
        # keep its room until it is killed.
        "shareProcessNamespace": True,
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
                "labelSelector": {"matchLabels": resources.selector_of(release)},
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
        "name": resources.CONTAINER,
        "image": image,
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "ports": [
            {"name": "rest", "containerPort": resources.REST_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": resources.GRPC_PORT, "protocol": "TCP"},
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
        # Until the model is loaded, only this probe's limit may kill the server.
        "startupProbe": _probe(READY_PATH, period=1, timeout=2, failures=START_SECONDS),
        "readinessProbe": _probe(READY_PATH, period=2, timeout=5, failures=3),
        # A busy server answers late: only a minute without any answer counts as dead.
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
    """The model that a release runs."""

    check: ModelCheck
    replicas: int
    deployed_at: str
    """ISO time; it makes a re-deploy of the same base roll the Pods, which then read its folder again."""
    cause: str
    """The user and the change, as `kubectl rollout history` shows them."""


def namespace(name: str) -> Object:
    """Return the namespace of all objects."""
    metadata = {"name": name, "labels": labels("namespace")}
    return {"apiVersion": resources.NAMESPACE.api, "kind": resources.NAMESPACE.name, "metadata": metadata}


def secret(key: bytes, namespace: str) -> Object:
    """Return the Secret with the content of a Google key file."""
    return {
        **resources.head(resources.SECRET, resources.SECRET_NAME, namespace, "credentials"),
        "type": "Opaque",
        "data": {KEY_NAME: base64.b64encode(key).decode()},
    }


def key_hash(key: bytes) -> str:
    """Return a hash that identifies a key file without revealing it."""
    return hashlib.sha256(key).hexdigest()


def service(role: Role, release: Release, namespace: str) -> Object:
    """Return the Service of a role; its selector is the pointer to the release."""
    return {
        **resources.head(resources.SERVICE, resources.service_name(role), namespace, "model"),
        "spec": {
            "type": "ClusterIP",
            "selector": resources.selector_of(release),
            "ports": [
                {"name": name, "port": port, "protocol": "TCP", "targetPort": name}
                for name, port in (("rest", resources.REST_PORT), ("grpc", resources.GRPC_PORT))
            ],
        },
    }


def pointer_of(service: Object) -> Release | None:
    """Return the release that a Service selects, or None if it selects none."""
    label = (service.get("spec", {}).get("selector") or {}).get(resources.RELEASE_LABEL)
    return Release(label) if label in set(Release) else None


def deployment(release: Release, model: ModelSpec, namespace: str, image: str, key_hash: str) -> Object:
    """Return the Deployment of a release: TensorFlow Serving with its model.

    `key_hash` is that of the key in the Secret; empty where there is no key to mount.
    """
    head = resources.head(resources.DEPLOYMENT, resources.deployment_name(release), namespace, "model")
    head["metadata"]["labels"] |= {resources.RELEASE_LABEL: release.value}
    head["metadata"]["annotations"] = {resources.CHANGE_CAUSE: model.cause}
    check = json.dumps(asdict(model.check), ensure_ascii=False, separators=(",", ":"))
    annotations = {resources.DEPLOYED_AT: model.deployed_at, resources.CHECKED: check}
    annotations |= {resources.CREDENTIALS_HASH: key_hash} if key_hash else {}
    return {
        **head,
        "spec": {
            "replicas": model.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 2 * START_SECONDS,
            "selector": {"matchLabels": resources.selector_of(release)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": head["metadata"]["labels"], "annotations": annotations},
                "spec": pod_spec(release, model.check.base, image, has_key=bool(key_hash)),
            },
        },
    }


def disruption_budget(release: Release, namespace: str) -> Object:
    """Return the PodDisruptionBudget of a release: a drained node gives up one replica after the other.

    A single replica is given up at once, so that it never holds up a drain.
    """
    return {
        **resources.head(resources.DISRUPTION_BUDGET, resources.deployment_name(release), namespace, "model"),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": resources.selector_of(release)},
            # A replica that is not ready protects nobody.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def model_of(live: Object) -> ModelSpec | None:
    """Read back the model of a Deployment or a Pod of ours; None if it does not run TensorFlow Serving.

    The base is the container's. The result of the check counts only if it is about that base, and is left out
    if it cannot be read. A Pod is 1 replica.
    """
    spec: dict[str, Any] = live.get("spec") or {}
    pod = live if live.get("kind") == resources.POD.name else spec.get("template") or {}
    environment = (_server(pod.get("spec") or {}) or {}).get("env") or ()
    base = next((item.get("value", "") for item in environment if item["name"] == BASE_VARIABLE), None)
    if base is None:
        return None
    annotations = resources.annotations_of(pod)
    return ModelSpec(
        check=_read_check(annotations.get(resources.CHECKED, ""), base),
        replicas=spec.get("replicas", 1),
        deployed_at=annotations.get(resources.DEPLOYED_AT, ""),
        cause=resources.annotations_of(live).get(resources.CHANGE_CAUSE, ""),
    )


def release_of(live: Object) -> Release | None:
    """Return the release in the label of a Deployment or a Pod, or None if it has none."""
    label = resources.labels_of(live).get(resources.RELEASE_LABEL)
    return Release(label) if label in set(Release) else None


def image_of(deployment: Object) -> str:
    """Return the image that a Deployment runs; empty if it does not run TensorFlow Serving."""
    container = _server(deployment["spec"]["template"]["spec"])
    return str(container.get("image", "")) if container else ""


def _server(pod_spec: Object) -> Object | None:
    containers: Iterable[Object] = pod_spec.get("containers") or ()
    return next((container for container in containers if container["name"] == resources.CONTAINER), None)


def _read_check(text: str, base: str) -> ModelCheck:
    try:
        found = json.loads(text)
        check = ModelCheck(
            base=found["base"],
            version=None if found["version"] is None else int(found["version"]),
            input_shape=tuple(int(size) for size in found["input_shape"]),
            accuracy=None if found["accuracy"] is None else float(found["accuracy"]),
            digits=int(found["digits"]),  # an older check lacks keys: it is made again
            warnings=tuple(str(warning) for warning in found["warnings"]),
            unverified=str(found["unverified"]),
            signature=str(found["signature"]),
        )
    except (ArithmeticError, ValueError, KeyError, TypeError, RecursionError):
        check = None
    return check if check and check.base == base else ModelCheck(base, None, (), None)
