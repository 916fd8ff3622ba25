"""What every object says of itself, whether it was read from a cluster or is a Pod template."""

from __future__ import annotations

from mnist_dash.cluster.objects.kinds import Object


def name_of(one: Object) -> str:
    """The name of any object."""
    return str(one["metadata"]["name"])


def labels_of(one: Object) -> dict[str, str]:
    """The labels of any object or Pod template; none is an empty dictionary."""
    return (one.get("metadata") or {}).get("labels") or {}


def annotations_of(one: Object) -> dict[str, str]:
    """The annotations of any object or Pod template; none is an empty dictionary."""
    return (one.get("metadata") or {}).get("annotations") or {}
