"""The local engine alone: its processes, its port, its state file (tests/contract has the verbs)."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnist_dash import open_dashboard
from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image, Role, SetSplit
from mnist_dash.errors import EngineError, ModelError
from mnist_dash.local import engine
from mnist_dash.local.desired_state import BUNDLED
from mnist_dash.local.engine import listen
from mnist_dash.service import Dashboard
from mnist_dash.settings import Settings
from tests.load import constant_load

IMAGE: Image = load_digits().images[0]


def settings(tmp_path: Path, **changes: object) -> Settings:
    return Settings(gateway_port=0, state_dir=tmp_path / "state", **changes)  # type: ignore[arg-type]  # the test's business


def pid_of(dash: Dashboard, name: str) -> int:
    """The process id of an object."""
    return next(int(item.details["Process"]) for item in dash.objects() if item.name.startswith(name))


def wait_for_another(dash: Dashboard, name: str, pid: int, timeout: float = 20) -> None:
    """Return once the object's process is another one and ready."""
    deadline = time.monotonic() + timeout
    while not any(
        item.name.startswith(name) and item.state == "ready" and item.details.get("Process") != str(pid)
        for item in dash.objects()
    ):
        assert time.monotonic() < deadline, dash.objects()
        time.sleep(0.02)


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[Dashboard]:
    """A dashboard at its first start, settled."""
    with open_dashboard(settings(tmp_path)) as dash:
        dash.wait_settled()
        yield dash


def test_the_first_start_deploys_both_bundled_models_with_a_canary_of_20_percent(dash: Dashboard) -> None:
    """Their accuracy is known soon."""
    snapshot = dash.snapshot()
    assert snapshot.current is not None
    assert snapshot.new is not None
    assert (snapshot.current.base, snapshot.new.base) == (str(BUNDLED / "linear"), str(BUNDLED / "cnn"))
    assert snapshot.split_observed == 20
    deadline = time.monotonic() + 20
    while not all(model and model.accuracy for model in (dash.snapshot().current, dash.snapshot().new)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {dash.snapshot().of(role).digits for role in Role} == {2000}  # type: ignore[union-attr]  # as above


def test_a_later_start_brings_back_what_was_deployed(tmp_path: Path) -> None:
    """Roles after a promotion, replicas, split and the undo."""
    with open_dashboard(settings(tmp_path)) as dash:
        dash.wait_settled()
        dash.promote()
        dash.deploy(Role.NEW, str(BUNDLED / "cnn"), replicas=2)
        dash.set_split(35)
        dash.wait_settled()
    with open_dashboard(settings(tmp_path)) as dash:
        again = dash.wait_settled()
        assert again.current is not None
        assert again.new is not None
        assert (again.current.base, again.current.release) == (str(BUNDLED / "cnn"), "green")
        assert (again.new.base, again.new.desired) == (str(BUNDLED / "cnn"), 2)
        assert again.split_observed == 35


def test_the_history_names_users_and_changes_and_outlives_a_restart(tmp_path: Path) -> None:
    """Newest first; without a signed-in user, it is the user who runs the dashboard."""
    before = time.time()
    with open_dashboard(settings(tmp_path, empty=True)) as dash:
        assert dash.history() == ()
        dash.on_behalf_of("ada@example.com").deploy(Role.CURRENT, str(BUNDLED / "linear"), replicas=2)
        dash.remove(Role.CURRENT)
        history = dash.history()
    newest, oldest = history
    assert (newest.by, newest.what) == (getpass.getuser(), "Remove Current")
    assert oldest.by == "ada@example.com"
    assert oldest.what == "Deploy linear version 1 as Current with 2 replicas"
    assert before <= oldest.at <= newest.at <= time.time()
    with open_dashboard(settings(tmp_path)) as dash:
        assert dash.history() == history


def test_a_refused_change_is_not_in_the_history(tmp_path: Path) -> None:
    """It lists accepted changes only."""
    with open_dashboard(settings(tmp_path, empty=True)) as dash:
        with pytest.raises(EngineError):
            dash.remove(Role.NEW)
        assert dash.history() == ()


def test_there_is_no_cluster_behind_it(dash: Dashboard) -> None:
    """There is nothing to preview, and nothing was applied."""
    assert not dash.in_cluster
    assert dash.preview(SetSplit(50)) == ""
    assert dash.manifests() == ""


def test_a_replica_that_is_terminated_is_replaced_without_a_lost_request(dash: Dashboard) -> None:
    """Until there is another, Current answers for New."""
    pid = pid_of(dash, "green")
    with constant_load(dash, IMAGE) as load:
        os.kill(pid, signal.SIGTERM)
        wait_for_another(dash, "green", pid)
    assert load.failures == []


def test_a_replica_that_is_killed_is_replaced(dash: Dashboard) -> None:
    """Only requests that had reached it, or were on their way to it, are lost."""
    pid = pid_of(dash, "green")
    with constant_load(dash, IMAGE) as load:
        os.kill(pid, signal.SIGKILL)
        wait_for_another(dash, "green", pid)
        load.failures = [failure for failure in load.failures if "green-2" not in failure]
    assert load.failures == []
    assert dash.wait_settled().new.ready == 1  # type: ignore[union-attr]  # it is deployed


def test_a_replica_that_hangs_is_replaced(dash: Dashboard) -> None:
    """It runs, but answers no health probe."""
    pid = pid_of(dash, "green")
    os.kill(pid, signal.SIGSTOP)
    wait_for_another(dash, "green", pid)
    dash.wait_settled()


def test_a_gateway_that_is_killed_comes_back_on_the_same_port(dash: Dashboard) -> None:
    """Connections wait meanwhile; only a request that was under way in it is lost."""
    pid, url = pid_of(dash, "gateway"), dash.gateway.url
    os.kill(pid, signal.SIGKILL)
    wait_for_another(dash, "gateway", pid)
    assert dash.gateway.url == url
    assert dash.predict(IMAGE).milliseconds > 0
    dash.wait_settled()


def test_a_gateway_that_hangs_is_replaced(dash: Dashboard) -> None:
    """It holds the port and accepts connections, but answers no health probe."""
    pid = pid_of(dash, "gateway")
    os.kill(pid, signal.SIGSTOP)
    wait_for_another(dash, "gateway", pid)
    dash.wait_settled()
    assert dash.predict(IMAGE).milliseconds > 0


def test_a_damaged_newer_version_is_a_warning_on_the_card(tmp_path: Path) -> None:
    """The older version keeps answering, after a restart of its replica too."""
    base = shutil.copytree(BUNDLED / "linear", tmp_path / "linear")
    with open_dashboard(settings(tmp_path, empty=True)) as dash:
        dash.deploy(Role.CURRENT, str(base))
        dash.wait_settled()
        (base / "model" / "2").mkdir()
        (base / "model" / "2" / "saved_model.pb").write_text("junk")
        deadline = time.monotonic() + 20
        while not (warnings := dash.snapshot().current.warnings):  # type: ignore[union-attr]  # it is deployed
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "saved_model.pb" in warnings[0]
        pid = pid_of(dash, "blue")
        os.kill(pid, signal.SIGKILL)
        wait_for_another(dash, "blue", pid)
        assert dash.predict(IMAGE).version == 1


def test_a_start_that_fails_leaves_the_state_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's next try must find the saved state."""

    def refuse(*_: object) -> socket.socket:
        raise EngineError("No port.")

    with monkeypatch.context() as patch, pytest.raises(EngineError, match="No port"):  # noqa: PT012
        patch.setattr(engine, "listen", refuse)
        open_dashboard(settings(tmp_path))
    with open_dashboard(settings(tmp_path, empty=True)) as dash:
        assert dash.snapshot().notices == ()


def test_a_taken_port_is_replaced_by_the_next_free_one_with_a_notice(unused_port: int) -> None:
    """Two dashboards with default settings do not collide."""
    notices: list[str] = []
    with socket.create_server(("127.0.0.1", unused_port)), listen(unused_port, notices) as listener:
        assert listener.getsockname()[1] > unused_port
        assert notices == [
            f"Port {unused_port} is taken: the gateway listens on {listener.getsockname()[1]}."
        ]


def test_no_free_port_is_an_error_that_names_the_flag() -> None:
    """The message names the flag that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match="--gateway-port"):
            listen(port, [], ports_to_try=1)


def test_a_bucket_is_refused_with_a_next_step(dash: Dashboard) -> None:
    """Replicas here read folders."""
    with pytest.raises(ModelError, match=r"reads folders, not gs://bucket/m\. Copy it here first"):
        dash.deploy(Role.NEW, "'gs://bucket/m/'")


def test_the_bundled_models_are_suggested(dash: Dashboard) -> None:
    """Each can be deployed unchanged."""
    assert [suggestion.base for suggestion in dash.suggestions()] == [
        str(BUNDLED / "cnn"),
        str(BUNDLED / "linear"),
    ]
    assert all(dash.check(suggestion.base).accuracy for suggestion in dash.suggestions())
