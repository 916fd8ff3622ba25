"""What several tests of the model server need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.server.rest_client import Client
from tests.processes.server.server_process import LINEAR, ServerProcess


@pytest.fixture(scope="module")
def linear_server() -> Iterator[ServerProcess]:
    """A server of a linear model, whose input `image` is (-1, 28, 28)."""
    with ServerProcess(LINEAR) as server:
        yield server


@pytest.fixture
def client(linear_server: ServerProcess) -> Iterator[Client]:
    """A new connection to it."""
    client = Client(linear_server.port)
    yield client
    client.connection.close()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model base that may be changed: the linear model as version 1."""
    shutil.copytree(LINEAR, tmp_path / "base")
    return tmp_path / "base"
