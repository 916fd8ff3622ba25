"""The reasons why a request got no answer; real sockets and certificates are in tests/processes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import pytest
import requests
from urllib3 import HTTPSConnectionPool
from urllib3 import exceptions as http
from urllib3.connection import HTTPSConnection

from mnist_dash.network_errors import NetworkProblem, explain_network_error

POOL = HTTPSConnectionPool("1.2.3.4")
CONNECTION = HTTPSConnection("1.2.3.4")
SECRET = "Bearer hidden"


def caused(error: Exception, cause: Exception) -> Exception:
    """An error that was raised from another."""
    error.__cause__ = cause
    return error


def untrusted(code: int, message: str) -> ssl.SSLCertVerificationError:
    """The error of a certificate that does not verify."""
    error = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] {message}")
    error.verify_code, error.verify_message = code, message
    return error


def openssl(name: str) -> ssl.SSLError:
    """An error with one of OpenSSL's names."""
    error = ssl.SSLError(1, f"[SSL: {name}] as OpenSSL says")
    error.reason = name
    return error


REFUSED = ConnectionRefusedError(111, "Connection refused")
WRAPPERS: list[Callable[[Exception], Exception]] = [
    lambda error: error,
    lambda error: http.MaxRetryError(POOL, "/", error),
    lambda error: requests.ConnectionError(http.MaxRetryError(POOL, "/", error), request=None),
]
"""As urllib3 and requests pass an error on."""


@pytest.mark.parametrize(
    ("error", "problem", "reason"),
    [
        (
            http.NameResolutionError("a.example", CONNECTION, socket.gaierror(-2, "Name not known")),
            NetworkProblem.DNS,
            "its name cannot be resolved",
        ),
        (
            caused(http.NewConnectionError(CONNECTION, f"to {SECRET}"), REFUSED),
            NetworkProblem.UNREACHABLE,
            "Connection refused",
        ),
        (
            http.ConnectTimeoutError(CONNECTION, "timed out"),
            NetworkProblem.CONNECT_TIMEOUT,
            "the connection timed out",
        ),
        (
            http.ReadTimeoutError(POOL, "/", "timed out"),
            NetworkProblem.READ_TIMEOUT,
            "it did not answer in time",
        ),
        (
            http.ProxyError("Cannot connect.", OSError("Tunnel connection failed: 403 Forbidden")),
            NetworkProblem.PROXY,
            "the proxy failed (Tunnel connection failed: 403)",
        ),
        (
            http.ProxyError("Cannot connect.", caused(http.NewConnectionError(CONNECTION, ""), REFUSED)),
            NetworkProblem.PROXY,
            "the proxy failed (Connection refused)",
        ),
        (
            http.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")),
            NetworkProblem.CUT,
            "the connection was cut",
        ),
        (
            http.SSLError(untrusted(62, "Hostname mismatch, certificate is not valid for 'a'.")),
            NetworkProblem.CERTIFICATE_HOST,
            "its certificate is not trusted (Hostname mismatch, certificate is not valid for 'a')",
        ),
        (
            http.SSLError(untrusted(10, "certificate has expired")),
            NetworkProblem.CERTIFICATE_DATE,
            "its certificate is not trusted (certificate has expired)",
        ),
        (
            http.SSLError(untrusted(18, "self-signed certificate")),
            NetworkProblem.CERTIFICATE_UNTRUSTED,
            "its certificate is not trusted (self-signed certificate)",
        ),
        (http.SSLError(openssl("WRONG_VERSION_NUMBER")), NetworkProblem.NOT_TLS, "it does not speak TLS"),
        (
            openssl("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            NetworkProblem.CLIENT_CERTIFICATE,
            "it rejects the client certificate",
        ),
        (
            openssl("TLSV1_ALERT_PROTOCOL_VERSION"),
            NetworkProblem.TLS,
            "the TLS handshake failed (TLSV1_ALERT_PROTOCOL_VERSION)",
        ),
        (OSError(24, "Too many open files"), NetworkProblem.OTHER, "Too many open files"),
        (requests.exceptions.InvalidHeader(SECRET), NetworkProblem.OTHER, "InvalidHeader"),
    ],
    ids=lambda value: value.name if isinstance(value, NetworkProblem) else "",
)
def test_each_failure_has_its_reason(error: Exception, problem: NetworkProblem, reason: str) -> None:
    """However it is wrapped, and without what a library's text may quote."""
    for wrap in WRAPPERS:
        failure = explain_network_error(wrap(error))
        assert (failure.problem, failure.reason) == (problem, reason)
