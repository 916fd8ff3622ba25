"""Compare the live route objects with those that the dashboard would apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mnist_dash.cluster import resources
from mnist_dash.cluster.resources import Kind, Object

REPAIR: Final = "Set the split again to repair it."
_OWN_PREFIX: Final = "mnist-dash/"
"""Annotations that hold the dashboard's state: `read_state` reports what is wrong with them."""
_NOT_EXTENSIBLE: Final = ("backendRefs", "headers")
"""Lists to which no other manager may add: each item changes where the requests go."""


def find_object(live: Sequence[Object], kind: Kind, name: str) -> Object | None:
    """Return the object of this kind and name, or None."""
    wanted = (kind.name, name)
    return next((item for item in live if (item["kind"], resources.name_of(item)) == wanted), None)


def find_differences(
    expected: Sequence[Object], live: Sequence[Object], *, ignored: str = ""
) -> tuple[str, ...]:
    """Return a sentence for each object that is missing or has fields with other values than expected.

    Further fields and list items of others are no difference, nor are fields with the `ignored` name.
    """
    sentences = []
    for item in expected:
        name = f"{item['kind']} {resources.name_of(item)}"
        found = find_object(live, resources.kind_of(item), resources.name_of(item))
        if found is None:
            sentences.append(f"{name} is missing. {REPAIR}")
        elif fields := list(_differences(_compared(item), _compared(found), "", ignored)):
            sentences.append(f"{name}: {', '.join(fields)}. {REPAIR}")
    return tuple(sentences)


def _compared(item: Object) -> Object:
    annotations = resources.annotations_of(item).items()
    compared = {name: value for name, value in annotations if not name.startswith(_OWN_PREFIX)}
    return {"metadata": {"annotations": compared}, "spec": item["spec"]}


def _differences(expected: Any, live: Any, path: str, ignored: str) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(live, Mapping):
        for key, value in expected.items():
            if key != ignored:
                yield from _differences(value, live.get(key), f"{path}.{key}", ignored)
    elif isinstance(expected, list) and isinstance(live, list):
        yield from _list_differences(expected, live, path, ignored)
    elif live is None and isinstance(expected, Mapping | list):
        yield f"{resources.describe_field(path)} is missing"
    elif expected != live:
        found = "missing" if live is None else repr(live)
        yield f"{resources.describe_field(path)} is {found} instead of {expected!r}"


def _list_differences(expected: list[Any], live: list[Any], path: str, ignored: str) -> Iterator[str]:
    """Pair the items that are equal, whatever their order, and compare the others one by one."""

    def differ(item: Any, other: Any) -> bool:
        return any(_differences(item, other, "", ignored))

    spare = iter([other for other in live if all(differ(item, other) for item in expected)])
    for index, item in enumerate(expected):
        if all(differ(item, other) for other in live):
            yield from _differences(item, next(spare, None), f"{path}[{index}]", ignored)
    if path.endswith(_NOT_EXTENSIBLE) and len(live) > len(expected):
        yield f"{resources.describe_field(path)} has {len(live)} entries instead of {len(expected)}"


def published_addresses(live: Sequence[Object]) -> list[str]:
    """Return the addresses that a controller has published for our Ingresses or a Gateway."""
    found = []
    for item in live:
        status = item.get("status") or {}
        if item["kind"] == resources.GATEWAY.name:
            found += [address["value"] for address in status.get("addresses") or ()]
        elif resources.is_ours(item):
            balancers = (status.get("loadBalancer") or {}).get("ingress") or ()
            found += [balancer.get("ip") or balancer.get("hostname") for balancer in balancers]
    return list(dict.fromkeys(found))
