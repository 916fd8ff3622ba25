"""Google key files: read and looked through, so that each mistake with one has its own sentence."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_dash.errors import SettingsError
from mnist_dash.storage import cloud_storage

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

MOST_BYTES = 100_000
"""A key file has about 2,400 bytes."""
FIELDS = {
    "service_account": ("client_email", "private_key", "token_uri"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
}
_CREATE = "gcloud iam service-accounts keys create key.json --iam-account ACCOUNT"
_KEY = f"Give the JSON key of a service account: `{_CREATE}` makes one."
_AGAIN = f"Fetch the key again, unchanged: `{_CREATE}`."
# What Google calls the type of a key -> what to say of it, and what to do.
_OTHER_TYPES = {
    "external_account": (
        "for workload identity federation, which TensorFlow Serving cannot use",
        f"{_KEY} On GKE, leave the file out and let Workload Identity give the pods access.",
    ),
    "impersonated_service_account": (
        "for impersonating a service account, which TensorFlow Serving cannot use",
        _KEY,
    ),
}


def read_key(path: Path) -> bytes:
    """The content of a key file, as it is, if it is the key of a service account or of a user.

    Raises SettingsError, which never shows anything secret, if it is not, or cannot be read.
    """
    content = _content(path)
    _checked(path, content)
    return content


def client_for(path: Path | None) -> Client | None:
    """A client of Cloud Storage that reads with the key in a file; raises as `read_key` does.

    Without a file None, which stands for the environment's own credentials wherever a client is taken.
    """
    return None if path is None else cloud_storage.client_with(_checked(path, _content(path)))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise SettingsError(f"There is no key file {path}.", "Check the path.") from None
    except IsADirectoryError:
        raise SettingsError(f"{path} is a folder, not a key file.", "Give the file in it.") from None
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        step = "Let the user who runs the dashboard read it."
        raise SettingsError(f"The key file {path} cannot be read: {reason}.", step) from None
    if len(content) > MOST_BYTES:
        raise SettingsError(f"{path} is no key file: it has more than {MOST_BYTES:,} bytes.", _KEY)
    return content


def _checked(path: Path, content: bytes) -> dict[str, Any]:
    key = _parsed(path, content)
    kind = key.get("type")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise _other(path, kind, key)
    if lacking := [name for name in FIELDS[kind] if not (isinstance(key.get(name), str) and key[name])]:
        problem = f"The key file {path}, of type {kind}, lacks {_listed(lacking)}."
        raise SettingsError(problem, _AGAIN if kind == "service_account" else cloud_storage.LOGIN)
    try:
        cloud_storage.credentials_of(key)
    except ValueError:
        what = "private_key is not a whole PEM key" if kind == "service_account" else "fields cannot be used"
        # what the library says may hold parts of the key
        raise SettingsError(f"The key file {path} is damaged: its {what}.", _AGAIN) from None
    return key


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        key = json.loads(content)
    except ValueError:
        raise _no_json(path, content) from None
    except RecursionError:
        raise SettingsError(f"The key file {path} is not a JSON object.", _KEY) from None
    if not isinstance(key, dict):
        raise SettingsError(f"The key file {path} is not a JSON object.", _KEY)
    return key


def _no_json(path: Path, content: bytes) -> SettingsError:
    if not content.strip():
        return SettingsError(f"The key file {path} is empty.", _AGAIN)
    if content.startswith(b"-----BEGIN "):
        return SettingsError(f"The key file {path} is a PEM file, not the JSON of a key.", _KEY)
    if _is_base64(content):
        step = f"Decode it once: `base64 -d {path} > key.json`."
        return SettingsError(f"The key file {path} is encoded with base64.", step)
    return SettingsError(f"The key file {path} is not JSON.", _KEY)


def _is_base64(content: bytes) -> bool:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True).lstrip().startswith(b"{")
    except binascii.Error:
        return False


def _other(path: Path, kind: Any, key: dict[str, Any]) -> SettingsError:
    if not isinstance(kind, str) or not kind:
        if {"installed", "web"} & key.keys():
            return SettingsError(f"{path} is the secret of an OAuth client, not a key.", _KEY)
        return SettingsError(f"{path} is no Google key file: it has no `type`.", _KEY)
    what, step = _OTHER_TYPES.get(
        kind, (f"of type {kind[:40]!r}, not service_account or authorized_user", _KEY)
    )
    return SettingsError(f"The key file {path} is {what}.", step)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
