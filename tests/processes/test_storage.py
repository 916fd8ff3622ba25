"""A model base is a folder or a path in a bucket; its versions are found and brought here alike."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.check import check_model
from mnist_dash.storage import cloud_storage
from mnist_dash.storage.base_diagnosis import find_versions
from mnist_dash.storage.location import location_of
from tests.gcs import answering, client_of, emulating, needs_emulator
from tests.models import FLAT, PYTHON, ROWS, forbidden, make_base


def versions_of(base: str, client: Client | None = None) -> list[int]:
    """The numbers of the versions of a model base, lowest first."""
    return sorted(find_versions(location_of(base, client)))


def test_versions_are_numbers_in_order(tmp_path: Path) -> None:
    """Numerically, not as text; a file, a name with a sign and any other name are passed over."""
    base = make_base(tmp_path, FLAT, "9", "10", "0002")
    for name in ("v3", "+4", "1_0", "\u0665", "-1"):
        (base / "model" / name).mkdir()
    (base / "model" / "77").touch()
    assert versions_of(str(base)) == [2, 9, 10]


def test_a_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    """Nothing is copied; a number may be written with zeros before it."""
    base = make_base(tmp_path / "mnist", FLAT, "0002")
    assert find_versions(location_of(str(base)))[2].fetch(tmp_path / "unused") == base / "model" / "0002"
    assert not (tmp_path / "unused").exists()


def test_a_folder_may_be_written_in_several_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, relative, from home, as a URL, with spaces around it."""
    base = tmp_path / "my mnist"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    given = [
        str(base),
        "my mnist",
        "./my mnist/",
        "~/my mnist",
        f"file://{tmp_path}/my%20mnist",
        f" {base}\n",
    ]
    assert {str(location_of(text)) for text in given} == {str(base)}


@pytest.mark.parametrize(
    ("base", "problem", "next_step"),
    [
        (" ", "No model base was given.", "Give a folder, or gs://bucket/path."),
        ("a\0b", "'a\\x00b' is not a model base.", "Give a folder, or gs://bucket/path."),
        ("~nobody-9/m", "'~nobody-9/m' is not a model base.", "Give a folder, or gs://bucket/path."),
        ("file://far/m", "file://far/m names a folder of another machine, far.", "Write file:///path."),
        (
            "s3://b/m",
            "s3://b/m is not a place that models are read from.",
            "Give a folder, or gs://bucket/path.",
        ),
        (
            "GS://bucket/m",
            "GS://bucket/m is not a place that models are read from.",
            "Did you mean gs://bucket/m?",
        ),
        (
            "https://console.cloud.google.com/storage/browser/bucket/m;tab=objects?project=p",
            "https://console.cloud.google.com/storage/browser/bucket/m;tab=objects?project=p is not a place "
            "that models are read from.",
            "Did you mean gs://bucket/m?",
        ),
        (
            "https://storage.googleapis.com/bucket/m/",
            "https://storage.googleapis.com/bucket/m/ is not a place that models are read from.",
            "Did you mean gs://bucket/m?",
        ),
        ("gs:/bucket/m", "gs:/bucket/m is not written as a bucket's address.", "Did you mean gs://bucket/m?"),
        ("gs:///bucket", "gs:///bucket is not written as a bucket's address.", "Did you mean gs://bucket?"),
    ],
)
def test_a_text_that_names_no_place_is_refused(base: str, problem: str, next_step: str) -> None:
    """Without a look at any disk or bucket."""
    with pytest.raises(ModelError) as caught:
        location_of(base)
    assert (caught.value.problem, caught.value.next_step) == (problem, next_step)


@pytest.mark.parametrize("name", ["abc", "a.b", "a_b", "0-0", "x" * 63, "my-bucket.example.com", "123"])
def test_a_bucket_may_be_named_so(name: str) -> None:
    """As Google's rules for the names of buckets say; a slash at the end of the path changes nothing."""
    assert str(location_of(f"gs://{name}/mnist/")) == f"gs://{name}/mnist"


@pytest.mark.parametrize(
    "name", ["ab", "Abc", "-abc", "abc-", "a..b", ".ab", "ab.", "x" * 64, "1.2.3.4", "a b"]
)
def test_a_bucket_cannot_be_named_so(name: str) -> None:
    """It is refused before any call, with the rule."""
    with pytest.raises(
        ModelError, match=r"a bucket's name is 3 to 63 of a-z, 0-9, `-`, `_` and `\.`, with a"
    ):
        location_of(f"gs://{name}/mnist")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("gs://", "gs:// cannot be read: it names no bucket."),
        ("gs://abc/a//b", "gs://abc/a//b cannot be read: a path has no empty part, `.` or `..`."),
        ("gs://abc/../b", "gs://abc/../b cannot be read: a path has no empty part, `.` or `..`."),
        (
            "gs://abc/*/b",
            "gs://abc/*/b cannot be read: a path is one path, without `*`, `?`, `[`, `]`, `#` or line ends.",
        ),
    ],
)
def test_a_path_in_a_bucket_has_a_grammar(url: str, problem: str) -> None:
    """A path that no folder could have is refused before any call."""
    with pytest.raises(ModelError) as caught:
        location_of(url)
    assert caught.value.problem == problem


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """Who may not read is told so, not that there is nothing."""
    base = make_base(tmp_path)
    with forbidden(base / "model"), pytest.raises(ModelError) as caught:
        versions_of(str(base))
    assert caught.value.problem == f"{base / 'model'} cannot be read: Permission denied."
    assert caught.value.next_step == "Let the user who runs the dashboard read it."


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
    """Byte by byte, with the progress told, and only once; what is half done is not seen."""
    told: list[tuple[int, int]] = []
    version = location_of("gs://models/mnist/model/2", client)
    folder = version.fetch(tmp_path / "model" / "2", lambda done, total: told.append((done, total)))
    assert folder == tmp_path / "model" / "2"
    original = make_base(tmp_path / "original") / "model" / "1"
    for path in original.rglob("*"):
        assert path.is_dir() or (folder / path.relative_to(original)).read_bytes() == path.read_bytes()
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > sum(path.is_file() for path in folder.rglob("*"))
    assert told[-1][0] == told[-1][1] == sum(p.stat().st_size for p in original.rglob("*") if p.is_file())
    assert [path.name for path in folder.parent.iterdir()] == ["2"]
    told.clear()
    assert version.fetch(folder, lambda *_: told.append((0, 0))) == folder
    assert told == []


@needs_emulator
def test_a_model_in_a_bucket_is_checked(client: Client) -> None:
    """It is fetched, loaded and tried; the result names it as the user did."""
    found = check_model("gs://models/mnist", client=client)
    assert (found.base, found.version, found.accuracy) == ("gs://models/mnist", 2, 0.755)


@needs_emulator
def test_an_unfit_model_in_a_bucket_is_named_as_the_user_did(client: Client) -> None:
    """Not by the temporary folder that it was copied to."""
    with pytest.raises(ModelError) as caught:
        check_model("gs://models/broken", client=client)
    assert (
        caught.value.problem
        == "gs://models/broken/model/1 uses operations that OpenVINO does not have: PyFunc."
    )


@needs_emulator
def test_more_than_the_limit_is_not_fetched(client: Client, tmp_path: Path) -> None:
    """The sizes are known before anything is copied."""
    with pytest.raises(ModelError, match=r"model/1 holds [\d,]+ bytes, more than the 10,000 that") as caught:
        location_of("gs://models/mnist/model/1", client).fetch(tmp_path / "1", max_bytes=10_000)
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
    ("base", "problem", "next_step"),
    [
        ("gs://nowhere/mnist", "There is no bucket gs://nowhere.", "Check its name."),
        ("gs://models/mnits", "There is no folder gs://models/mnits.", "Did you mean gs://models/mnist?"),
        (
            "gs://models/mnist/model/1",
            "gs://models/mnist/model/1 is too deep: a model base is the folder that holds `model`.",
            "Did you mean gs://models/mnist?",
        ),
        (
            "gs://models",
            "gs://models is too high: 2 model bases lie in it.",
            "Give one of them: gs://models/broken, gs://models/mnist.",
        ),
        (
            "gs://models/notes.txt",
            "gs://models/notes.txt is a file, not a folder.",
            "Give the folder that holds `model/<version>/`.",
        ),
        (
            "gs://empty",
            "gs://empty is not a model base: it has no folder `model`; it holds nothing.",
            'Export the model there: model.export("gs://empty/model/1").',
        ),
    ],
)
def test_a_mistake_in_a_bucket_is_told_as_in_a_folder(
    base: str, problem: str, next_step: str, client: Client
) -> None:
    """One explanation serves both."""
    with pytest.raises(ModelError) as caught:
        versions_of(base, client)
    assert (caught.value.problem, caught.value.next_step) == (problem, next_step)


OTHER_KEY = "Use the key of an account that may read it."
LOG_IN = "To log in, run `gcloud auth application-default login` where the dashboard runs."


@pytest.mark.parametrize(
    ("status", "problem", "next_step"),
    [
        (
            401,
            "gs://abc/mnist/model is not public, and there are no valid Google credentials to read it with.",
            OTHER_KEY,
        ),
        (
            403,
            "These Google credentials may not read gs://abc/mnist/model. Google says: No.",
            f"Ask the owner of gs://abc for the role Storage Object Viewer. {OTHER_KEY}",
        ),
        (404, "There is no bucket gs://abc.", "Check its name."),
        (
            400,
            "Cloud Storage failed while gs://abc/mnist/model was read. Google says: No.",
            "Try again in a minute.",
        ),
        (
            503,
            "Cloud Storage failed while gs://abc/mnist/model was read. Google says: No.",
            "Try again in a minute.",
        ),
    ],
)
def test_a_refusal_of_cloud_storage_is_told(
    status: int, problem: str, next_step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with what can be done about it; what may pass is tried again for a while first."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    with answering(status) as url, pytest.raises(ModelError) as caught:
        versions_of("gs://abc/mnist", client_of(url))
    assert (caught.value.problem, caught.value.next_step) == (problem, next_step)
    assert caught.value.unverified == (status != 404)


def test_no_network_is_told(unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection, here, stands for any."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    with pytest.raises(ModelError) as caught:
        versions_of("gs://abc/mnist", client_of(f"http://127.0.0.1:{unused_port}"))
    assert (
        caught.value.problem
        == "Cloud Storage could not be reached for gs://abc/mnist/model (ConnectionError)."
    )
    assert caught.value.next_step == "Check the network, then try again."
    assert caught.value.unverified


def test_a_silent_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing does not hold anybody for ever."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(cloud_storage, "TIMEOUT", (0.2, 0.2))
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ModelError, match=r"could not be reached for .* \(ReadTimeout\)\."),
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


def test_credentials_that_are_broken_are_told(stranger: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are not passed over in silence: the user believes that they work."""
    stranger.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(ModelError) as caught:
        versions_of("gs://abc/mnist")
    problem = f"The Google credentials cannot be used: File {tmp_path / 'key.json'} was not found."
    assert (caught.value.problem, caught.value.next_step) == (problem, LOG_IN)
    assert caught.value.unverified
