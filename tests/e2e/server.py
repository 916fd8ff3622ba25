"""The dashboard as its users start it: `streamlit run app.py` in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.cluster.bed.bed import Bed

ROOT = Path(__file__).parents[2]
APP = ROOT / "app.py"
START_SECONDS = 60.0


class Server:
    """A running dashboard; `page` is its address, `output` its log file."""

    def __init__(self, output: Path, *flags: str, script: Path = APP, cwd: Path = ROOT, **env: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.page = f"http://localhost:{port}"
        self.output = output
        streamlit = [sys.executable, "-m", "streamlit", "run", str(script)]
        options = ["--server.headless", "true", "--server.port", str(port)]
        self._command = [*streamlit, *options, "--", *flags]
        self._cwd, self._env = cwd, os.environ | env
        self.start()

    def start(self) -> None:
        """Start it, on the same port each time."""
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=self._cwd, env=self._env, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_up(self) -> None:
        """Return once the page is served; fails with the server's own output if it ends instead."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output.read_text()
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.page}/_stcore/health", timeout=2),
            ):
                return
            time.sleep(0.05)
        raise AssertionError(f"not up after {START_SECONDS} s: {self.output.read_text()}")

    def children(self) -> list[psutil.Process]:
        """Return every process that it has started, the gateway and the model servers."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def serving(self) -> list[psutil.Process]:
        """Return the children that stay, without those that check a model and then end."""
        return [child for child in self.children() if "mnist_dash.local" in _command(child)]

    def wait_for_serving(self, count: int) -> list[psutil.Process]:
        """Return the children that stay, once there are `count`."""
        deadline = time.monotonic() + START_SECONDS
        while len(children := self.serving()) < count:
            assert time.monotonic() < deadline, children
            time.sleep(0.05)
        return children

    def end(self, how: signal.Signals) -> None:
        """End the dashboard's own process, and that one only."""
        self.process.send_signal(how)
        self.process.wait(timeout=20)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@contextlib.contextmanager
def suspended_starts(dashboard: Server) -> Iterator[Future[list[psutil.Process]]]:
    """Suspend the model server that starts next, and resume it at the end; yields it once it is suspended.

    A thread looks out for it from now on: a test that is slow to look could find the change done already.
    """
    before = {process.pid for process in dashboard.serving()}

    def suspend() -> list[psutil.Process]:
        started = [it for it in dashboard.wait_for_serving(len(before) + 1) if it.pid not in before]
        for process in started:
            process.suspend()
        return started

    with ThreadPoolExecutor() as watcher:
        suspended = watcher.submit(suspend)
        try:
            yield suspended
        finally:
            for process in suspended.result():
                process.resume()


@contextlib.contextmanager
def serve(state_dir: Path, *flags: str, script: Path = APP) -> Iterator[Server]:
    """Run a dashboard, or another Streamlit script, until the block ends."""
    mine = ["--gateway-port", "0", "--state-dir", str(state_dir)]
    with _running(Server(state_dir.with_suffix(".log"), *mine, *flags, script=script)) as server:
        yield server


@contextlib.contextmanager
def serve_on_cluster(
    bed: Bed, namespace: str, output: Path, *, kubeconfig: Path | None = None
) -> Iterator[Server]:
    """Run a dashboard on a namespace of the test-bed, behind its ingress."""
    flags = {
        "--ingress-host": bed.host(namespace),
        "--ingress-address": bed.entrances.ingress,
        "--ingress-class": bed.ingress_class,
        "--kubeconfig": str(kubeconfig or bed.kubeconfig),
        "--namespace": namespace,
    }
    arguments = [word for flag in flags.items() for word in flag]
    with _running(Server(output, *arguments, STORAGE_EMULATOR_HOST=bed.storage.url)) as server:
        yield server


@contextlib.contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.wait_until_up()
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGTERM)
