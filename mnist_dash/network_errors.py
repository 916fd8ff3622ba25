"""Explain why a network request got no answer: DNS, TCP, TLS, time-outs and proxies."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import requests
import socks  # type: ignore[import-untyped]  # it ships no types
from urllib3 import exceptions as http


class NetworkProblem(Enum):
    """Kinds of network failure that need different next steps."""

    PROXY = auto()
    DNS = auto()
    CONNECT_TIMEOUT = auto()
    UNREACHABLE = auto()
    READ_TIMEOUT = auto()
    CUT = auto()
    """The connection ended in the middle, so that an idempotent request may be repeated at once."""
    NOT_TLS = auto()
    CERTIFICATE_HOST = auto()
    CERTIFICATE_DATE = auto()
    CERTIFICATE_UNTRUSTED = auto()
    CLIENT_CERTIFICATE = auto()
    """The server rejects the client's certificate, or wants one."""
    TLS = auto()
    OTHER = auto()


@dataclass(frozen=True)
class NetworkFailure:
    """A kind of failure with its reason, which follows "cannot be reached:" and has no full stop.

    The reason holds no header, key or body: it is made of the system's and OpenSSL's own messages.
    """

    problem: NetworkProblem
    reason: str


_PROBLEM_OF_CODE: Final = {
    9: NetworkProblem.CERTIFICATE_DATE,  # not yet valid
    10: NetworkProblem.CERTIFICATE_DATE,  # expired
    62: NetworkProblem.CERTIFICATE_HOST,
    64: NetworkProblem.CERTIFICATE_HOST,  # the same for IP addresses
}
"""OpenSSL's numbers, of x509_vfy.h."""
_NOT_TLS: Final = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG")
_CLIENT_CERTIFICATE: Final = re.compile("ALERT.*(CERTIFICATE|UNKNOWN_CA)")
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")


def explain_network_error(error: BaseException) -> NetworkFailure:
    """Explain an exception of requests, urllib3, ssl or socket, however often a library wrapped it."""
    chain = list(_chain(error))
    cause = next((e for e in reversed(chain) if isinstance(e, ssl.SSLError)), None)
    if _includes(chain, http.ProxyError, requests.exceptions.ProxyError, socks.ProxyError):
        return NetworkFailure(NetworkProblem.PROXY, f"the proxy failed ({_system_reason(chain)})")
    if _includes(chain, socket.gaierror, http.NameResolutionError):
        return NetworkFailure(NetworkProblem.DNS, "its name cannot be resolved")
    if cause:
        return _explain_tls(cause)
    if _includes(chain, http.NewConnectionError, ConnectionRefusedError):
        return NetworkFailure(NetworkProblem.UNREACHABLE, _system_reason(chain))
    if _includes(chain, http.ConnectTimeoutError, requests.ConnectTimeout):
        return NetworkFailure(NetworkProblem.CONNECT_TIMEOUT, "the connection timed out")
    if _includes(chain, http.ReadTimeoutError, requests.Timeout, TimeoutError):
        return NetworkFailure(NetworkProblem.READ_TIMEOUT, "it did not answer in time")
    if _includes(chain, http.ProtocolError, requests.exceptions.ChunkedEncodingError, ConnectionError):
        return NetworkFailure(NetworkProblem.CUT, "the connection was cut")
    return NetworkFailure(NetworkProblem.OTHER, _system_reason(chain))


def _explain_tls(error: ssl.SSLError) -> NetworkFailure:
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = _PROBLEM_OF_CODE.get(error.verify_code, NetworkProblem.CERTIFICATE_UNTRUSTED)
        return NetworkFailure(problem, f"its certificate is not trusted ({error.verify_message.rstrip('.')})")
    name = error.reason or "TLS"
    if _NOT_TLS.search(name):
        return NetworkFailure(NetworkProblem.NOT_TLS, "it does not speak TLS")
    if _CLIENT_CERTIFICATE.search(name):
        return NetworkFailure(NetworkProblem.CLIENT_CERTIFICATE, "it rejects the client certificate")
    return NetworkFailure(NetworkProblem.TLS, f"the TLS handshake failed ({name})")


def _system_reason(chain: list[BaseException]) -> str:
    """Return the innermost system message. Other texts may hold a header, so their class name must do."""
    messages = [error.msg for error in chain if isinstance(error, socks.ProxyError)]
    messages += [error.strerror for error in chain if isinstance(error, OSError) and error.strerror]
    messages += [found[0] for error in chain if (found := _TUNNEL.search(str(error)))]
    return messages[-1] if messages else type(chain[-1]).__name__


def _includes(chain: list[BaseException], *types: type[BaseException]) -> bool:
    return any(isinstance(error, types) for error in chain)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """List an error and its causes, outermost first: arguments, `reason`, `__cause__` or `__context__`."""
    known: list[BaseException] = []
    inner: object = error
    while isinstance(inner, BaseException) and inner not in known:
        known.append(inner)
        yield inner
        wrapped = (getattr(inner, "reason", None), getattr(inner, "original_error", None), *inner.args)
        nested = next((item for item in wrapped if isinstance(item, BaseException)), None)
        inner = nested or inner.__cause__ or inner.__context__  # urllib3 raises without `from` for SOCKS
