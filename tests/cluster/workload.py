"""The smallest set of objects with which the bed's own tests try it."""

from __future__ import annotations

from typing import Any

import urllib3

from tests.cluster.bed.api_server import Object
from tests.cluster.bed.bed import Bed, wait_until

PREDICT = "/v1/models/model:predict"
HEADER = "X-Mnist-Route"


def deployment(namespace: str, release: str, replicas: int = 1, **container: Any) -> Object:
    """Model servers of one release, which read `gs://<namespace>/mnist`."""
    labels = {"mnist-dash/release": release}
    probe = {"httpGet": {"path": "/v1/models/model", "port": 8501}, "periodSeconds": 1}
    serving = {
        "name": "serving",
        "image": "tensorflow/serving:2.19.1",
        "env": [{"name": "MODEL_BASE_PATH", "value": f"gs://{namespace}/mnist"}],
        "startupProbe": probe | {"failureThreshold": 120},
        "readinessProbe": probe,
        "livenessProbe": probe | {"failureThreshold": 10},
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"mnist-{release}", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"shareProcessNamespace": True, "containers": [serving | container]},
            },
        },
    }


def service(namespace: str, role: str, release: str) -> Object:
    """A role's Service, which points at a release."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"mnist-{role}", "namespace": namespace},
        "spec": {"selector": {"mnist-dash/release": release}, "ports": [{"name": "rest", "port": 8501}]},
    }


def ingress(namespace: str, host: str, role: str, weight: int | None = None) -> Object:
    """An Ingress to a role's Service; a canary if it has a weight."""
    prefix = "nginx.ingress.kubernetes.io"
    canary = {
        f"{prefix}/canary": "true",
        f"{prefix}/canary-weight": str(weight),
        f"{prefix}/canary-by-header": HEADER,
    }
    backend = {"service": {"name": f"mnist-{role}", "port": {"number": 8501}}}
    path = {"path": "/v1/models", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": f"mnist-{role}",
            "namespace": namespace,
            "annotations": {} if weight is None else canary,
        },
        "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": [path]}}]},
    }


def http_route(namespace: str, host: str, weight: int) -> Object:
    """A route of the bed's Gateway to both roles' Services."""
    gateway_namespace, _, gateway = Bed.gateway.partition("/")
    backends = [
        {"name": f"mnist-{role}", "port": 8501, "weight": share}
        for role, share in (("current", 100 - weight), ("new", weight))
    ]
    match = {"path": {"type": "PathPrefix", "value": "/v1/models"}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "mnist", "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": gateway, "namespace": gateway_namespace}],
            "hostnames": [host],
            "rules": [{"matches": [match], "backendRefs": backends}],
        },
    }


def pods(bed: Bed, namespace: str, release: str = "") -> list[Object]:
    """The Pods of a release that are not about to end."""
    query = {"labelSelector": f"mnist-dash/release={release}"} if release else {}
    listed = bed.api.get(f"/api/v1/namespaces/{namespace}/pods", **query)["items"]
    return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]


def container_of(pod: Object) -> Object:
    """The status of a Pod's container; empty if there is none yet."""
    found: list[Object] = pod.get("status", {}).get("containerStatuses", [])
    return found[0] if found else {"state": {}, "lastState": {}, "restartCount": 0, "ready": False}


def events(bed: Bed, namespace: str, reason: str) -> list[str]:
    """What the events with a reason say."""
    listed = bed.api.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return [event["message"] for event in listed if event["reason"] == reason]


def wait_ready(bed: Bed, namespace: str, release: str, replicas: int = 1) -> None:
    """Until a Deployment has rolled out."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/mnist-{release}"

    def is_rolled_out() -> bool:
        found = bed.api.get(path)
        status = found["status"]
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
        return (
            status.get("observedGeneration") == found["metadata"]["generation"] and counts == [replicas] * 3
        )

    wait_until(is_rolled_out, f"{release} is rolled out")


class Visitor:
    """Sends requests through an entrance."""

    def __init__(self, bed: Bed, host: str, entrance: str) -> None:
        secure = entrance == bed.entrances.ingress_tls
        trust = (
            {"ca_certs": str(bed.ca_file), "server_hostname": host, "assert_hostname": host} if secure else {}
        )
        self._pool = urllib3.PoolManager(timeout=5, retries=False, **trust)  # type: ignore[arg-type]  # of one kind each
        self._url = f"{'https' if secure else 'http'}://{entrance}{PREDICT}"
        self._host = host

    def ask(self, **headers: str) -> tuple[int, str]:
        """Predict a black picture; returns the status and who answered."""
        body = {"instances": [[[[0.0]] * 28] * 28]}
        sent = {"Host": self._host} | {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._pool.request("POST", self._url, json=body, headers=sent)
        return answer.status, answer.headers.get("X-Served-By", "")

    def is_answered_by(self, release: str, **headers: str) -> bool:
        """Whether a replica of that release gives the answer."""
        return self.ask(**headers)[1].startswith(f"release={release},")

    def new_share(self, requests: int) -> int:
        """How many of so many requests the green release has answered; all must be answered."""
        answers = [self.ask() for _ in range(requests)]
        assert {status for status, _ in answers} == {200}
        return sum(served_by.startswith("release=green,") for _, served_by in answers)
