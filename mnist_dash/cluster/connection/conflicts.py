"""Fields that somebody else owns: what the API server says of a refused apply, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mnist_dash.cluster.connection.refusals import Asked
from mnist_dash.cluster.objects.kinds import Object
from mnist_dash.errors import EngineError

MOST_FIELDS = 3
"""How many fields are named; of more, only the number is told."""
_MANAGER = re.compile(r'conflict with "(?P<name>[^"]*)"')
_MAP_FIELDS = {".metadata.annotations.": "annotation", ".metadata.labels.": "label"}


def is_field_conflict(answer: Object) -> bool:
    """Whether the `Status` of a 409 says that fields belong to other managers."""
    return bool(_causes(answer))


def conflict(answer: Object, live: Object | None, asked: Asked) -> EngineError:
    """The error for a field conflict: which fields, whose, and since when as far as `live` tells it."""
    by_owner: dict[str, list[str]] = {}
    for cause in _causes(answer):
        found = _MANAGER.search(cause.get("message") or "")
        owner = found["name"] if found else "somebody else"
        by_owner.setdefault(owner, []).append(_field(cause.get("field") or ""))
    whose = "; ".join(
        f"{_listed(fields)} {'belongs' if len(fields) == 1 else 'belong'} to {owner}{_since(owner, live)}"
        for owner, fields in by_owner.items()
    )
    step = f"Take it over, or let {' and '.join(by_owner)} make the change."
    return EngineError(f"Somebody else looks after a part of {asked}: {whose}.", step, can_take_over=True)


def _causes(answer: Object) -> list[dict[str, Any]]:
    causes = (answer.get("details") or {}).get("causes") or []
    return [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]


def _field(path: str) -> str:
    for start, word in _MAP_FIELDS.items():
        if path.startswith(start):
            return f"the {word} {path.removeprefix(start)}"
    return path.removeprefix(".") or "a field"


def _listed(fields: Sequence[str]) -> str:
    shown = list(fields[:MOST_FIELDS])
    if more := len(fields) - len(shown):
        shown.append(f"{more} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _since(owner: str, live: Object | None) -> str:
    entries = ((live or {}).get("metadata") or {}).get("managedFields") or []
    times = [entry["time"] for entry in entries if entry.get("manager") == owner and entry.get("time")]
    if not times:
        return ""
    return f" since {datetime.fromisoformat(max(times)):%Y-%m-%d %H:%M:%S} UTC"
