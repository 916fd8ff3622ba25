"""A model base in a bucket is served as a folder is, and followed as it changes."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

from mnist_dash.errors import ModelError
from mnist_dash.local.server import mirror as mirrors
from mnist_dash.local.server.mirror import Mirror, mirrored
from mnist_dash.storage import cloud_storage
from mnist_dash.storage.location import BucketLocation
from tests.gcs import client_of, emulating, needs_emulator, remove, upload
from tests.processes.server.rest_client import connected, predict, states
from tests.processes.server.server_process import LINEAR, TIMEOUT, ServerProcess, command

pytestmark = needs_emulator
BASE = "gs://models/mnist"
VERSION = LINEAR / "model" / "1"


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an emulator, which the environment names; in it version 1 of a linear model."""
    shutil.copytree(VERSION, tmp_path / "gcs" / "models" / "mnist" / "model" / "1")
    with emulating(tmp_path / "gcs") as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield url


@pytest.fixture
def client(emulator: str) -> Client:
    """A client of the emulator."""
    return client_of(emulator)


@pytest.fixture
def mirror(client: Client, tmp_path: Path) -> Mirror:
    """A mirror that has been filled."""
    (tmp_path / "mirror").mkdir()
    mirror = Mirror(BucketLocation.from_url(BASE, client), tmp_path / "mirror")
    mirror.fill()
    return mirror


def add(client: Client, version: int | str, folder: Path = VERSION) -> None:
    """Upload a version."""
    upload(client, folder, f"{BASE}/model/{version}")


def here(mirror: Mirror) -> set[str]:
    """The names in the mirror."""
    return {path.name for path in mirror.folder.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_it_holds_what_the_bucket_holds(mirror: Mirror) -> None:
    """Byte by byte."""
    assert here(mirror) == {"1"}
    assert contents(mirror.folder / "1") == contents(VERSION)


def test_it_holds_the_two_highest_versions(mirror: Mirror, client: Client) -> None:
    """By number, whatever zeros are before it; one that goes makes room for one that was left out."""
    for version in (9, "0010", 11):
        add(client, version)
    assert mirror.poll() is None
    assert here(mirror) == {"10", "11"}
    remove(client, f"{BASE}/model/11")
    assert mirror.poll() is None
    assert here(mirror) == {"9", "10"}


def test_a_version_that_is_uploaded_slowly_is_completed(
    mirror: Mirror, client: Client, tmp_path: Path
) -> None:
    """What is there of it is copied, and again when there is more; what was replaced goes."""
    half = tmp_path / "half"
    half.mkdir()
    (half / "saved_model.pb").write_bytes(b"half")
    (half / "draft.txt").write_bytes(b"x")
    add(client, 2, half)
    assert mirror.poll() is None
    assert contents(mirror.folder / "2") == contents(half)
    add(client, 2)
    client.bucket("models").blob("mnist/model/2/draft.txt").delete()
    assert mirror.poll() is None
    assert contents(mirror.folder / "2") == contents(VERSION)
    assert here(mirror) == {"1", "2"}


def test_what_has_not_changed_is_not_copied_again(mirror: Mirror) -> None:
    """A poll of a bucket at rest writes nothing."""
    file = mirror.folder / "1" / "saved_model.pb"
    before = file.stat()
    assert mirror.poll() is None
    assert file.stat() == before


def test_a_folder_that_is_gone_changes_nothing(mirror: Mirror, client: Client) -> None:
    """As TensorFlow Serving goes on when its base path cannot be found."""
    remove(client, f"{BASE}/model")
    assert str(mirror.poll()) == f"{BASE}/model is gone. What was copied of it is kept."
    assert here(mirror) == {"1"}


def test_a_folder_without_versions_is_an_empty_one(mirror: Mirror, client: Client) -> None:
    """An object named as the folder keeps it there."""
    remove(client, f"{BASE}/model")
    client.bucket("models").blob("mnist/model/").upload_from_string("")
    assert mirror.poll() is None
    assert here(mirror) == set()


def test_a_version_without_files_is_an_empty_folder(mirror: Mirror, client: Client) -> None:
    """What is wrong with it is found when it is loaded."""
    client.bucket("models").blob("mnist/model/2/").upload_from_string("")
    assert mirror.poll() is None
    assert contents(mirror.folder / "2") == {}


def test_a_version_that_cannot_be_copied_changes_nothing(mirror: Mirror, client: Client) -> None:
    """An object with a name that no file can have, here."""
    add(client, 2)
    client.bucket("models").blob("mnist/model/2/a//b").upload_from_string("x")
    assert str(mirror.poll()).startswith(f"{BASE}/model/2/a//b cannot be stored as a file.")
    assert here(mirror) == {"1"}


def test_a_full_disk_is_told(mirror: Mirror, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the bucket's fault."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BucketLocation, "fetch", full)
    add(client, 2)
    problem = f"{BASE}/model cannot be copied to {mirror.folder}: No space left on device."
    assert str(mirror.poll()) == problem


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ("gs://models/mnits", "There is no folder gs://models/mnits. Did you mean gs://models/mnist?"),
        ("gs://nowhere/mnist", "There is no bucket gs://nowhere. Check its name."),
        ("gs:/models/mnist", "gs:/models/mnist is not a folder or a gs:// address. Did you mean gs://"),
    ],
)
@pytest.mark.usefixtures("emulator")
def test_no_version_at_the_start_is_an_error(base: str, problem: str) -> None:
    """The same as everywhere else, with the address as the user gave it."""
    with pytest.raises(ModelError) as caught, mirrored(base) as mirror:
        mirror.fill()
    assert str(caught.value).startswith(problem)


class Told:
    """Keeps what it is told, and ends the mirror when it was told enough."""

    def __init__(self, enough: int) -> None:
        self.problems: list[str] = []
        self.stop = threading.Event()
        self._enough = enough

    def version(self, version: int) -> None:
        raise AssertionError(version)

    def trouble(self, problem: str) -> None:
        self.problems.append(problem)
        if len(self.problems) == self._enough:
            self.stop.set()


def test_each_new_trouble_is_told_once(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every second; but again if all was well between."""
    polls = iter([*[ModelError("a")] * 3, None, *[ModelError("a")] * 2, ModelError("b")])
    monkeypatch.setattr(mirrors, "POLL_SECONDS", 0)
    monkeypatch.setattr(mirror, "poll", lambda: next(polls))
    told = Told(enough=3)
    mirror.run(told.stop, told)
    assert told.problems == ["a", "a", "b"]


def test_a_new_version_in_the_bucket_takes_over_and_goes_again(client: Client) -> None:
    """The server polls the bucket as TensorFlow Serving does; nothing is left of its copy at the end."""
    with ServerProcess(BASE) as server, connected(server.port) as connection:
        assert predict(connection) == (200, "1")
        add(client, 2)
        assert server.event("version") == {"event": "version", "version": 2}
        assert predict(connection) == (200, "2")
        remove(client, f"{BASE}/model/2")
        assert server.event("version") == {"event": "version", "version": 1}
        assert states(server.port) == {"2": "END", "1": "AVAILABLE"}


@pytest.mark.usefixtures("emulator")
def test_the_copy_does_not_outlive_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies where temporary files do."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    with ServerProcess(BASE) as server:
        assert len(list(place.iterdir())) == 1
        server.process.terminate()
        assert server.process.wait(TIMEOUT) == 0
    assert list(place.iterdir()) == []


def test_a_bucket_that_is_away_for_a_moment_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are cut; the model goes on answering, and follows the bucket again when it is back."""
    data = tmp_path / "gcs"
    shutil.copytree(VERSION, data / "models" / "mnist" / "model" / "1")
    with ExitStack() as first:
        url = first.enter_context(emulating(data))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        with ServerProcess(BASE) as server, connected(server.port) as connection:
            first.close()
            with socket.create_server(address) as cut:
                cut.settimeout(TIMEOUT)
                cut.accept()[0].close()
                assert predict(connection) == (200, "1")
            with emulating(data, address[1]):
                add(client_of(url), 2)
                server.event("version")
                assert predict(connection) == (200, "2")


def test_a_version_that_does_not_load_is_named_as_in_the_bucket(client: Client, tmp_path: Path) -> None:
    """Not by the temporary folder that it was copied to; the old one answers."""
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    with ServerProcess(BASE) as server, connected(server.port) as connection:
        client.bucket("models").blob("mnist/model/2/saved_model.pb").upload_from_string(b"no model")
        problem = server.event("trouble")["problem"]
        assert problem.startswith(f"{BASE}/model/2/saved_model.pb ")
        assert predict(connection) == (200, "1")


@pytest.mark.usefixtures("emulator")
def test_no_such_base_is_one_plain_line_and_exit_code_1() -> None:
    """As for a folder."""
    ended = subprocess.run(
        command("gs://models/mnits"), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "There is no folder gs://models/mnits. Did you mean gs://models/mnist?\n"


def test_no_version_is_one_plain_line_and_exit_code_1(client: Client) -> None:
    """As for a folder."""
    remove(client, f"{BASE}/model")
    client.bucket("models").blob("mnist/model/v1/saved_model.pb").upload_from_string(b"x")
    ended = subprocess.run(command(BASE), capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.endswith(f"{BASE}/model/v1 is a SavedModel. Move its content to {BASE}/model/1.\n")
    assert ended.stderr.count("\n") == 1


def test_a_model_that_cannot_be_loaded_is_one_plain_line_and_exit_code_1(client: Client) -> None:
    """With its address in the bucket."""
    client.bucket("models").blob("mnist/model/1/saved_model.pb").upload_from_string(b"no model")
    ended = subprocess.run(command(BASE), capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"{BASE}/model/1/saved_model.pb ")


def test_a_bucket_that_cannot_be_reached_at_the_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """After it was tried for a while; whoever started the server starts it again."""
    monkeypatch.setattr(cloud_storage, "RETRY_SECONDS", 0.1)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{unused_port}")
    with pytest.raises(ModelError, match=f"could not be reached for {BASE}/model"), mirrored(BASE) as mirror:
        mirror.fill()
