"""Read and check Google key files, without ever showing a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_dash.errors import SettingsError
from mnist_dash.storage import cloud_storage

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

MAX_BYTES = 100_000
"""A key file has about 2,400 bytes."""
TYPES = ("service_account", "authorized_user")
_GIVE = (
    "Give the JSON key of a service account, unchanged: "
    "`gcloud iam service-accounts keys create key.json --iam-account ACCOUNT` makes one."
)


def read_key(path: Path) -> bytes:
    """Return the content of a key file, byte by byte, if it is the key of a service account or of a user.

    Raises SettingsError, which never shows anything secret, if it is not, or cannot be read.
    """
    content = _read(path)
    _parse(path, content)
    return content


def client_for(path: Path | None) -> Client | None:
    """Return a client of Cloud Storage that reads with the key in a file; raises as `read_key` does.

    Without a file return None, which selects the environment's own credentials wherever a client is taken.
    """
    return None if path is None else cloud_storage.client_with_key(_parse(path, _read(path)))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except FileNotFoundError:
        raise SettingsError(f"There is no key file {path}.", "Check the path.") from None
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        step = "Give a file that the user who runs the dashboard may read."
        raise SettingsError(f"The key file {path} cannot be read: {reason}.", step) from None


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        key = json.loads(content)
    except (ValueError, RecursionError):
        raise SettingsError(f"The key file {path} is not JSON.", _GIVE) from None
    kind = key.get("type") if isinstance(key, dict) else None
    if kind not in TYPES:
        problem = f"The key file {path} has the type {kind!r:.40}, not {' or '.join(TYPES)}."
        raise SettingsError(problem, _GIVE)
    try:
        cloud_storage.credentials_from_key(key)
    except (ValueError, TypeError, AttributeError):
        # Without the library's message, which may hold parts of the key.
        raise SettingsError(f"The key file {path} is incomplete or damaged.", _GIVE) from None
    return dict(key)
