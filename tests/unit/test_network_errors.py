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

P = NetworkProblem
POOL = HTTPSConnectionPool("1.2.3.4")
CONNECTION = HTTPSConnection("1.2.3.4")
SECRET = "Bearer hidden"
UNTRUSTED = "its certificate is not trusted"


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


UNKNOWN_NAME = http.NameResolutionError("a", CONNECTION, socket.gaierror(-2, "Name not known"))
REFUSED = caused(
    http.NewConnectionError(CONNECTION, f"to {SECRET}"), ConnectionRefusedError(111, "Connection refused")
)
NO_TUNNEL = OSError("Tunnel connection failed: 403 Forbidden")
RESET = http.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))
WRAPPERS: list[Callable[[Exception], Exception]] = [
    lambda error: error,
    lambda error: http.MaxRetryError(POOL, "/", error),
    lambda error: requests.ConnectionError(http.MaxRetryError(POOL, "/", error), request=None),
]
"""As urllib3 and requests pass an error on."""


@pytest.mark.parametrize(
    ("error", "problem", "reason"),
    [
        (UNKNOWN_NAME, P.DNS, "its name cannot be resolved"),
        (REFUSED, P.UNREACHABLE, "Connection refused"),
        (http.ConnectTimeoutError(CONNECTION, SECRET), P.CONNECT_TIMEOUT, "the connection timed out"),
        (http.ReadTimeoutError(POOL, "/", SECRET), P.READ_TIMEOUT, "it did not answer in time"),
        (http.ProxyError("", NO_TUNNEL), P.PROXY, "the proxy failed (Tunnel connection failed: 403)"),
        (http.ProxyError("", REFUSED), P.PROXY, "the proxy failed (Connection refused)"),
        (RESET, P.CUT, "the connection was cut"),
        (untrusted(62, "Hostname mismatch."), P.CERTIFICATE_HOST, f"{UNTRUSTED} (Hostname mismatch)"),
        (untrusted(10, "has expired"), P.CERTIFICATE_DATE, f"{UNTRUSTED} (has expired)"),
        (untrusted(18, "self-signed"), P.CERTIFICATE_UNTRUSTED, f"{UNTRUSTED} (self-signed)"),
        (http.SSLError(openssl("WRONG_VERSION_NUMBER")), P.NOT_TLS, "it does not speak TLS"),
        (openssl("ALERT_UNKNOWN_CA"), P.CLIENT_CERTIFICATE, "it rejects the client certificate"),
        (openssl("ALERT_PROTOCOL"), P.TLS, "the TLS handshake failed (ALERT_PROTOCOL)"),
        (OSError(24, "Too many open files"), P.OTHER, "Too many open files"),
        (requests.exceptions.InvalidHeader(SECRET), P.OTHER, "InvalidHeader"),
    ],
    ids=lambda value: value.name if isinstance(value, NetworkProblem) else "",
)
def test_each_failure_has_its_reason(error: Exception, problem: NetworkProblem, reason: str) -> None:
    """However it is wrapped, and without what a library's text may quote."""
    for wrap in WRAPPERS:
        failure = explain_network_error(wrap(error))
        assert (failure.problem, failure.reason) == (problem, reason)
