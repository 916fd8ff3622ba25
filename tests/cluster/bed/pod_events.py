"""Events about a Pod, counted up as a kubelet does."""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC, datetime

import urllib3

from tests.cluster.bed.api_server import ApiServer, ApiServerError, Object


def now() -> str:
    """Return the current time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class PodEvents:
    """Records the events of one Pod; a repeated event is counted, not created again."""

    def __init__(self, api: ApiServer, pod: Object, node: str) -> None:
        self._api = api
        self._pod = pod
        self._node = node
        self._recorded: dict[tuple[str, str], tuple[str, int]] = {}

    def normal(self, reason: str, message: str) -> None:
        """Record an event of normal operation."""
        self._record("Normal", reason, message)

    def warning(self, reason: str, message: str) -> None:
        """Record an event of a failure."""
        self._record("Warning", reason, message)

    def _record(self, kind: str, reason: str, message: str) -> None:
        metadata = self._pod["metadata"]
        name, count = self._recorded.get((reason, message), (f"{metadata['name']}.{secrets.token_hex(8)}", 0))
        self._recorded[reason, message] = (name, count + 1)
        # A namespace that is being deleted takes no new events.
        with contextlib.suppress(ApiServerError, urllib3.exceptions.HTTPError):
            if count:
                path = f"/api/v1/namespaces/{metadata['namespace']}/events/{name}"
                self._api.patch(path, {"count": count + 1, "lastTimestamp": now()})
            else:
                self._api.create(self._event(name, kind, reason, message))

    def _event(self, name: str, kind: str, reason: str, message: str) -> Object:
        metadata = self._pod["metadata"]
        container = self._pod["spec"]["containers"][0]["name"]
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "fieldPath": f"spec.containers{{{container}}}",
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": about,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
