"""A key file that cannot be used is told with a sentence of its own, which never shows what is secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_dash.errors import ModelError, SettingsError
from mnist_dash.storage import cloud_storage
from mnist_dash.storage.base_diagnosis import find_versions
from mnist_dash.storage.key_file import client_for, read_key
from mnist_dash.storage.location import location_of
from tests.gcs import emulating, needs_emulator, private_key, service_account, write_key
from tests.models import forbidden, make_base

CREATE = "`gcloud iam service-accounts keys create key.json --iam-account ACCOUNT`"
KEY = f"Give the JSON key of a service account: {CREATE} makes one."
AGAIN = f"Fetch the key again, unchanged: {CREATE}."
LOG_IN = "To log in, run `gcloud auth application-default login` where the dashboard runs."
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


# What it is -> (how to make it, problem, next step); /k is the file.
MISTAKES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "missing": (lambda _: None, "There is no key file /k.", "Check the path."),
    "a folder": (lambda path: path.mkdir(), "/k is a folder, not a key file.", "Give the file in it."),
    "empty": (text(" \n"), "The key file /k is empty.", AGAIN),
    "not JSON": (text("key = 1"), "The key file /k is not JSON.", KEY),
    "not text": (text(b"\xff\x00"), "The key file /k is not JSON.", KEY),
    "cut off": (text(json.dumps(service_account())[:500]), "The key file /k is not JSON.", KEY),
    "nested too deep": (text("[" * 50_000), "The key file /k is not a JSON object.", KEY),
    "a list": (text("[]"), "The key file /k is not a JSON object.", KEY),
    "PEM": (text(private_key()), "The key file /k is a PEM file, not the JSON of a key.", KEY),
    "encoded": (
        text(base64.encodebytes(json.dumps(service_account()).encode())),
        "The key file /k is encoded with base64.",
        "Decode it once: `base64 -d /k > key.json`.",
    ),
    "huge": (text(b"x" * 100_001), "/k is no key file: it has more than 100,000 bytes.", KEY),
    "no type": (account(type=None), "/k is no Google key file: it has no `type`.", KEY),
    "type of another kind": (
        account(type=["service_account"]),
        "/k is no Google key file: it has no `type`.",
        KEY,
    ),
    "OAuth client": (
        text('{"installed": {"client_secret": "hush"}}'),
        "/k is the secret of an OAuth client, not a key.",
        KEY,
    ),
    "workload identity federation": (
        account(type="external_account"),
        "The key file /k is for workload identity federation, which TensorFlow Serving cannot use.",
        f"{KEY} On GKE, leave the file out and let Workload Identity give the pods access.",
    ),
    "impersonation": (
        account(type="impersonated_service_account"),
        "The key file /k is for impersonating a service account, which TensorFlow Serving cannot use.",
        KEY,
    ),
    "another type": (
        account(type="gdch_service_account"),
        "The key file /k is of type 'gdch_service_account', not service_account or authorized_user.",
        KEY,
    ),
    "one field lacking": (
        account(client_email=None),
        "The key file /k, of type service_account, lacks client_email.",
        AGAIN,
    ),
    "fields lacking": (
        account(client_email="", private_key=None, token_uri=7),
        "The key file /k, of type service_account, lacks client_email, private_key and token_uri.",
        AGAIN,
    ),
    "fields of a user lacking": (
        text('{"type": "authorized_user", "client_secret": "hush"}'),
        "The key file /k, of type authorized_user, lacks client_id and refresh_token.",
        LOG_IN,
    ),
    "private key that is none": (
        account(private_key="hush"),
        "The key file /k is damaged: its private_key is not a whole PEM key.",
        AGAIN,
    ),
    "private key cut off": (
        account(private_key=private_key()[:800]),
        "The key file /k is damaged: its private_key is not a whole PEM key.",
        AGAIN,
    ),
    "private key with its line ends escaped twice": (
        account(private_key=private_key().replace("\n", "\\n")),
        "The key file /k is damaged: its private_key is not a whole PEM key.",
        AGAIN,
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_and_its_cure(name: str, tmp_path: Path) -> None:
    """The problem names the file, the next step can be followed, and neither shows a part of a key."""
    make, problem, next_step = MISTAKES[name]
    path = tmp_path / "key.json"
    make(path)
    for use in (read_key, client_for):
        with pytest.raises(SettingsError) as caught:
            use(path)
        assert caught.value.problem.replace(str(path), "/k") == problem
        assert caught.value.next_step.replace(str(path), "/k") == next_step
        assert "hush" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_key_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """Who may not read is told so, not that there is none."""
    path = write_key(tmp_path / "key.json")
    with forbidden(path), pytest.raises(SettingsError) as caught:
        read_key(path)
    assert caught.value.next_step == "Let the user who runs the dashboard read it."


def test_a_key_is_read_as_it_is(tmp_path: Path) -> None:
    """Byte by byte, for a Secret: neither spaces nor fields that are not known are lost."""
    path = tmp_path / "key.json"
    content = f" {json.dumps(service_account(more='field'), indent=2)}\r\n".encode()
    path.write_bytes(content)
    assert read_key(path) == content


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
    """None stands for the environment's credentials."""
    assert client_for(None) is None


@needs_emulator
def test_no_token_is_asked_for_when_an_emulator_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """The server of tokens could not be reached here, and the emulator needs none."""
    make_base(tmp_path / "data" / "models" / "mnist")
    key = write_key(tmp_path / "key.json", token_uri=f"http://127.0.0.1:{unused_port}/token")
    with emulating(tmp_path / "data") as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        assert list(find_versions(location_of("gs://models/mnist", client_for(key)))) == [1]


def test_a_key_that_google_does_not_take_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """The token could not be had; the model is `unverified`, not unfit."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    key = write_key(tmp_path / "key.json", token_uri=f"http://127.0.0.1:{unused_port}/token")
    with pytest.raises(ModelError) as caught:
        find_versions(location_of("gs://models/mnist", client_for(key)))
    assert caught.value.unverified
    assert private_key()[40:60] not in str(caught.value)
