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
FIELDS = {
    "service_account": ("private_key", "private_key_id", "client_id", "client_email"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
}
"""Types of keys, with the texts that TensorFlow needs, by its oauth_client.cc."""
_GIVE = (
    "Give the JSON key of a service account, unchanged: "
    "`gcloud iam service-accounts keys create key.json --iam-account ACCOUNT` makes one."
)


def read_key(path: Path) -> bytes:
    """Return the content of a key file, if it is the key of a service account or of a user.

    It is unchanged, unless TensorFlow, which is stricter than Google's library for Python, could not read it
    and would continue without a key: then it is UTF-8, with the private key in plain PEM.

    Raises SettingsError, which never shows anything secret, if it is not, or cannot be read.
    """
    content = _read(path)
    key = _parse(path, content)
    unchanged = json.detect_encoding(content) == "utf-8" and json.loads(content) == key
    return content if unchanged else json.dumps(key).encode()


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
    if not isinstance(kind, str) or kind not in FIELDS:
        problem = f"The key file {path} has the type {kind!r:.40}, not {' or '.join(FIELDS)}."
        raise SettingsError(problem, _GIVE)
    try:
        if not all(isinstance(key[field], str) for field in FIELDS[kind]):
            raise TypeError
        if kind == "service_account":
            key["private_key"] = _normalize_private_key(path, key["private_key"])
        cloud_storage.credentials_from_key(key)
    except (KeyError, ValueError, TypeError, AttributeError):
        # Without the library's message, which may hold parts of the key.
        raise SettingsError(f"The key file {path} is incomplete or damaged.", _GIVE) from None
    return dict(key)


def _normalize_private_key(path: Path, pem: str) -> str:
    """Return a private key as Google writes it; raises SettingsError, or ValueError if it is damaged."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    try:
        # Google's library validates it.
        key = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise SettingsError(f"The private key in {path} has a password.", _GIVE) from None
    except UnsupportedAlgorithm:
        raise ValueError from None
    if not isinstance(key, RSAPrivateKey):
        raise SettingsError(f"The private key in {path} is not an RSA key.", _GIVE)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
