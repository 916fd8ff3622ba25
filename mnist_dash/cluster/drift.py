"""Find what others have changed in the objects that the dashboard applies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from mnist_dash.cluster.managed_fields import Manager, is_managed, managers_of
from mnist_dash.cluster.resources import CONTAINER, Object, describe_field

_APPLIED: Final = (
    ".metadata.labels.app.kubernetes.io/",
    ".metadata.labels.mnist-dash/",
    ".metadata.annotations.mnist-dash/",
    ".metadata.annotations.nginx.ingress.kubernetes.io/canary",
    ".spec.replicas",
    f'.spec.template.spec.containers[name="{CONTAINER}"]',
    ".spec.template.spec.securityContext",
    ".spec.selector",
    ".spec.ports",
    ".spec.ingressClassName",
    ".spec.rules",
    ".spec.parentRefs",
    ".spec.hostnames",
)
"""The starts of the paths that the dashboard applies; other fields are left to others (TLS, restarts)."""
_MOST_FIELDS: Final = 3
_LONGEST_VALUE: Final = 60


def find_drift(live: Sequence[Object]) -> tuple[str, ...]:
    """Return a sentence for each manager that changed an object: which fields, to what, who and when.

    `live` are the routes, Services and Deployments. A field that the dashboard manages as well has the value
    that it applied, and is not drift.
    """
    return tuple(sentence for item in live for sentence in _drift_of(item))


def _drift_of(live: Object) -> Iterator[str]:
    managers = managers_of(live)
    ours = [path for manager in managers if manager.is_dashboard for path in manager.fields]
    name = f"{live['kind']} {live['metadata']['name']}"
    for manager in managers:
        fields = [] if manager.is_dashboard else _changed_fields(manager, ours)
        at = f" at {_minute(manager.time)}" if manager.time else ""
        if fields and not ours:
            yield f"{manager.name} applied {name}{at}, not the dashboard."
            return
        if fields:
            yield f"{manager.name} changed {_join(fields)} of {name}{at}."


def _changed_fields(manager: Manager, ours: Sequence[str]) -> list[str]:
    """Name the fields that the dashboard applies and only this manager manages, with short values."""
    return [
        f"{describe_field(path)} (now {value})" if _is_short(value) else describe_field(path)
        for path, value in sorted(manager.fields.items())
        if path.startswith(_APPLIED) and not is_managed(path, ours)
    ]


def _is_short(value: Any) -> bool:
    return isinstance(value, str | int) and len(str(value)) <= _LONGEST_VALUE


def _join(fields: Sequence[str]) -> str:
    if len(fields) > _MOST_FIELDS:
        fields = [*fields[:_MOST_FIELDS], f"{len(fields) - _MOST_FIELDS} more fields"]
    return " and ".join(filter(None, [", ".join(fields[:-1]), fields[-1]]))


def _minute(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
