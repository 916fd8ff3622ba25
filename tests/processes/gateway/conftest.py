"""What several tests of the gateway need."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from tests.processes.gateway.harness import Gateway, Replica, gateway, replicas


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for a module; each test orders its own table."""
    with gateway(tmp_path_factory.mktemp("gateway") / "log") as running:
        yield running


@pytest.fixture
def client(gate: Gateway) -> Iterator[http.client.HTTPConnection]:
    """A client of it that keeps its connection."""
    connection = gate.client()
    yield connection
    connection.close()


@pytest.fixture
def blue() -> Iterator[Replica]:
    """A replica of blue."""
    with replicas("blue-1") as (replica,):
        yield replica


@pytest.fixture
def green() -> Iterator[Replica]:
    """A replica of green."""
    with replicas("green-1") as (replica,):
        yield replica


@pytest.fixture
def current(gate: Gateway, blue: Replica) -> Replica:
    """The only replica: Current's."""
    gate.order(current=[blue])
    return blue
