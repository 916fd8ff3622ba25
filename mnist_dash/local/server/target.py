"""What a request's path asks for: the routes of TensorFlow Serving's REST API.

Follows github tensorflow/serving, model_servers/http_rest_api_util.cc (ParseModelInfo): the path is matched
as it was sent, its query included, so that `%3A` is no colon and `?x=1` fits no route.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from mnist_dash.local.server.refusal import RefusedError, invalid, not_found

_NAME = rb"/([^/:]+)"
_WHICH = rb"(?:/versions/(\d+)|/labels/([^/:]+))?"
_ROUTES = {
    "POST": re.compile(rb"/v1/models" + _NAME + _WHICH + rb":(classify|regress|predict)", re.IGNORECASE),
    "GET": re.compile(rb"/v1/models(?:" + _NAME + rb")?" + _WHICH + rb"(?:/(metadata))?", re.IGNORECASE),
}
_LARGEST_VERSION = 2**63 - 1
_POST_VERBS = (b"classify", b"regress", b"predict")


@dataclass(frozen=True)
class Target:
    """The model that a path names, and what is wanted of it."""

    model: str
    version: int | None
    """None: the latest."""
    label: str
    verb: str
    """predict, classify or regress; of a GET metadata, or else the status is wanted."""

    @property
    def absence(self) -> RefusedError:
        """The error if no such version is served."""
        if self.label:
            return invalid(f"Unrecognized servable version label: {self.label}")
        which = f"Latest({self.model})" if self.version is None else f"Specific({self.model}, {self.version})"
        return not_found(f"Servable not found for request: {which}")


def is_rest(path: bytes) -> bool:
    """Whether the path belongs to the REST API at all."""
    return path[:4].lower() == b"/v1/"


def route(method: str, path: bytes) -> Target:
    """What is asked for; raises RefusedError (400) if the path fits no route of this method."""
    pattern = _ROUTES.get(method)
    found = pattern.fullmatch(path) if pattern else None
    # `:PREDICT` matches, as the whole path does in any case, and is then no verb that is known
    if not found or (method == "POST" and found[4] not in _POST_VERBS):
        raise invalid(f"Malformed request: {method} {path.decode('latin-1')}")
    name, version, label, verb = (part or b"" for part in found.groups())
    if not name:
        raise invalid("Missing model name in request.")
    return Target(_decoded(name), _number(version), _decoded(label), verb.decode())


def _number(digits: bytes) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip(b"0") or b"0"
    # more digits than 64 bits hold, which int() need not be bothered with: it refuses thousands
    if len(significant) > 19 or int(significant) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {digits.decode()} to numeric.")
    return int(significant)


def _decoded(part: bytes) -> str:
    return unquote(part.decode("latin-1"), errors="replace")
