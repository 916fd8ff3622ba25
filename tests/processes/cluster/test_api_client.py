"""The Kubernetes client: what it sends, what it repeats, and which objects it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from mnist_dash.cluster import api_client
from mnist_dash.cluster.api_client import RETRIES, KubernetesClient
from mnist_dash.cluster.resources import GATEWAY, NAMESPACE, SERVICE, labels
from mnist_dash.errors import EngineError
from tests.processes.cluster.fake_api_server import REVIEW, FakeApiServer, FakeResponse, failure_status

SPACE = "/api/v1/namespaces/mnist"
SERVICES = f"{SPACE}/services"
PATH = f"{SERVICES}/mnist-new"
LOG = f"{SPACE}/pods/p/log"
MISSING = failure_status(404, 'services "mnist-new" not found', kind="services", name="mnist-new")
NO_NAMESPACE = failure_status(404, 'namespaces "mnist" not found', kind="namespaces", name="mnist")
MODIFIED = failure_status(409, "the object has been modified")
CUT = FakeResponse(200, {}, cut=True)
BUSY = FakeResponse(429, {"message": "too many requests"}, {"Retry-After": "1"})


def service(**metadata: Any) -> dict[str, Any]:
    """A Service as the dashboard applies it."""
    meta = {"name": "mnist-new", "labels": labels("model"), **metadata}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {}}


MANAGERS = [{"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-03T09:15:30Z"}]
LISTED = service(uid="u-1", managedFields=MANAGERS)
LIVE = FakeResponse(200, LISTED)
FOREIGN = FakeResponse(200, service(labels={"app": "shop"}, uid="u-2"))


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    """In place of a cluster."""
    server = FakeApiServer()
    yield server
    server.stop()


@pytest.fixture
def api(server: FakeApiServer) -> Iterator[KubernetesClient]:
    """A client of that server."""
    api = KubernetesClient(ApiClient(Configuration(host=server.url, retries=RETRIES)), "mnist", account="dev")
    yield api
    api.close()


def methods(server: FakeApiServer) -> list[str]:
    """The methods of all requests, in order."""
    return [request.method for request in server.received]


def test_get_returns_a_plain_object_or_none(api: KubernetesClient, server: FakeApiServer) -> None:
    """Absence is no error; a Gateway often has a namespace of its own."""
    server.respond("GET", PATH, LIVE, MISSING)
    server.respond("GET", SPACE, NO_NAMESPACE)
    path = "/apis/gateway.networking.k8s.io/v1/namespaces/infra/gateways/main"
    server.respond("GET", path, FakeResponse(200, {"a": 1}))
    assert api.get(SERVICE, "mnist-new") == LISTED
    assert api.get(SERVICE, "mnist-new") is None
    assert api.get(NAMESPACE, "mnist") is None
    assert api.get(GATEWAY, "main", namespace="infra") == {"a": 1}


def test_a_list_is_fetched_in_pages_and_each_item_has_its_kind(
    api: KubernetesClient, server: FakeApiServer
) -> None:
    """The server leaves the kind out of a list's items."""
    first = {"metadata": {"continue": "more=/+"}, "items": [{"metadata": {"name": "a"}}]}
    second = {"items": [{"metadata": {"name": "b"}}]}
    server.respond("GET", SERVICES, FakeResponse(200, first), FakeResponse(200, second))
    items = api.list(SERVICE, selector="a=b,c", fields="metadata.name!=x")
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert {(item["apiVersion"], item["kind"]) for item in items} == {("v1", "Service")}
    query = {"labelSelector": "a=b,c", "fieldSelector": "metadata.name!=x", "limit": "500"}
    assert [request.query for request in server.received] == [query, query | {"continue": "more=/+"}]


def test_apply_is_server_side_as_our_field_manager(api: KubernetesClient, server: FakeApiServer) -> None:
    """An object that was not listed is looked up first."""
    server.respond("GET", PATH, MISSING)
    server.respond("PATCH", PATH, LIVE)
    assert api.apply(service(), live=None) == LISTED
    assert methods(server) == ["GET", "PATCH"]
    request = server.received[1]
    assert request.query == {"fieldManager": "mnist-dash", "force": "false"}
    assert request.headers["content-type"] == "application/apply-patch+yaml"
    assert request.body == service()


def test_a_listed_object_is_applied_without_a_look_up(api: KubernetesClient, server: FakeApiServer) -> None:
    """Its uid keeps an object that replaced it meanwhile untouched."""
    server.respond("PATCH", PATH, LIVE)
    api.apply(service(), live=LISTED, take_over=True, dry_run=True)
    (request,) = server.received
    assert request.query == {"fieldManager": "mnist-dash", "force": "true", "dryRun": "All"}
    assert request.body == service(uid="u-1")


def test_an_object_of_others_is_neither_applied_nor_deleted(
    api: KubernetesClient, server: FakeApiServer
) -> None:
    """Not even when fields may be taken over, or when it replaced a listed object."""
    server.respond("GET", PATH, FOREIGN)
    server.respond("PATCH", PATH, MODIFIED)
    server.respond("DELETE", PATH, MODIFIED)
    problem = "Service mnist-new in namespace mnist is not the dashboard's: it lacks the label "
    for live in (None, FOREIGN.body, LISTED):
        with pytest.raises(EngineError, match=problem):
            api.apply(service(), live=live, take_over=True)
        with pytest.raises(EngineError, match=problem):
            api.delete(SERVICE, "mnist-new", live=live)
    assert sorted(methods(server)) == ["DELETE"] + ["GET"] * 4 + ["PATCH"]


def test_delete_is_bound_to_that_object_and_includes_dependents(
    api: KubernetesClient, server: FakeApiServer
) -> None:
    """An object created since under the same name stays."""
    server.respond("GET", PATH, LIVE)
    server.respond("DELETE", PATH, FakeResponse(200, {}))
    api.delete(SERVICE, "mnist-new", live=LISTED)
    api.delete(SERVICE, "mnist-new", live=None, dry_run=True)
    assert methods(server) == ["DELETE", "GET", "DELETE"]
    for request, dry_run in zip(server.requests("DELETE"), (None, ["All"]), strict=True):
        assert request.body.get("dryRun") == dry_run
        assert request.body["propagationPolicy"] == "Background"
        assert request.body["preconditions"] == {"uid": "u-1"}


@pytest.mark.parametrize("response", [FakeResponse(200, {}), failure_status(403, "forbidden")])
def test_an_existing_namespace_is_left_as_it_is(
    api: KubernetesClient, server: FakeApiServer, response: FakeResponse
) -> None:
    """So is one that a Role in the namespace alone does not let us look at."""
    server.respond("GET", SPACE, response)
    api.ensure_namespace()
    assert methods(server) == ["GET"]


def test_a_field_conflict_is_not_repeated(api: KubernetesClient, server: FakeApiServer) -> None:
    """The page offers to take the field over."""
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl-edit"', "field": ".spec.a"}
    server.respond("PATCH", PATH, failure_status(409, "Apply failed", causes=[cause]))
    with pytest.raises(EngineError, match="belongs to kubectl-edit since 2026-11-03 09:15:30 UTC") as caught:
        api.apply(service(), live=LISTED)
    assert caught.value.can_take_over
    assert methods(server) == ["PATCH"]


def test_an_object_that_changed_meanwhile_is_read_again(api: KubernetesClient, server: FakeApiServer) -> None:
    """The repetition works on fresh state."""
    server.respond("GET", PATH, LIVE)
    server.respond("PATCH", PATH, MODIFIED, LIVE)
    api.apply(service(), live=LISTED)
    assert methods(server) == ["PATCH", "GET", "PATCH"]


def test_an_object_that_keeps_changing_is_given_up(api: KubernetesClient, server: FakeApiServer) -> None:
    """After five attempts; a manifest that is bound to a version gets one."""
    server.respond("GET", PATH, LIVE)
    server.respond("PATCH", PATH, MODIFIED)
    for manifest, attempts in ((service(), 5), (service(resourceVersion="7"), 6)):
        with pytest.raises(EngineError, match="is being changed by another client") as caught:
            api.apply(manifest, live=LISTED)
        assert not caught.value.can_take_over
        assert len(server.requests("PATCH")) == attempts


def test_a_busy_server_is_asked_again_after_retry_after(api: KubernetesClient, server: FakeApiServer) -> None:
    """Up to three times."""
    server.respond("GET", PATH, BUSY, LIVE)
    assert api.get(SERVICE, "mnist-new") == LISTED
    server.respond("GET", PATH, failure_status(429, "too many requests"))
    with pytest.raises(EngineError, match="is overloaded"):
        api.get(SERVICE, "mnist-new")
    assert len(server.received) == 2 + 4


def test_a_cut_connection_is_repeated_twice_without_a_log_line(
    api: KubernetesClient, server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Applying is idempotent; while a cluster is away there would be a line each second."""
    server.respond("PATCH", PATH, CUT, CUT, LIVE)
    assert api.apply(service(), live=LISTED) == LISTED
    server.respond("PATCH", PATH, CUT)
    with pytest.raises(EngineError, match="the connection was cut"):
        api.apply(service(), live=LISTED)
    assert len(server.received) == 3 + 3
    assert not caplog.records


def test_a_silent_server_is_not_asked_twice(
    api: KubernetesClient, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call ends within about 10 s."""
    monkeypatch.setattr(api_client, "READ_SECONDS", 0.1)
    server.respond("GET", PATH, FakeResponse(silent=True))
    with pytest.raises(EngineError, match="did not answer in time"):
        api.get(SERVICE, "mnist-new")
    assert len(server.received) == 1


def test_a_web_page_is_not_taken_for_an_api_server(api: KubernetesClient, server: FakeApiServer) -> None:
    """A proxy may answer with its log-in page."""
    server.respond("GET", PATH, FakeResponse(200, "<html>Log in</html>"))
    with pytest.raises(EngineError, match="does not answer like a Kubernetes API server"):
        api.get(SERVICE, "mnist-new")


def test_a_token_that_is_no_header_does_not_leak(server: FakeApiServer) -> None:
    """The HTTP library quotes it in its error."""
    configuration: Any = Configuration(host=server.url, retries=RETRIES)
    configuration.api_key["BearerToken"] = "Bearer hidden\n"
    api = KubernetesClient(ApiClient(configuration), "mnist", account="dev")
    with pytest.raises(EngineError, match="has invalid characters") as caught:
        api.get(SERVICE, "mnist-new")
    assert "hidden" not in str(caught.value)
    api.close()


def test_many_threads_may_use_the_client_at_once(api: KubernetesClient, server: FakeApiServer) -> None:
    """The page's, the poller's, and those of one change."""
    server.respond("GET", PATH, LIVE)
    server.respond("PATCH", PATH, LIVE)
    with ThreadPoolExecutor(16) as pool:
        objects = list(pool.map(lambda _: api.apply(service(), live=None), range(64)))
    assert objects == [LISTED] * 64


def test_logs_are_the_last_lines_of_the_model_server(api: KubernetesClient, server: FakeApiServer) -> None:
    """With their times, and not of a container that a mesh adds."""
    server.respond("GET", LOG, FakeResponse(200, "one\ntwo\n"))
    assert api.logs("p", lines=5, previous=True) == "one\ntwo\n"
    query = {"container": "tensorflow-serving", "tailLines": "5", "previous": "true", "limitBytes": "100000"}
    assert server.received[0].query == query | {"timestamps": "true"}


def test_missing_logs_are_no_error_but_a_missing_right_is(
    api: KubernetesClient, server: FakeApiServer
) -> None:
    """A container that has not started has none."""
    for code in (400, 404, 500):
        server.respond("GET", LOG, failure_status(code, "no log"))
        assert api.logs("p") == ""
    server.respond("GET", LOG, failure_status(403, 'User "bob" cannot get resource "pods/log"'))
    with pytest.raises(EngineError, match=r'User "bob" may not get pods/log in namespace mnist\.'):
        api.logs("p")


def test_the_user_is_the_cluster_s_or_else_the_kubeconfig_s(
    api: KubernetesClient, server: FakeApiServer
) -> None:
    """Old clusters do not report it; anonymous users may not ask."""
    assert api.user == "dev"
    for code in (403, 404):
        server.respond("POST", REVIEW, failure_status(code, "no"))
        api.who_am_i()
        assert api.user == "dev"
    server.respond("POST", REVIEW, FakeResponse(201, {"status": {"userInfo": {"username": "alice"}}}))
    api.who_am_i()
    assert api.user == "alice"
