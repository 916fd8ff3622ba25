"""What the Kubernetes engine promises beyond the contract, on a real control plane."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_dash.cluster import api_client, engine, polling
from mnist_dash.cluster.engine import KubernetesEngine
from mnist_dash.cluster.resources import SECRET_NAME
from mnist_dash.domain import ChangeContext, Deploy, Image, Role, SetSplit
from mnist_dash.errors import EngineError, ServingError
from mnist_dash.service import Dashboard
from mnist_dash.settings import RouterKind, Scheme
from tests.cluster.bed.api_server import ApiServerError
from tests.cluster.bed.bed import Bed, wait_until
from tests.cluster.bed.faults import FaultProxy
from tests.cluster.rollout import APPS, Rollout, await_snapshot, end
from tests.gcs import write_key
from tests.load import constant_load

PROMPTLY = 0.5
"""Seconds that a snapshot never takes, whatever the cluster does."""


@pytest.fixture
def model(rollout: Rollout) -> Dashboard:
    """Linear as Current, settled."""
    dash = rollout.open()
    dash.deploy(Role.CURRENT, rollout.models[0])
    dash.wait_settled()
    return dash


# Under constant requests


@pytest.mark.parametrize("router", RouterKind)
def test_no_request_is_lost_while_replicas_and_split_change(
    bed: Bed, namespace: str, router: RouterKind, image: Image
) -> None:
    """Replicas up and down, for both roles, and the split from nothing to everything and back."""
    rollout = Rollout(bed, namespace, router)
    dash = rollout.open_with_both()
    linear, cnn = rollout.models
    with constant_load(dash, image, threads=1) as load:
        for replicas, splits in ((2, (20, 100)), (1, (0,))):
            dash.deploy(Role.NEW, cnn, replicas)
            dash.deploy(Role.CURRENT, linear, replicas)
            for split in splits:
                dash.set_split(split)
                assert dash.wait_settled().split_observed == split
    rollout.close()
    assert load.failures == []


def test_a_drain_takes_one_replica_at_a_time(rollout: Rollout, image: Image) -> None:
    """The second may go when another one has taken the place of the first; a removal takes the budget too."""
    dash = rollout.open()
    dash.deploy(Role.CURRENT, rollout.models[0], 2)
    dash.wait_settled()
    budget = "mnist-blue"

    def disruptions_allowed() -> int:
        live = rollout.live("policy/v1", "PodDisruptionBudget", budget)
        return int(live.get("status", {}).get("disruptionsAllowed", 0))

    wait_until(lambda: disruptions_allowed() == 1, "the budget is counted")
    first, second = sorted(pods_of(rollout))
    with constant_load(dash, image, threads=1) as load:
        evict(rollout, first)
        with pytest.raises(ApiServerError, match="disruption budget"):
            evict(rollout, second)
        wait_until(lambda: disruptions_allowed() == 1, "another replica is ready")
        evict(rollout, second)
        wait_until(lambda: not {first, second} & pods_of(rollout), "both have been replaced")
        dash.wait_settled()
    assert load.failures == []
    dash.remove(Role.CURRENT)
    assert rollout.all_live("policy/v1", "PodDisruptionBudget") == []


def evict(rollout: Rollout, pod: str) -> None:
    """Evict a Pod, as `kubectl drain` does; raises ApiServerError if its budget does not allow that."""
    metadata = {"name": pod, "namespace": rollout.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    rollout.bed.api.post(f"{rollout.path('v1', 'Pod', pod)}/eviction", body)


# The cluster away, and back


@pytest.fixture
def through_proxy(
    rollout: Rollout, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Dashboard]:
    """A dashboard whose way to the API server leads through the proxy; linear as Current, settled."""
    monkeypatch.setattr(polling, "RESTING_SECONDS", 0.2)
    dash = rollout.open(kubeconfig=rollout.kubeconfig(proxy.url))
    dash.deploy(Role.CURRENT, rollout.models[0])
    dash.wait_settled()
    yield dash
    end(dash)  # before the proxy does


Fault = Callable[[FaultProxy], None]


def test_a_slow_cluster_is_reported_while_it_is_waited_for(
    through_proxy: Dashboard, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page then shows what was observed before."""
    monkeypatch.setattr(engine, "STALE_SECONDS", 0.1)  # 10 s in earnest
    monkeypatch.setattr(api_client, "READ_SECONDS", 1.0)  # 10 s in earnest
    proxy.silence(600)
    await_snapshot(through_proxy, lambda it: "The cluster has not answered for" in it.trouble)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(lambda it: it.fail(401, times=1000), "does not accept the credentials", id="401"),
        pytest.param(lambda it: it.fail(500, times=1000, message="No etcd"), "No etcd", id="500"),
        pytest.param(lambda it: it.silence(600), "did not answer in time", id="silent"),
        pytest.param(lambda it: it.cut(1000), "connection was cut", id="cut"),
    ],
)
def test_an_unreachable_cluster_is_reported_until_it_is_back(
    through_proxy: Dashboard, proxy: FaultProxy, fault: Fault, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the last that was known is shown, and no snapshot is waited for."""
    monkeypatch.setattr(api_client, "READ_SECONDS", 1.0)  # 10 s in earnest
    monkeypatch.setattr(polling, "RETRY_SECONDS", (0.1, 0.2, 0.5))  # 1, 2 and 5 s in earnest
    before = through_proxy.snapshot()
    fault(proxy)
    spent = []

    def is_reported() -> bool:
        begun = time.monotonic()
        trouble = through_proxy.snapshot().trouble
        spent.append(time.monotonic() - begun)
        return bool(trouble)

    wait_until(is_reported, "the trouble is reported")
    away = through_proxy.snapshot()
    assert words in away.trouble
    assert (away.current, away.split_observed, away.settled) == (before.current, 0, False)
    assert max(spent) < PROMPTLY
    with pytest.raises(EngineError):
        through_proxy.remove(Role.CURRENT)
    proxy.reset()
    assert await_snapshot(through_proxy, lambda snapshot: snapshot.settled).current == before.current


def test_an_object_that_changed_meanwhile_is_written_on_fresh_state(
    through_proxy: Dashboard, proxy: FaultProxy, rollout: Rollout
) -> None:
    """The user hears nothing of it."""
    proxy.fail(409, times=3, method="PATCH", message="the object has been modified")
    through_proxy.deploy(Role.CURRENT, rollout.models[0], 2)
    assert through_proxy.history()[0].what.endswith("as Current with 2 replicas")
    assert not through_proxy.snapshot().trouble


def test_a_cluster_that_is_away_at_the_start_is_found_when_it_comes(
    rollout: Rollout, model: Dashboard, tmp_path: Path, unused_port: int
) -> None:
    """So is a kubeconfig that is not there yet; the page opens all the same."""
    path = tmp_path / "kubeconfig"
    dash = rollout.open(kubeconfig=str(path))
    assert f"There is no kubeconfig {path}" in dash.snapshot().trouble
    with pytest.raises(EngineError, match="There is no kubeconfig"):
        dash.deploy(Role.CURRENT, rollout.models[0])
    away = Path(rollout.kubeconfig(f"https://127.0.0.1:{unused_port}")).read_text()
    path.write_text(away)
    assert (
        await_snapshot(dash, lambda snapshot: f"127.0.0.1:{unused_port}" in snapshot.trouble).current is None
    )
    path.write_text(Path(rollout.settings.kubeconfig).read_text())
    assert await_snapshot(dash, lambda snapshot: snapshot.settled).current == model.snapshot().current


# How often the API is asked


@contextmanager
def viewers(dash: Dashboard, count: int) -> Iterator[None]:
    """Browsers that look all the time."""
    leave = threading.Event()

    def look() -> None:
        while not leave.wait(0.005):
            dash.snapshot()

    threads = [threading.Thread(target=look) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield
    leave.set()
    for thread in threads:
        thread.join()


def polls(proxy: FaultProxy) -> int:
    """How often the Ingresses were listed: once in each look at the cluster."""
    return sum(item.method == "GET" and "/ingresses?" in item.path for item in proxy.requests)


def await_polls(proxy: FaultProxy, more: int) -> None:
    """Wait for so many looks at the cluster."""
    goal = polls(proxy) + more
    wait_until(lambda: polls(proxy) >= goal, "it is looked at")


def test_the_number_of_requests_does_not_depend_on_the_number_of_viewers_and_is_0_without(
    through_proxy: Dashboard, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One poller serves them all; the first who looks again after a while is shown what is, at once."""
    monkeypatch.setattr(polling, "VIEWER_SECONDS", 1.0)
    asked = {}
    for count in (1, 5):
        with viewers(through_proxy, count):
            await_polls(proxy, 1)
            requests, begun = len(proxy.requests), time.monotonic()
            await_polls(proxy, 6)
            asked[count] = len(proxy.requests) - requests
            assert time.monotonic() - begun > 5 * polling.RESTING_SECONDS
    assert abs(asked[1] - asked[5]) <= 8, "no more than what one look asks for"

    def is_quiet() -> bool:
        asked = len(proxy.requests)
        time.sleep(5 * polling.RESTING_SECONDS)
        return len(proxy.requests) == asked

    wait_until(is_quiet, "the requests end")
    before = polls(proxy)
    through_proxy.snapshot()
    wait_until(lambda: polls(proxy) > before, "a viewer is back")


def test_what_moves_is_looked_at_more_often(
    through_proxy: Dashboard, rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At rest it would not be looked at for hours."""
    monkeypatch.setattr(polling, "RESTING_SECONDS", 10_000.0)
    through_proxy.deploy(Role.NEW, rollout.models[1])
    through_proxy.set_split(100)
    assert through_proxy.wait_settled().split_observed == 100


@pytest.mark.parametrize("router", RouterKind)
def test_a_change_takes_few_requests(
    bed: Bed, namespace: str, router: RouterKind, proxy: FaultProxy, tmp_path: Path
) -> None:
    """The lists, then a dry run and a write for each object; the poller observes the effect."""
    rollout = Rollout(bed, namespace, router)
    key = write_key(tmp_path / "key.json")
    rollout.open_with_both(google_app_creds=key)
    settings = replace(rollout.settings, kubeconfig=rollout.kubeconfig(proxy.url), google_app_creds=key)
    engine = KubernetesEngine(settings)  # without its poller, whose requests would be counted
    engine.apply(SetSplit(10), ChangeContext())  # connects
    for change, limit in ((SetSplit(20), 11), (Deploy(Role.NEW, rollout.models[1], 2), 18)):
        before = len(proxy.requests)
        engine.apply(change, ChangeContext())
        requests = [f"{item.method} {item.path}" for item in proxy.requests[before:]]
        assert len(requests) <= limit, requests
    assert engine.snapshot().split_desired == 20
    assert engine.snapshot().new.desired == 2  # type: ignore[union-attr]  # it is deployed
    engine.close()
    engine._keep_reconciling()  # closes the connection
    rollout.close()


# The key file


def test_a_key_file_reaches_the_pods_and_a_new_one_rolls_them(
    rollout: Rollout, tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its content is in a Secret, encoded once; a later damage is reported, and changes nothing."""
    monkeypatch.setattr(polling, "RESTING_SECONDS", 0.3)
    path = write_key(tmp_path / "key.json", project_id="first")
    dash = rollout.open(google_app_creds=path)
    linear, _ = rollout.models
    dash.deploy(Role.CURRENT, linear)
    dash.wait_settled()
    assert secret_of(rollout) == path.read_bytes()
    first = pods_of(rollout)
    container = rollout.live(APPS, "Deployment", "mnist-blue")["spec"]["template"]["spec"]["containers"][0]
    (variable,) = [item for item in container["env"] if item["name"] == "GOOGLE_APPLICATION_CREDENTIALS"]
    (mount,) = [item for item in container["volumeMounts"] if item["name"] == "credentials"]
    assert variable["value"] == mount["mountPath"] + "/key.json"
    assert mount["readOnly"]

    with constant_load(dash, image, threads=1) as load:
        write_key(path, project_id="second")
        await_snapshot(dash, lambda _: secret_of(rollout) == path.read_bytes())
        wait_until(lambda: not first & pods_of(rollout), "the Pods roll")
    assert load.failures == []
    dash.wait_settled()

    second = secret_of(rollout)
    path.write_text("{")
    assert str(path) in await_snapshot(dash, lambda snapshot: snapshot.notices).notices[0]
    with pytest.raises(EngineError, match=r"key\.json") as caught:
        dash.deploy(Role.CURRENT, linear)
    assert caught.value.next_step
    assert secret_of(rollout) == second
    assert len(dash.history()) == 1


def test_a_new_key_that_could_not_be_written_is_written_later(
    rollout: Rollout, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the reason is reported."""
    monkeypatch.setattr(polling, "RESTING_SECONDS", 0.3)
    path = write_key(tmp_path / "key.json", project_id="first")
    with rollout.open(google_app_creds=path, kubeconfig=rollout.kubeconfig(proxy.url)) as dash:
        dash.deploy(Role.CURRENT, rollout.models[0])
        proxy.fail(500, times=1000, method="PATCH", message="No etcd")
        write_key(path, project_id="second")
        await_snapshot(dash, lambda snapshot: "No etcd" in snapshot.waiting_for)
        proxy.reset()
        await_snapshot(dash, lambda _: secret_of(rollout) == path.read_bytes())
        end(dash)  # before the proxy does


def secret_of(rollout: Rollout) -> bytes:
    """The key file that lies in the cluster."""
    return base64.b64decode(rollout.live("v1", "Secret", SECRET_NAME)["data"]["key.json"])


def pods_of(rollout: Rollout) -> set[str]:
    """The names of the Pods that do not end."""
    metadata = [pod["metadata"] for pod in rollout.all_live("v1", "Pod")]
    return {item["name"] for item in metadata if "deletionTimestamp" not in item}


# HTTPS


def test_https_needs_the_authority_that_signed_the_certificate(rollout: Rollout, image: Image) -> None:
    """With it the models answer; without, the error says so."""
    address = rollout.bed.entrances.ingress_tls
    secure = rollout.open(scheme=Scheme.HTTPS, ingress_address=address, ca_file=rollout.bed.ca_file)
    secure.deploy(Role.CURRENT, rollout.models[0])
    secure.wait_settled()
    assert secure.gateway.url == f"https://{rollout.bed.host(rollout.namespace)}"
    assert secure.predict(image).role is Role.CURRENT
    bare = rollout.open(scheme=Scheme.HTTPS, ingress_address=address)
    with pytest.raises(ServingError, match="certificate") as caught:
        bare.predict(image)
    assert "--ca-file" in str(caught.value)
    shown = await_snapshot(bare, lambda snapshot: "certificate" in snapshot.waiting_for)
    assert shown.current is not None
