"""Translate failed requests to a model server into ServingError."""

from __future__ import annotations

import json
import socket
import ssl
from typing import NoReturn
from urllib.parse import urlsplit

import requests

from mnist_dash.domain import Gateway
from mnist_dash.errors import ServingError

MOST_WORDS = 300
SPEAK_TLS = ("to an https server", "to https port")
"""What Go's and nginx's servers say to HTTP on a port of HTTPS."""


def raise_for_status(response: requests.Response) -> None:
    """Raise a ServingError with what refused, why, and what to do, unless the status is 200."""
    if response.status_code == requests.codes.ok:
        return
    if response.is_redirect or response.is_permanent_redirect:
        _redirected(response)
    words = _error_of_model_server(response)
    if words is None:
        _by_others(response)
    _by_model_server(response.status_code, words)


def _by_model_server(code: int, words: str) -> NoReturn:
    if code == requests.codes.service_unavailable:
        raise ServingError(f"No model is there to answer (503).{words}", "Wait for a ready replica.")
    if code in (requests.codes.bad_gateway, requests.codes.gateway_timeout):
        raise ServingError(f"The model broke off or took too long ({code}).{words}", "Try again.")
    if code == requests.codes.not_found:
        raise ServingError(
            f"The model server knows no such model (404).{words}",
            "It may still be loading it, or have found no version: see its log under Objects.",
        )
    if 400 <= code < 500:
        raise ServingError(
            f"The model refused the request ({code}).{words}", "Is it a model of MNIST digits?"
        )
    raise ServingError(f"The model server failed ({code}).{words}", "See its log under Objects.")


def _by_others(response: requests.Response) -> NoReturn:
    code, host = response.status_code, _host(response.url)
    words = _sentence(response.reason or "")
    if code == requests.codes.service_unavailable:
        raise ServingError(
            "The ingress controller has no model server that is ready (503).", "Wait for a ready replica."
        )
    if code in (requests.codes.bad_gateway, requests.codes.gateway_timeout):
        raise ServingError(f"The model broke off or took too long ({code}).{words}", "Try again.")
    if code == requests.codes.not_found:
        raise ServingError(
            f"Something answers for {host}, but it knows no models there (404): it is no model server.",
            "Is it the controller that reads the routes, and do they name this host? See under Objects; "
            "it may also need a few seconds to take up new ones.",
        )
    if any(said in response.text[:MOST_WORDS].lower() for said in SPEAK_TLS):
        raise ServingError(f"The gateway for {host} speaks https on this port.", "Use --scheme https.")
    if code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise ServingError(
            f"Something before the models wants to know who asks ({code}).{words}",
            f"Let requests to {host}/v1/models through without a login.",
        )
    raise ServingError(
        f"Something before the models refused the request ({code}).{words}",
        "See the ingress controller's log.",
    )


def _redirected(response: requests.Response) -> NoReturn:
    code, target = response.status_code, response.headers["Location"]
    asked, told = urlsplit(response.url), urlsplit(target)
    if (asked.scheme, told.scheme) == ("http", "https") and told.hostname == asked.hostname:
        raise ServingError(f"The gateway sends every request on to https ({code}).", "Use --scheme https.")
    raise ServingError(
        f"The gateway sends the request on to {target[:MOST_WORDS]} ({code}) instead of answering.",
        f"Let requests to {_host(response.url)}/v1/models through without a redirection.",
    )


def _error_of_model_server(response: requests.Response) -> str | None:
    """What a model server or the local gateway says; None if the answer is of neither."""
    try:
        return _sentence(str(json.loads(response.content)["error"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _sentence(text: str) -> str:
    """What somebody else said, as a sentence that follows another one; empty if nothing."""
    text = " ".join(text.split())[:MOST_WORDS]
    return f" {text}{'' if text.endswith(('.', '!', '?')) else '.'}" if text else ""


def _host(url: str) -> str:
    return urlsplit(url).netloc


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
