"""Translate errors of the Kubernetes API into EngineError."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from urllib3 import exceptions as http

from mnist_dash.cluster.resources import GATEWAY, NAMESPACE, Kind, Object
from mnist_dash.errors import EngineError

ROLE_HINT = 'The README\'s section "On a cluster" has the Role that the dashboard needs.'
_GATEWAY_API = (
    "Install the Gateway API (https://gateway-api.sigs.k8s.io/guides; on GKE: "
    "gcloud container clusters update CLUSTER --gateway-api=standard), or use --router ingress."
)
_TOO_OLD = "The dashboard needs Kubernetes 1.30 or newer."
_TRIED_AGAIN = "The dashboard keeps looking; if it lasts, look at the state of the control plane."
_RBAC = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)"')
# By whom an object is refused, and what to do; whatever the status is.
_ADMISSION: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r'admission webhook "(?P<who>[^"]+)" denied the request:?\s*(?P<why>.*)', re.DOTALL),
        "The admission webhook {who} refuses {what}: {why}",
        "Change what it objects to, or ask who runs that webhook.",
    ),
    (
        re.compile(r"ValidatingAdmissionPolicy '(?P<who>[^']+)'.*? denied request: (?P<why>.*)", re.DOTALL),
        "The admission policy {who} refuses {what}: {why}",
        "Change what it objects to, or ask who wrote that policy.",
    ),
    (
        re.compile(r'failed calling webhook "(?P<who>[^"]+)":?\s*(?P<why>.*)', re.DOTALL),
        "The admission webhook {who} does not answer, so the cluster refuses {what}: {why}",
        "Ask who runs that webhook to mend or remove it.",
    ),
    (
        re.compile(r"(?P<who>exceeded quota): (?P<why>.*)", re.DOTALL),
        "The quota does not allow {what}: {why}",
        "Use fewer replicas, remove a model, or ask for a larger quota.",
    ),
    (
        re.compile(r"(?P<who>violates PodSecurity) (?P<why>.*)", re.DOTALL),
        "The Pod security standard of the namespace refuses {what}: {why}",
        "Use another namespace (--namespace), or ask for a less strict standard.",
    ),
)


@dataclass(frozen=True)
class ApiRequest:
    """What was asked of the API server."""

    verb: str
    """As RBAC calls it: get, list, create, patch, delete."""
    kind: Kind
    namespace: str
    name: str = ""
    """Empty if it was asked for all of the kind."""

    def __str__(self) -> str:
        """As in a sentence: `Deployment mnist-blue in namespace mnist`."""
        one = f"{self.kind.name} {self.name}" if self.name else f"{self.kind.name}{self._ending}"
        return one + self.where

    @property
    def where(self) -> str:
        return f" in namespace {self.namespace}" if self.kind.namespaced else ""

    @property
    def _ending(self) -> str:
        return "es" if self.kind.name.endswith("s") else "s"


class ApiError(EngineError):
    """The API server answered with an error; `status` is that of HTTP, `answer` what came with it."""

    def __init__(self, status: int, answer: Object, problem: str, next_step: str) -> None:
        super().__init__(problem, next_step)
        self.status = status
        self.answer = answer

    @property
    def is_absence(self) -> bool:
        """Whether the very object that was asked for is not there (not its kind, not its namespace)."""
        details = self.answer.get("details") or {}
        return self.status == 404 and bool(details.get("name")) and not self.is_absence_of_namespace

    @property
    def is_absence_of_namespace(self) -> bool:
        """Whether the namespace that was written to is not there."""
        details = self.answer.get("details") or {}
        return self.status == 404 and details.get("kind") == NAMESPACE.plural


def api_error(status: int, answer: Object, asked: ApiRequest, server: str, account: str) -> ApiError:
    """The words for an error that the API server at `server` answered with.

    `answer` is the `Status` object of the body ({"message": text} if it was none), `account` who we are.
    """
    message = str(answer.get("message") or "").strip()
    problem, next_step = (
        _admission(message, asked)
        or _terminating(answer, message, asked)
        or _by_status(status, answer, message, asked, server, account)
    )
    return ApiError(status, answer, problem, next_step)


def _admission(message: str, asked: ApiRequest) -> tuple[str, str] | None:
    for pattern, problem, next_step in _ADMISSION:
        if found := pattern.search(message):
            return _sentence(problem.format(what=asked, **found.groupdict())), next_step
    return None


def _terminating(answer: Object, message: str, asked: ApiRequest) -> tuple[str, str] | None:
    causes = (answer.get("details") or {}).get("causes") or []
    reasons = {cause.get("reason") for cause in causes}
    if "NamespaceTerminating" not in reasons and "because it is being terminated" not in message:
        return None
    problem = f"Namespace {asked.namespace} is being deleted, so nothing can be made in it."
    return problem, "Wait until it is gone and try again, or use another: --namespace."


def _by_status(
    status: int, answer: Object, message: str, asked: ApiRequest, server: str, account: str
) -> tuple[str, str]:
    match status:
        case 401:
            whose = f" of {account}" if account else ""
            problem = f"The cluster at {server} does not accept the credentials{whose}: it answered 401."
            return problem, (
                "They have expired or were withdrawn: log in again (on GKE: gcloud auth login), "
                "and see whether kubectl get pods works."
            )
        case 403:
            return _forbidden(message, asked, account)
        case 404:
            return _missing(answer, asked)
        case 409:
            problem = f"{asked} is being changed by somebody else at this very moment: {message}"
            return _sentence(problem), "Try again."
        case 422:
            step = _immutable(asked) if "immutable" in message else "The Objects tab shows what was applied."
            return _sentence(f"The cluster holds {asked} for invalid: {message}"), step
        case 429:
            return f"The cluster at {server} is overloaded: it answered 429.", _TRIED_AGAIN
        case _ if status >= 500:
            return _sentence(f"The cluster at {server} answered {status}: {message}"), _TRIED_AGAIN
    step = "Check the address of the cluster in the kubeconfig."
    return _sentence(f"The cluster at {server} answered {status} to {asked.verb} {asked}: {message}"), step


def _forbidden(message: str, asked: ApiRequest, account: str) -> tuple[str, str]:
    group = f".{asked.kind.group}" if asked.kind.group else ""
    verb, resource, user = asked.verb, asked.kind.plural, account or "The dashboard's account"
    if found := _RBAC.search(message):
        verb, resource, user = found["verb"], found["resource"], f'User "{found["user"]}"'
    elif message:
        return _sentence(f"The cluster forbids to {asked.verb} {asked}: {message}"), ROLE_HINT
    problem = f"{user} may not {verb} {resource}{group}{asked.where}."
    return problem, f"Ask an administrator of the cluster for that right. {ROLE_HINT}"


def _missing(answer: Object, asked: ApiRequest) -> tuple[str, str]:
    details = answer.get("details") or {}
    if details.get("kind") == NAMESPACE.plural:
        space = details.get("name") or asked.namespace
        step = f"Create it (kubectl create namespace {space}), or give another: --namespace."
        return f"There is no namespace {space}.", step
    if details.get("name"):
        return f"There is no {asked}.", "Try again."
    problem = f"The cluster does not know the kind {asked.kind.name} ({asked.kind.api})."
    return problem, _GATEWAY_API if asked.kind.group == GATEWAY.group else _TOO_OLD


def _immutable(asked: ApiRequest) -> str:
    space = f" --namespace {asked.namespace}" if asked.kind.namespaced else ""
    return f"Delete it (kubectl delete {asked.kind.name.lower()} {asked.name}{space}) and deploy again."


def _sentence(text: str) -> str:
    """On one line, cut where it gets endless, with a full stop."""
    text = " ".join(text.split()).rstrip(":")
    text = text if len(text) <= 600 else f"{text[:600]} ..."
    return text if text.endswith((".", "!", "?")) else f"{text}."


MOST_FIELDS = 3
"""How many fields are named; of more, only the number is told."""
_MANAGER = re.compile(r'conflict with "(?P<name>[^"]*)"')
_MAP_FIELDS = {".metadata.annotations.": "annotation", ".metadata.labels.": "label"}


def is_field_conflict(answer: Object) -> bool:
    """Whether the `Status` of a 409 says that fields belong to other managers."""
    return bool(_causes(answer))


def conflict(answer: Object, live: Object | None, asked: ApiRequest) -> EngineError:
    """The error for a field conflict: which fields, whose, and since when as far as `live` tells it."""
    by_owner: dict[str, list[str]] = {}
    for cause in _causes(answer):
        found = _MANAGER.search(cause.get("message") or "")
        owner = found["name"] if found else "somebody else"
        by_owner.setdefault(owner, []).append(_field(cause.get("field") or ""))
    whose = "; ".join(
        f"{_listed(fields)} {'belongs' if len(fields) == 1 else 'belong'} to {owner}{_since(owner, live)}"
        for owner, fields in by_owner.items()
    )
    step = f"Take it over, or let {' and '.join(by_owner)} make the change."
    return EngineError(f"Somebody else looks after a part of {asked}: {whose}.", step, can_take_over=True)


def _causes(answer: Object) -> list[dict[str, Any]]:
    causes = (answer.get("details") or {}).get("causes") or []
    return [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]


def _field(path: str) -> str:
    for start, word in _MAP_FIELDS.items():
        if path.startswith(start):
            return f"the {word} {path.removeprefix(start)}"
    return path.removeprefix(".") or "a field"


def _listed(fields: Sequence[str]) -> str:
    shown = list(fields[:MOST_FIELDS])
    if more := len(fields) - len(shown):
        shown.append(f"{more} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _since(owner: str, live: Object | None) -> str:
    entries = ((live or {}).get("metadata") or {}).get("managedFields") or []
    times = [entry["time"] for entry in entries if entry.get("manager") == owner and entry.get("time")]
    if not times:
        return ""
    return f" since {datetime.fromisoformat(max(times)):%Y-%m-%d %H:%M:%S} UTC"


_CHECK_CA = (
    "Fetch the kubeconfig anew (on GKE: gcloud container clusters get-credentials CLUSTER); "
    "its certificate-authority-data must be the cluster's."
)
_CHECK_NETWORK = "Check that the cluster runs, and that this machine may reach it (VPN, firewall, proxy)."
_CHECK_SERVER = "Check the address of the cluster in the kubeconfig."
# A part of what OpenSSL says -> what is wrong, and what to do.
_TLS: tuple[tuple[str, str, str], ...] = (
    (
        "KEY_VALUES_MISMATCH",
        "the client certificate and the key in the kubeconfig do not belong together",
        "Fetch the kubeconfig anew.",
    ),
    (
        "mismatch",
        "the certificate of {server} is for another host",
        f"{_CHECK_SERVER} Behind a tunnel, tls-server-name there names the certificate's host.",
    ),
    ("doesn't match", "the certificate of {server} is for another host", _CHECK_SERVER),
    (
        "certificate has expired",
        "the certificate of {server} has expired",
        "Have the cluster's certificates renewed, and check this machine's clock.",
    ),
    ("not yet valid", "the certificate of {server} is not valid yet", "Check this machine's clock."),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the certificate of {server} is not signed by the authority that the kubeconfig names",
        _CHECK_CA,
    ),
    (
        "WRONG_VERSION_NUMBER",
        "{server} does not speak TLS",
        f"{_CHECK_SERVER} Perhaps it begins with http, not https.",
    ),
    (
        "record layer",
        "{server} does not speak TLS",
        f"{_CHECK_SERVER} Perhaps it begins with http, not https.",
    ),
    ("ALERT", "{server} does not accept the client certificate", "Fetch the kubeconfig anew."),
)


def is_cut(err: BaseException) -> bool:
    """Whether the connection was cut in the middle, so that the same request may be sent once more."""
    return isinstance(_cause(err), http.ProtocolError)


def unreachable(err: BaseException, server: str, seconds: float) -> EngineError:
    """The words for an error of the HTTP library; `seconds` is how long it waited for an answer."""
    match cause := _cause(err):
        case http.SSLError():
            return tls_failure(str(cause), server)
        case http.ProxyError():
            why = _last(cause.original_error)
            problem = f"The proxy on the way to the cluster at {server} does not work: {why}."
            return EngineError(problem, "Check HTTPS_PROXY and NO_PROXY, or proxy-url in the kubeconfig.")
        case http.NameResolutionError():
            problem = f"The name of the cluster at {server} cannot be resolved."
            return EngineError(problem, f"{_CHECK_SERVER} {_CHECK_NETWORK}")
        case http.ReadTimeoutError():
            problem = f"The cluster at {server} did not answer within {seconds:g} seconds."
            return EngineError(problem, "It may be overloaded; the dashboard keeps looking for it.")
        case http.NewConnectionError():
            return EngineError(f"The cluster at {server} cannot be reached: {_last(cause)}.", _CHECK_NETWORK)
        case http.ConnectTimeoutError():
            return EngineError(f"There is no route to the cluster at {server}: time-out.", _CHECK_NETWORK)
        case http.ProtocolError():
            problem = f"The connection to the cluster at {server} was cut in the middle."
            return EngineError(problem, "The dashboard keeps looking; if it lasts, check the network.")
        case http.LocationValueError():
            return EngineError(f"{server} is no address of a cluster.", _CHECK_SERVER)
    return EngineError(f"The cluster at {server} cannot be asked: {_last(cause)}.", _CHECK_NETWORK)


def tls_failure(said: str, server: str) -> EngineError:
    """The words for what OpenSSL said of the connection to the API server."""
    for part, problem, step in _TLS:
        if part.lower() in said.lower():
            return EngineError(f"TLS fails: {problem.format(server=server)}.", step)
    return EngineError(f"TLS to {server} fails: {' '.join(said.split())}.", _CHECK_CA)


def _cause(err: BaseException) -> BaseException:
    """What the library gave up for after the last try."""
    return err.reason if isinstance(err, http.MaxRetryError) and err.reason else err


def _last(err: BaseException) -> str:
    """The last part of an error's text: `Connection refused`."""
    text = str(err).rpartition("] ")[2] or str(err)
    return text.rstrip(".) '\"") or type(err).__name__
