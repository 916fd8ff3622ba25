"""The API against a real API server: rights, owners of fields, namespaces, admission, and a bad network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from mnist_dash.cluster import api_client as api_module
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
from tests.cluster.bed.faults import FaultProxy

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
def connected(bed: Bed, namespace: str) -> Iterator[Connect]:
    """Connects to the cluster as somebody, by default as its administrator."""
    opened: list[KubernetesClient] = []

    def one(user: User | None = None, server: str = "", space: str = namespace) -> KubernetesClient:
        path = user.kubeconfig if user else bed.write_kubeconfig(server=server)
        opened.append(connect(Settings(kubeconfig=str(path), namespace=space)))
        return opened[-1]

    yield one
    for api in opened:
        api.close()


@pytest.fixture
def api(connected: Connect) -> KubernetesClient:
    """The administrator's, straight to the server."""
    return connected()


@pytest.fixture
def through(proxy: FaultProxy, connected: Connect) -> Iterator[KubernetesClient]:
    """The administrator's, through the proxy."""
    api = connected(server=proxy.url)
    yield api
    api.close()


def refused(api: KubernetesClient, obj: Object | None = None, **how: Any) -> EngineError:
    """What applying says."""
    with pytest.raises(EngineError) as caught:
        api.apply(obj or service(), **how)
    return caught.value


def test_what_is_applied_is_found_by_name_and_label_until_it_is_deleted(api: KubernetesClient) -> None:
    """The whole life of an object."""
    assert api.get(SERVICE, "mnist-new") is None
    made = api.apply(service())
    assert api.get(SERVICE, "mnist-new") == made
    (listed,) = api.list(SERVICE, selector=SELECTOR)
    assert listed == made
    api.delete(SERVICE, "mnist-new", dry_run=True)
    assert api.get(SERVICE, "mnist-new")
    api.delete(SERVICE, "mnist-new")
    api.delete(SERVICE, "mnist-new")
    assert api.list(SERVICE, selector=SELECTOR) == []


def test_a_dry_run_leaves_everything_as_it_is(api: KubernetesClient) -> None:
    """And shows what would be."""
    api.apply(service())
    assert api.apply(service(weight="20"), dry_run=True)["metadata"]["annotations"][WEIGHT] == "20"
    live = api.get(SERVICE, "mnist-new")
    assert live
    assert live["metadata"]["annotations"][WEIGHT] == "0"


def test_a_long_list_comes_in_pages(api: KubernetesClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is lost."""
    monkeypatch.setattr(api_module, "PAGE", 2)
    names = [f"mnist-{number}" for number in range(5)]
    for name in names:
        api.apply(service(name))
    assert [one["metadata"]["name"] for one in api.list(SERVICE, selector=SELECTOR)] == names


def test_the_cluster_says_who_we_are(bed: Bed, connected: Connect, namespace: str) -> None:
    """Also to somebody without any rights."""
    user = bed.user(namespace)
    assert connected().user == "admin"
    assert connected(user).user == user.name


def test_rights_that_lack_are_named(bed: Bed, connected: Connect, namespace: str) -> None:
    """By user, verb, resource and namespace."""
    user = bed.user(namespace, [MAY_LOOK])
    api = connected(user)
    wait_until(lambda: _may_list(api), "the Role holds")
    assert refused(api).problem == f'User "{user.name}" may not patch services in namespace {namespace}.'
    with pytest.raises(EngineError) as caught:
        api.list(DEPLOYMENT)
    told = f'User "{user.name}" may not list deployments.apps in namespace {namespace}.'
    assert caught.value.problem == told
    assert "the Role that the dashboard needs" in caught.value.next_step


def _may_list(api: KubernetesClient) -> bool:
    try:
        return api.list(SERVICE) == []
    except EngineError:
        return False


def test_a_field_that_kubectl_changed_is_its_own_until_it_is_taken_over(
    bed: Bed, api: KubernetesClient, namespace: str
) -> None:
    """The error says whose it is, and since when."""
    api.apply(service())
    done = bed.kubectl("annotate", "-n", namespace, "service", "mnist-new", f"{WEIGHT}=50", "--overwrite")
    assert done.returncode == 0, done.stderr
    error = refused(api, service(weight="20"))
    assert error.can_take_over
    start = f"Somebody else looks after a part of Service mnist-new in namespace {namespace}: "
    assert error.problem.startswith(f"{start}the annotation {WEIGHT} belongs to kubectl-annotate since 20")
    assert refused(api, service(weight="20"), dry_run=True).can_take_over
    taken = api.apply(service(weight="20"), force=True)
    assert taken["metadata"]["annotations"][WEIGHT] == "20"
    assert api.apply(service(weight="30"))["metadata"]["annotations"][WEIGHT] == "30"


def test_a_field_that_another_manager_applies_is_its_own(
    bed: Bed, api: KubernetesClient, namespace: str
) -> None:
    """As GitOps does."""
    api.apply(service())
    bed.api.apply(inside(namespace, service(weight="50")), manager="argocd")
    error = refused(api, service(weight="20"))
    assert error.can_take_over
    assert f"the annotation {WEIGHT} belongs to argocd since 20" in error.problem
    assert error.next_step == "Take it over, or let argocd make the change."


def test_an_object_of_others_is_left_alone(bed: Bed, api: KubernetesClient, namespace: str) -> None:
    """Even when taking over was asked for."""
    foreign = inside(namespace, service())
    foreign["metadata"]["labels"] = {"app": "shop"}
    bed.api.apply(foreign, manager="shop")
    before = api.get(SERVICE, "mnist-new")
    assert "is not the dashboard's" in refused(api, force=True).problem
    with pytest.raises(EngineError, match="is not the dashboard's"):
        api.delete(SERVICE, "mnist-new")
    assert api.get(SERVICE, "mnist-new") == before


def test_a_missing_namespace_is_told_and_can_be_made(bed: Bed, connected: Connect) -> None:
    """Nothing is found in it before."""
    with bed.namespace(create=False) as space:
        api = connected(space=space)
        assert api.get(NAMESPACE, space) is None
        assert api.list(SERVICE) == []
        assert api.apply(service(), dry_run=True) == service()
        assert refused(api).problem == f"There is no namespace {space}."
        api.ensure_namespace()
        api.apply(service())
        live = api.get(NAMESPACE, space)
        assert live
        assert live["metadata"]["labels"].items() >= labels("namespace").items()


def test_a_namespace_of_others_is_used_as_it_is(api: KubernetesClient, namespace: str) -> None:
    """No label is put on it."""
    before = api.get(NAMESPACE, namespace)
    api.ensure_namespace()
    assert api.get(NAMESPACE, namespace) == before


def test_who_may_not_make_a_namespace_is_told_so(bed: Bed, connected: Connect) -> None:
    """If it is known to be missing."""
    with bed.namespace(create=False) as space:
        look = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}
        user = bed.user("", cluster_rules=[look])
        api = connected(user, space=space)
        wait_until(lambda: _is_missing(api, space), "the ClusterRole holds")
        with pytest.raises(EngineError, match=f'User "{user.name}" may not (patch|create) namespaces'):
            api.ensure_namespace()


def _is_missing(api: KubernetesClient, space: str) -> bool:
    try:
        return api.get(NAMESPACE, space) is None
    except EngineError:
        return False


def test_a_namespace_that_is_going_takes_nothing_new(bed: Bed, api: KubernetesClient, namespace: str) -> None:
    """While something in it still holds it."""
    held = inside(namespace, service("held"))
    held["metadata"]["finalizers"] = ["example.com/hold"]
    bed.api.apply(held)
    bed.api.delete(f"/api/v1/namespaces/{namespace}")
    assert refused(api).problem.startswith(f"Namespace {namespace} is being deleted")
    path = f"/api/v1/namespaces/{namespace}/services/held"
    bed.api.patch(path, {"metadata": {"finalizers": []}})


def test_a_kind_that_the_cluster_does_not_have_is_told(api: KubernetesClient) -> None:
    """And one that it has is simply not there."""
    thing = Kind("gateway.networking.k8s.io/v9", "Thing", "things")
    with pytest.raises(EngineError, match=r"does not know the kind Thing .* Install the Gateway API"):
        api.list(thing)
    with pytest.raises(EngineError, match=r"does not know the kind Thing"):
        api.get(thing, "mnist")
    assert api.get(HTTP_ROUTE, "mnist") is None


def test_a_quota_that_is_used_up_is_told(bed: Bed, api: KubernetesClient, namespace: str) -> None:
    """With its name and figures."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": namespace},
        "spec": {"hard": {"services": "0"}},
    }
    bed.api.apply(quota)
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/small"
    wait_until(lambda: bool(bed.api.get(path).get("status", {}).get("used")), "the quota is reckoned")
    error = refused(api)
    start = (
        f"The quota does not allow Service mnist-new in namespace {namespace}: small, requested: services=1"
    )
    assert error.problem.startswith(start)


def test_an_admission_policy_that_refuses_is_named(bed: Bed, api: KubernetesClient, namespace: str) -> None:
    """With what it says."""
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"], "operations": ["*"]}
    policy = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {
                "resourceRules": [rule],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            },
            "validations": [{"expression": "false", "message": "no Services on Thursdays"}],
        },
    }
    binding = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "validationActions": ["Deny"]},
    }
    root = f"/apis/{group}/validatingadmissionpolic"
    bed.api.post(f"{root}ies", policy)
    bed.api.post(f"{root}ybindings", binding)
    try:
        wait_until(lambda: _is_refused(api), "the policy holds")
        told = f"The admission policy {namespace} refuses Service mnist-new in namespace {namespace}: "
        assert refused(api).problem == f"{told}no Services on Thursdays."
    finally:
        bed.api.delete(f"{root}ybindings/{namespace}")
        bed.api.delete(f"{root}ies/{namespace}")


def _is_refused(api: KubernetesClient) -> bool:
    try:
        api.apply(service(), dry_run=True)
    except EngineError:
        return True
    return False


def test_a_field_that_cannot_change_needs_the_object_made_anew(api: KubernetesClient, namespace: str) -> None:
    """An older object with our label, say."""
    template = {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}

    def deployment(release: str) -> Object:
        chosen = {"mnist-dash/release": release}
        metadata = {"name": "mnist-blue", "labels": labels("model")}
        spec = {"replicas": 0, "selector": {"matchLabels": chosen}}
        spec["template"] = {**template, "metadata": {"labels": chosen}}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}

    api.apply(deployment("blue"))
    step = refused(api, deployment("green")).next_step
    assert (
        step == f"Delete it (kubectl delete deployment mnist-blue --namespace {namespace}) and deploy again."
    )


def test_there_are_no_logs_of_a_pod_that_is_not_there(api: KubernetesClient) -> None:
    """It may have gone meanwhile."""
    assert api.logs("none") == ""


def test_credentials_that_are_withdrawn_are_told(through: KubernetesClient, proxy: FaultProxy) -> None:
    """And it goes on when they hold again."""
    proxy.fail(401, times=1)
    with pytest.raises(EngineError, match=r"does not accept the credentials of admin: it answered 401\."):
        through.get(SERVICE, "mnist-new")
    assert through.get(SERVICE, "mnist-new") is None


def test_an_object_that_changed_meanwhile_is_applied_on_fresh_state(
    through: KubernetesClient, proxy: FaultProxy
) -> None:
    """Nobody notices."""
    proxy.fail(409, times=3, method="PATCH")
    assert through.apply(service())["metadata"]["name"] == "mnist-new"
    assert [one.method for one in proxy.writes()].count("PATCH") == 4


def test_an_overloaded_server_is_asked_again_when_it_says(
    through: KubernetesClient, proxy: FaultProxy
) -> None:
    """It is for reading and for writing."""
    proxy.fail(429, times=1, method="GET")
    proxy.fail(429, times=1, method="PATCH")
    assert through.apply(service())["metadata"]["name"] == "mnist-new"


def test_a_server_error_is_told(through: KubernetesClient, proxy: FaultProxy) -> None:
    """In the server's words."""
    proxy.fail(500, times=1, method="PATCH", message="etcdserver: leader changed")
    assert refused(through).problem.endswith("answered 500: etcdserver: leader changed.")
    through.apply(service())


def test_a_silent_server_is_given_up_and_found_again(
    through: KubernetesClient, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time-out, here a short one."""
    monkeypatch.setattr(api_module, "READ_SECONDS", 0.2)
    proxy.silence(10)
    with pytest.raises(EngineError, match=r"did not answer within 0\.2 seconds\."):
        through.get(SERVICE, "mnist-new")
    proxy.mend()
    monkeypatch.undo()
    assert through.get(SERVICE, "mnist-new") is None


def test_a_connection_that_is_cut_is_made_again(through: KubernetesClient, proxy: FaultProxy) -> None:
    """Whatever was under way."""
    proxy.cut(1)
    assert through.list(SERVICE) == []
    proxy.cut(2)
    assert through.apply(service())["metadata"]["name"] == "mnist-new"
    proxy.cut(100)
    with pytest.raises(EngineError, match="was cut in the middle"):
        through.delete(SERVICE, "mnist-new")
    proxy.mend()
    through.delete(SERVICE, "mnist-new")
