"""A gateway, its client, and its replicas."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.processes.gateway.harness import Client, Gateway, Replica, gateway, replicas


@pytest.fixture(scope="module")
def gate() -> Iterator[Gateway]:
    """One gateway for a module; each test sends its own routing table."""
    with gateway() as running:
        yield running


@pytest.fixture
def client(gate: Gateway) -> Iterator[Client]:
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
    gate.route(current=[blue])
    return blue


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for the requests that a test does not wait for."""
    with ThreadPoolExecutor() as threads:
        yield threads
