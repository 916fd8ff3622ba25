"""The API with plain objects: what is sent, what is tried again, and what refusals are called."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from mnist_dash.cluster import api_client as api_module
from mnist_dash.cluster.api_client import RETRIES, KubernetesClient
from mnist_dash.cluster.resources import GATEWAY, HTTP_ROUTE, NAMESPACE, POD, SERVICE, labels
from mnist_dash.errors import EngineError
from tests.unit.cluster.fake_api_server import REVIEW, Answer, StandIn, status

SPACE = "/api/v1/namespaces/mnist"
SERVICES = f"{SPACE}/services"
ONE = f"{SERVICES}/mnist-new"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/mnist/httproutes"
NONE = status(404, 'services "mnist-new" not found', kind="services", name="mnist-new")
NO_NAMESPACE = status(404, 'namespaces "mnist" not found', kind="namespaces", name="mnist")
MANAGERS = [
    {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-02T08:00:00Z"},
    {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-03T09:15:30Z"},
    {"manager": "mnist-dash", "operation": "Apply", "time": "2026-11-04T00:00:00Z"},
]


def service(**metadata: Any) -> dict[str, Any]:
    """A Service as the dashboard applies it."""
    meta = {"name": "mnist-new", "labels": labels("model"), **metadata}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {}}


LIVE = Answer(200, service(uid="u-1", managedFields=MANAGERS))
FOREIGN = Answer(200, service(labels={"app": "shop"}, uid="u-2"))


@pytest.fixture
def server() -> Iterator[StandIn]:
    """In the place of a cluster."""
    server = StandIn()
    yield server
    server.stop()


@pytest.fixture
def api(server: StandIn) -> Iterator[KubernetesClient]:
    """Asks that server."""
    api = KubernetesClient(ApiClient(Configuration(host=server.url, retries=RETRIES)), "mnist", account="dev")
    yield api
    api.close()


def conflict(*causes: tuple[str, str]) -> Answer:
    """A refusal because of fields that belong to others."""
    told = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{owner}" using v1', "field": field}
        for owner, field in causes
    ]
    return status(409, "Apply failed", reason="Conflict", causes=told)


def test_what_is_there_is_a_plain_object(api: KubernetesClient, server: StandIn) -> None:
    """As in YAML."""
    server.answer("GET", ONE, LIVE)
    assert api.get(SERVICE, "mnist-new") == LIVE.body


def test_what_is_not_there_is_none(api: KubernetesClient, server: StandIn) -> None:
    """No error."""
    server.answer("GET", ONE, NONE)
    server.answer("GET", SPACE, NO_NAMESPACE)
    assert api.get(SERVICE, "mnist-new") is None
    assert api.get(NAMESPACE, "mnist") is None


def test_a_list_is_fetched_page_by_page_and_each_object_says_its_kind(
    api: KubernetesClient, server: StandIn
) -> None:
    """The server leaves both out of a list's items."""
    first = {"metadata": {"continue": "more=/+"}, "items": [{"metadata": {"name": "a"}}]}
    server.answer("GET", SERVICES, Answer(200, first), Answer(200, {"items": [{"metadata": {"name": "b"}}]}))
    found = api.list(SERVICE, selector="a=b,c", fields="metadata.name!=x")
    assert [one["metadata"]["name"] for one in found] == ["a", "b"]
    assert {(one["apiVersion"], one["kind"]) for one in found} == {("v1", "Service")}
    query = {"labelSelector": "a=b,c", "fieldSelector": "metadata.name!=x", "limit": "500"}
    assert [asked.query for asked in server.asked] == [query, query | {"continue": "more=/+"}]


def test_another_namespace_can_be_looked_into(api: KubernetesClient, server: StandIn) -> None:
    """A Gateway often lives in its own."""
    server.answer(
        "GET", "/apis/gateway.networking.k8s.io/v1/namespaces/infra/gateways/main", Answer(200, {"a": 1})
    )
    assert api.get(GATEWAY, "main", namespace="infra") == {"a": 1}


def test_applying_is_server_side_by_our_field_manager(api: KubernetesClient, server: StandIn) -> None:
    """One path for what is new and what is there."""
    server.answer("GET", ONE, NONE)
    server.answer("PATCH", ONE, LIVE)
    assert api.apply(service()) == LIVE.body
    (sent,) = server.requests("PATCH")
    assert sent.query == {"fieldManager": "mnist-dash", "force": "false"}
    assert sent.headers["content-type"] == "application/apply-patch+yaml"
    assert sent.body == service()


def test_a_dry_run_that_takes_over_says_both(api: KubernetesClient, server: StandIn) -> None:
    """Nothing is kept."""
    server.answer("GET", ONE, LIVE)
    server.answer("PATCH", ONE, LIVE)
    api.apply(service(), force=True, dry_run=True)
    query = {"fieldManager": "mnist-dash", "force": "true", "dryRun": "All"}
    assert server.requests("PATCH")[0].query == query


def test_a_dry_run_in_a_namespace_to_be_made_gives_the_object_itself(
    api: KubernetesClient, server: StandIn
) -> None:
    """Nobody can be asked there yet."""
    server.answer("GET", ONE, NONE)
    server.answer("PATCH", ONE, NO_NAMESPACE)
    assert api.apply(service(), dry_run=True) == service()


def test_an_object_of_others_is_neither_applied_to_nor_deleted(
    api: KubernetesClient, server: StandIn
) -> None:
    """It is named."""
    server.answer("GET", ONE, FOREIGN)
    problem = r"Service mnist-new in namespace mnist is not the dashboard's: it lacks the label "
    with pytest.raises(EngineError, match=problem):
        api.apply(service(), force=True)
    with pytest.raises(EngineError, match=problem):
        api.delete(SERVICE, "mnist-new")
    assert {asked.method for asked in server.asked} == {"GET"}


def test_deleting_takes_that_very_object_and_what_it_owns(api: KubernetesClient, server: StandIn) -> None:
    """Not one that was made since."""
    server.answer("GET", ONE, LIVE)
    server.answer("DELETE", ONE, Answer(200, {}))
    api.delete(SERVICE, "mnist-new", dry_run=True)
    (sent,) = server.requests("DELETE")
    assert sent.query == {"dryRun": "All"}
    assert sent.body["dryRun"] == ["All"]
    assert sent.body["propagationPolicy"] == "Background"
    assert sent.body["preconditions"] == {"uid": "u-1"}


def test_deleting_what_is_not_there_or_just_went_is_fine(api: KubernetesClient, server: StandIn) -> None:
    """It is gone either way."""
    server.answer("GET", ONE, NONE, LIVE)
    server.answer("DELETE", ONE, NONE)
    api.delete(SERVICE, "mnist-new")
    assert not server.requests("DELETE")
    api.delete(SERVICE, "mnist-new")
    assert len(server.requests("DELETE")) == 1


def test_a_namespace_that_exists_is_only_used(api: KubernetesClient, server: StandIn) -> None:
    """It may be another's."""
    server.answer("GET", SPACE, Answer(200, {"metadata": {"name": "mnist"}}))
    api.ensure_namespace()
    assert {asked.method for asked in server.asked} == {"GET"}


def test_a_namespace_that_may_not_be_looked_at_is_taken_to_exist(
    api: KubernetesClient, server: StandIn
) -> None:
    """A Role in the namespace alone does not let us look."""
    server.answer("GET", SPACE, status(403, "forbidden"))
    api.ensure_namespace()
    assert {asked.method for asked in server.asked} == {"GET"}


def test_a_missing_namespace_is_made(api: KubernetesClient, server: StandIn) -> None:
    """With the dashboard's labels."""
    server.answer("GET", SPACE, NO_NAMESPACE)
    server.answer("PATCH", SPACE, Answer(201, {}))
    api.ensure_namespace()
    assert server.requests("PATCH")[0].body["metadata"] == {"name": "mnist", "labels": labels("namespace")}


def test_a_field_of_others_is_named_with_owner_and_time_and_can_be_taken_over(
    api: KubernetesClient, server: StandIn
) -> None:
    """The page offers it."""
    server.answer("GET", ONE, LIVE)
    server.answer("PATCH", ONE, conflict(("kubectl-edit", ".metadata.annotations.example.com/weight")))
    with pytest.raises(EngineError) as caught:
        api.apply(service())
    assert caught.value.can_take_over
    assert caught.value.problem == (
        "Somebody else looks after a part of Service mnist-new in namespace mnist: the annotation "
        "example.com/weight belongs to kubectl-edit since 2026-11-03 09:15:30 UTC."
    )
    assert caught.value.next_step == "Take it over, or let kubectl-edit make the change."
    assert len(server.requests("PATCH")) == 1


def test_many_fields_of_several_owners_are_told_in_one_sentence(
    api: KubernetesClient, server: StandIn
) -> None:
    """Those of one owner together, and not all of them."""
    fields = [("argocd", f".spec.{name}") for name in "abcde"]
    server.answer("GET", ONE, LIVE)
    server.answer("PATCH", ONE, conflict(*fields, ("helm", ".metadata.labels.x")))
    with pytest.raises(EngineError) as caught:
        api.apply(service())
    told = "spec.a, spec.b, spec.c and 2 more belong to argocd; the label x belongs to helm."
    assert caught.value.problem.endswith(told)
    assert caught.value.next_step == "Take it over, or let argocd and helm make the change."


def test_an_object_that_changed_meanwhile_is_looked_at_and_tried_again(
    api: KubernetesClient, server: StandIn
) -> None:
    """On fresh state."""
    server.answer("GET", ONE, LIVE)
    server.answer("PATCH", ONE, status(409, "the object has been modified"), LIVE)
    api.apply(service())
    assert [asked.method for asked in server.asked] == ["GET", "PATCH", "GET", "PATCH"]


def test_an_object_that_goes_on_changing_is_given_up(api: KubernetesClient, server: StandIn) -> None:
    """After a few times."""
    server.answer("GET", ONE, LIVE)
    server.answer("PATCH", ONE, status(409, "object is being deleted: services already exists"))
    with pytest.raises(
        EngineError, match=r"being changed by somebody else .*: object is being deleted.* Try again\."
    ) as e:
        api.apply(service())
    assert not e.value.can_take_over
    assert len(server.requests("PATCH")) == 5


def test_a_missing_gateway_api_is_told_with_how_to_install_it(api: KubernetesClient, server: StandIn) -> None:
    """Not as a missing object: the kind itself is unknown."""
    problem = r"does not know the kind HTTPRoute .* Install the Gateway API .* or use --router ingress\."
    with pytest.raises(EngineError, match=problem):
        api.list(HTTP_ROUTE)
    with pytest.raises(EngineError, match=problem):
        api.get(HTTP_ROUTE, "mnist")
    assert {asked.path for asked in server.asked} == {ROUTES, f"{ROUTES}/mnist"}


def test_a_busy_server_is_asked_again_when_it_says(api: KubernetesClient, server: StandIn) -> None:
    """With Retry-After."""
    busy = Answer(429, {"message": "too many requests"}, {"Retry-After": "1"})
    server.answer("GET", ONE, busy, LIVE)
    assert api.get(SERVICE, "mnist-new") == LIVE.body
    assert len(server.asked) == 2


def test_a_server_that_stays_busy_is_given_up(api: KubernetesClient, server: StandIn) -> None:
    """After three more times."""
    server.answer("GET", ONE, status(429, "too many requests"))
    with pytest.raises(EngineError, match=r"is overloaded: it answered 429\."):
        api.get(SERVICE, "mnist-new")
    assert len(server.asked) == 4


@pytest.mark.parametrize("cuts", [1, 2])
def test_a_connection_that_is_cut_is_made_again(api: KubernetesClient, server: StandIn, cuts: int) -> None:
    """Applying twice does no more than once."""
    server.answer("GET", ONE, LIVE)
    server.answer("PATCH", ONE, *[Answer(200, service(), cut=True)] * cuts, LIVE)
    assert api.apply(service()) == LIVE.body
    assert len(server.requests("PATCH")) == cuts + 1


def test_a_connection_that_is_always_cut_is_given_up(api: KubernetesClient, server: StandIn) -> None:
    """After two more times."""
    server.answer("GET", ONE, Answer(200, service(), cut=True))
    with pytest.raises(EngineError, match=r"The connection to the cluster at .* was cut in the middle\."):
        api.get(SERVICE, "mnist-new")
    assert len(server.asked) == 3


def test_trying_again_is_not_worth_a_line_in_the_log(
    api: KubernetesClient, server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """While a cluster is away it would be one for each second."""
    server.answer("GET", ONE, Answer(200, service(), cut=True))
    with pytest.raises(EngineError):
        api.get(SERVICE, "mnist-new")
    assert not caplog.records


def test_many_threads_may_ask_at_once(api: KubernetesClient, server: StandIn) -> None:
    """The page's, and the one that looks at the cluster."""
    server.answer("GET", ONE, LIVE)
    server.answer("PATCH", ONE, LIVE)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: api.apply(service()), range(64)))
    assert answers == [LIVE.body] * 64


def test_a_silent_server_is_not_waited_for_twice(
    api: KubernetesClient, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call ends within about 10 s."""
    monkeypatch.setattr(api_module, "READ_SECONDS", 0.1)
    server.answer("GET", ONE, Answer(silent=True))
    with pytest.raises(EngineError, match=r"did not answer within 0\.1 seconds\. It may be overloaded"):
        api.get(SERVICE, "mnist-new")
    assert len(server.asked) == 1


def test_something_else_that_answers_is_no_api_server(api: KubernetesClient, server: StandIn) -> None:
    """A proxy's log-in page, say."""
    server.answer("GET", ONE, Answer(200, "<html>Log in</html>"))
    with pytest.raises(
        EngineError, match=r"does not answer as the API server of a cluster does\. Check the address"
    ):
        api.get(SERVICE, "mnist-new")


LOG = f"{SPACE}/pods/p/log"


def test_logs_are_the_last_lines_of_the_model_server(api: KubernetesClient, server: StandIn) -> None:
    """Not of a container that a mesh put beside it."""
    server.answer("GET", LOG, Answer(200, "one\ntwo\n"))
    assert api.logs("p", lines=5, previous=True) == "one\ntwo\n"
    query = {"container": "tensorflow-serving", "tailLines": "5", "previous": "true", "limitBytes": "100000"}
    assert server.asked[0].query == query


@pytest.mark.parametrize(
    "answer", [status(400, "waiting to start"), status(404, "gone"), status(500, "no node")]
)
def test_no_logs_are_no_error(api: KubernetesClient, server: StandIn, answer: Answer) -> None:
    """A container that has not started has none."""
    server.answer("GET", LOG, answer)
    assert api.logs("p") == ""


def test_logs_that_may_not_be_read_are_told(api: KubernetesClient, server: StandIn) -> None:
    """By the right that lacks."""
    server.answer("GET", LOG, status(403, 'User "bob" cannot get resource "pods/log" in API group ""'))
    with pytest.raises(EngineError, match=r'User "bob" may not get pods/log in namespace mnist\.'):
        api.logs("p")
    assert POD.path("mnist", "p") in LOG


def test_the_cluster_says_who_we_are_and_is_asked_once(api: KubernetesClient, server: StandIn) -> None:
    """For the history."""
    assert [api.user, api.user] == ["alice", "alice"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [401, 403, 404])
def test_the_kubeconfig_says_who_we_are_if_the_cluster_does_not(
    api: KubernetesClient, server: StandIn, code: int
) -> None:
    """And nothing fails for that."""
    server.answer("POST", REVIEW, status(code, "no"))
    assert api.user == "dev"
