"""The choice of the replica, and the errors when it does not answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest
from multidict import CIMultiDict

from mnist_dash.domain import Release, Role
from mnist_dash.local.gateway.balancer import Upstream
from mnist_dash.local.gateway.proxy import Proxy, ProxyError, ProxyRequest, Timeouts
from mnist_dash.local.protocol import Backend, Drained
from tests.processes.gateway.harness import (
    PATIENCE,
    Answer,
    Client,
    Gateway,
    Replica,
    ask,
    error_of,
    gateway,
    replicas,
)


@pytest.fixture(scope="module")
def gate() -> Iterator[Gateway]:
    """One gateway for this module, with short time-outs; each test sends its own routing table."""
    with gateway("--connect-seconds=0.2", "--answer-seconds=0.5") as running:
        yield running


@pytest.fixture
def pair() -> Iterator[list[Replica]]:
    """Two replicas of blue."""
    with replicas("blue-1", "blue-2") as running:
        yield running


@pytest.fixture
def refusing() -> Iterator[Backend]:
    """A replica whose port refuses every connection: it is bound, but does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield Backend("blue-9", Release.BLUE, f"http://127.0.0.1:{bound.getsockname()[1]}")


@pytest.fixture
def silent() -> Iterator[Backend]:
    """A replica that accepts no connection and refuses none: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            yield Backend("blue-8", Release.BLUE, f"http://127.0.0.1:{address[1]}")


def test_a_replica_that_refuses_is_passed_over(
    gate: Gateway, client: Client, pair: list[Replica], refusing: Backend
) -> None:
    """Another replica of the same model answers, every time."""
    gate.route(current=[refusing, *pair])
    assert {ask(client).replica for _ in range(6)} == {"blue-1", "blue-2"}


def test_a_replica_that_refused_is_avoided(refusing: Backend) -> None:
    """The next request asks the others first."""
    upstream = Upstream(refusing)
    request = ProxyRequest("GET", "/x", CIMultiDict(), b"")

    async def send() -> None:
        async with aclosing(Proxy(Timeouts())) as proxy:
            await proxy.send(request, Role.CURRENT, [upstream])

    with pytest.raises(ProxyError):
        asyncio.run(send())
    assert upstream.avoided_until > 0


def test_a_replica_that_accepts_nothing_is_passed_over(
    gate: Gateway, client: Client, pair: list[Replica], silent: Backend
) -> None:
    """After the time that a connection may take."""
    gate.route(current=[silent, *pair])
    assert {ask(client).replica for _ in range(6)} == {"blue-1", "blue-2"}


@pytest.mark.parametrize("route", ["always", "never"])
def test_the_other_model_is_never_asked_instead(
    gate: Gateway, client: Client, pair: list[Replica], refusing: Backend, route: str
) -> None:
    """If no replica of the chosen model accepts a connection, that is the answer."""
    gate.route(0, *((pair, [refusing]) if route == "always" else ([refusing], pair)))
    response = ask(client, headers=[("X-Mnist-Route", route)])
    assert response.status == 502
    model = {"always": "New", "never": "Current"}[route]
    assert error_of(response).startswith(f"No replica of the {model} model accepts a connection (blue-9).")
    assert response.headers["X-Served-By"] == f"role={model.lower()}"
    assert [replica.requests for replica in pair] == [[], []]


def test_no_replica_that_accepts_in_time_is_a_time_out(
    gate: Gateway, client: Client, silent: Backend
) -> None:
    """And not a refusal."""
    gate.route(current=[silent])
    response = ask(client)
    assert (response.status, error_of(response)[:55]) == (
        504,
        "No replica of the Current model accepts a connection (b",
    )


@pytest.mark.parametrize("cut_after", [0, 20, 80], ids=["before", "in the head", "in the body"])
def test_a_post_that_was_sent_is_not_repeated(
    gate: Gateway, client: Client, pair: list[Replica], green: Replica, cut_after: int
) -> None:
    """Neither on another replica nor on the other model, wherever its answer broke off."""
    for replica in pair:
        replica.answer = Answer(cut_after=cut_after)
    gate.route(50, pair, [green])
    response = ask(client, headers=[("X-Mnist-Route", "never")])
    assert response.status == 502
    assert "of the Current model broke off before it had answered." in error_of(response)
    assert (response.role, response.replica[:5]) == ("current", "blue-")
    assert len(pair[0].requests) + len(pair[1].requests) == 1
    assert green.requests == []


def test_a_replica_that_dies_at_work_is_not_asked_again(
    gate: Gateway, pair: list[Replica], pool: ThreadPoolExecutor
) -> None:
    """Its request fails once, and the next ones go to the other replica."""
    dying, other = pair
    dying.free.clear()
    gate.route(current=[dying])
    lost = pool.submit(gate.ask)
    dying.wait_asked()
    gate.route(current=pair)
    dying.kill()
    assert lost.result(PATIENCE).status == 502
    assert [gate.ask().replica for _ in range(4)] == [other.name] * 4
    assert len(dying.requests) == 1


@pytest.mark.parametrize("at_once", [0, 20, 80], ids=["before", "in the head", "in the body"])
def test_an_answer_that_takes_too_long_is_a_time_out(
    gate: Gateway, client: Client, pair: list[Replica], at_once: int
) -> None:
    """Wherever it stops; the request is not repeated, and the connection to the client stays open."""
    slow, other = pair
    slow.answer = Answer(at_once=at_once)
    slow.free.clear()
    gate.route(current=[slow])
    response = ask(client)
    assert response.status == 504
    assert error_of(response).startswith("Replica blue-1 of the Current model did not answer within 0.5 s.")
    assert (response.role, response.replica) == ("current", "blue-1")
    gate.route(current=[other])
    assert ask(client).replica == other.name
    assert len(slow.requests) == 1


def test_an_answer_that_is_no_http_is_a_bad_gateway(
    gate: Gateway, client: Client, pair: list[Replica]
) -> None:
    """With a JSON error."""
    pair[0].answer = Answer(headers=[("X Y", "no header")], cut_after=1000)
    gate.route(current=pair[:1])
    response = ask(client)
    assert (response.status, error_of(response)[:41]) == (502, "Replica blue-1 of the Current model broke")


def test_a_client_that_leaves_is_counted_until_its_replica_is_free(
    gate: Gateway, pair: list[Replica]
) -> None:
    """And no longer: the update after it is drained then."""
    busy, other = pair
    busy.free.clear()
    gate.route(current=[busy])
    request = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        busy.wait_asked()
    number = gate.route(current=[other])
    assert not gate.has_drained(number)
    busy.free.set()
    gate.wait(Drained(number))


def test_an_idle_connection_that_a_replica_closed_is_not_used(
    gate: Gateway, client: Client, pair: list[Replica]
) -> None:
    """The next request gets a new one."""
    gate.route(current=pair[:1])
    ask(client)
    pair[0].drop_connections()
    assert ask(client, "GET", "/x").replica == "blue-1"
