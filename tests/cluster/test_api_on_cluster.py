"""The Kubernetes client against a real API server: rights, owners of fields, namespaces and admission."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.kubeconfig import connect
from mnist_dash.cluster.resources import (
    DEPLOYMENT,
    HTTP_ROUTE,
    NAMESPACE,
    SELECTOR,
    SERVICE,
    Kind,
    Object,
    labels,
)
from mnist_dash.errors import EngineError
from mnist_dash.settings import Settings
from tests.cluster.bed.bed import Bed, User, wait_until

Connect: TypeAlias = Callable[..., KubernetesClient]
WEIGHT = "example.com/weight"
MAY_LOOK = {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]}
PORTS = [{"name": "rest", "port": 8501, "protocol": "TCP", "targetPort": 8501}]


def service(name: str = "mnist-new", weight: str = "0") -> Object:
    """A Service as the dashboard applies it, with an annotation that others may want."""
    metadata = {"name": name, "labels": labels("model"), "annotations": {WEIGHT: weight}}
    spec = {"selector": {"mnist-dash/release": "green"}, "ports": PORTS}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def inside(namespace: str, obj: Object) -> Object:
    """The same, for those who do not know the namespace otherwise."""
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


@pytest.fixture
def connect_as(bed: Bed, namespace: str) -> Iterator[Connect]:
    """Connects to the cluster as a user, by default as its administrator."""
    clients: list[KubernetesClient] = []

    def open_client(user: User | None = None, space: str = namespace) -> KubernetesClient:
        path = user.kubeconfig if user else bed.kubeconfig
        clients.append(connect(Settings(kubeconfig=str(path), namespace=space)))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def api(connect_as: Connect) -> KubernetesClient:
    """The administrator's client."""
    return connect_as()


def apply_error(
    api: KubernetesClient, manifest: Object | None = None, live: Object | None = None, **options: Any
) -> EngineError:
    """The error of an apply, by default of the Service."""
    with pytest.raises(EngineError) as caught:
        api.apply(manifest or service(), live=live, **options)
    return caught.value


def is_accepted(request: Callable[[], object]) -> bool:
    """Whether a request raises no error."""
    try:
        request()
    except EngineError:
        return False
    return True


def test_an_object_is_found_from_apply_to_delete(api: KubernetesClient) -> None:
    """By name and by label; dry runs change nothing."""
    assert api.get(SERVICE, "mnist-new") is None
    created = api.apply(service(), live=None)
    (listed,) = api.list(SERVICE, selector=SELECTOR)
    assert api.get(SERVICE, "mnist-new") == created == listed
    assert (
        api.apply(service(weight="20"), live=listed, dry_run=True)["metadata"]["annotations"][WEIGHT] == "20"
    )
    api.delete(SERVICE, "mnist-new", live=listed, dry_run=True)
    assert api.get(SERVICE, "mnist-new") == created
    assert api.apply(service(weight="20"), live=listed)["metadata"]["annotations"][WEIGHT] == "20"
    api.delete(SERVICE, "mnist-new", live=listed)
    api.delete(SERVICE, "mnist-new", live=listed)
    assert api.list(SERVICE, selector=SELECTOR) == []
    assert api.apply(service(), live=listed)["metadata"]["uid"] != listed["metadata"]["uid"]


def test_a_missing_right_is_named(bed: Bed, connect_as: Connect, namespace: str) -> None:
    """By user, verb, resource and namespace."""
    user = bed.user(namespace, [MAY_LOOK])
    api = connect_as(user)
    assert api.user == user.name
    wait_until(lambda: is_accepted(lambda: api.list(SERVICE)), "the Role holds")
    assert apply_error(api).problem == f'User "{user.name}" may not patch services in namespace {namespace}.'
    with pytest.raises(EngineError, match=rf"may not list deployments\.apps in namespace {namespace}\."):
        api.list(DEPLOYMENT)


def test_a_field_that_kubectl_changed_conflicts_until_it_is_taken_over(
    bed: Bed, api: KubernetesClient, namespace: str
) -> None:
    """The error has the owner and the time."""
    api.apply(service(), live=None)
    done = bed.kubectl("annotate", "-n", namespace, "service", "mnist-new", f"{WEIGHT}=50", "--overwrite")
    assert done.returncode == 0, done.stderr
    live = api.get(SERVICE, "mnist-new")
    for dry_run in (True, False):
        error = apply_error(api, service(weight="20"), live, dry_run=dry_run)
        assert error.can_take_over
        assert f"annotation {WEIGHT} belongs to kubectl-annotate since 20" in error.problem
    applied = api.apply(service(weight="20"), live=live, take_over=True)
    assert applied["metadata"]["annotations"][WEIGHT] == "20"
    assert api.apply(service(weight="30"), live=live)["metadata"]["annotations"][WEIGHT] == "30"


def test_an_object_of_others_stays_untouched(bed: Bed, api: KubernetesClient, namespace: str) -> None:
    """Also if it took the name of a listed object of ours, or if fields may be taken over."""
    listed = api.apply(service(), live=None)
    api.delete(SERVICE, "mnist-new", live=listed)
    foreign = inside(namespace, service())
    foreign["metadata"]["labels"] = {"app": "shop"}
    bed.api.apply(foreign, manager="shop")
    before = api.get(SERVICE, "mnist-new")
    for live in (None, listed):
        assert "is not the dashboard's" in apply_error(api, live=live, take_over=True).problem
        with pytest.raises(EngineError, match="is not the dashboard's"):
            api.delete(SERVICE, "mnist-new", live=live)
    assert api.get(SERVICE, "mnist-new") == before


def test_a_missing_namespace_is_reported_and_can_be_created(bed: Bed, connect_as: Connect) -> None:
    """Lists are empty before; an existing one stays as it is."""
    with bed.namespace(create=False) as space:
        api = connect_as(space=space)
        assert api.get(NAMESPACE, space) is None
        assert api.list(SERVICE) == []
        assert api.apply(service(), live=None, dry_run=True) == service()
        assert apply_error(api).problem == f"There is no namespace {space}."
        api.ensure_namespace()
        api.apply(service(), live=None)
        created = api.get(NAMESPACE, space)
        assert created
        assert created["metadata"]["labels"].items() >= labels("namespace").items()
        api.ensure_namespace()
        assert api.get(NAMESPACE, space) == created


def test_a_missing_right_to_create_the_namespace_is_reported(bed: Bed, connect_as: Connect) -> None:
    """If the user can see that it is missing."""
    with bed.namespace(create=False) as space:
        look = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}
        user = bed.user("", cluster_rules=[look])
        api = connect_as(user, space=space)
        wait_until(lambda: is_accepted(lambda: api.get(NAMESPACE, space)), "the ClusterRole holds")
        with pytest.raises(EngineError, match=f'User "{user.name}" may not (patch|create) namespaces'):
            api.ensure_namespace()


def test_a_namespace_that_is_being_deleted_accepts_no_object(
    bed: Bed, api: KubernetesClient, namespace: str
) -> None:
    """While a finalizer holds it."""
    held = inside(namespace, service("held"))
    held["metadata"]["finalizers"] = ["example.com/hold"]
    bed.api.apply(held)
    bed.api.delete(f"/api/v1/namespaces/{namespace}")
    assert apply_error(api).next_step.startswith("Wait until the namespace is deleted")
    path = f"/api/v1/namespaces/{namespace}/services/held"
    bed.api.patch(path, {"metadata": {"finalizers": []}})


def test_an_unknown_kind_is_reported(api: KubernetesClient) -> None:
    """An object of a known kind is simply absent."""
    thing = Kind("gateway.networking.k8s.io/v9", "Thing", "things")
    with pytest.raises(EngineError, match=r"does not know the kind Thing .* Install the Gateway API"):
        api.list(thing)
    with pytest.raises(EngineError, match="does not know the kind Thing"):
        api.get(thing, "mnist")
    assert api.get(HTTP_ROUTE, "mnist") is None
