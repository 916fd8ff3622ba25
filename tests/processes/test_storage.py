"""Model bases in a bucket are found, copied and diagnosed like folders; Google's errors are translated."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.check import check_model
from mnist_dash.storage import cloud_storage, location
from mnist_dash.storage.base_diagnosis import find_versions
from mnist_dash.storage.key_file import client_for
from mnist_dash.storage.location import location_of
from tests.gcs import answering, client_of, emulating, needs_emulator, private_key, write_key
from tests.models import PYTHON, ROWS, make_base


def versions_of(base: str, client: Client | None = None) -> list[int]:
    """The numbers of the versions of a model base, lowest first."""
    return sorted(find_versions(location_of(base, client)))


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Cloud Storage emulator with the buckets `models`, `empty` and `odd`."""
    data = tmp_path_factory.mktemp("gcs")
    make_base(data / "models" / "mnist", ROWS, "1", "2")
    make_base(data / "models" / "broken", PYTHON)
    (data / "models" / "notes.txt").write_text("x")
    for bucket in ("empty", "odd"):
        (data / bucket).mkdir()
    with emulating(data) as url:
        yield url


@pytest.fixture
def client(emulator: str) -> Client:
    """A client of the emulator."""
    return client_of(emulator)


@needs_emulator
def test_versions_in_a_bucket_are_listed(client: Client) -> None:
    """As they are in a folder, with or without a slash at the end."""
    assert versions_of("gs://models/mnist", client) == [1, 2]
    assert versions_of("gs://models/mnist/", client) == [1, 2]


@needs_emulator
def test_a_version_in_a_bucket_is_copied(client: Client, tmp_path: Path) -> None:
    """Byte by byte, reporting progress, and only once; an incomplete copy is not visible."""
    reports: list[tuple[int, int]] = []
    version = location_of("gs://models/mnist/model/2", client)
    folder = version.fetch(tmp_path / "model" / "2", lambda done, total: reports.append((done, total)))
    assert folder == tmp_path / "model" / "2"
    original = make_base(tmp_path / "original") / "model" / "1"
    for path in original.rglob("*"):
        assert path.is_dir() or (folder / path.relative_to(original)).read_bytes() == path.read_bytes()
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert len(reports) > sum(path.is_file() for path in folder.rglob("*"))
    total = sum(path.stat().st_size for path in original.rglob("*") if path.is_file())
    assert reports[-1] == (total, total)
    assert [path.name for path in folder.parent.iterdir()] == ["2"]
    reports.clear()
    assert version.fetch(folder, lambda *_: reports.append((0, 0))) == folder
    assert reports == []


@needs_emulator
def test_an_unfit_model_in_a_bucket_is_named_as_the_user_did(client: Client) -> None:
    """Not by the temporary folder that it was copied to."""
    with pytest.raises(ModelError, match=r"^gs://models/broken/model/1 uses operations"):
        check_model("gs://models/broken", client=client)


@needs_emulator
def test_more_than_the_limit_is_not_fetched(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unverified, as it may well be fit; the sizes are known before anything is copied."""
    monkeypatch.setattr(location, "MAX_BYTES", 10_000)
    with pytest.raises(ModelError, match=r"model/1 holds [\d,]+ bytes, more than the 10,000 that") as caught:
        location_of("gs://models/mnist/model/1", client).fetch(tmp_path / "1")
    assert caught.value.unverified
    assert list(tmp_path.iterdir()) == []


@needs_emulator
@pytest.mark.parametrize("name", ["../../x", "a//b", "a\\b"])
def test_an_object_cannot_be_written_elsewhere(name: str, client: Client, tmp_path: Path) -> None:
    """An object may have any name; it becomes a file below the folder, or nothing is copied."""
    for path in ("saved_model.pb", name):
        client.bucket("odd").blob(f"model/1/{path}").upload_from_string("x")
    with pytest.raises(ModelError, match="cannot be stored as a file"):
        location_of("gs://odd/model/1", client).fetch(tmp_path / "1")
    client.bucket("odd").blob(f"model/1/{name}").delete()
    assert list(tmp_path.rglob("*")) == []


@needs_emulator
@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("gs://nowhere/mnist", r"There is no bucket gs://nowhere\. Check its name\."),
        ("gs://models/mnits", r"There is no folder .*mnits\. Did you mean gs://models/mnist\?"),
        ("gs://models/mnist/model/1", r"is too deep: .* Did you mean gs://models/mnist\?"),
        ("gs://models", r"is too high: .* Give one of the 2 in it\."),
        ("gs://models/notes.txt", r"gs://models/notes\.txt is a file, not a folder\."),
        ("gs://empty", r'is not a model base: .* model\.export\("gs://empty/model/1"\)\.'),
    ],
)
def test_a_mistake_in_a_bucket_is_reported_as_in_a_folder(base: str, message: str, client: Client) -> None:
    """The same explanation serves both."""
    with pytest.raises(ModelError, match=message):
        versions_of(base, client)


OTHER_KEY = "Use the key of an account that may read it."
LOG_IN = "To log in, run `gcloud auth application-default login` where the dashboard runs."
MODEL = "gs://abc/mnist/model"


@pytest.mark.parametrize(
    ("status", "problem", "next_step"),
    [
        (401, f"{MODEL} is not public", OTHER_KEY),
        (403, f"These Google credentials may not read {MODEL}. Google says: No.", OTHER_KEY),
        (404, "There is no bucket gs://abc.", "Check its name."),
        (503, f"Cloud Storage could not read {MODEL}. Google says: No.", "Try again in a minute."),
    ],
)
def test_an_error_of_cloud_storage_is_translated(
    status: int, problem: str, next_step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a next step; requests are repeated for a while after an error that may pass."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    with answering(status) as url, pytest.raises(ModelError) as caught:
        versions_of("gs://abc/mnist", client_of(url))
    assert caught.value.problem.startswith(problem)
    assert caught.value.next_step.endswith(next_step)
    assert caught.value.unverified == (status != 404)
    assert ("the role Storage Object Viewer" in caught.value.next_step) == (status == 403)


def test_a_refused_connection_is_reported(unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model base is unverified, not unfit."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    with pytest.raises(ModelError) as caught:
        versions_of("gs://abc/mnist", client_of(f"http://127.0.0.1:{unused_port}"))
    problem = "Cloud Storage could not be reached for gs://abc/mnist/model: Connection refused."
    assert caught.value.problem == problem
    assert caught.value.next_step == "Check the network, then try again."
    assert caught.value.unverified


def test_a_server_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for it is limited."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(cloud_storage, "TIMEOUT", (0.2, 0.2))
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ModelError, match=r"could not be reached for .*: it did not answer in time\."),
    ):
        versions_of("gs://abc/mnist", client_of(f"http://127.0.0.1:{silent.getsockname()[1]}"))


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a user who has no Google credentials."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return monkeypatch


def test_without_credentials_the_public_can_be_read(stranger: pytest.MonkeyPatch) -> None:
    """The request is made all the same, and a refusal asks for a login."""
    with answering(401) as url:
        stranger.setenv("API_ENDPOINT_OVERRIDE", url)
        with pytest.raises(ModelError, match="is not public, and there are no valid") as caught:
            versions_of("gs://abc/mnist")
    assert caught.value.next_step == LOG_IN


def test_broken_credentials_are_reported(stranger: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are not passed over in silence: the user believes that they work."""
    stranger.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(ModelError) as caught:
        versions_of("gs://abc/mnist")
    problem = f"The Google credentials cannot be used: File {tmp_path / 'key.json'} was not found."
    assert (caught.value.problem, caught.value.next_step) == (problem, LOG_IN)
    assert caught.value.unverified


@needs_emulator
def test_no_token_is_asked_for_when_an_emulator_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """The token server cannot be reached here, and the emulator needs no token."""
    make_base(tmp_path / "data" / "models" / "mnist")
    key = write_key(tmp_path / "key.json", token_uri=f"http://127.0.0.1:{unused_port}/token")
    with emulating(tmp_path / "data") as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        assert versions_of("gs://models/mnist", client_for(key)) == [1]


def test_a_key_that_google_does_not_accept_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """There is no token; the model is `unverified`, not unfit."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    key = write_key(tmp_path / "key.json", token_uri=f"http://127.0.0.1:{unused_port}/token")
    with pytest.raises(ModelError) as caught:
        versions_of("gs://models/mnist", client_for(key))
    assert caught.value.unverified
    assert private_key()[40:60] not in str(caught.value)
