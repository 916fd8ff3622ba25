"""Find what others have changed in our objects, from the server's record in `metadata.managedFields`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mnist_dash.cluster.resources import (
    CONTAINER,
    FIELD_MANAGER,
    NOTE_MANAGER,
    Object,
    describe_field,
    join_fields,
)

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
_LONGEST_VALUE: Final = 60


def find_drift(live: Sequence[Object]) -> tuple[str, ...]:
    """Return a sentence for each manager that changed an object: which fields, to what, who and when.

    `live` are the routes, Services and Deployments. A field that the dashboard manages as well has the value
    that it applied, and is not drift.
    """
    return tuple(sentence for item in live for sentence in _drift_of(item))


def _drift_of(live: Object) -> Iterator[str]:
    managers = managers_of(live)
    ours = [path for manager in managers if manager.name == FIELD_MANAGER for path in manager.fields]
    name = f"{live['kind']} {live['metadata']['name']}"
    for manager in managers:
        fields = [] if manager.name in (FIELD_MANAGER, NOTE_MANAGER) else _changed_fields(manager, ours)
        at = f" at {datetime.fromisoformat(manager.time):%Y-%m-%d %H:%M} UTC" if manager.time else ""
        if fields and not ours:
            yield f"{manager.name} applied {name}{at}, not the dashboard."
            return
        if fields:
            yield f"{manager.name} changed {join_fields(fields)} of {name}{at}."


def _changed_fields(manager: Manager, ours: Sequence[str]) -> list[str]:
    """Name the fields that the dashboard applies and only this manager manages, with short values."""
    return [
        describe_field(path) + (f" (now {value})" if _is_short(value) else "")
        for path, value in sorted(manager.fields.items())
        if path.startswith(_APPLIED) and not is_managed(path, ours)
    ]


def _is_short(value: Any) -> bool:
    return isinstance(value, str | int) and len(str(value)) <= _LONGEST_VALUE


@dataclass(frozen=True)
class Manager:
    """The fields that one manager has set."""

    name: str
    time: str
    """ISO time in UTC; empty if the server did not record it."""
    fields: Mapping[str, Any]
    """Paths as the server writes them in a conflict, such as `.spec.ports[port=80].name`, and live values."""


def managers_of(live: Object) -> list[Manager]:
    """Return the managers of all fields of an object but its status."""
    entries = [e for e in live["metadata"].get("managedFields") or () if e.get("subresource") != "status"]
    fields = [dict(_leaves(entry.get("fieldsV1") or {}, live)) for entry in entries]
    return [Manager(e.get("manager", ""), e.get("time", ""), f) for e, f in zip(entries, fields, strict=True)]


def is_as_applied(live: Object, path: str) -> bool:
    """Whether a field still has the value that the dashboard applied; True if the server has no record."""
    managers = [manager for manager in managers_of(live) if is_managed(path, manager.fields)]
    return not managers or FIELD_MANAGER in {manager.name for manager in managers}


def is_managed(path: str, fields: Iterable[str]) -> bool:
    """Whether a field, a part of it, or the atomic list or map around it is among these."""
    return any(_is_within(path, field) or _is_within(field, path) for field in fields)


def _is_within(path: str, outer: str) -> bool:
    return path == outer or (path.startswith(outer) and path[len(outer)] in ".[")


def _leaves(fields: Mapping[str, Any], live: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of each leaf of a FieldsV1 tree; its key `.` is the parent itself."""
    for key, below in fields.items():
        step, value = _step(key, live)
        if below:
            yield from _leaves(below, value, prefix + step)
        elif key != ".":
            yield prefix + step, value


def _step(key: str, live: Any) -> tuple[str, Any]:
    """Return the path to a field, or to an item of a list by its keys or value, and what is there."""
    kind, _, rest = key.partition(":")
    match kind:
        case "f":
            return f".{rest}", live.get(rest) if isinstance(live, dict) else None
        case "k":
            keys = dict(sorted(json.loads(rest).items()))
            items = live if isinstance(live, list) else ()
            item = next((item for item in items if keys.items() <= item.items()), None)
            return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in keys.items()) + "]", item
        case "v":
            return f"[={rest}]", json.loads(rest)
    return f"[{rest}]", None
