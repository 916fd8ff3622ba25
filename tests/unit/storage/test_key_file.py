"""A key file is read as it is, or reported as unusable; its secrets are never shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from mnist_dash.errors import SettingsError
from mnist_dash.storage.key_file import client_for, read_key
from tests.gcs import private_key, service_account, write_key
from tests.models import forbidden

NOT_ENCRYPTED = serialization.NoEncryption()
DAMAGED = "The key file /k is incomplete or damaged."
USER = {"type": "authorized_user", "client_id": "id", "client_secret": "hush", "refresh_token": "hush"}


def text(content: str | bytes) -> Callable[[Path], None]:
    """Write a file."""

    def make(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def account(**changes: object) -> Callable[[Path], None]:
    """Write a service account's key with some fields changed."""

    def make(path: Path) -> None:
        write_key(path, **changes)

    return make


def pem(
    key: PrivateKeyTypes,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    encryption: serialization.KeySerializationEncryption = NOT_ENCRYPTED,
) -> str:
    """A private key in PEM."""
    return key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


RSA = serialization.load_pem_private_key(private_key().encode(), None)
TYPE = "The key file /k has the type"
NOT_JSON = "The key file /k is not JSON."
# Mistake -> (how to make it, problem); /k is the file.
MISTAKES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder": (lambda path: path.mkdir(), "The key file /k cannot be read: Is a directory."),
    "not text": (text(b"\xff\x00"), NOT_JSON),
    "cut off": (text(json.dumps(service_account())[:500]), NOT_JSON),
    "nested too deep": (text("[" * 50_000), NOT_JSON),
    "huge": (text(b"x" * 100_001), NOT_JSON),
    "a list": (text("[]"), f"{TYPE} None, not service_account or authorized_user."),
    "no type": (account(type=None), f"{TYPE} None, not service_account or authorized_user."),
    "workload identity federation": (account(type="external_account"), f"{TYPE} 'external_account', not"),
    "a type that is a list": (account(type=["service_account"]), f"{TYPE} ['service_account'], not"),
    "fields lacking": (account(client_email=None, token_uri=None), DAMAGED),
    "private_key_id lacking, which TensorFlow needs": (account(private_key_id=None), DAMAGED),
    "client_id that is no text": (account(client_id=1), DAMAGED),
    "elliptic private key": (
        account(private_key=pem(ec.generate_private_key(ec.SECP256R1()))),
        "The private key in /k is not an RSA key.",
    ),
    "private key with a password": (
        account(private_key=pem(RSA, encryption=serialization.BestAvailableEncryption(b"hush"))),
        "The private key in /k has a password.",
    ),
    "private key lacking": (account(private_key=None), DAMAGED),
    "private key that is no text": (account(private_key=7), DAMAGED),
    "fields of a user lacking": (text('{"type": "authorized_user", "client_secret": "hush"}'), DAMAGED),
    "private key that is none": (account(private_key="hush"), DAMAGED),
    "private key cut off": (account(private_key=private_key()[:800]), DAMAGED),
    "private key with line ends escaped twice": (
        account(private_key=private_key().replace("\n", "\\n")),
        DAMAGED,
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_file_that_is_no_key_is_reported(name: str, tmp_path: Path) -> None:
    """The problem names the file; neither it nor the next step shows a part of a key."""
    make, problem = MISTAKES[name]
    path = tmp_path / "key.json"
    make(path)
    for use in (read_key, client_for):
        with pytest.raises(SettingsError) as caught:
            use(path)
        assert caught.value.problem.replace(str(path), "/k").startswith(problem)
        assert "hush" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.next_step.startswith("Give ")


def test_a_missing_key_file_is_reported(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(SettingsError, match=r"There is no key file .*nothing\.json\. Check the path\."):
        read_key(tmp_path / "nothing.json")


def test_a_key_file_without_read_permission_is_reported(tmp_path: Path) -> None:
    """It is not reported as missing."""
    path = write_key(tmp_path / "key.json")
    with forbidden(path), pytest.raises(SettingsError, match="cannot be read: Permission denied"):
        read_key(path)


def test_a_key_is_read_as_it_is(tmp_path: Path) -> None:
    """Byte by byte, for a Secret: neither spaces nor fields that are not known are lost."""
    path = tmp_path / "key.json"
    content = f" {json.dumps(service_account(more='field'), indent=2)}\r\n".encode()
    path.write_bytes(content)
    assert read_key(path) == content


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_key_in_another_encoding_becomes_utf_8(tmp_path: Path, encoding: str) -> None:
    """As PowerShell and editors write it; TensorFlow reads UTF-8 without a byte order mark only."""
    path = tmp_path / "key.json"
    path.write_bytes(json.dumps(service_account()).encode(encoding))
    assert read_key(path) == json.dumps(service_account()).encode()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("\n", ""),
        lambda text: text.replace("\n", " "),
        lambda text: text.replace("\n", "\n  "),
        lambda text: f"  {text}",
        lambda text: f"a comment\n{text}",
        lambda _: pem(RSA, serialization.PrivateFormat.TraditionalOpenSSL),
    ],
    ids=["no line ends", "blanks", "indented", "leading blanks", "comment", "PKCS #1"],
)
def test_a_private_key_becomes_plain_pem(tmp_path: Path, damage: Callable[[str], str]) -> None:
    """OpenSSL, with which TensorFlow reads it, is strict about its lines."""
    path = write_key(tmp_path / "key.json", private_key=damage(private_key()))
    assert json.loads(read_key(path)) == service_account()
    assert client_for(path) is not None


def test_the_key_of_a_user_is_a_key(tmp_path: Path) -> None:
    """As `gcloud auth application-default login` writes it."""
    path = tmp_path / "key.json"
    path.write_text(json.dumps(USER))
    assert read_key(path) == path.read_bytes()
    client = client_for(path)
    assert client is not None
    assert client.project is None


def test_a_client_belongs_to_the_project_of_its_key(tmp_path: Path) -> None:
    """Whose buckets it lists."""
    client = client_for(write_key(tmp_path / "key.json", project_id="digits"))
    assert client is not None
    assert client.project == "digits"


def test_without_a_key_file_there_is_no_client_of_its_own() -> None:
    """None selects the environment's credentials."""
    assert client_for(None) is None
