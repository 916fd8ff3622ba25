"""Why no answer came, in words; what needs a real socket is in test_connect."""

from __future__ import annotations

import socket

import pytest
from urllib3 import HTTPSConnectionPool
from urllib3 import exceptions as http
from urllib3.connection import HTTPSConnection

from mnist_dash.cluster.api_errors import is_cut, tls_failure, unreachable

SERVER = "https://1.2.3.4"
POOL = HTTPSConnectionPool("1.2.3.4")
CONNECTION = HTTPSConnection("1.2.3.4")


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        (
            http.NameResolutionError("a.example", CONNECTION, socket.gaierror(-2, "Name not known")),
            "The name of the cluster at https://1.2.3.4 cannot be resolved.",
        ),
        (
            http.NewConnectionError(CONNECTION, "Failed to connect: [Errno 113] No route to host"),
            "The cluster at https://1.2.3.4 cannot be reached: No route to host.",
        ),
        (
            http.ConnectTimeoutError(CONNECTION, "Connection to 1.2.3.4 timed out. (connect timeout=3)"),
            "There is no route to the cluster at https://1.2.3.4: time-out.",
        ),
        (
            http.ReadTimeoutError(POOL, "/", "Read timed out."),
            "The cluster at https://1.2.3.4 did not answer within 10 seconds.",
        ),
        (
            http.ProxyError("Cannot connect to proxy.", OSError("Tunnel connection failed: 403 Forbidden")),
            "The proxy on the way to the cluster at https://1.2.3.4 does not work: Tunnel connection failed",
        ),
        (
            http.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")),
            "The connection to the cluster at https://1.2.3.4 was cut in the middle.",
        ),
        (
            http.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired"),
            "TLS fails: the certificate of https://1.2.3.4 has expired.",
        ),
        (http.LocationParseError("1.2.3.4:x"), "https://1.2.3.4 is no address of a cluster."),
        (
            OSError("Too many open files"),
            "The cluster at https://1.2.3.4 cannot be asked: Too many open files.",
        ),
    ],
)
def test_each_way_has_its_own_sentence(reason: Exception, problem: str) -> None:
    """Also when the library wrapped it after the last try."""
    for err in (reason, http.MaxRetryError(POOL, "/", reason)):
        error = unreachable(err, SERVER, 10.0)
        assert error.problem.startswith(problem)
        assert error.next_step


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("IP address mismatch, certificate is not valid for '1.2.3.4'", "is for another host"),
        ("hostname '1.2.3.4' doesn't match 'kubernetes'", "is for another host"),
        ("certificate verify failed: certificate is not yet valid", "is not valid yet"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "is not signed by the authority"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "does not speak TLS"),
        ("[SSL] record layer failure", "does not speak TLS"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]", "does not accept the client certificate"),
        ("[X509: KEY_VALUES_MISMATCH] key values mismatch", "the client certificate and the key"),
        ("something else", "TLS to https://1.2.3.4 fails: something else."),
    ],
)
def test_what_openssl_says_is_told_in_words(said: str, problem: str) -> None:
    """By the part of it that matters."""
    assert problem in tls_failure(said, SERVER).problem


def test_only_a_cut_connection_is_worth_the_same_request_again() -> None:
    """A silent server has had its time, and one that is not there was tried twice."""
    cut = http.ProtocolError("Connection aborted.")
    assert is_cut(cut)
    assert is_cut(http.MaxRetryError(POOL, "/", cut))
    assert not is_cut(http.ReadTimeoutError(POOL, "/", "Read timed out."))
    assert not is_cut(OSError("else"))
