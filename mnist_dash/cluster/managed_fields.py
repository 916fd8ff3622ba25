"""Read which manager set which field of an object, from the server's record in `metadata.managedFields`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mnist_dash.cluster.resources import FIELD_MANAGER, Object


@dataclass(frozen=True)
class Manager:
    """The fields that one manager has set."""

    name: str
    time: str
    """ISO time in UTC; empty if the server did not record it."""
    fields: Mapping[str, Any]
    """Paths as the server writes them in a conflict, such as `.spec.ports[port=80].name`, and live values."""

    @property
    def is_dashboard(self) -> bool:
        """Whether these are the fields that the dashboard applied."""
        return self.name == FIELD_MANAGER


def managers_of(live: Object) -> list[Manager]:
    """Return the managers of all fields of an object but its status."""
    return [
        Manager(
            entry.get("manager", ""), entry.get("time", ""), dict(_leaves(entry.get("fieldsV1") or {}, live))
        )
        for entry in live["metadata"].get("managedFields") or ()
        if entry.get("subresource") != "status"
    ]


def is_as_applied(live: Object, path: str) -> bool:
    """Whether a field still has the value that the dashboard applied; True if the server has no record."""
    managers = [manager for manager in managers_of(live) if is_managed(path, manager.fields)]
    return not managers or any(manager.is_dashboard for manager in managers)


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
