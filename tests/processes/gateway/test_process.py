"""The gateway as a process: its routing updates, its end, and its restarts."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mnist_dash.local.protocol import Drained
from mnist_dash.subprocesses import Exited
from tests.processes.gateway.harness import (
    BODY,
    PATIENCE,
    Answer,
    Gateway,
    Replica,
    Response,
    ask,
    ask_raw,
    gateway,
    replicas,
)

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LOADERS, REQUESTS = 4, 250
ENDED_WELL = Exited("It ended with exit code 0.")


@pytest.fixture
def mortal() -> Iterator[Gateway]:
    """A gateway for one test, which ends it."""
    with gateway() as running:
        yield running


def test_an_update_is_drained_only_after_the_requests_before_it(
    gate: Gateway, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """Then the replicas that it left out may stop, and no request was lost."""
    blue.free.clear()
    with replicas("blue-2") as (successor,):
        gate.route(current=[blue])
        slow = pool.submit(gate.ask)
        blue.wait_asked()
        number = gate.route(current=[successor])
        assert gate.ask().replica == "blue-2"
        assert not gate.has_drained(number)
        blue.free.set()
        gate.wait(Drained(number))
        assert slow.result(PATIENCE).replica == "blue-1"


def test_the_log_is_plain_text(mortal: Gateway, blue: Replica) -> None:
    """Each routing, and why a replica did not answer, without Python's notation."""
    mortal.route(20, current=[blue])
    for answer in (Answer(cut_after=0), Answer(cut_after=80), Answer(headers=[("X Y", "no header")])):
        blue.answer = answer
        assert mortal.ask().status == 502
    blue.kill()
    assert mortal.ask().status == 502
    mortal.process.terminate()
    mortal.wait(ENDED_WELL)
    assert [line.split(maxsplit=1)[1] for line in mortal.process.log.splitlines()] == [
        f"Routing 1: 20 % to New. Current: blue-1 at {blue.backend.url}; New: no replica.",
        "blue-1 broke off: Server disconnected.",
        "blue-1 broke off: Response payload is not completed.",
        "blue-1 broke off: Invalid header token.",
        "blue-1 cannot be reached: Connection refused.",
    ]


def load(gate: Gateway, failures: list[Response]) -> None:
    """Many requests on one kept connection."""
    with contextlib.closing(gate.client()) as client:
        for _ in range(REQUESTS):
            response = ask(client, body=b"x" * 6_000)
            if response.status != 200 or response.body != BODY:
                failures.append(response)


def test_no_request_is_lost_while_the_routing_changes(gate: Gateway) -> None:
    """Replicas come and go under load, each ended once an update without it is drained."""
    failures: list[Response] = []
    loaders = [threading.Thread(target=load, args=(gate, failures)) for _ in range(LOADERS)]
    rounds = 0
    with contextlib.ExitStack() as running:
        (old,) = running.enter_context(replicas("blue-0"))
        gate.route(current=[old])
        for loader in loaders:
            loader.start()
        while any(loader.is_alive() for loader in loaders):
            rounds += 1
            current, new = running.enter_context(replicas(f"blue-{rounds}", f"green-{rounds}"))
            gate.route(0, [current, old])
            gate.route(rounds * 7 % 101, [current], [new])
            gate.wait(Drained(gate.route(0, [current])))
            new.kill()
            old.kill()
            old = current
    assert failures == []
    assert rounds >= 3


def test_requests_that_wait_while_the_gateway_is_killed_are_answered_by_the_next(
    blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """The connections wait in the inherited socket, and the requests for the first update."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = Gateway(listener)
        first.route(current=[blue])
        assert first.ask().status == 200
        first.close()
        waiting = [pool.submit(ask_raw, first.port, GET) for _ in range(5)]
        with contextlib.closing(Gateway(listener)) as second:
            second.route(current=[blue])
            assert [response.result(PATIENCE).status for response in waiting] == [200] * 5


def test_the_end_of_its_stdin_ends_the_gateway_at_once(
    mortal: Gateway, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """Even with a request in flight: its parent is gone."""
    blue.free.clear()
    mortal.route(current=[blue])
    lost = pool.submit(mortal.ask)
    blue.wait_asked()
    mortal.process.close_stdin()
    mortal.wait(ENDED_WELL)
    assert not blue.free.is_set()
    with pytest.raises(ConnectionError):
        lost.result(PATIENCE)


def test_a_gateway_that_is_terminated_finishes_its_requests(
    mortal: Gateway, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """It accepts no more, answers the requests that it has, and closes idle connections."""
    blue.free.clear()
    mortal.route(current=[blue])
    with socket.create_connection(("127.0.0.1", mortal.port), timeout=PATIENCE) as idle:
        slow = pool.submit(mortal.ask)
        blue.wait_asked()
        mortal.process.terminate()
        assert idle.recv(1) == b""
        blue.free.set()
        assert slow.result(PATIENCE).status == 200
        mortal.wait(ENDED_WELL)


def test_a_gateway_that_is_terminated_does_not_wait_for_ever(
    mortal: Gateway, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """A request that takes too long is lost, and not repeated."""
    blue.free.clear()
    mortal.route(current=[blue])
    pool.submit(mortal.ask)
    blue.wait_asked()
    mortal.process.terminate()
    mortal.wait(ENDED_WELL)
    assert len(blue.requests) == 1


def test_an_interrupt_is_the_parents_business(gate: Gateway, blue: Replica) -> None:
    """A Ctrl-C in the terminal reaches the whole group."""
    os.kill(gate.process.pid, signal.SIGINT)
    gate.route(current=[blue])
    assert gate.ask().status == 200


def test_a_thousand_idle_connections_are_no_problem(gate: Gateway, blue: Replica) -> None:
    """Each was answered once, and another client is answered beside them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    gate.route(current=[blue])
    with contextlib.ExitStack() as idle:
        for _ in range(1000):
            connection = idle.enter_context(socket.create_connection(("127.0.0.1", gate.port), PATIENCE))
            connection.sendall(GET)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert gate.ask().status == 200
