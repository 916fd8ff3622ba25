"""Who set which field of an object, by the server's own record in `metadata.managedFields`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mnist_dash.cluster.resources import FIELD_MANAGER, Object


@dataclass(frozen=True)
class Owner:
    """A manager's record of the fields that it set."""

    manager: str
    time: str
    """ISO time in UTC; empty if the server did not record it."""
    fields: frozenset[str]
    """Paths as the server writes them in a conflict: `.spec.template.spec.containers[name="a"].image`."""

    @property
    def is_us(self) -> bool:
        """Whether it is the dashboard."""
        return self.manager == FIELD_MANAGER


def owners_of(one: Object) -> list[Owner]:
    """Everybody who set fields of an object, but for its status."""
    return [
        Owner(entry.get("manager", ""), entry.get("time", ""), frozenset(_paths(entry.get("fieldsV1") or {})))
        for entry in one["metadata"].get("managedFields") or ()
        if entry.get("subresource") != "status"
    ]


def is_as_applied(one: Object, field_path: str) -> bool:
    """Whether a field has the value that the dashboard applied; so has one of which nothing is recorded."""
    owners = [owner for owner in owners_of(one) if any(_meet(field, field_path) for field in owner.fields)]
    return not owners or any(owner.is_us for owner in owners)


def within(path: str, outer: str) -> bool:
    """Whether one path is the other, or lies beneath it."""
    return path == outer or (path.startswith(outer) and path[len(outer)] in ".[")


def _meet(field: str, path: str) -> bool:
    """An atomic field is owned as a whole, any other one by its parts."""
    return within(field, path) or within(path, field)


def _paths(fields: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The leaves of a FieldsV1 tree; `.` stands for the parent itself, of which only the parts matter."""
    for key, below in fields.items():
        path = prefix + _element(key)
        if below:
            yield from _paths(below, path)
        elif key != ".":
            yield path


def _element(key: str) -> str:
    """One step of a path: a field, an item of a list by its keys or by its value."""
    kind, _, rest = key.partition(":")
    match kind:
        case "f":
            return f".{rest}"
        case "k":
            pairs = sorted(json.loads(rest).items())
            return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in pairs) + "]"
        case "v":
            return f"[={rest}]"
    return f"[{rest}]"
