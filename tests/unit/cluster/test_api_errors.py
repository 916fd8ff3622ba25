"""What the API server's refusals are called."""

from __future__ import annotations

from typing import Any

import pytest

from mnist_dash.cluster.api_errors import ApiRequest, api_error
from mnist_dash.cluster.resources import DEPLOYMENT, NAMESPACE
from tests.unit.cluster.fake_api_server import status

BLUE = ApiRequest("patch", DEPLOYMENT, "mnist", "mnist-blue")
WHAT = "Deployment mnist-blue in namespace mnist"
ROLE = 'The README\'s section "On a cluster" has the Role that the dashboard needs.'
AGAIN = "The dashboard keeps looking; if it lasts, look at the state of the control plane."


def words(code: int, message: str, **details: Any) -> tuple[str, str]:
    """Problem and next step for an answer to applying the Deployment."""
    answer = status(code, message, **details).body
    error = api_error(code, answer, BLUE, "https://1.2.3.4", "dev")
    assert error.status == code
    return error.problem, error.next_step


def test_credentials_that_are_not_accepted() -> None:
    """Whose they are, and how to get new ones."""
    problem, step = words(401, "Unauthorized")
    assert (
        problem == "The cluster at https://1.2.3.4 does not accept the credentials of dev: it answered 401."
    )
    assert step.startswith("They have expired or were withdrawn: log in again (on GKE: gcloud auth login)")


def test_a_right_that_lacks_is_named_by_verb_resource_namespace_and_user() -> None:
    """As RBAC has them, for whoever can grant it."""
    said = 'User "bob" cannot patch resource "deployments" in API group "apps" in the namespace "mnist"'
    problem, step = words(403, f"deployments.apps is forbidden: {said}")
    assert problem == 'User "bob" may not patch deployments.apps in namespace mnist.'
    assert step == f"Ask an administrator of the cluster for that right. {ROLE}"


def test_another_reason_to_forbid_is_told_as_it_is() -> None:
    """Whatever the cluster says."""
    told = f"The cluster forbids to patch {WHAT}: the moon is full."
    assert words(403, "the moon is full") == (told, ROLE)


def test_a_bare_403_still_names_what_was_asked() -> None:
    """A proxy may give no reason."""
    assert words(403, "")[0] == "dev may not patch deployments.apps in namespace mnist."


@pytest.mark.parametrize(
    ("code", "message", "problem", "step"),
    [
        (
            400,
            'admission webhook "images.example.com" denied the request: no registry but ours',
            f"The admission webhook images.example.com refuses {WHAT}: no registry but ours.",
            "Change what it objects to, or ask who runs that webhook.",
        ),
        (
            422,
            "forbidden: ValidatingAdmissionPolicy 'one' with binding 'b' denied request: at most one replica",
            f"The admission policy one refuses {WHAT}: at most one replica.",
            "Change what it objects to, or ask who wrote that policy.",
        ),
        (
            500,
            'Internal error occurred: failed calling webhook "w.example.com": connection refused',
            f"The admission webhook w.example.com does not answer, so the cluster refuses {WHAT}: "
            "connection refused.",
            "Ask who runs that webhook to mend or remove it.",
        ),
        (
            403,
            'pods "x" is forbidden: exceeded quota: small, requested: pods=2, used: pods=0, limited: pods=1',
            f"The quota does not allow {WHAT}: small, requested: pods=2, used: pods=0, limited: pods=1.",
            "Use fewer replicas, remove a model, or ask for a larger quota.",
        ),
        (
            403,
            'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
            f'The Pod security standard of the namespace refuses {WHAT}: "restricted:latest": '
            "runAsNonRoot != true.",
            "Use another namespace (--namespace), or ask for a less strict standard.",
        ),
    ],
    ids=["webhook", "policy", "dead webhook", "quota", "pod security"],
)
def test_admission_that_refuses_is_named(code: int, message: str, problem: str, step: str) -> None:
    """By whom, and why."""
    assert words(code, message) == (problem, step)


def test_a_namespace_that_is_going_is_no_matter_of_rights() -> None:
    """Though the cluster answers 403."""
    problem, step = words(403, "no", causes=[{"reason": "NamespaceTerminating"}])
    assert problem == "Namespace mnist is being deleted, so nothing can be made in it."
    assert step == "Wait until it is gone and try again, or use another: --namespace."


def test_a_missing_namespace_is_told_with_how_to_make_it() -> None:
    """It may be that we may not."""
    problem, step = words(404, 'namespaces "mnist" not found', kind="namespaces", name="mnist")
    assert problem == "There is no namespace mnist."
    assert step == "Create it (kubectl create namespace mnist), or give another: --namespace."


def test_an_unknown_kind_of_an_old_group_means_an_old_cluster() -> None:
    """Deployments have been there for long."""
    told = "The cluster does not know the kind Deployment (apps/v1)."
    assert words(404, "404 page not found") == (told, "The dashboard needs Kubernetes 1.30 or newer.")


def test_a_field_that_cannot_change_needs_the_object_made_anew() -> None:
    """With the command for that."""
    step = words(422, "spec.selector: Invalid value: field is immutable")[1]
    assert step == "Delete it (kubectl delete deployment mnist-blue --namespace mnist) and deploy again."


def test_an_invalid_object_is_told_in_the_cluster_s_words() -> None:
    """On one line."""
    problem, step = words(422, "it is invalid:\n  spec.replicas:   -1")
    assert problem == f"The cluster holds {WHAT} for invalid: it is invalid: spec.replicas: -1."
    assert step == "The Objects tab shows what was applied."


@pytest.mark.parametrize(
    ("code", "message", "problem"),
    [
        (429, "slow down", "The cluster at https://1.2.3.4 is overloaded: it answered 429."),
        (500, "etcd: leader changed", "The cluster at https://1.2.3.4 answered 500: etcd: leader changed."),
        (503, "", "The cluster at https://1.2.3.4 answered 503."),
    ],
)
def test_a_server_in_trouble_is_asked_again(code: int, message: str, problem: str) -> None:
    """By the dashboard itself."""
    assert words(code, message) == (problem, AGAIN)


def test_an_unforeseen_status_is_told_with_what_was_asked() -> None:
    """And where."""
    told = f"The cluster at https://1.2.3.4 answered 418 to patch {WHAT}: short and stout."
    assert words(418, "short and stout") == (told, "Check the address of the cluster in the kubeconfig.")


def test_an_endless_message_is_cut() -> None:
    """A page is not a log."""
    assert len(words(418, "x" * 5000)[0]) < 700


def test_all_of_a_kind_are_named_in_the_plural() -> None:
    """Without a namespace where there is none."""
    assert str(ApiRequest("list", DEPLOYMENT, "mnist")) == "Deployments in namespace mnist"
    assert str(ApiRequest("list", NAMESPACE, "mnist")) == "Namespaces"
