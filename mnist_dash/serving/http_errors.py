"""Translate failed requests to a gateway into ServingError."""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn
from urllib.parse import urlsplit

import requests

from mnist_dash.domain import Gateway
from mnist_dash.errors import ServingError
from mnist_dash.network_errors import NetworkProblem, explain_network_error

MOST_CHARACTERS: Final = 300
_NEXT_STEPS: Final = {
    NetworkProblem.DNS: "Set --ingress-address to the IP address and port of the ingress controller.",
    NetworkProblem.READ_TIMEOUT: "The model may be overloaded or restarting: try again.",
    NetworkProblem.CUT: "Try again.",
    NetworkProblem.NOT_TLS: "Use --scheme http, or the port for https.",
    NetworkProblem.CERTIFICATE_HOST: "Give the ingress controller a certificate for {host}.",
    NetworkProblem.CERTIFICATE_DATE: "Renew the ingress controller's certificate.",
    NetworkProblem.CERTIFICATE_UNTRUSTED: "Name the authority that signed it with --ca-file FILE.pem.",
}


def raise_for_status(response: requests.Response) -> None:
    """Raise a ServingError with what refused, why, and a next step, unless the status is 200."""
    code, message = response.status_code, _model_server_message(response)
    if code == requests.codes.ok:
        return
    if response.is_redirect:
        _raise_for_redirect(response)
    if code == 503:
        problem = f"No model is ready to answer (503).{message or ''}"
        raise ServingError(problem, "Wait for a ready replica.", is_transient=True)
    if code in (502, 504):
        problem = f"The model broke off or took too long ({code}).{message or ''}"
        raise ServingError(problem, "Try again.", is_transient=True)
    if message is None:
        _raise_for_other_program(response)
    if code == 404:
        step = "It may still be loading it, or have found no version: see its log under Objects."
        raise ServingError(f"The model server knows no such model (404).{message}", step)
    if code < 500:
        problem = f"The model refused the request ({code}).{message}"
        raise ServingError(problem, "Check that it is a model of MNIST digits.")
    raise ServingError(f"The model server failed ({code}).{message}", "See its log under Objects.")


def _raise_for_other_program(response: requests.Response) -> NoReturn:
    """Explain an error of an ingress controller, or of another program in front of the models."""
    code, host = response.status_code, urlsplit(response.url).netloc
    if code == 404:
        problem = f"What answers for {host} is no model server, and has no route to one (404)."
        step = "Check under Objects that the controller reads the routes; it may need seconds for new ones."
        raise ServingError(problem, step)
    # Go's and nginx's answers to plain HTTP on a port for HTTPS.
    if re.search("to (an https server|https port)", response.text[:MOST_CHARACTERS], re.IGNORECASE):
        raise ServingError(f"The gateway for {host} expects https on this port.", "Use --scheme https.")
    problem = f"A program in front of the models refused the request ({code}).{_sentence(response.reason)}"
    login = code in (401, 403) and f"Let requests to {host}/v1/models through without a login."
    raise ServingError(problem, login or "See the ingress controller's log.")


def _raise_for_redirect(response: requests.Response) -> NoReturn:
    target = response.headers["Location"].partition("?")[0]  # without what identifies the visitor
    source, destination = urlsplit(response.url), urlsplit(target)
    if (source.scheme, source.hostname, "https") == ("http", destination.hostname, destination.scheme):
        raise ServingError("The gateway redirects all requests to https.", "Use --scheme https.")
    problem = f"The gateway redirects the request to {target[:MOST_CHARACTERS]}."
    raise ServingError(problem, f"Let requests to {source.netloc}/v1/models through without a redirect.")


def _model_server_message(response: requests.Response) -> str | None:
    """Return the error of a model server or the local gateway, or None if another program answered."""
    try:
        return _sentence(str(json.loads(response.content)["error"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _sentence(text: str | None) -> str:
    """Return a foreign text as a sentence that follows another, or nothing for nothing."""
    text = " ".join((text or "").split())[:MOST_CHARACTERS]
    return f" {text}{'' if text.endswith(('.', '!', '?')) else '.'}" if text else ""


def translate_network_error(error: OSError, gateway: Gateway) -> ServingError:
    """Return the error for a request that got no answer, with the next step for its reason."""
    failure = explain_network_error(error)
    place = f"{gateway.url} ({gateway.address})" if gateway.address else gateway.url
    problem = f"The gateway at {place} cannot be reached: {failure.reason}."
    host = urlsplit(gateway.url).hostname
    step = "Check that the ingress controller runs and listens there; --ingress-address sets another address."
    if failure.problem in _NEXT_STEPS:
        step = _NEXT_STEPS[failure.problem].format(host=host)
    elif failure.problem in (NetworkProblem.TLS, NetworkProblem.OTHER) and gateway.ca_file:
        step = f"Check that {gateway.ca_file} (--ca-file) holds certificates as PEM."
    elif host in ("localhost", "127.0.0.1", "::1") and not gateway.address:
        step = "See under Objects whether it runs."
    return ServingError(problem, step, is_transient=failure.problem is NetworkProblem.CUT)
