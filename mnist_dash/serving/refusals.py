"""Answers that refuse: whether a model server, the ingress controller or something else refused, and why.

A model server, and the local gateway, say it in JSON; a controller in plain text or HTML.
"""

from __future__ import annotations

import json
from typing import NoReturn
from urllib.parse import urlsplit

import requests

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
