"""What the dashboard's objects are called, and how they are labelled and annotated."""

from __future__ import annotations

from typing import Final

from mnist_dash.cluster.objects.kinds import Object
from mnist_dash.domain import Release, Role

FIELD_MANAGER: Final = "mnist-dash"
"""Who owns the fields that the dashboard applies."""
APP: Final = "mnist-dash"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
SELECTOR: Final = f"{MANAGED_BY}={APP}"
"""Lists what is the dashboard's, and nothing else."""
RELEASE_LABEL: Final = "mnist-dash/release"
NAME_LABEL: Final = "app.kubernetes.io/name"

SPLIT: Final = "mnist-dash/split"
SWAP: Final = "mnist-dash/swap"
CAN_UNDO: Final = "mnist-dash/can-undo"
HISTORY: Final = "mnist-dash/history"
DEPLOYED_AT: Final = "mnist-dash/deployed-at"
CHECKED: Final = "mnist-dash/checked"
CREDENTIALS_HASH: Final = "mnist-dash/credentials"
CHANGE_CAUSE: Final = "kubernetes.io/change-cause"

SECRET_NAME: Final = "mnist-gcs-credentials"
ROUTE_NAME: Final = "mnist"
CANARY_NAME: Final = "mnist-canary"
CONTAINER: Final = "tensorflow-serving"
REST_PORT: Final = 8501
GRPC_PORT: Final = 8500
PATH: Final = "/v1/models"
"""What the routes match, as a prefix; nothing is rewritten."""


def labels(component: str) -> dict[str, str]:
    """The recommended labels for one of the dashboard's objects."""
    return {
        NAME_LABEL: APP,
        "app.kubernetes.io/part-of": APP,
        MANAGED_BY: APP,
        "app.kubernetes.io/component": component,
    }


def deployment_name(release: Release) -> str:
    """The Deployment of a release."""
    return f"mnist-{release}"


def service_name(role: Role) -> str:
    """The Service of a role, whose selector points at a release."""
    return f"mnist-{role}"


def selector_of(release: Release) -> dict[str, str]:
    """The labels by which the Pods of a release are found."""
    return {NAME_LABEL: APP, RELEASE_LABEL: release.value}


def is_ours(one: Object) -> bool:
    """Whether an object carries the dashboard's label; what does not is never changed."""
    return bool((one["metadata"].get("labels") or {}).get(MANAGED_BY) == APP)
