"""The cluster's events, parsed: which of them concern an object, and each as a sentence with its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mnist_dash.cluster.resources import Object, parse_time

MAX_SENTENCES = 30
"""Events shown for one object."""


@dataclass(frozen=True)
class KubernetesEvent:
    """One event, with the object that it concerns."""

    kind: str
    name: str
    uid: str
    reason: str
    message: str
    at: float
    """When it last happened, in seconds since the epoch."""
    count: int = 1

    @classmethod
    def from_object(cls, live: Object) -> KubernetesEvent:
        """Parse an Event of either API, `v1` (count) or `events.k8s.io` (series)."""
        about, series = live.get("involvedObject") or {}, live.get("series") or {}
        stamps = (
            series.get("lastObservedTime"),
            *map(live.get, ("lastTimestamp", "eventTime", "firstTimestamp")),
        )
        created = live.get("metadata", {}).get("creationTimestamp")
        return cls(
            kind=about.get("kind", ""),
            name=about.get("name", ""),
            uid=about.get("uid") or "",
            reason=live.get("reason") or "",
            message=" ".join(str(live.get("message") or "").split()),
            at=parse_time(next(filter(None, stamps), created)),
            count=int(series.get("count") or live.get("count") or 1),
        )

    def concerns(self, kind: str, name: str, uid: str) -> bool:
        """Whether it is about this very object, or about a ReplicaSet of this Deployment."""
        if kind == "Deployment" and self.kind == "ReplicaSet":
            return self.name.rpartition("-")[0] == name
        return (self.kind, self.name) == (kind, name) and (not uid or self.uid in ("", uid))

    def __str__(self) -> str:
        """`2026-08-07 14:03:22 UTC, FailedScheduling: 0/3 nodes are available ... (4 times)`."""
        when = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{when}, {self.reason}: {self.message}{times}"


def events_about(events: Sequence[KubernetesEvent], kind: str, name: str, uid: str) -> list[KubernetesEvent]:
    """The events about an object, newest first."""
    found = [event for event in events if event.concerns(kind, name, uid)]
    return sorted(found, key=lambda event: event.at, reverse=True)
