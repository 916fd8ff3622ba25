"""Kinds, names, labels and annotations of the Kubernetes objects in use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from mnist_dash.domain import Release, Role

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as plain data, as it stands in YAML."""


@dataclass(frozen=True)
class Kind:
    """One kind of object, and under which path the API server has it."""

    api: str
    """Its group and version, as in `apiVersion`."""
    name: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Its API group; empty for the core group."""
        return self.api.rpartition("/")[0]

    def path(self, namespace: str, name: str = "") -> str:
        """The path of one object, or of all in a namespace."""
        root = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        where = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{root}{where}/{self.plural}" + (f"/{name}" if name else "")


NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
SECRET = Kind("v1", "Secret", "secrets")
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
SERVICE = Kind("v1", "Service", "services")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
INGRESS_CLASS = Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False)
GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
KINDS = (
    NAMESPACE,
    SECRET,
    POD,
    EVENT,
    SERVICE,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    INGRESS,
    INGRESS_CLASS,
    GATEWAY,
    HTTP_ROUTE,
)


def kind_of(one: Object) -> Kind:
    """The kind of an object by its `apiVersion` and `kind`; raises KeyError if it is none of those above."""
    return {(kind.api, kind.name): kind for kind in KINDS}[one["apiVersion"], one["kind"]]


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


def name_of(one: Object) -> str:
    """The name of any object."""
    return str(one["metadata"]["name"])


def labels_of(one: Object) -> dict[str, str]:
    """The labels of any object or Pod template; none is an empty dictionary."""
    return (one.get("metadata") or {}).get("labels") or {}


def annotations_of(one: Object) -> dict[str, str]:
    """The annotations of any object or Pod template; none is an empty dictionary."""
    return (one.get("metadata") or {}).get("annotations") or {}


def describe_field(path: str) -> str:
    """Return `spec.replicas` for `.spec.replicas`, and `annotation a/b` for `.metadata.annotations.a/b`."""
    return re.sub(r"^\.metadata\.(annotation|label)s\.", r"\1 ", path).removeprefix(".")
