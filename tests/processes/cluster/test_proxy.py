"""The proxy of a kubeconfig or of the environment, between the dashboard and the API server."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

import pytest

from mnist_dash.cluster.kubeconfig import connect
from mnist_dash.settings import Settings
from tests.processes.cluster.fake_api_server import FakeApiServer
from tests.processes.cluster.kubeconfigs import (
    UNVERIFIED,
    config,
    connect_error,
    write,
)


class SocksHandler(StreamRequestHandler):
    """A SOCKS5 proxy for one connection, which finds each name at 127.0.0.1."""

    def handle(self) -> None:
        """Read the greeting and the request for a name, and then copy both ways."""
        self.rfile.read(self.rfile.read(2)[1])
        self.wfile.write(b"\x05\x00")
        assert self.rfile.read(4) == b"\x05\x01\x00\x03"
        self.rfile.read(self.rfile.read(1)[0])
        port = int.from_bytes(self.rfile.read(2), "big")
        with socket.create_connection(("127.0.0.1", port)) as target, target.makefile("rb") as answers:
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            back = Thread(target=self.copy, args=(answers, self.connection))
            back.start()
            self.copy(self.rfile, target)
            back.join()

    @staticmethod
    def copy(source: Any, target: socket.socket) -> None:
        """Copy until one side has ended."""
        with suppress(OSError):
            while content := source.read1():
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)


def test_a_socks_proxy_is_used_and_resolves_the_name(server: FakeApiServer, tmp_path: Path) -> None:
    """As for kubectl, to which `socks5:` means that too."""
    with ThreadingTCPServer(("127.0.0.1", 0), SocksHandler) as proxy:
        Thread(target=proxy.serve_forever, args=(0.01,)).start()
        url = f"socks5://127.0.0.1:{proxy.server_address[1]}"
        name = server.url.replace("127.0.0.1", "cluster.invalid")
        path = write(tmp_path / "config", config(name, UNVERIFIED | {"proxy-url": url}))
        connect(Settings(kubeconfig=str(path))).close()
        proxy.shutdown()
    error = connect_error(path)
    assert error.problem == f"The cluster at {name} cannot be reached: the proxy failed (Connection refused)."


@pytest.mark.parametrize(
    ("proxy", "problem"),
    [
        ("me:hidden@127.0.0.1:1", r"the proxy failed \(Connection refused\)"),
        ("ftp://me:hidden@127.0.0.1:1", "The address of the proxy is not a URL"),
        ("http://me:hidden@127.0.0.1:x", "The address of the proxy is not a URL"),
    ],
)
def test_a_proxy_of_the_environment_is_reported_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, problem: str
) -> None:
    """Without a scheme it is http, as for kubectl."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = connect_error(write(tmp_path / "config", config("https://192.0.2.1")))
    assert re.search(problem, error.problem)
    assert "HTTPS_PROXY" in error.next_step
    assert "hidden" not in str(error)


def test_the_proxy_of_the_environment_is_not_for_this_machine(
    server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """As for kubectl, to which kind and minikube are reachable then."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port}")
    connect(Settings(kubeconfig=str(write(tmp_path / "config", config(server.url, UNVERIFIED))))).close()
