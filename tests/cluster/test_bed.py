"""The test-bed behaves as the tests on it expect."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest
import urllib3

from mnist_dash.local.desired_state import BUNDLED
from tests.cluster.bed.bed import Bed, wait_until
from tests.cluster.bed.faults import FaultProxy
from tests.cluster.bed.kubelet_control import Fault
from tests.cluster.workload import (
    Visitor,
    container_of,
    deployment,
    events,
    http_route,
    ingress,
    pods,
    service,
    wait_ready,
)

ROOT = Path(__file__).parents[2]
LINEAR = BUNDLED / "linear" / "model" / "1"


@pytest.fixture
def both(bed: Bed, namespace: str) -> str:
    """A namespace with both releases behind the Services of both roles; their answers name them."""
    bed.storage.put(f"gs://{namespace}/mnist", LINEAR)
    bed.kubelet.announce(namespace)
    for role, release in (("current", "blue"), ("new", "green")):
        bed.api.apply(deployment(namespace, release))
        bed.api.apply(service(namespace, role, release))
    for release in ("blue", "green"):
        wait_ready(bed, namespace, release)
    return namespace


def test_a_deployment_rolls_without_a_gap(bed: Bed, namespace: str) -> None:
    """The old Pods end only when new ones are ready."""
    bed.storage.put(f"gs://{namespace}/mnist", LINEAR)
    bed.api.apply(deployment(namespace, "blue", 2))
    wait_ready(bed, namespace, "blue", 2)
    before = {pod["metadata"]["name"] for pod in pods(bed, namespace)}
    bed.api.apply(deployment(namespace, "blue", 2, args=["--again"]))
    wait_ready(bed, namespace, "blue", 2)
    after = pods(bed, namespace)
    assert len(after) == 2
    assert before.isdisjoint(pod["metadata"]["name"] for pod in after)
    assert all(pod["status"]["podIP"].startswith("10.77.") for pod in after)


def test_a_canary_ingress_divides_by_its_weight(bed: Bed, both: str) -> None:
    """20 of 100 on both entry points, except for requests that name a role by header."""
    host = bed.host(both)
    bed.api.apply(ingress(both, host, "current"))
    bed.api.apply(ingress(both, host, "new", 20))
    for entrance in (bed.entrances.ingress, bed.entrances.ingress_tls):
        visitor = Visitor(bed, host, entrance)
        wait_until(partial(visitor.is_answered_by, "green", X_Mnist_Route="always"), "New answers")
        assert visitor.new_share(100) == pytest.approx(20, abs=2)
        assert visitor.is_answered_by("blue", X_Mnist_Route="never")


def test_a_route_of_the_gateway_divides_by_its_weights(bed: Bed, both: str) -> None:
    """80 and 20 of 100."""
    host = bed.host(both)
    bed.api.apply(http_route(both, host, 20))
    visitor = Visitor(bed, host, bed.entrances.gateway)
    wait_until(lambda: visitor.ask()[0] == 200, "the Gateway knows the route")
    assert visitor.new_share(100) == pytest.approx(20, abs=2)


def test_a_container_that_fails_its_liveness_probe_is_restarted(bed: Bed, namespace: str) -> None:
    """With a kubelet's event, after the spec's number of failures."""
    bed.storage.put(f"gs://{namespace}/mnist", LINEAR)
    bed.kubelet.fault(namespace, Fault.LIVENESS_FAILING)
    bed.api.apply(deployment(namespace, "blue"))
    killing = "Container serving failed liveness probe, will be restarted"
    wait_until(lambda: killing in events(bed, namespace, "Killing"), "it is killed")
    wait_until(lambda: container_of(pods(bed, namespace)[0])["restartCount"] == 1, "it is restarted")


def test_a_volume_of_a_secret_is_found_by_the_paths_in_the_environment(bed: Bed, namespace: str) -> None:
    """A missing Secret is reported by an event; then the container reads the key."""
    show = "import os; print(open(os.environ['GOOGLE_APPLICATION_CREDENTIALS']).read()); raise SystemExit(1)"
    bed.kubelet.run_instead(namespace, [sys.executable, "-c", show])
    variable = {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/etc/gcs/key.json"}
    mount = {"name": "gcs", "mountPath": "/etc/gcs", "readOnly": True}
    mounting = deployment(namespace, "blue", env=[variable], volumeMounts=[mount])
    mounting["spec"]["template"]["spec"]["volumes"] = [{"name": "gcs", "secret": {"secretName": "gcs"}}]
    bed.api.apply(mounting)
    failed = 'MountVolume.SetUp failed for volume "gcs" : secret "gcs" not found'
    wait_until(lambda: failed in events(bed, namespace, "FailedMount"), "the missing Secret is reported")
    secret = {"metadata": {"name": "gcs", "namespace": namespace}, "stringData": {"key.json": "the key"}}
    bed.api.apply({"apiVersion": "v1", "kind": "Secret"} | secret)
    wait_until(lambda: "terminated" in _container(bed, namespace)["lastState"], "it has run")
    name = pods(bed, namespace)[0]["metadata"]["name"]
    logs = ("logs", name, "--namespace", namespace)  # of a run that may not have printed yet
    wait_until(lambda: bed.kubectl(*logs).stdout.strip() == "the key", "the key is in the log")


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.HTTPWarning")
def test_the_proxy_injects_faults_on_request(bed: Bed, proxy: FaultProxy, namespace: str) -> None:
    """A status so many times, a cut answer, the end after a write; it forwards all else."""
    pool = urllib3.PoolManager(ca_certs=str(bed.ca_file), retries=False, timeout=5)
    headers = {"Authorization": "Bearer token-of-admin"}

    def ask(method: str = "GET", path: str = "pods") -> int:
        url = f"{proxy.url}/api/v1/namespaces/{namespace}/{path}"
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "s"}}
        return pool.request(method, url, headers=headers, json=body if method == "POST" else None).status

    assert ask() == 200
    proxy.fail(429, times=2, path="/pods")
    assert [ask(), ask("GET", "services"), ask(), ask()] == [429, 200, 429, 200]
    proxy.cut()
    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask()
    proxy.cut_after_writes(1)
    assert [ask("POST", "secrets"), ask()] == [201, 200]
    for method in ("POST", "GET"):
        with pytest.raises(urllib3.exceptions.ProtocolError):
            ask(method, "secrets")
    proxy.reset()
    assert len(bed.api.get(f"/api/v1/namespaces/{namespace}/secrets")["items"]) == 1
    assert len(proxy.writes()) == 2


def test_nothing_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    """After SIGKILL too, its programs are killed and its folder is removed."""
    folder = tmp_path / "bed"
    folder.mkdir()
    program = f"""
import os, pathlib, signal
from tests.cluster.bed.processes import Programs
started = Programs(pathlib.Path({str(folder)!r})).start("sleep", ["sleep", "1000"])
print(started.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    wait_until(lambda: not psutil.pid_exists(int(done.stdout)), "the program is gone")
    wait_until(lambda: not folder.exists(), "the folder is gone")


def _container(bed: Bed, namespace: str) -> dict[str, dict[str, dict[str, object]]]:
    found = pods(bed, namespace)
    return container_of(found[0]) if found else {"state": {}, "lastState": {}}
