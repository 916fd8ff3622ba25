"""Start and end of dashboards: no process outlives one, and two do not disturb each other."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.server import ROOT, Server, serve

GRACE_SECONDS = 3.0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_nothing_survives_the_dashboard(tmp_path: Path, how: signal.Signals) -> None:
    """Gateway and model servers end within three seconds, however the dashboard ended."""
    with serve(tmp_path / "state") as server:
        server.wait_for_serving(3)
        children = server.children()
        server.end(how)
        _, alive = psutil.wait_procs(children, timeout=GRACE_SECONDS)
        assert alive == []


def test_two_dashboards_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Even on one state folder, each has its own processes and port."""
    with serve(tmp_path / "state") as first, serve(tmp_path / "state") as second:
        mine, theirs = first.wait_for_serving(3), second.wait_for_serving(3)
        first.end(signal.SIGKILL)
        psutil.wait_procs(mine, timeout=GRACE_SECONDS)
        assert all(child.is_running() for child in theirs)
        assert second.serving() == theirs


@pytest.mark.parametrize(
    ("env", "address"),
    [({}, "127.0.0.1"), ({"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}, "0.0.0.0")],
    ids=["default", "set"],
)
def test_app_py_alone_listens_on_localhost_only(tmp_path: Path, env: dict[str, str], address: str) -> None:
    """Without .streamlit beside it or in the working directory; unless the user has set another address."""
    script = shutil.copy(ROOT / "app.py", tmp_path)
    flags = ["--state-dir", str(tmp_path / "state"), "--gateway-port", "0"]
    server = Server(tmp_path / "log", *flags, script=Path(script), cwd=tmp_path, PYTHONPATH=str(ROOT), **env)
    try:
        server.wait_for_serving(3)
        server.wait_until_up()
        sockets = psutil.Process(server.process.pid).net_connections("tcp")
        listening = [socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN]
        assert {ip for ip, port in listening if server.page.endswith(f":{port}")} == {address}
    finally:
        server.end(signal.SIGTERM)


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--help"], 0, "--gateway-port"),
        (["--gateway-port", "http"], 2, "--gateway-port: 'http' is not a port number from 0 to 65535.\n"),
    ],
)
def test_flags_are_read_before_anything_is_served(flags: list[str], code: int, words: str) -> None:
    """Help and errors are printed in the terminal, and the program ends."""
    streamlit = ["-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", "0", "--"]
    done = subprocess.run(
        [sys.executable, *streamlit, *flags], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
