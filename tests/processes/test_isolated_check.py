"""The check of a model in a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mnist_dash.cluster.engine import KubernetesEngine
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.check import check_model
from mnist_dash.savedmodel.isolated_check import check_model_isolated
from mnist_dash.settings import EngineKind, Settings
from tests.gcs import emulating, needs_emulator, write_key
from tests.models import EXAMPLE, INVERTED, PYTHON, ROWS, change, make_base, use_foreign_operation

CLUSTER = Settings(EngineKind.KUBERNETES, ingress_host="mnist.example.com")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator with `mnist`, `broken` and `foreign` in the bucket `models`.

    `foreign` has an operation that only TensorFlow has.
    """
    data = tmp_path_factory.mktemp("gcs")
    make_base(data / "models" / "mnist", ROWS, "1", "2")
    make_base(data / "models" / "broken", PYTHON)
    change(make_base(data / "models" / "foreign", EXAMPLE) / "model" / "1", use_foreign_operation)
    with emulating(data) as url:
        yield url


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names the emulator."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)


@needs_emulator
@pytest.mark.usefixtures("bucket")
def test_progress_is_reported_while_the_model_is_copied() -> None:
    """Growing numbers that end with all bytes of the version."""
    steps: list[tuple[int, int]] = []
    found = check_model_isolated(
        "gs://models/mnist", progress=lambda done, total: steps.append((done, total))
    )
    assert (found.base, found.version) == ("gs://models/mnist", 2)
    assert len({total for _, total in steps}) == 1
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert len(steps) > 2
    assert steps[-1][0] == steps[-1][1]


@needs_emulator
@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("base", ["gs://nowhere/mnist", "gs://models/mnits", "gs://models/broken", "gs://m"])
def test_a_model_that_was_refused_is_not_unverified(base: str) -> None:
    """No such bucket, no such folder, no model that can be served, no address."""
    with pytest.raises(ModelError) as caught:
        check_model_isolated(base)
    assert not caught.value.unverified


@needs_emulator
@pytest.mark.usefixtures("bucket")
def test_a_model_that_only_tensorflow_can_run_is_unverified_on_a_cluster() -> None:
    """TensorFlow Serving runs it there, so it can be deployed unchecked."""
    with contextlib.closing(KubernetesEngine(CLUSTER)) as engine:
        check = engine.check("'gs://models/foreign/'")
    assert (check.base, check.version) == ("gs://models/foreign", None)
    assert "/model/1 uses operations that OpenVINO does not have: XlaCallModule." in check.unverified


@pytest.mark.parametrize(
    ("base", "next_step"),
    [
        ("https://console.cloud.google.com/storage/browser/bucket/m", "Did you mean gs://bucket/m?"),
        ("'/m'", "gcloud storage cp -r /m/model gs://BUCKET/PATH/ and give gs://BUCKET/PATH."),
    ],
)
def test_what_is_no_bucket_is_refused_on_a_cluster(base: str, next_step: str) -> None:
    """Another address of a bucket, or a folder; the next step can be followed as it is written."""
    with contextlib.closing(KubernetesEngine(CLUSTER)) as engine, pytest.raises(ModelError) as caught:
        engine.check(base)
    assert caught.value.next_step.endswith(next_step)


@pytest.mark.parametrize("base", ["a\0b", "file:///a%00b"])
def test_a_path_with_a_null_character_is_refused(base: str) -> None:
    """It cannot even be given to a process."""
    with pytest.raises(ModelError, match="is not a model base"):
        check_model_isolated(base)


@needs_emulator
@pytest.mark.usefixtures("bucket")
def test_the_key_file_goes_with_the_check(tmp_path: Path) -> None:
    """One that cannot be used says nothing about the model."""
    key = write_key(tmp_path / "key.json")
    assert check_model_isolated("gs://models/mnist", credentials=key).version == 2
    write_key(key, client_email=None)
    with pytest.raises(ModelError) as caught:
        check_model_isolated("gs://models/mnist", credentials=key)
    assert caught.value.problem.startswith(f"The key file {key} is incomplete")
    assert caught.value.unverified


def test_a_silent_network_does_not_hold_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped in the middle of its call, and the model is unverified."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ModelError, match=r"took longer than 1 s and was stopped\.") as caught:
            check_model_isolated("gs://models/mnist", timeout=1)
    assert caught.value.unverified


@needs_emulator
@pytest.mark.usefixtures("bucket")
def test_an_exception_in_a_callback_ends_the_check() -> None:
    """As it does when the user leaves the page meanwhile."""

    def leave(done: int, total: int) -> None:
        raise KeyboardInterrupt(done, total)

    before = psutil.Process().children()
    with pytest.raises(KeyboardInterrupt):
        check_model_isolated("gs://models/mnist", progress=leave)
    assert psutil.Process().children() == before


def test_a_base_may_look_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder named `--help` is a folder."""
    make_base(tmp_path / "--help")
    monkeypatch.chdir(tmp_path)
    assert check_model_isolated("--help").version == 1


@pytest.mark.parametrize("name", [ROWS, INVERTED])
def test_a_check_in_a_process_of_its_own_finds_the_same(name: str, tmp_path: Path) -> None:
    """The result, warnings and all, comes back through the process."""
    base = str(make_base(tmp_path, name))
    assert check_model_isolated(base) == check_model(base)


def test_an_unfit_model_is_reported_from_a_process_of_its_own(tmp_path: Path) -> None:
    """Problem and next step are the same as in this process."""
    with pytest.raises(ModelError) as here:
        check_model(str(tmp_path))
    with pytest.raises(ModelError) as isolated:
        check_model_isolated(str(tmp_path))
    assert isolated.value.args == here.value.args


def test_a_check_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    """The process is killed, and the error says after how long."""
    with pytest.raises(ModelError, match=r"took longer than 0\.001 s and was stopped"):
        check_model_isolated(str(make_base(tmp_path)), timeout=0.001)


def test_a_check_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """Also if that is killed while the check is stuck, here at a pipe without a writer."""
    pipe = make_base(tmp_path) / "model" / "1" / "saved_model.pb"
    pipe.unlink()
    os.mkfifo(pipe)
    code = (
        "from mnist_dash.savedmodel.isolated_check import check_model_isolated;"
        f"check_model_isolated({str(tmp_path)!r})"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # what it leaves there goes with the test
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as parent:
        while parent.poll() is None and not (children := psutil.Process(parent.pid).children()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                parent.wait(0.02)
        parent.kill()
        assert children
        assert psutil.wait_procs(children, timeout=10)[1] == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -ABRT $$", "It was killed by signal SIGABRT."),
        ("echo no room left >&2; exit 1", "no room left"),
        ("exit 3", "It ended with exit code 3."),
    ],
)
def test_a_crash_is_reported_with_its_reason(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that takes its process down leaves an error, not a dead dashboard."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError) as caught:
        check_model_isolated("/m")
    assert caught.value.problem == f"The check of /m crashed: {reason}"


def test_openvino_is_imported_with_the_first_model_only() -> None:
    """The dashboard's own process does not pay for it."""
    code = (
        "import sys, mnist_dash.savedmodel.isolated_check;"
        "sys.exit(bool({'openvino', 'google.cloud.storage'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
