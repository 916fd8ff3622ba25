"""The cluster's events: which of them concern an object, and each as a sentence with its time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from mnist_dash.cluster.observation import seconds
from mnist_dash.cluster.resources import Object, name_of

MOST = 30
"""So many sentences are told of one object."""


def events_about(events: Sequence[Object], one: Object) -> list[Object]:
    """The events about an object, newest first.

    Those about an earlier object of the same name are left out. To a Deployment belongs what befell its
    ReplicaSets, which are named after it.
    """
    found = [event for event in events if _is_about(event.get("involvedObject") or {}, one)]
    return sorted(found, key=happened_at, reverse=True)


def _is_about(about: Object, one: Object) -> bool:
    kind, name, uid = one["kind"], name_of(one), one["metadata"].get("uid")
    if kind == "Deployment" and about.get("kind") == "ReplicaSet":
        return str(about.get("name", "")).rpartition("-")[0] == name
    same = about.get("kind") == kind and about.get("name") == name
    return same and (not uid or about.get("uid") in (None, "", uid))


def happened_at(event: Object) -> float:
    """When it last happened, in seconds since the epoch."""
    series = event.get("series") or {}
    stamps = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
        event.get("metadata", {}).get("creationTimestamp"),
    )
    return next((seconds(stamp) for stamp in stamps if stamp), 0.0)


def in_words(event: Object) -> str:
    """`2026-08-07 14:03:22 UTC, FailedScheduling: 0/3 nodes are available ... (4 times)`."""
    times = int((event.get("series") or {}).get("count") or event.get("count") or 1)
    when = datetime.fromtimestamp(happened_at(event), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    said = " ".join(str(event.get("message", "")).split())
    return f"{when}, {event.get('reason', '')}: {said}" + (f" ({times} times)" if times > 1 else "")


def sentences(events: Sequence[Object], one: Object) -> tuple[str, ...]:
    """What happened to an object, newest first."""
    return tuple(in_words(event) for event in events_about(events, one)[:MOST])
