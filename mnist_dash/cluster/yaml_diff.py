"""Write objects as clean YAML, and show the difference that a change makes in it."""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from mnist_dash.cluster.resources import APP, HISTORY, MANAGED_BY, NAMESPACE, SECRET, Object

_HEAD: Final = ("apiVersion", "kind", "type", "name", "namespace", "labels", "annotations")
_ORDER: Final = (*_HEAD, "metadata", "spec")
"""The keys that people write first; the others follow by the alphabet."""
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
"""The server's defaults; any other value of these fields is shown."""
_ASSIGNED: Final = (
    *("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "ownerReferences"),
    *("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"),
    *("clusterIP", "clusterIPs", "ipFamilies", "kubernetes.io/metadata.name"),
)
"""Fields that the server sets by itself: metadata, annotations, and those of a Service or a Namespace."""


def to_yaml(objects: Iterable[Object]) -> str:
    """Return a YAML file that `kubectl apply -f` accepts, without the fields that only the server writes.

    In place of a Secret's content is a comment that says how to create it.
    """
    return "---\n".join(
        _creation_comment(item) if item["kind"] == SECRET.name else _dump(clean(item)) for item in objects
    )


def diff_yaml(before: Object | None, after: Object | None) -> str:
    """Return the unified difference between two states of an object; empty if they are equal.

    None is an object that does not exist. Of a Secret only the hashes are shown.
    """
    either = before or after
    if either is None:
        return ""
    name = f"{either['kind']}/{either['metadata']['name']}"
    lines = difflib.unified_diff(
        _shown_lines(before), _shown_lines(after), f"{name} (now)", f"{name} (after)", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def clean(live: Object) -> Object:
    """Return the object without its status and without the fields that the server sets by itself."""
    dropped = {"status": None} | ({"spec": None} if live["kind"] == NAMESPACE.name else {})
    cleaned: Object = _ordered({**live, **dropped})
    if not cleaned["metadata"].get("annotations"):
        cleaned["metadata"].pop("annotations", None)
    return cleaned


def _ordered(value: Any) -> Any:
    """Return the value without defaults, its keys in a stable order."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (_ORDER.index(key) if key in _ORDER else len(_ORDER), key))
        noise = {key for key in keys if key in _ASSIGNED or value[key] in (None, _DEFAULTS.get(key))}
        return {key: _ordered(value[key]) for key in keys if key not in noise}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _dump(item: Object) -> str:
    return str(yaml.safe_dump(item, sort_keys=False, allow_unicode=True, width=10_000))


def _shown_lines(item: Object | None) -> list[str]:
    return _dump(_redacted(clean(item))).splitlines() if item else []


def _redacted(item: Object) -> Object:
    """Hash the content of a Secret, and leave out the history: it changes with every change."""
    metadata = dict(item["metadata"])
    if annotations := metadata.pop("annotations", None):
        metadata["annotations"] = {name: value for name, value in annotations.items() if name != HISTORY}
    redacted = {**item, "metadata": metadata}
    if item["kind"] == SECRET.name:
        for field, decode in (("data", base64.b64decode), ("stringData", str.encode)):
            for key, value in item.get(field, {}).items():
                hashed = f"sha256:{hashlib.sha256(decode(value)).hexdigest()}"
                redacted[field] = {**redacted[field], key: hashed}
    return redacted


def _creation_comment(secret: Object) -> str:
    name, namespace = secret["metadata"]["name"], secret["metadata"]["namespace"]
    keys = sorted({**(secret.get("data") or {}), **(secret.get("stringData") or {})})
    files = " ".join(f"--from-file={key}={key.upper().replace('.', '_')}" for key in keys)
    return (
        f"# Secret {name} is left out. Create it from the file itself:\n"
        f"#   kubectl create secret generic {name} --namespace={namespace} {files}\n"
        f"#   kubectl label secret {name} --namespace={namespace} {MANAGED_BY}={APP}\n"
    )
