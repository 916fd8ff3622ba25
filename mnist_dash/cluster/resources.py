"""Kinds, names, labels and annotations of the Kubernetes objects in use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from mnist_dash.domain import Release, Role

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as plain data, as in YAML."""


@dataclass(frozen=True)
class Kind:
    """One kind of object, with its path at the API server."""

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
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
INGRESS_CLASS = Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False)
GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
_APPLIED = {
    kind.name: kind
    for kind in (NAMESPACE, SECRET, SERVICE, DEPLOYMENT, DISRUPTION_BUDGET, INGRESS, HTTP_ROUTE)
}


def kind_of(manifest: Object) -> Kind:
    """The kind of an object that the dashboard applies; raises KeyError for any other."""
    return _APPLIED[manifest["kind"]]


FIELD_MANAGER: Final = "mnist-dash"
"""The owner of the fields that the dashboard applies."""
NOTE_MANAGER: Final = "mnist-dash-note"
"""The owner of the note alone: writing it must not adopt what others changed in the route."""
APP: Final = "mnist-dash"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
SELECTOR: Final = f"{MANAGED_BY}={APP}"
"""The label selector of the dashboard's own objects."""
RELEASE_LABEL: Final = "mnist-dash/release"
NAME_LABEL: Final = "app.kubernetes.io/name"

SPLIT: Final = "mnist-dash/split"
SWAP: Final = "mnist-dash/swap"
CAN_UNDO: Final = "mnist-dash/can-undo"
SPLIT_BEFORE: Final = "mnist-dash/split-before-promotion"
HISTORY: Final = "mnist-dash/history"
NOTE: Final = "mnist-dash/note"
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
"""The path prefix that the routes match; nothing is rewritten."""


def labels(component: str) -> dict[str, str]:
    """The recommended labels for one of the dashboard's objects."""
    return {
        NAME_LABEL: APP,
        "app.kubernetes.io/part-of": APP,
        MANAGED_BY: APP,
        "app.kubernetes.io/component": component,
    }


def head(kind: Kind, name: str, namespace: str, component: str) -> Object:
    """The start of a manifest, with the recommended labels."""
    metadata = {"name": name, "namespace": namespace, "labels": labels(component)}
    return {"apiVersion": kind.api, "kind": kind.name, "metadata": metadata}


def is_same(first: Object, second: Object) -> bool:
    """Whether both are states of one object of the namespace."""
    return (first["kind"], name_of(first)) == (second["kind"], name_of(second))


def note_of(live: Object | None) -> str:
    """The note on the object that keeps the state; empty if there is none."""
    return annotations_of(live).get(NOTE, "") if live else ""


def with_note(live: Object, text: str) -> Object:
    """What to apply as `NOTE_MANAGER` to an object, if that has not changed meanwhile."""
    metadata = {name: live["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
    head = {"apiVersion": live["apiVersion"], "kind": live["kind"]}
    return {**head, "metadata": {**metadata, "annotations": {NOTE: text}}}


def deployment_name(release: Release) -> str:
    """The Deployment of a release."""
    return f"mnist-{release}"


def service_name(role: Role) -> str:
    """The Service of a role, whose selector points at a release."""
    return f"mnist-{role}"


def selector_of(release: Release) -> dict[str, str]:
    """The labels that select the Pods of a release."""
    return {NAME_LABEL: APP, RELEASE_LABEL: release.value}


def parse_time(stamp: str | None) -> float:
    """A time as Kubernetes writes it, in seconds since the epoch; 0 for none."""
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


def is_ours(live: Object) -> bool:
    """Whether an object carries the dashboard's label; any other is never changed."""
    return labels_of(live).get(MANAGED_BY) == APP


def name_of(live: Object) -> str:
    """The name of any object."""
    return str(live["metadata"]["name"])


def labels_of(live: Object) -> dict[str, str]:
    """The labels of any object or Pod template; none is an empty dictionary."""
    return (live.get("metadata") or {}).get("labels") or {}


def annotations_of(live: Object) -> dict[str, str]:
    """The annotations of any object or Pod template; none is an empty dictionary."""
    return (live.get("metadata") or {}).get("annotations") or {}


def join_fields(fields: Sequence[str]) -> str:
    """Join up to 3 fields as in a sentence: `a, b, c and 2 more`."""
    shown = [*fields[:3], f"{len(fields) - 3} more"] if len(fields) > 3 else fields
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def describe_field(path: str) -> str:
    """Return `spec.replicas` for `.spec.replicas`, and `annotation a/b` for `.metadata.annotations.a/b`."""
    return re.sub(r"^\.metadata\.(annotation|label)s\.", r"\1 ", path).removeprefix(".")
