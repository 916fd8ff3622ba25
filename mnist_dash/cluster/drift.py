"""What somebody else changed of what the dashboard had written, in the user's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from mnist_dash.cluster.ingress import BY_HEADER, CANARY, WEIGHT
from mnist_dash.cluster.managed_fields import Owner, owners_of, within
from mnist_dash.cluster.manifests import pointer_of, release_of
from mnist_dash.cluster.resources import (
    CONTAINER,
    DEPLOYMENT,
    HTTP_ROUTE,
    INGRESS,
    SECRET,
    SERVICE,
    SPLIT,
    SWAP,
    Object,
    service_name,
)
from mnist_dash.domain import Role

_POD: Final = ".spec.template"
_CONTAINER: Final = f'{_POD}.spec.containers[name="{CONTAINER}"]'
_STATE: Final = tuple(
    (f".metadata.annotations.{name}", "What the dashboard remembers was") for name in (SPLIT, SWAP)
)
_LABELS: Final = (".metadata.labels.app.kubernetes.io/", "The labels of {what} were")
_FIELDS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    DEPLOYMENT.name: (
        (".spec.replicas", "The number of replicas of {whose} was"),
        (f'{_CONTAINER}.env[name="MODEL_BASE_PATH"]', "The model base of {whose} was"),
        (f"{_CONTAINER}.env", "The environment of {whose} was"),
        (f"{_CONTAINER}.image", "The image of {whose} was"),
        (f"{_CONTAINER}.resources", "The resources of {whose} were"),
        (_CONTAINER, "The container of {whose} was"),
        (f"{_POD}.spec.securityContext", "The security context of {whose} was"),
        (".metadata.labels.mnist-dash/", "The labels of {what} were"),
        _LABELS,
    ),
    SERVICE.name: (
        (".spec.selector", "The release that {what} points at was"),
        (".spec.ports", "The ports of {what} were"),
        _LABELS,
    ),
    INGRESS.name: (
        (f".metadata.annotations.{WEIGHT}", "The split was"),
        (f".metadata.annotations.{BY_HEADER}", "The route header was"),
        (f".metadata.annotations.{CANARY}", "The canary switch was"),
        (".spec.rules", "The route to the models was"),
        (".spec.ingressClassName", "The ingress class was"),
        *_STATE,
        _LABELS,
    ),
    HTTP_ROUTE.name: (
        (".spec.rules", "The split, or another rule of {what}, was"),
        (".spec", "The route to the models was"),
        *_STATE,
        _LABELS,
    ),
    SECRET.name: ((".data", "The key file was"), _LABELS),
}
"""What the dashboard applies, by kind; the first path that a field lies in names it."""


def changes_from_outside(live: Sequence[Object]) -> tuple[str, ...]:
    """What somebody else set of what the dashboard applies, a sentence each: what, who, and when.

    A field that the dashboard owns too has the value that it applied, and is not told. With the Services
    among the objects, Deployments are called by their role.
    """
    roles = _roles(live)
    told = (sentence for one in live for sentence in _changes(one, roles))
    return tuple(dict.fromkeys(told))


def _roles(live: Sequence[Object]) -> dict[str, str]:
    """The role's word for each release that a Service points at."""
    services = {one["metadata"]["name"]: one for one in live if one.get("kind") == SERVICE.name}
    found = {role: services[service_name(role)] for role in Role if service_name(role) in services}
    pointers = {role: pointer_of(service) for role, service in found.items()}
    return {release.value: role.label for role, release in pointers.items() if release}


def _changes(one: Object, roles: Mapping[str, str]) -> Iterator[str]:
    if one.get("kind") not in _FIELDS:
        return
    owners = owners_of(one)
    ours: frozenset[str] = frozenset().union(*(owner.fields for owner in owners if owner.is_us))
    others = [owner for owner in owners if not owner.is_us]
    what = f"{one['kind']} {one['metadata']['name']}"
    if not ours:
        makers = [owner for owner in others if any(_words(one, field) for field in owner.fields)]
        yield from (f"{what} was put in place {_by(maker)}, not by the dashboard." for maker in makers[:1])
        return
    for owner in others:
        for field in sorted(owner.fields):
            is_ours = any(within(field, mine) or within(mine, field) for mine in ours)
            if words := "" if is_ours else _words(one, field):
                yield f"{words.format(what=what, whose=_whose(one, roles))} changed {_by(owner)}."


def _words(one: Object, field: str) -> str:
    """What a field is to the user; empty if the dashboard does not apply it."""
    return next((words for path, words in _FIELDS[one["kind"]] if field.startswith(path)), "")


def _whose(one: Object, roles: Mapping[str, str]) -> str:
    release = release_of(one)
    name = str(one["metadata"]["name"])
    return f"{roles[release]} ({name})" if release and release in roles else name


def _by(owner: Owner) -> str:
    return f"by {owner.manager}" + (f" at {_clock(owner.time)}" if owner.time else "")


def _clock(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
