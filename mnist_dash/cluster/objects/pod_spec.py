"""The Pod of a release: TensorFlow Serving, as strictly confined as its image allows."""

from __future__ import annotations

from typing import Final

from mnist_dash.cluster.objects.kinds import Object
from mnist_dash.cluster.objects.names import CONTAINER, GRPC_PORT, REST_PORT, SECRET_NAME, selector_of
from mnist_dash.domain import MODEL_NAME, Release

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
