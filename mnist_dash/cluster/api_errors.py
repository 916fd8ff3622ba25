"""Translate errors of the Kubernetes API, and of the way to it, into EngineError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mnist_dash.cluster.resources import GATEWAY, NAMESPACE, Kind, Object, describe_field, join_fields
from mnist_dash.errors import EngineError
from mnist_dash.network_errors import NetworkProblem, explain_network_error

ROLE_HINT: Final = "docs/role.yaml has the Role that the dashboard needs."
RETRYING: Final = "The dashboard keeps trying; if it lasts, check the cluster's control plane."
CHECK_SERVER: Final = "Check the address of the cluster in the kubeconfig."
CHECK_PROXY: Final = "Check HTTPS_PROXY and NO_PROXY, or proxy-url in the kubeconfig."
FETCH: Final = "gcloud container clusters get-credentials CLUSTER --location LOCATION"
FETCH_KUBECONFIG: Final = f"Fetch the kubeconfig again (on GKE: {FETCH})."
INSTALL_GATEWAY_API: Final = (
    "Install the Gateway API (https://gateway-api.sigs.k8s.io/guides; on GKE: "
    "gcloud container clusters update CLUSTER --gateway-api=standard), or use --router ingress."
)
MOST_CHARACTERS: Final = 600
_RBAC = re.compile(r'User "([^"]*)" cannot (\S+) resource "([^"]+)"')
_REDUNDANT = re.compile(r'^\S+ "[^"]*" is (invalid|forbidden): ')
_FIELD_OWNER = re.compile(r'conflict with "([^"]*)"')
# Text of a message -> next step, whatever the status is.
_NEXT_STEPS: Final = (
    ("exceeded quota", "Use fewer replicas, remove a model, or ask for a larger quota."),
    ("violates PodSecurity", "Use another namespace (--namespace), or ask for a less strict standard."),
    ("failed calling webhook", "Ask whoever runs the webhook to repair or remove it."),
    ("denied the request", "Change what the webhook objects to, or ask whoever runs it."),
    ("denied request", "Change what the policy objects to, or ask whoever wrote it."),
    ("being terminated", "Wait until the namespace is deleted and try again, or use another: --namespace."),
    ("immutable", "Delete it (kubectl delete {kind} {name}{namespace_option}) and deploy again."),
)
_NETWORK_STEPS: Final = {
    NetworkProblem.PROXY: CHECK_PROXY,
    NetworkProblem.READ_TIMEOUT: RETRYING,
    NetworkProblem.CUT: RETRYING,
    NetworkProblem.NOT_TLS: f"{CHECK_SERVER} It may need http instead of https.",
    NetworkProblem.CERTIFICATE_HOST: f"{CHECK_SERVER} Behind a tunnel, set tls-server-name there.",
    NetworkProblem.CERTIFICATE_DATE: "Renew the cluster's certificates, and check this machine's clock.",
    NetworkProblem.CERTIFICATE_UNTRUSTED: FETCH_KUBECONFIG,
    NetworkProblem.CLIENT_CERTIFICATE: FETCH_KUBECONFIG,
    NetworkProblem.OTHER: CHECK_SERVER,
}
_CHECK_NETWORK = "Check that the cluster runs, and that this machine can reach it (VPN, firewall, proxy)."


@dataclass(frozen=True)
class ApiRequest:
    """A request to the API server, in RBAC's terms."""

    verb: str
    """One of get, list, create, patch, delete."""
    kind: Kind
    namespace: str
    name: str = ""
    """Empty for all objects of the kind."""
    subresource: str = ""

    def __str__(self) -> str:
        """Name the object as in a sentence: `Deployment mnist-blue in namespace mnist`."""
        plural = "es" if self.kind.name.endswith("s") else "s"
        return self.kind.name + (f" {self.name}" if self.name else plural) + self.where

    @property
    def path(self) -> str:
        """Its path on the API server."""
        path = self.kind.path(self.namespace, self.name)
        return f"{path}/{self.subresource}" if self.subresource else path

    @property
    def where(self) -> str:
        """Its namespace, to end a sentence."""
        return f" in namespace {self.namespace}" if self.kind.namespaced else ""


class ApiError(EngineError):
    """The API server answered with an error: its HTTP `status`, and the `Status` object in `answer`."""

    def __init__(self, status: int, answer: Object, problem: str, next_step: str) -> None:
        super().__init__(problem, next_step)
        self.status = status
        self.answer = answer

        details = answer.get("details") or {}
        self.is_absence_of_namespace = status == 404 and details.get("kind") == NAMESPACE.plural
        """Whether the namespace of the request does not exist."""
        is_named = status == 404 and bool(details.get("name"))
        self.is_absence = is_named and not self.is_absence_of_namespace
        """Whether the requested object itself does not exist (rather than its kind or its namespace)."""


def translate_status(status: int, answer: Object, request: ApiRequest, server: str, account: str) -> ApiError:
    """Translate an error status that the API server at `server` answered with.

    `answer` is the `Status` object of the body ({"message": text} for anything else), `account` the user's
    name in the kubeconfig. The default is the server's own message.
    """
    message = _REDUNDANT.sub("", " ".join(str(answer.get("message") or "").split()))[:MOST_CHARACTERS]
    if status == 422 and "metadata.uid:" in message:
        status = 409  # another object has this name by now
    problem, next_step = _explain_status(status, answer, message, request, server, account)
    option = f" --namespace {request.namespace}" if request.kind.namespaced else ""
    names = {"kind": request.kind.name.lower(), "name": request.name, "namespace_option": option}
    special = (step.format(**names) for text, step in _NEXT_STEPS if text in message)
    return ApiError(status, answer, f"{problem.rstrip(' .:')}.", next(special, next_step))


def _explain_status(
    status: int, answer: Object, message: str, request: ApiRequest, server: str, account: str
) -> tuple[str, str]:
    """Return problem and next step."""
    match status:
        case 401:
            whose = f" of {account}" if account else ""
            problem = f"The cluster at {server} does not accept the credentials{whose} (401)"
            return problem, "Log in again (on GKE: gcloud auth login), and check that kubectl get pods works."
        case 403 if (found := _RBAC.search(message)) or not message:
            group = f".{request.kind.group}" if request.kind.group else ""
            user, verb, resource = found.groups() if found else (account, request.verb, request.kind.plural)
            problem = f'User "{user}" may not {verb} {resource}{group}{request.where}'
            return problem, f"Ask an administrator of the cluster for that right. {ROLE_HINT}"
        case 403:
            return f"Kubernetes rejected {request}: {message}", ROLE_HINT
        case 404:
            return _explain_absence(answer, request)
        case 409:
            return f"{request} is being changed by another client: {message}", "Try again."
        case 422:
            step = "The Objects tab shows what was applied."
            return f"Kubernetes rejected {request} as invalid: {message}", step
        case 429:
            return f"The cluster at {server} is overloaded (429)", RETRYING
    step = RETRYING if status >= 500 else CHECK_SERVER
    return f"Kubernetes answered {status} to {request.verb} {request}: {message}", step


def _explain_absence(answer: Object, request: ApiRequest) -> tuple[str, str]:
    details = answer.get("details") or {}
    if details.get("kind") == NAMESPACE.plural:
        name = details.get("name") or request.namespace
        step = f"Create it (kubectl create namespace {name}), or use another: --namespace."
        return f"There is no namespace {name}", step
    if details.get("name"):
        return f"There is no {request}", "Try again."
    gateway = request.kind.group == GATEWAY.group
    problem = f"The cluster does not know the kind {request.kind.name} ({request.kind.api})"
    return problem, INSTALL_GATEWAY_API if gateway else "The dashboard needs Kubernetes 1.30 or newer."


def translate_conflict(answer: Object, live: Object | None, request: ApiRequest) -> EngineError | None:
    """Translate the `Status` of a field conflict; None if it is not one.

    The error names the fields and their owners, with the time of the change if `live` has it.
    """
    owners: dict[str, list[str]] = {}
    for cause in (answer.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "FieldManagerConflict":
            found = _FIELD_OWNER.search(cause.get("message") or "")
            owners.setdefault(found[1] if found else "another client", []).append(cause.get("field") or "")
    if not owners:
        return None
    fields = "; ".join(_list_fields(owner, fields, live) for owner, fields in owners.items())
    step = f"Take it over, or make the change with {' and '.join(owners)}."
    # The object comes last: the page may have room for the beginning only.
    return EngineError(f"Other owners: {fields} ({request}).", step, can_take_over=True)


def _list_fields(owner: str, fields: list[str], live: Object | None) -> str:
    entries = live["metadata"].get("managedFields") or () if live else ()
    times = [entry["time"] for entry in entries if entry.get("manager") == owner and entry.get("time")]
    since = f" since {datetime.fromisoformat(max(times)):%Y-%m-%d %H:%M:%S} UTC" if times else ""
    belong = "belongs" if len(fields) == 1 else "belong"
    return f"{join_fields([*map(describe_field, fields)])} {belong} to {owner}{since}"


def translate_network_error(error: BaseException, server: str) -> EngineError:
    """Translate the exception of a request that got no answer from the API server at `server`."""
    failure = explain_network_error(error)
    problem = f"The cluster at {server} cannot be reached: {failure.reason}."
    return EngineError(problem, _NETWORK_STEPS.get(failure.problem, _CHECK_NETWORK))
