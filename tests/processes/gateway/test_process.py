"""The gateway as a process: its control channel, its ends, and its restarts."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mnist_dash.local.gateway.__main__ import main
from mnist_dash.local.gateway.protocol import Event, EventName
from tests.processes.gateway.harness import (
    BODY,
    PATIENCE,
    Gateway,
    Got,
    Replica,
    ask,
    ask_raw,
    gateway,
    replicas,
)

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LOADERS, REQUESTS = 4, 250


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for this module; each test orders its own table."""
    with gateway(tmp_path_factory.mktemp("gateway") / "log") as running:
        yield running


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway for one test, which ends it."""
    with gateway(tmp_path / "log") as running:
        yield running


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for the requests that a test does not wait for."""
    with ThreadPoolExecutor() as threads:
        yield threads


def test_an_order_is_applied_and_drained(gate: Gateway, blue: Replica) -> None:
    """Both are reported by its number, and a later one takes its place."""
    first = gate.order(current=[blue])
    assert gate.next_event() == Event(EventName.DRAINED, id=first)
    assert gate.ask().status == 200
    gate.order()
    assert gate.ask().status == 503


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"stop", "The line is not JSON: "),
        (b"", "The line is not JSON: "),
        (b"[1]", "An order must be an object of exactly id, split, current, new, not [1]."),
        (b'{"id": 2, "split": 101, "current": [], "new": []}', "split must be a whole number from 0 to 100"),
    ],
)
def test_a_bad_line_is_refused_and_changes_nothing(
    gate: Gateway, blue: Replica, line: bytes, problem: str
) -> None:
    """The order before it stays in force."""
    gate.order(current=[blue])
    gate.write(line + b"\n")
    refused = gate.wait(EventName.REFUSED)
    assert (refused.problem or "").startswith(problem)
    assert gate.ask().replica == "blue-1"


def test_an_order_is_drained_only_after_the_requests_before_it(
    gate: Gateway, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """Then the replicas that it left out may stop, and no request was lost."""
    blue.free.clear()
    with replicas("blue-2") as (successor,):
        gate.order(current=[blue])
        slow = pool.submit(gate.ask)
        blue.wait_asked()
        number = gate.order(current=[successor])
        assert gate.ask().replica == "blue-2"
        assert not gate.has_drained(number)
        blue.free.set()
        gate.wait(EventName.DRAINED, number)
        assert slow.result(PATIENCE).replica == "blue-1"


def load(gate: Gateway, failures: list[Got]) -> None:
    """Many requests on one kept connection."""
    with contextlib.closing(gate.client()) as client:
        for _ in range(REQUESTS):
            got = ask(client, body=b"x" * 6_000)
            if got.status != 200 or got.body != BODY:
                failures.append(got)


def test_no_request_fails_while_replicas_and_split_change(gate: Gateway) -> None:
    """1,000 of them, while replicas are replaced and stopped as soon as an order without them is drained."""
    failures: list[Got] = []
    loaders = [threading.Thread(target=load, args=(gate, failures)) for _ in range(LOADERS)]
    rounds = 0
    with contextlib.ExitStack() as running:
        (old,) = running.enter_context(replicas("blue-0"))
        gate.order(current=[old])
        for loader in loaders:
            loader.start()
        while any(loader.is_alive() for loader in loaders):
            rounds += 1
            current, new = running.enter_context(replicas(f"blue-{rounds}", f"green-{rounds}"))
            gate.order(0, [current, old])
            gate.order(rounds * 7 % 101, [current], [new])
            gate.wait(EventName.DRAINED, gate.order(0, [current]))
            new.kill()
            old.kill()
            old = current
    assert failures == []
    assert rounds >= 3


def test_who_waits_while_the_gateway_is_killed_is_answered_by_the_next(
    tmp_path: Path, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """The connections wait in the inherited socket, and the requests for the first order."""
    with (tmp_path / "log").open("wb") as log, socket.create_server(("127.0.0.1", 0)) as listener:
        with Gateway(listener, log) as first:
            first.wait(EventName.LISTENING)
            first.order(current=[blue])
            assert first.ask().status == 200
            first.process.send_signal(signal.SIGKILL)
            assert first.process.wait(PATIENCE) == -signal.SIGKILL
        waiting = [pool.submit(ask_raw, first.port, GET) for _ in range(5)]
        with Gateway(listener, log) as second:
            assert second.wait(EventName.LISTENING).port == first.port
            second.order(current=[blue])
            assert [answer.result(PATIENCE).status for answer in waiting] == [200] * 5


def test_the_end_of_its_input_ends_the_gateway_at_once(
    mortal: Gateway, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """Even with a request in flight: its parent is gone."""
    blue.free.clear()
    mortal.order(current=[blue])
    lost = pool.submit(mortal.ask)
    blue.wait_asked()
    assert mortal.process.stdin
    mortal.process.stdin.close()
    assert mortal.process.wait(PATIENCE) == 0
    assert not blue.free.is_set()
    with pytest.raises(ConnectionError):
        lost.result(PATIENCE)


def test_a_gateway_that_is_terminated_finishes_its_requests(
    mortal: Gateway, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """It accepts no more, answers what it has, closes idle connections, and ends well."""
    blue.free.clear()
    mortal.order(current=[blue])
    with socket.create_connection(("127.0.0.1", mortal.port), timeout=PATIENCE) as idle:
        slow = pool.submit(mortal.ask)
        blue.wait_asked()
        mortal.process.terminate()
        assert idle.recv(1) == b""
        blue.free.set()
        assert slow.result(PATIENCE).status == 200
        assert mortal.process.wait(PATIENCE) == 0


def test_a_gateway_that_is_terminated_does_not_wait_for_ever(
    mortal: Gateway, blue: Replica, pool: ThreadPoolExecutor
) -> None:
    """A request that takes too long is lost, and not done again."""
    blue.free.clear()
    mortal.order(current=[blue])
    pool.submit(mortal.ask)
    blue.wait_asked()
    mortal.process.terminate()
    assert mortal.process.wait(PATIENCE) == 0
    assert len(blue.seen) == 1


def test_an_interrupt_is_the_parents_business(gate: Gateway, blue: Replica) -> None:
    """A Ctrl-C in the terminal reaches the whole group."""
    gate.process.send_signal(signal.SIGINT)
    gate.order(current=[blue])
    assert gate.ask().status == 200


def test_a_thousand_idle_connections_are_no_trouble(gate: Gateway, blue: Replica) -> None:
    """Each was answered once, and another client is answered beside them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    gate.order(current=[blue])
    with contextlib.ExitStack() as idle:
        for _ in range(1000):
            connection = idle.enter_context(socket.create_connection(("127.0.0.1", gate.port), PATIENCE))
            connection.sendall(GET)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert gate.ask().status == 200


def test_a_gateway_alone_takes_a_port_of_its_own(blue: Replica) -> None:
    """And is told its orders in the same way."""
    argv = [sys.executable, "-m", "mnist_dash.local.gateway", "--port", "0"]
    order = {"id": 1, "split": 0, "current": [blue.member.to_json()], "new": []}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin
        assert process.stdout
        event = json.loads(process.stdout.readline())
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"event": "applied", "id": 1}
        assert (
            ask_raw(event["port"], GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).status == 200
        )
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--fd", "9999"], "The gateway cannot listen on file descriptor 9999: "),
        (["--port", "0", "--host", "203.0.113.1"], "The gateway cannot listen on 203.0.113.1:0: "),
    ],
)
def test_a_gateway_that_cannot_listen_says_why(flags: list[str], words: str) -> None:
    """In one line, and it ends without success."""
    with pytest.raises(SystemExit) as end:
        main(flags)
    assert str(end.value.code).startswith(words)
    assert "\n" not in str(end.value.code)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "one of the arguments --fd --port is required"),
        (["--fd", "3", "--port", "0"], "argument --port: not allowed with argument --fd"),
        (["--port", "99999"], "argument --port: invalid port_number value: '99999'"),
    ],
)
def test_wrong_flags_are_named(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In argparse's words."""
    with pytest.raises(SystemExit):
        main(flags)
    assert words in capsys.readouterr().err
