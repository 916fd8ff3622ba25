"""The bed's model server follows a bucket as TensorFlow Serving does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

from mnist_dash.errors import ModelError
from mnist_dash.local.desired_state import BUNDLED
from mnist_dash.storage.location import BucketLocation
from tests.cluster.bed.bucket_sync import BucketSync
from tests.gcs import client_of, emulating, needs_emulator, remove, upload

pytestmark = needs_emulator
BASE = "gs://models/mnist"
VERSION = BUNDLED / "linear" / "model" / "1"
SERVER = [sys.executable, "-m", "tests.cluster.bed.bucket_sync", "--port", "0", "--model-base"]


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an emulator, which the environment names; in it version 1 of a linear model."""
    shutil.copytree(VERSION, tmp_path / "gcs" / "models" / "mnist" / "model" / "1")
    with emulating(tmp_path / "gcs") as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        yield url


@pytest.fixture
def client(emulator: str) -> Client:
    """A client of the emulator."""
    return client_of(emulator)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the copies are."""
    return tmp_path / "copies" / "model"


@pytest.fixture
def sync(client: Client, folder: Path) -> BucketSync:
    """A copy that is complete."""
    sync = BucketSync(BucketLocation.from_url(BASE, client), folder)
    sync.sync()
    return sync


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(folder: Path) -> set[str]:
    """Return the names right in a folder."""
    return {path.name for path in folder.iterdir()}


def test_the_two_highest_versions_are_copied(sync: BucketSync, client: Client, folder: Path) -> None:
    """Byte by byte; a version that goes makes room for another one."""
    assert contents(folder / "1") == contents(VERSION)
    for version in (9, "0010", 11):
        upload(client, VERSION, f"{BASE}/model/{version}")
    sync.sync()
    assert names(folder) == {"10", "11"}
    remove(client, f"{BASE}/model/11")
    sync.sync()
    assert names(folder) == {"9", "10"}


def test_a_version_that_is_uploaded_slowly_is_completed(
    sync: BucketSync, client: Client, folder: Path, tmp_path: Path
) -> None:
    """It is copied again when it has changed, and only then."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "draft.txt").write_bytes(b"x")
    upload(client, tmp_path / "half", f"{BASE}/model/2")
    sync.sync()
    assert contents(folder / "2") == {"draft.txt": b"x"}
    remove(client, f"{BASE}/model/2")
    upload(client, VERSION, f"{BASE}/model/2")
    sync.sync()
    before = (folder / "2" / "saved_model.pb").stat()
    sync.sync()
    assert contents(folder / "2") == contents(VERSION)
    assert (folder / "2" / "saved_model.pb").stat() == before


def test_a_bucket_without_the_model_changes_nothing(sync: BucketSync, client: Client, folder: Path) -> None:
    """TensorFlow Serving also continues when its base path cannot be found."""
    remove(client, f"{BASE}/model")
    with pytest.raises(ModelError, match=BASE):
        sync.sync()
    assert names(folder) == {"1"}


def test_a_new_version_in_the_bucket_takes_over(client: Client, tmp_path: Path) -> None:
    """The server reads the copy."""
    with subprocess.Popen([*SERVER, BASE], cwd=tmp_path, stdout=-1, stderr=-1, text=True) as server:
        assert server.stdout
        assert server.stderr
        assert server.stdout.readline().startswith("Serving version 1 at ")
        upload(client, VERSION, f"{BASE}/model/2")
        assert server.stderr.readline() == "Version 2 has taken over.\n"
        server.terminate()


@pytest.mark.usefixtures("emulator")
def test_no_such_base_is_one_plain_line_and_exit_code_1(tmp_path: Path) -> None:
    """The dashboard shows it as the reason why the Pod fails."""
    ended = subprocess.run(
        [*SERVER, "gs://models/mnits"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "There is no folder gs://models/mnits. Did you mean gs://models/mnist?\n"
