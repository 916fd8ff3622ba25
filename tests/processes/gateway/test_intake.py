"""What comes in reaches the replica unchanged, or is refused in words."""

from __future__ import annotations

import gzip
import http.client
import random
import socket
from pathlib import Path

import pytest

from tests.processes.gateway.harness import (
    PATIENCE,
    Answer,
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
def test_a_target_comes_through_byte_for_byte(
    current: Replica, client: http.client.HTTPConnection, target: str
) -> None:
    """Nothing is decoded, encoded, or tidied."""
    ask(client, "GET", target)
    assert current.seen[-1].line == f"GET {target} HTTP/1.1"


def test_a_whole_url_is_taken_for_its_path(current: Replica, gate: Gateway) -> None:
    """Clients that take the gateway for a proxy send one."""
    ask_raw(gate.port, b"GET http://example.com/v1/models/a%3Ab?c HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert current.seen[-1].line == "GET /v1/models/a%3Ab?c HTTP/1.1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_method_comes_through(current: Replica, client: http.client.HTTPConnection, method: str) -> None:
    """With its body."""
    ask(client, method, "/x", body=b"body")
    assert (current.seen[-1].line, current.seen[-1].body) == (f"{method} /x HTTP/1.1", b"body")


def test_a_post_without_a_body_says_so(current: Replica, client: http.client.HTTPConnection) -> None:
    """Its length is 0, not unknown."""
    ask(client)
    assert current.seen[-1].all("Content-Length") == ["0"]
    assert current.seen[-1].all("Transfer-Encoding") == []


def test_compressed_bodies_come_through_as_they_are(
    current: Replica, client: http.client.HTTPConnection
) -> None:
    """In both directions, and marked as before."""
    body, encoding = gzip.compress(b"instances"), [("Content-Encoding", "gzip")]
    current.answer = Answer(headers=encoding, body=body)
    got = ask(client, headers=encoding, body=body)
    assert (current.seen[-1].body, current.seen[-1].all("Content-Encoding")) == (body, ["gzip"])
    assert (got.body, got.headers["Content-Encoding"]) == (body, "gzip")


def test_long_bodies_come_through(current: Replica, client: http.client.HTTPConnection) -> None:
    """In both directions."""
    current.answer = Answer(body=LONG)
    assert ask(client, body=LONG).body == LONG
    assert current.seen[-1].body == LONG


def test_a_body_may_come_in_chunks(current: Replica, client: http.client.HTTPConnection) -> None:
    """The replica gets it whole."""
    client.request("POST", "/x", body=iter([b"in", b"stan", b"ces"]), encode_chunked=True)
    assert client.getresponse().read() == current.answer.body
    assert current.seen[-1].body == b"instances"


def test_who_waits_to_be_told_to_continue_is_told(current: Replica, gate: Gateway) -> None:
    """Before a byte of the body was sent, and once."""
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection:
        connection.sendall(head)
        with connection.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert answer.readline() == b"\r\n"
            connection.sendall(b"body")
            assert answer.readline().startswith(b"HTTP/1.1 200 ")
    assert (current.seen[-1].body, current.seen[-1].all("Expect")) == (b"body", [])


def test_the_replica_sees_the_clients_headers_and_who_it_is(
    current: Replica, client: http.client.HTTPConnection, gate: Gateway
) -> None:
    """Nothing is added but where the request came from, and that is not the client's to say."""
    sent = [("X-One", "1"), ("X-Two", UTF8), ("X-One", "2"), ("Connection", "keep-alive, X-Private")]
    ask(client, "GET", "/x", [*sent, ("X-Private", "1"), ("X-Forwarded-For", "6.6.6.6")])
    host = f"127.0.0.1:{gate.port}"
    assert sorted(current.seen[-1].headers) == sorted(
        [
            *[("Host", host), ("X-One", "1"), ("X-Two", UTF8), ("X-One", "2")],
            *[("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Host", host), ("X-Forwarded-Proto", "http")],
        ]
    )


def test_connections_are_kept_on_both_sides(current: Replica, client: http.client.HTTPConnection) -> None:
    """A second request costs no second connection."""
    ask(client)
    connection = client.sock
    ask(client)
    assert client.sock is connection
    assert current.seen[0].peer == current.seen[1].peer


def test_requests_may_be_pipelined(current: Replica, gate: Gateway) -> None:
    """They are answered in their order."""
    request = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection:
        connection.sendall(
            request % 1 + request % 2 + b"GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        with connection.makefile("rb") as answers:
            assert answers.read().count(b"HTTP/1.1 200 ") == 3
    assert [seen.line for seen in current.seen] == [f"GET /{number} HTTP/1.1" for number in (1, 2, 3)]


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_an_upgrade_is_declined(current: Replica, gate: Gateway, upgrade: bytes) -> None:
    """Java's client offers one with its first request, and expects an ordinary answer."""
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: 4\r\n\r\n"
    got = ask_raw(gate.port, head % upgrade + b"body")
    assert (got.status, current.seen[-1].body, current.seen[-1].all("Upgrade")) == (200, b"body", [])


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"rubbish\r\n\r\n", "This is no HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "This is no HTTP request"),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "This is no HTTP request"),
        (b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 10_000), "This is no HTTP request"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "A CONNECT request cannot be sent on."),
        (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", "This is no HTTP request: Invalid char in url path."),
        (
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "This is no HTTP request: Invalid character in chunk size.",
        ),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "This is no HTTP request"),
    ],
)
def test_what_cannot_be_sent_on_is_a_json_error(
    current: Replica, gate: Gateway, request_: bytes, words: str
) -> None:
    """And reaches no replica."""
    got = ask_raw(gate.port, request_)
    assert got.status == 400
    assert error_of(got).startswith(words)
    assert current.seen == []


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_body_that_is_too_large_is_refused_unread(current: Replica, gate: Gateway, expect: bytes) -> None:
    """By its length alone."""
    head = b"POST /x HTTP/1.1\r\nHost: a\r\n%sContent-Length: 67108865\r\n\r\n" % expect
    got = ask_raw(gate.port, head)
    assert (got.status, error_of(got)) == (
        413,
        "The request is larger than 64 MB. Send fewer images at once.",
    )
    assert current.seen == []


def test_a_client_that_leaves_in_the_middle_of_its_request_does_no_harm(
    current: Replica, gate: Gateway, client: http.client.HTTPConnection
) -> None:
    """Its request reaches no replica, and the next one is answered."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    assert ask(client, "GET", "/next").replica == "blue-1"
    assert [seen.line for seen in current.seen] == ["GET /next HTTP/1.1"]


def test_a_request_that_does_not_come_in_whole_is_given_up(tmp_path: Path) -> None:
    """It waits for nothing else: not even for an order."""
    with gateway(tmp_path / "log", "--request-seconds=0.05") as running:
        got = ask_raw(running.port, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    assert (got.status, error_of(got)) == (408, "The request did not come in whole within 0.05 s.")
