"""Objects as clean YAML, and what a change changes in it."""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import yaml

from mnist_dash.cluster.resources import APP, HISTORY, MANAGED_BY, NAMESPACE, SECRET, Object

_SERVER_METADATA: Final = frozenset(
    {
        "managedFields",
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "generation",
        "selfLink",
        "ownerReferences",
    }
)
_SERVER_ANNOTATIONS: Final = frozenset(
    {"deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"}
)
_FIRST: Final = (
    "apiVersion",
    "kind",
    "type",
    "name",
    "namespace",
    "labels",
    "annotations",
    "metadata",
    "spec",
)
_DEFAULTS: Final[Mapping[str, Any]] = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
    "sessionAffinity": "None",
    "internalTrafficPolicy": "Cluster",
    "ipFamilyPolicy": "SingleStack",
}
"""What the server fills in where nothing is asked for; anything else in these fields is shown."""
_GIVEN: Final = frozenset({"clusterIP", "clusterIPs", "ipFamilies", "kubernetes.io/metadata.name"})
"""What the server gives by itself to a Service, or to a Namespace."""


def to_yaml(objects: Iterable[Object]) -> str:
    """The objects as one YAML file that `kubectl apply -f` accepts, without what only the server writes.

    A Secret's content stays out: in its place is a comment how to make it.
    """
    documents = (_how_to_make(one) if _is_secret(one) else _dump(clean(one)) for one in objects)
    return "---\n".join(documents)


def difference(before: Object | None, after: Object | None) -> str:
    """What changes from one state of an object to the next, as a unified difference of YAML.

    Empty if nothing does. None is an object that is not there. Of a Secret only the hashes are shown.
    """
    some = before or after
    if some is None:
        return ""
    what = f"{some['kind']}/{some['metadata']['name']}"
    lines = difflib.unified_diff(
        _shown(before), _shown(after), f"{what} (now)", f"{what} (after)", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def clean(one: Object) -> Object:
    """The object without status, and without what the server has written into it by itself."""
    metadata = {key: value for key, value in one["metadata"].items() if key not in _SERVER_METADATA}
    annotations = {
        key: value
        for key, value in (metadata.pop("annotations", None) or {}).items()
        if key not in _SERVER_ANNOTATIONS
    }
    if annotations:
        metadata["annotations"] = annotations
    own = {"metadata", "status"} | ({"spec"} if one["kind"] == NAMESPACE.name else set())
    rest = {key: value for key, value in one.items() if key not in own}
    cleaned: Object = _ordered({**rest, "metadata": metadata})
    return cleaned


def _ordered(value: Any) -> Any:
    """The same without defaults, keys in a stable order: the telling ones first, then by the alphabet."""
    if isinstance(value, dict):
        return {
            key: _ordered(value[key]) for key in sorted(value, key=_rank) if not _is_noise(key, value[key])
        }
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _rank(key: str) -> tuple[int, str]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST), key)


def _is_noise(key: str, value: Any) -> bool:
    return key in _GIVEN or value is None or (key in _DEFAULTS and value == _DEFAULTS[key])


def _dump(one: Object) -> str:
    text: str = yaml.safe_dump(one, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def _shown(one: Object | None) -> list[str]:
    return _dump(_abridged(clean(one))).splitlines() if one else []


def _abridged(one: Object) -> Object:
    """Without what nobody may see, or would care to read."""
    if _is_secret(one):
        hide: dict[str, Callable[[str], bytes]] = {"data": base64.b64decode, "stringData": str.encode}
        for field, decode in hide.items():
            one = (
                {**one, field: {k: _hash(decode(v)) for k, v in one[field].items()}} if field in one else one
            )
    annotations = one["metadata"].get("annotations", {})
    telling = {name: value for name, value in annotations.items() if name != HISTORY}
    return {**one, "metadata": {**one["metadata"], "annotations": telling}} if annotations else one


def _hash(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _is_secret(one: Object) -> bool:
    return bool(one["kind"] == SECRET.name)


def _how_to_make(secret: Object) -> str:
    name, namespace = secret["metadata"]["name"], secret["metadata"]["namespace"]
    keys = sorted({**(secret.get("data") or {}), **(secret.get("stringData") or {})})
    files = " ".join(f"--from-file={key}={key.upper().replace('.', '_')}" for key in keys)
    return (
        f"# Secret {name} is left out. Make it from the file itself:\n"
        f"#   kubectl create secret generic {name} --namespace={namespace} {files}\n"
        f"#   kubectl label secret {name} --namespace={namespace} {MANAGED_BY}={APP}\n"
    )
