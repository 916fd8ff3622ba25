"""Requests and answers pass unchanged, by the routing in force, or there is an error that says why not."""

from __future__ import annotations

import gzip
import random
import socket
from contextlib import closing

import pytest

from mnist_dash.local.protocol import HEALTH_PATH
from tests.processes.gateway.harness import (
    PATIENCE,
    Answer,
    Client,
    Gateway,
    Replica,
    ask,
    ask_raw,
    error_of,
    gateway,
)

LONG = random.Random(1).randbytes(5_000_000)
UTF8 = "é".encode().decode("latin-1")
"""What http.client sends as the bytes of é in UTF-8, and http.server reads."""


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/v1/models/model:predict", "/v1/models/model%3Apredict", "/v1/models/model%3apredict"),
        *(
            "/a?",
            "/a?x=1&y=%20+",
            "/a?x=?y",
            "/a/../b/./c",
            "/a//b/",
            "/%7euser/~",
            "/a%zz",
            "/a;b=c",
            "/%C3%A9",
        ),
    ],
)
def test_a_target_comes_through_byte_for_byte(current: Replica, client: Client, target: str) -> None:
    """Nothing is decoded, encoded, or tidied."""
    ask(client, "GET", target)
    assert current.last.line == f"GET {target} HTTP/1.1"


def test_a_whole_url_is_taken_for_its_path(current: Replica, gate: Gateway) -> None:
    """Clients that take the gateway for a proxy send one."""
    ask_raw(gate.port, b"GET http://example.com/v1/models/a%3Ab?c HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert current.last.line == "GET /v1/models/a%3Ab?c HTTP/1.1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_method_comes_through(current: Replica, client: Client, method: str) -> None:
    """With its body."""
    ask(client, method, "/x", body=b"body")
    assert (current.last.line, current.last.body) == (f"{method} /x HTTP/1.1", b"body")


def test_a_post_without_a_body_says_so(current: Replica, client: Client) -> None:
    """Its length is 0, not unknown."""
    ask(client)
    assert current.last.all("Content-Length") == ["0"]
    assert current.last.all("Transfer-Encoding") == []


def test_compressed_bodies_come_through_as_they_are(current: Replica, client: Client) -> None:
    """In both directions, with their header."""
    body, encoding = gzip.compress(b"instances"), [("Content-Encoding", "gzip")]
    current.answer = Answer(headers=encoding, body=body)
    response = ask(client, headers=encoding, body=body)
    assert (current.last.body, current.last.all("Content-Encoding")) == (body, ["gzip"])
    assert (response.body, response.headers["Content-Encoding"]) == (body, "gzip")


def test_long_bodies_come_through(current: Replica, client: Client) -> None:
    """In both directions."""
    current.answer = Answer(body=LONG)
    assert ask(client, body=LONG).body == LONG
    assert current.last.body == LONG


def test_a_body_may_come_in_chunks(current: Replica, client: Client) -> None:
    """The replica gets it whole."""
    client.request("POST", "/x", body=iter([b"in", b"stan", b"ces"]), encode_chunked=True)
    assert client.getresponse().read() == current.answer.body
    assert current.last.body == b"instances"


def test_a_client_that_waits_to_continue_is_answered(current: Replica, gate: Gateway) -> None:
    """Before a byte of the body was sent, and once."""
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection:
        connection.sendall(head)
        with connection.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert answer.readline() == b"\r\n"
            connection.sendall(b"body")
            assert answer.readline().startswith(b"HTTP/1.1 200 ")
    assert (current.last.body, current.last.all("Expect")) == (b"body", [])


def test_the_replica_gets_the_clients_headers_and_its_address(
    current: Replica, client: Client, gate: Gateway
) -> None:
    """Nothing is added but the request's origin, which a client cannot forge."""
    sent = [("X-One", "1"), ("X-Two", UTF8), ("X-One", "2"), ("Connection", "keep-alive, X-Private")]
    ask(client, "GET", "/x", [*sent, ("X-Private", "1"), ("X-Forwarded-For", "6.6.6.6")])
    host = f"127.0.0.1:{gate.port}"
    assert sorted(current.last.headers) == sorted(
        [
            *[("Host", host), ("X-One", "1"), ("X-Two", UTF8), ("X-One", "2")],
            *[("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Host", host), ("X-Forwarded-Proto", "http")],
        ]
    )


def test_connections_are_kept_on_both_sides(current: Replica, client: Client) -> None:
    """A second request costs no second connection."""
    ask(client)
    connection = client.sock
    ask(client)
    assert client.sock is connection
    assert current.requests[0].peer == current.requests[1].peer


def test_requests_may_be_pipelined(current: Replica, gate: Gateway) -> None:
    """They are answered in their order."""
    request = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection:
        connection.sendall(
            request % 1 + request % 2 + b"GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        with connection.makefile("rb") as answers:
            assert answers.read().count(b"HTTP/1.1 200 ") == 3
    assert [request.line for request in current.requests] == [
        f"GET /{number} HTTP/1.1" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_an_upgrade_is_declined(current: Replica, gate: Gateway, upgrade: bytes) -> None:
    """Java's client offers one with its first request, and expects an ordinary answer."""
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: 4\r\n\r\n"
    response = ask_raw(gate.port, head % upgrade + b"body")
    assert (response.status, current.last.body, current.last.all("Upgrade")) == (
        200,
        b"body",
        [],
    )


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (b"rubbish\r\n\r\n", "This is not an HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "This is not an HTTP request"),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "This is not an HTTP request"),
        (b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 10_000), "This is not an HTTP request"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "The gateway does not forward CONNECT."),
        (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", "This is not an HTTP request: Invalid char in url path."),
        (
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "This is not an HTTP request: Invalid character in chunk size.",
        ),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "This is not an HTTP request"),
    ],
)
def test_a_request_that_cannot_be_forwarded_is_a_json_error(
    current: Replica, gate: Gateway, request_: bytes, problem: str
) -> None:
    """And reaches no replica."""
    response = ask_raw(gate.port, request_)
    assert response.status == 400
    assert error_of(response).startswith(problem)
    assert current.requests == []


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_body_that_is_too_large_is_refused_unread(current: Replica, gate: Gateway, expect: bytes) -> None:
    """By its length alone."""
    head = b"POST /x HTTP/1.1\r\nHost: a\r\n%sContent-Length: 67108865\r\n\r\n" % expect
    response = ask_raw(gate.port, head)
    assert (response.status, error_of(response)) == (
        413,
        "The request is larger than 64 MB. Send fewer images at once.",
    )
    assert current.requests == []


def test_a_client_that_leaves_in_the_middle_of_its_request_does_no_harm(
    current: Replica, gate: Gateway, client: Client
) -> None:
    """Its request reaches no replica, and the next one is answered."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    assert ask(client, "GET", "/next").replica == "blue-1"
    assert [request.line for request in current.requests] == ["GET /next HTTP/1.1"]


def test_a_request_that_does_not_come_in_whole_is_given_up() -> None:
    """Even before the first routing update."""
    with gateway("--request-seconds=0.05") as running:
        response = ask_raw(running.port, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    assert (response.status, error_of(response)) == (408, "The request did not come in whole within 0.05 s.")


@pytest.mark.parametrize("split", [0, 100])
def test_without_current_there_is_no_answer(
    gate: Gateway, client: Client, green: Replica, split: int
) -> None:
    """New does not answer in its place."""
    gate.route(split, new=[green])
    response = ask(client, headers=[("X-Mnist-Route", "always")])
    assert response.status == 503
    assert "X-Served-By" not in response.headers
    assert error_of(response).startswith("No Current model is ready to answer. Deploy a Current model")
    assert green.requests == []


@pytest.mark.parametrize(("split", "default"), [(0, "blue-1"), (100, "green-1")])
def test_the_header_forces_a_model(
    gate: Gateway, client: Client, blue: Replica, green: Replica, split: int, default: str
) -> None:
    """By its exact value, whatever the case of its name; repeated headers are another value."""
    gate.route(split, [blue], [green])
    for name in ("X-Mnist-Route", "x-mnist-route", "X-MNIST-ROUTE"):
        assert ask(client, headers=[(name, "always")]).replica == "green-1"
        assert ask(client, headers=[(name, "never")]).replica == "blue-1"
    for values in ([], [""], ["Always"], ["always, never"], ["always", "never"]):
        assert ask(client, headers=[("X-Mnist-Route", value) for value in values]).replica == default


def test_a_split_divides_the_requests_of_one_connection(
    gate: Gateway, client: Client, blue: Replica, green: Replica
) -> None:
    """Each is decided for itself."""
    gate.route(50, [blue], [green])
    assert {ask(client).replica for _ in range(200)} == {"blue-1", "green-1"}


def test_an_answer_says_who_gave_it(gate: Gateway, client: Client, blue: Replica, green: Replica) -> None:
    """As an RFC 8941 dictionary, beside the replica's own headers."""
    green.answer.headers += [("X-Model-Version", "3"), ("X-Served-By", "someone else")]
    gate.route(100, [blue], [green])
    headers = ask(client).headers
    assert headers.get_all("X-Served-By") == ["role=new, release=green, replica=green-1"]
    assert headers["X-Model-Version"] == "3"


def test_the_error_of_a_replica_comes_through(current: Replica, client: Client) -> None:
    """Its status and text, and who it was."""
    current.answer = Answer(status=400, body=b'{"error": "no such signature"}')
    response = ask(client)
    assert (response.status, error_of(response), response.replica) == (400, "no such signature", "blue-1")


def test_an_answer_that_is_too_large_is_an_error(current: Replica, client: Client) -> None:
    """The gateway holds no more than that of one request."""
    current.answer = Answer(body=bytes(64 * 1024 * 1024 + 1))
    response = ask(client)
    assert (response.status, error_of(response)[:47]) == (
        502,
        "The replica's answer is larger than 64 MB. Send",
    )


def test_the_answer_to_head_has_a_length_and_no_body(current: Replica, client: Client) -> None:
    """The length is that of GET's body, and the connection stays open."""
    response = ask(client, "HEAD", "/x")
    assert (response.status, response.body, response.headers["Content-Length"]) == (200, b"", "24")
    assert ask(client).body == current.answer.body


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_stays_without(current: Replica, client: Client, status: int) -> None:
    """And the connection stays open."""
    current.answer = Answer(status=status, body=b"")
    assert ask(client, "GET", "/x").status == status
    assert ask(client, "GET", "/x").replica == "blue-1"


def test_a_redirect_is_for_the_client_to_follow(current: Replica, client: Client) -> None:
    """And a cookie for the client to keep."""
    current.answer = Answer(302, [("Location", "/elsewhere"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    response = ask(client, "GET", "/x")
    assert (response.status, response.headers["Location"]) == (302, "/elsewhere")
    assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    ask(client, "GET", "/x")
    assert current.last.all("Cookie") == []


def test_before_its_first_update_a_gateway_is_starting() -> None:
    """After it has waited for one in vain."""
    with gateway("--first-update-seconds=0.01") as starting:
        response = starting.ask()
    assert response.status == 503
    assert error_of(response).startswith("The gateway is starting.")


def test_a_request_waits_for_the_first_update(blue: Replica) -> None:
    """So that none fails while a gateway starts; the gateway itself is healthy meanwhile."""
    with gateway("--first-update-seconds=60") as starting, closing(starting.client()) as client:
        client.request("GET", "/x")
        with closing(starting.client()) as probe:
            assert ask(probe, "GET", HEALTH_PATH).status == 200
        starting.route(current=[blue])
        assert client.getresponse().read() == blue.answer.body
