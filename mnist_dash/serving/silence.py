"""Why there was no answer at all, in words: name, connection, TLS, time."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

import requests

from mnist_dash.domain import Gateway
from mnist_dash.errors import ServingError

HERE = {"localhost", "127.0.0.1", "::1"}
OTHER_HOST, EXPIRED = {62, 64}, 10
"""OpenSSL's numbers of what is wrong with a certificate."""
NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
"""OpenSSL's names for an answer that is not TLS."""


def unreached(error: OSError, gateway: Gateway) -> ServingError:
    """The error for a request that got no answer, with the next step for its reason."""
    reason = _innermost(error)
    there = f"The gateway at {_place(gateway)}"
    if isinstance(reason, socket.gaierror):
        return _unresolved(gateway)
    if isinstance(reason, ssl.SSLError):
        return _untrusted(reason, gateway)
    if isinstance(error, requests.ConnectTimeout):
        return ServingError(f"{there} did not answer in time: no connection came about.", _where(gateway))
    if isinstance(error, requests.Timeout):
        return ServingError(
            f"{there} did not answer in time.", "The model may be overloaded or restarting: try again."
        )
    if isinstance(error, requests.ConnectionError):
        return ServingError(f"{there} cannot be reached: {_words(reason)}.", _where(gateway))
    if isinstance(error, requests.RequestException):
        return ServingError(f"The gateway's answer broke off: {_words(reason)}.", "Try again.")
    return ServingError(f"{there} cannot be asked: {_words(error)}.", "Is --ca-file right?")


def _unresolved(gateway: Gateway) -> ServingError:
    if gateway.address:
        name = urlsplit(f"//{gateway.address}").hostname
        return ServingError(f"The name {name} of --ingress-address does not resolve here.", "Use its number.")
    name = urlsplit(gateway.url).hostname
    return ServingError(
        f"The name {name} does not resolve here.",
        "Say where the ingress controller listens with --ingress-address HOST:PORT, or enter it in DNS.",
    )


def _untrusted(reason: ssl.SSLError, gateway: Gateway) -> ServingError:
    host = urlsplit(gateway.url).hostname
    if isinstance(reason, ssl.SSLCertVerificationError):
        problem = f"The certificate of {_place(gateway)} is not trusted: {reason.verify_message.rstrip('.')}."
        if reason.verify_code in OTHER_HOST:
            return ServingError(problem, f"Give the ingress controller a certificate for {host}.")
        if reason.verify_code == EXPIRED:
            return ServingError(problem, "Have it renewed.")
        return ServingError(problem, "Name the authority that signed it with --ca-file FILE.pem.")
    if reason.reason in NOT_TLS:
        return ServingError(
            f"{_place(gateway)} does not speak https.", "Use --scheme http, or its port for https."
        )
    return ServingError(
        f"No secure connection to {_place(gateway)} came about: {_words(reason)}.",
        f"Does {gateway.ca_file} hold certificates as PEM? (--ca-file)"
        if gateway.ca_file
        else "Is it the port for https?",
    )


def _where(gateway: Gateway) -> str:
    if urlsplit(gateway.url).hostname in HERE and not gateway.address:
        return "See under Objects whether it runs."
    if gateway.address:
        return "Does the ingress controller run, and listen where --ingress-address says?"
    return "Does the ingress controller run? If it listens elsewhere, say where with --ingress-address."


def _place(gateway: Gateway) -> str:
    return f"{gateway.url} ({gateway.address})" if gateway.address else gateway.url


def _innermost(error: BaseException) -> BaseException:
    """The reason at the bottom: the HTTP libraries hand it on as cause or as argument."""
    while inner := error.__cause__ or next((a for a in error.args if isinstance(a, Exception)), None):
        error = inner
    return error


def _words(error: BaseException) -> str:
    """A foreign error without its class name and addresses."""
    return str(getattr(error, "strerror", None) or error).rstrip(".")
