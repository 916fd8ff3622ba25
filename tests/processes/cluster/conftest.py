"""API servers with and without TLS, and an empty home folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.bed.certificates import Authority
from tests.processes.cluster.fake_api_server import FakeApiServer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, outside of any cluster."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the server's certificate."""
    return Authority(tmp_path_factory.mktemp("pki") / "ca")


@pytest.fixture
def server(authority: Authority) -> Iterator[FakeApiServer]:
    """An API server with TLS on 127.0.0.1."""
    server = FakeApiServer(authority.issue("server", "127.0.0.1").context())
    yield server
    server.stop()


@pytest.fixture
def plain() -> Iterator[FakeApiServer]:
    """An API server without TLS."""
    server = FakeApiServer()
    yield server
    server.stop()
