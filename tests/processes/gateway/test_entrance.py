"""Who answers, and how the answer comes back."""

from __future__ import annotations

import http.client
from contextlib import closing
from pathlib import Path

import pytest

from tests.processes.gateway.harness import Answer, Gateway, Replica, ask, error_of, gateway


@pytest.mark.parametrize("split", [0, 50, 100])
@pytest.mark.parametrize("route", ["always", "never", "other"])
def test_without_current_nobody_answers(
    gate: Gateway, client: http.client.HTTPConnection, green: Replica, split: int, route: str
) -> None:
    """New is not asked in its place."""
    gate.order(split, new=[green])
    got = ask(client, headers=[("X-Mnist-Route", route)])
    assert got.status == 503
    assert error_of(got).startswith("No Current model is ready to answer. Deploy a Current model")
    assert green.seen == []


@pytest.mark.parametrize("split", [0, 100])
@pytest.mark.parametrize("route", ["always", "never", "other"])
def test_without_new_current_answers(
    gate: Gateway, client: http.client.HTTPConnection, blue: Replica, split: int, route: str
) -> None:
    """Whatever was asked for."""
    gate.order(split, current=[blue])
    assert ask(client, headers=[("X-Mnist-Route", route)]).replica == "blue-1"


@pytest.mark.parametrize("split", [0, 100])
@pytest.mark.parametrize("name", ["X-Mnist-Route", "x-mnist-route", "X-MNIST-ROUTE"])
@pytest.mark.parametrize(("value", "replica"), [("always", "green-1"), ("never", "blue-1")])
def test_the_header_forces_a_model(
    gate: Gateway,
    client: http.client.HTTPConnection,
    blue: Replica,
    green: Replica,
    split: int,
    name: str,
    value: str,
    replica: str,
) -> None:
    """Under every split, and in whatever case its name is written."""
    gate.order(split, [blue], [green])
    assert ask(client, headers=[(name, value)]).replica == replica


@pytest.mark.parametrize(("split", "replica"), [(0, "blue-1"), (100, "green-1")])
@pytest.mark.parametrize(
    "values", [[], [""], ["Always"], ["NEVER"], ["always, never"], ["always", "never"], ["new"]]
)
def test_any_other_value_of_the_header_leaves_it_to_the_split(
    gate: Gateway,
    client: http.client.HTTPConnection,
    blue: Replica,
    green: Replica,
    split: int,
    replica: str,
    values: list[str],
) -> None:
    """Repeated headers are one value, and not an exact one."""
    gate.order(split, [blue], [green])
    assert ask(client, headers=[("X-Mnist-Route", value) for value in values]).replica == replica


def test_a_split_divides_the_requests_of_one_connection(
    gate: Gateway, client: http.client.HTTPConnection, blue: Replica, green: Replica
) -> None:
    """Each is decided for itself."""
    gate.order(50, [blue], [green])
    assert {ask(client).replica for _ in range(200)} == {"blue-1", "green-1"}


def test_an_answer_says_who_gave_it(
    gate: Gateway, client: http.client.HTTPConnection, blue: Replica, green: Replica
) -> None:
    """As an RFC 8941 dictionary, and with the replica's own headers beside it."""
    green.answer.headers += [("X-Model-Version", "3"), ("X-Served-By", "someone else")]
    gate.order(100, [blue], [green])
    headers = ask(client).headers
    assert headers.get_all("X-Served-By") == ["role=new, release=green, replica=green-1"]
    assert headers["X-Model-Version"] == "3"


def test_the_error_of_a_replica_comes_through(current: Replica, client: http.client.HTTPConnection) -> None:
    """Its status and text, and who it was."""
    current.answer = Answer(status=400, body=b'{"error": "no such signature"}')
    got = ask(client)
    assert (got.status, error_of(got), got.replica) == (400, "no such signature", "blue-1")


def test_an_answer_that_is_too_large_is_an_error(
    current: Replica, client: http.client.HTTPConnection
) -> None:
    """The gateway holds no more than that of one request."""
    current.answer = Answer(body=bytes(64 * 1024 * 1024 + 1))
    got = ask(client)
    assert (got.status, error_of(got)[:47]) == (502, "The replica's answer is larger than 64 MB. Send")


def test_the_answer_to_head_has_a_length_and_no_body(
    current: Replica, client: http.client.HTTPConnection
) -> None:
    """The length is that of the body which GET would bring, and the connection goes on."""
    got = ask(client, "HEAD", "/x")
    assert (got.status, got.body, got.headers["Content-Length"]) == (200, b"", "24")
    assert ask(client).body == current.answer.body


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_stays_without(
    current: Replica, client: http.client.HTTPConnection, status: int
) -> None:
    """And the connection goes on."""
    current.answer = Answer(status=status, body=b"")
    assert ask(client, "GET", "/x").status == status
    assert ask(client, "GET", "/x").replica == "blue-1"


def test_a_redirect_is_for_the_client_to_follow(current: Replica, client: http.client.HTTPConnection) -> None:
    """And a cookie for the client to keep."""
    current.answer = Answer(302, [("Location", "/elsewhere"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    got = ask(client, "GET", "/x")
    assert (got.status, got.headers["Location"]) == (302, "/elsewhere")
    assert got.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    ask(client, "GET", "/x")
    assert current.seen[-1].all("Cookie") == []


def test_before_its_first_order_a_gateway_says_so(tmp_path: Path) -> None:
    """After it has waited for one in vain."""
    with gateway(tmp_path / "log", "--first-order-seconds=0.01") as untold:
        got = untold.ask()
    assert got.status == 503
    assert error_of(got).startswith("The gateway has not been told which models there are.")


def test_a_request_waits_for_the_first_order(tmp_path: Path, blue: Replica) -> None:
    """So that none fails while a gateway starts."""
    with (
        gateway(tmp_path / "log", "--first-order-seconds=60") as starting,
        closing(starting.client()) as client,
    ):
        client.request("GET", "/x")
        assert not starting.has_drained(0)
        starting.order(current=[blue])
        assert client.getresponse().read() == blue.answer.body
