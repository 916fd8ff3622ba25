"""Model bases that can be listed are offered to choose from."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

from mnist_dash.storage import base_diagnosis
from mnist_dash.storage.base_diagnosis import bases_in_buckets
from tests.gcs import answering, client_of, emulating, needs_emulator

OBJECTS = (
    "models/mnist/model/1/saved_model.pb",
    "models/mnist/model/12/saved_model.pb",
    "models/team/cnn/model/3/saved_model.pb",
    "models/team/notes.txt",
    "models/deep/er/still/model/1/saved_model.pb",
    "models/unversioned/model/latest/saved_model.pb",
    "models/.hidden/model/1/saved_model.pb",
    "model-zoo/model/0001/saved_model.pb",
    "other/readme.txt",
)
FOUND = ["gs://model-zoo", "gs://models/mnist", "gs://models/team/cnn"]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator with these objects."""
    data = tmp_path_factory.mktemp("gcs")
    for name in OBJECTS:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch()
    with emulating(data) as url:
        yield url


@needs_emulator
def test_the_bases_of_all_buckets_are_found(emulator: str) -> None:
    """In visible folders, at most two deep, and the bucket itself; only those with a numbered version."""
    assert bases_in_buckets(client_of(emulator)) == FOUND


@needs_emulator
def test_the_environment_s_own_credentials_serve_as_well(
    emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do for everything else that reads a bucket."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    assert bases_in_buckets() == FOUND


@needs_emulator
def test_no_more_than_so_many_buckets_are_searched(emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project may have thousands."""
    monkeypatch.setattr(base_diagnosis, "MAX_BUCKETS", 1)
    found = bases_in_buckets(client_of(emulator))
    assert len({base.split("/")[2] for base in found}) <= 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 503])
def test_a_listing_that_is_refused_gives_nothing(status: int) -> None:
    """It is help, not an error, and it is not asked for twice."""
    with answering(status) as url:
        assert bases_in_buckets(client_of(url)) == []


def test_credentials_that_are_broken_give_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error appears when the user deploys a model from a bucket."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    assert bases_in_buckets() == []


def test_a_silent_network_gives_nothing_in_time() -> None:
    """The deadline is for all calls together."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_of(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert bases_in_buckets(client, deadline=0.2) == []


@needs_emulator
def test_a_client_without_a_project_is_no_error(emulator: str) -> None:
    """The emulator needs none; Cloud Storage refuses, which gives nothing."""
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]  # the library's
    client = Client(None, anonymous, client_options={"api_endpoint": emulator})
    assert set(bases_in_buckets(client)) <= set(FOUND)
