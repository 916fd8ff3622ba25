"""The translation of the API server's errors."""

from __future__ import annotations

from typing import Any

import pytest
from urllib3 import HTTPSConnectionPool
from urllib3 import exceptions as http

from mnist_dash.cluster.api_errors import (
    ApiRequest,
    translate_conflict,
    translate_network_error,
    translate_status,
)
from mnist_dash.cluster.resources import DEPLOYMENT, HTTP_ROUTE, NAMESPACE, Kind

SERVER = "https://1.2.3.4"
BLUE = ApiRequest("patch", DEPLOYMENT, "mnist", "mnist-blue")
NAME = "Deployment mnist-blue in namespace mnist"
ROLE = "the Role that the dashboard needs"
REJECTED = f"Kubernetes rejected {NAME}"
INVALID = f"{REJECTED} as invalid"
RBAC = 'deployments.apps is forbidden: User "bob" cannot patch resource "deployments" in API group "apps"'
RETRYING = "The dashboard keeps trying"


def explain(code: int, message: str, request: ApiRequest = BLUE, **details: Any) -> tuple[str, str]:
    """Problem and next step for an error status."""
    error = translate_status(code, {"message": message, "details": details}, request, SERVER, "dev")
    assert error.status == code
    return error.problem, error.next_step


@pytest.mark.parametrize(
    ("code", "start", "message", "step"),
    [
        (403, REJECTED, "the moon is full", ROLE),
        (403, REJECTED, "exceeded quota: small, requested: pods=2, limited: pods=1", "larger quota"),
        (403, REJECTED, 'violates PodSecurity "restricted:latest"', "--namespace"),
        (403, REJECTED, "in namespace mnist because it is being terminated", "namespace is deleted"),
        (
            400,
            "Kubernetes answered 400 to patch",
            'admission webhook "w" denied the request: no',
            "the webhook",
        ),
        (422, INVALID, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "the policy"),
        (500, "Kubernetes answered 500 to patch", 'failed calling webhook "w": timed out', "repair"),
        (422, INVALID, "spec.selector: field is immutable", "delete deployment mnist-blue --namespace mnist"),
        (422, INVALID, "spec.replicas: -1", "Objects tab"),
        (409, f"{NAME} is being changed by another client", "the object has been modified", "Try again."),
        (500, "Kubernetes answered 500 to patch", "etcd: leader changed", RETRYING),
        (418, "Kubernetes answered 418 to patch", "short and stout", "address of the cluster"),
    ],
)
def test_the_server_s_message_is_passed_on_with_a_next_step(
    code: int, start: str, message: str, step: str
) -> None:
    """It is the default for every status."""
    problem, next_step = explain(code, message)
    assert problem.startswith(start)
    assert NAME in problem
    assert problem.endswith(f": {message}.")
    assert step in next_step


@pytest.mark.parametrize(
    ("code", "message", "problem", "step"),
    [
        (
            401,
            "Unauthorized",
            f"The cluster at {SERVER} does not accept the credentials of dev (401).",
            "login",
        ),
        (403, RBAC, 'User "bob" may not patch deployments.apps in namespace mnist.', ROLE),
        (403, "", 'User "dev" may not patch deployments.apps in namespace mnist.', ROLE),
        (429, "slow down", f"The cluster at {SERVER} is overloaded (429).", RETRYING),
        (503, "", f"Kubernetes answered 503 to patch {NAME}.", RETRYING),
        (422, 'Deployment.apps "a" is invalid:\n replicas:   -1', f"{INVALID}: replicas: -1.", "Objects tab"),
    ],
)
def test_usual_errors_are_explained(code: int, message: str, problem: str, step: str) -> None:
    """On one line, and without what the message repeats."""
    found, next_step = explain(code, message)
    assert found == problem
    assert step in next_step


def test_a_404_names_what_is_missing() -> None:
    """The namespace, the object or its kind."""
    problem, step = explain(404, "not found", kind="namespaces", name="mnist")
    assert problem == "There is no namespace mnist."
    assert "kubectl create namespace mnist" in step
    assert explain(404, "not found", kind="deployments", name="mnist-blue")[0] == f"There is no {NAME}."
    problem, step = explain(404, "404 page not found")
    assert (problem, "1.30" in step) == ("The cluster does not know the kind Deployment (apps/v1).", True)
    problem, step = explain(404, "404 page not found", ApiRequest("list", HTTP_ROUTE, "mnist"))
    assert problem.startswith("The cluster does not know the kind HTTPRoute")
    assert "Install the Gateway API" in step


def test_an_object_that_was_replaced_is_a_conflict() -> None:
    """The server reports the other uid as an invalid field."""
    message = 'Service "a" is invalid: metadata.uid: Invalid value: "u-1": field is immutable'
    assert translate_status(422, {"message": message}, BLUE, SERVER, "dev").status == 409


def test_an_endless_message_is_cut() -> None:
    """A page is not a log."""
    assert len(explain(418, "x" * 5000)[0]) < 700


def conflict(*causes: tuple[str, str]) -> dict[str, Any]:
    """The `Status` of a conflict, by owner and field."""
    listed = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{owner}" using v1', "field": field}
        for owner, field in causes
    ]
    return {"details": {"causes": listed}}


def test_a_field_conflict_names_fields_owners_and_time() -> None:
    """The latest change of an owner counts; many fields are counted."""
    managers = [
        {"manager": "kubectl-edit", "time": "2026-11-03T09:15:30Z"},
        {"manager": "kubectl-edit", "time": "2026-11-02T08:00:00Z"},
    ]
    weight = ("kubectl-edit", ".metadata.annotations.example.com/weight")
    fields = [("argocd", f".spec.{name}") for name in "abcde"]
    error = translate_conflict(conflict(weight, *fields), {"metadata": {"managedFields": managers}}, BLUE)
    assert error
    assert error.can_take_over
    assert error.problem == (
        "Other owners: annotation example.com/weight belongs to kubectl-edit since 2026-11-03 09:15:30 UTC; "
        f"spec.a, spec.b, spec.c and 2 more belong to argocd ({NAME})."
    )
    assert error.next_step == "Take it over, or make the change with kubectl-edit and argocd."
    assert translate_conflict({"message": "modified"}, None, BLUE) is None


def test_a_cluster_without_an_answer_has_the_reason_and_a_next_step() -> None:
    """Each network problem has its own, or else the network is to be checked."""
    error = translate_network_error(
        http.ReadTimeoutError(HTTPSConnectionPool("1.2.3.4"), "/", "timed out"), SERVER
    )
    assert error.problem == f"The cluster at {SERVER} cannot be reached: it did not answer in time."
    assert error.next_step.startswith(RETRYING)
    assert (
        "VPN" in translate_network_error(ConnectionRefusedError(111, "Connection refused"), SERVER).next_step
    )


def test_a_request_for_all_objects_of_a_kind_is_in_the_plural() -> None:
    """Without a namespace where there is none."""
    assert str(ApiRequest("list", DEPLOYMENT, "mnist")) == "Deployments in namespace mnist"
    assert str(ApiRequest("list", NAMESPACE, "mnist")) == "Namespaces"
    assert str(ApiRequest("list", Kind("v1", "Ingress", "ingresses"), "a")) == "Ingresses in namespace a"
