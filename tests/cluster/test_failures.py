"""Failures of a real cluster are reported with their cause and a next step, until the cause is gone.

All forms of the messages of kubelets and of TensorFlow Serving are in tests/unit/cluster/test_failures.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mnist_dash.cluster import failures
from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image, ModelCheck, Remove, Role, Route, State
from mnist_dash.errors import EngineError
from mnist_dash.service import Dashboard
from tests.cluster.bed.api_server import ApiServerError, Object
from tests.cluster.bed.bed import Bed, wait_until
from tests.cluster.bed.kubelet_control import Fault
from tests.cluster.failing_namespace import FailingNamespace, await_card, await_recovery, checked
from tests.cluster.rollout import NETWORKING
from tests.cluster.workload import deployment
from tests.gcs import answering, write_key
from tests.load import constant_load

MISSING_IMAGE = "example.com/serving:missing"
DYING = ["sh", "-c", "echo Reading the model.; echo bad alloc of 17 tensors; exit 3"]


@pytest.fixture
def failing(bed: Bed, namespace: str) -> Iterator[FailingNamespace]:
    """An empty namespace."""
    failing = FailingNamespace(bed, namespace)
    yield failing
    failing.close()


@pytest.fixture
def dash(failing: FailingNamespace) -> Dashboard:
    """A dashboard on it, with nothing deployed."""
    return failing.open()


@pytest.fixture(scope="module")
def image() -> Image:
    """A seven that every model knows."""
    digits = load_digits()
    seven: Image = digits.images[int((digits.labels == 7).argmax())]
    return seven


# Before the container runs


@pytest.mark.parametrize(
    ("name", "says", "step"),
    [
        (MISSING_IMAGE, "was not found in its registry", "--image"),
        ("registry.invalid/serving:2", "no such host", "can reach its registry"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_named(
    failing: FailingNamespace, name: str, says: str, step: str
) -> None:
    """With the registry's reason."""
    dash = failing.open(image=name)
    dash.deploy(Role.CURRENT, failing.model())
    card = await_card(dash, State.FAILED, says)
    assert name in card.cause
    assert step in card.next_step
    assert card.ready == 0


def test_a_missing_secret_is_named_and_a_redeploy_writes_it_anew(
    failing: FailingNamespace, tmp_path: Path
) -> None:
    """Somebody deleted it before the Pods were there; a quota keeps them away for so long."""
    dash = failing.open(google_app_creds=write_key(tmp_path / "key.json"))
    model = failing.model()
    failing.create_quota("none", {"pods": "0"})
    dash.deploy(Role.CURRENT, model)
    await_card(dash, State.FAILED, "quota none")
    failing.bed.api.delete(failing.path("v1", "Secret", "mnist-gcs-credentials"))
    failing.bed.api.delete(failing.path("v1", "ResourceQuota", "none"))
    card = await_card(
        dash, State.FAILED, "The Secret mnist-gcs-credentials with the key to the bucket is missing."
    )
    assert "Re-deploy" in card.next_step
    dash.deploy(Role.CURRENT, model)
    await_recovery(dash)


def test_a_node_that_stops_answering_is_named_and_nothing_waits_for_it(
    failing: FailingNamespace, dash: Dashboard
) -> None:
    """No log is asked of it, which would take its time; the card says what Kubernetes will do."""
    kubelet = failing.bed.kubelet
    dash.deploy(Role.CURRENT, failing.model(), 2)
    dash.wait_settled()
    kubelet.set_silent(failing.namespace, True)
    try:
        card = await_card(dash, State.DEGRADED, "Node node-1 has not answered since")
        assert "Kubernetes starts them elsewhere" in card.cause
        assert "kubectl describe node node-1" in card.next_step
        assert dash.preview(Remove(Role.CURRENT))
        assert dash.objects()
    finally:
        kubelet.set_silent(failing.namespace, False)
    await_recovery(dash)
    assert [pod for namespace, pod in kubelet.unanswered if namespace == failing.namespace] == []


def test_a_pod_that_no_node_has_room_for_says_what_is_lacking(
    failing: FailingNamespace, dash: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Pod of another program requests all of the node; as soon as there is room, the model runs."""
    failing.bed.kubelet.run_instead(failing.namespace, ["sleep", "600"], pods="hog")
    wants = {"requests": {"cpu": "8", "memory": "16Gi"}}
    container = {"name": "hog", "image": "example.com/hog:1", "resources": wants}
    failing.create("v1", "Pod", "hog", spec={"nodeName": "node-1", "containers": [container]})
    wait_until(lambda: failing.pods()[0]["status"]["phase"] == "Running", "the node is full")
    dash.deploy(Role.CURRENT, failing.model())
    await_card(dash, State.STARTING, "Waiting for a node that can take the Pod")
    monkeypatch.setattr(failures, "ROOM_SECONDS", 0.0)  # two minutes in earnest
    card = await_card(dash, State.FAILED, "No node can take the Pod")
    assert "1 Insufficient cpu, 1 Insufficient memory" in card.cause
    assert "Make room" in card.next_step
    failing.bed.api.delete(failing.path("v1", "Pod", "hog"), gracePeriodSeconds=0)
    await_recovery(dash)


# What the model server finds in the bucket


def test_a_base_that_vanished_after_the_check_is_named(failing: FailingNamespace, dash: Dashboard) -> None:
    """And the model starts by itself when it is there again."""
    model = failing.model()
    failing.bed.storage.delete(model.base)
    dash.deploy(Role.CURRENT, model)
    card = await_card(dash, State.FAILED, f"There is no folder {model.base}.")
    assert "deploy another one" in card.next_step
    failing.shelf.add_version(model.base, "linear", 1)
    await_recovery(dash)


def test_a_base_without_a_version_is_named(failing: FailingNamespace, dash: Dashboard) -> None:
    """The model lies in a folder that is no number; it starts by itself when one is there."""
    base = f"gs://{failing.namespace}/unnumbered"
    failing.bed.storage.write(f"{base}/model/latest/saved_model.pb", b"")
    dash.deploy(Role.CURRENT, checked(base))
    card = await_card(dash, State.FAILED, f"{base}/model")
    assert "version" in card.cause
    assert card.next_step
    failing.shelf.add_version(base, "linear", 1)
    await_recovery(dash)


def test_a_bucket_that_the_pods_may_not_read_is_reported_as_such(
    failing: FailingNamespace, dash: Dashboard
) -> None:
    """It says who may not; the model starts by itself when they may."""
    model = failing.model()
    message = "serving@acme.example does not have storage.objects.list access to the bucket."
    with answering(403, message) as refusing:
        failing.bed.kubelet.environment(failing.namespace, STORAGE_EMULATOR_HOST=refusing)
        dash.deploy(Role.CURRENT, model)
        card = await_card(dash, State.FAILED, "Permission denied")
    assert "serving@acme.example may not read the bucket (it lacks storage.objects.list)" in card.cause
    assert "the role Storage Object Viewer" in card.next_step
    failing.bed.kubelet.reset(failing.namespace)
    await_recovery(dash)


# How the container ends, or does not answer


def test_a_container_without_enough_memory_is_reported_with_its_limit(
    failing: FailingNamespace, dash: Dashboard
) -> None:
    """Once may be bad luck; the third time it has failed."""
    failing.bed.kubelet.fault(failing.namespace, Fault.OOM_KILLED)
    dash.deploy(Role.CURRENT, failing.model())
    card = await_card(dash, State.FAILED, "ran out of memory (OOMKilled): its limit is 1Gi")
    assert "raise the memory limit" in card.next_step
    failing.bed.kubelet.reset(failing.namespace)
    await_recovery(dash)


def test_a_crash_loop_is_reported_with_its_last_line(failing: FailingNamespace, dash: Dashboard) -> None:
    """The Objects tab has the log and the events of the Pod, newest first."""
    failing.bed.kubelet.run_instead(failing.namespace, DYING)
    dash.deploy(Role.CURRENT, failing.model())
    card = await_card(dash, State.FAILED, "ended with exit code 3: bad alloc of 17 tensors")
    assert "Objects tab" in card.next_step
    (pod,) = [item for item in dash.objects() if item.kind == "Pod"]
    assert (pod.role, pod.state, pod.details["Waiting"]) == (
        Role.CURRENT,
        "crash-looping",
        "CrashLoopBackOff",
    )
    assert [line.partition("Z ")[2] for line in pod.log.splitlines()] == [
        "Reading the model.",
        "bad alloc of 17 tensors",
    ]
    times, sentences = zip(*(event.split(", ", 1) for event in pod.events), strict=True)
    assert list(times) == sorted(times, reverse=True)
    assert {"Created", "Started", "BackOff"} <= {sentence.split(":")[0] for sentence in sentences}
    failing.bed.kubelet.reset(failing.namespace)
    await_recovery(dash)


def test_a_probe_that_fails_is_reported_with_its_answer(failing: FailingNamespace, dash: Dashboard) -> None:
    """It may pass yet, so nothing has failed."""
    failing.bed.kubelet.fault(failing.namespace, Fault.READINESS_FAILING)
    dash.deploy(Role.CURRENT, failing.model())
    card = await_card(dash, State.STARTING, "Readiness probe failed: HTTP probe failed with statuscode: 503")
    assert "log" in card.next_step
    failing.bed.kubelet.reset(failing.namespace)
    await_recovery(dash)


def test_a_pod_that_is_killed_leaves_the_others_answering_and_comes_back(
    failing: FailingNamespace, dash: Dashboard, image: Image
) -> None:
    """The card counts the replicas and says why one is missing. Only what it was just answering is lost."""
    dash.deploy(Role.CURRENT, failing.model(), replicas=2)
    await_recovery(dash)
    failing.await_rollout("mnist-blue")
    victim = failing.pods()[0]["metadata"]["name"]
    failing.bed.kubelet.run_instead(failing.namespace, DYING)
    failing.bed.kubelet.kill(failing.namespace, victim)
    card = await_card(dash, State.DEGRADED, "ended with exit code 3")
    assert card.cause.startswith("1 of 2 replicas ready. ")
    assert "Objects tab" in card.next_step
    with constant_load(dash, image) as load:
        failing.bed.kubelet.reset(failing.namespace)
        await_recovery(dash)
    assert load.failures == []
    assert victim in {pod["metadata"]["name"] for pod in failing.pods()}


def test_a_pod_that_others_delete_takes_no_request_with_it(
    failing: FailingNamespace, dash: Dashboard, image: Image
) -> None:
    """It keeps answering until no request is sent to it, and is replaced meanwhile."""
    dash.deploy(Role.CURRENT, failing.model(), replicas=2)
    await_recovery(dash)
    victim = failing.pods()[0]["metadata"]["name"]
    with constant_load(dash, image) as load:
        failing.bed.api.delete(failing.path("v1", "Pod", victim))
        wait_until(lambda: failing.ready_pods() >= 2, "there are two Pods again")
    assert load.failures == []
    assert victim not in {pod["metadata"]["name"] for pod in failing.pods()}
    await_recovery(dash)


# What the cluster does not let in


def test_a_quota_that_is_used_up_is_reported_with_its_numbers(
    failing: FailingNamespace, dash: Dashboard
) -> None:
    """The second replica has no room until the quota is raised."""
    quota = failing.create_quota("compute", {"requests.cpu": "300m"})
    dash.deploy(Role.CURRENT, failing.model(), replicas=2)
    card = await_card(dash, State.FAILED, "The quota compute has no room for another Pod")
    assert "requested: requests.cpu=200m, used: requests.cpu=200m, limited: requests.cpu=300m" in card.cause
    assert "quota raised" in card.next_step
    await_card(dash, State.FAILED, "1 of 2 replicas ready.")
    failing.bed.api.patch(quota, {"spec": {"hard": {"requests.cpu": "2"}}})
    await_recovery(dash)


def test_a_strict_namespace_takes_the_pods(failing: FailingNamespace, dash: Dashboard) -> None:
    """Pod Security `restricted`, a LimitRange with defaults and a quota of limits do not object."""
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    failing.bed.api.patch(f"/api/v1/namespaces/{failing.namespace}", {"metadata": {"labels": enforced}})
    limit = {"type": "Container", "default": {"memory": "1Gi", "cpu": "1"}, "max": {"memory": "2Gi"}}
    failing.create("v1", "LimitRange", "usual", spec={"limits": [limit]})
    hard = {"limits.memory": "4Gi", "limits.cpu": "4", "requests.memory": "4Gi", "requests.cpu": "4"}
    failing.create_quota("compute", hard)
    dash.deploy(Role.CURRENT, failing.model())
    await_recovery(dash)


@contextmanager
def policy(failing: FailingNamespace, resource: str, group: str, probe: Object) -> Iterator[str]:
    """The name of an admission policy that lets nothing of a resource in, from when it is heeded."""
    api, name = "admissionregistration.k8s.io/v1", f"images-{secrets.token_hex(3)}"
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": failing.namespace}}}
    refusal = {"expression": "false", "message": "Only images of acme.example may run."}
    specs = {
        "": {"matchConstraints": {"resourceRules": [rule], **here}, "validations": [refusal]},
        "Binding": {"policyName": name, "validationActions": ["Deny"]},
    }
    for kind, spec in specs.items():
        found = {"apiVersion": api, "kind": f"ValidatingAdmissionPolicy{kind}", "metadata": {"name": name}}
        failing.bed.api.create({**found, "spec": spec})

    where = failing.path(probe["apiVersion"], probe["kind"])

    def is_heeded() -> bool:
        try:
            failing.bed.api.post(f"{where}?dryRun=All", probe)
        except ApiServerError as refused:
            return name in str(refused)
        return False

    try:
        wait_until(is_heeded, f"{name} is heeded")
        yield name
    finally:
        for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            failing.bed.api.delete(f"/apis/{api}/{plural}/{name}")


def test_a_deployment_that_a_policy_refuses_is_refused_before_anything_has_changed(
    failing: FailingNamespace, dash: Dashboard
) -> None:
    """The refusal says by whom; without the policy the same deployment is accepted."""
    model = failing.model()
    refusing = policy(failing, "deployments", "apps", deployment(failing.namespace, "probe"))
    with refusing as name, pytest.raises(EngineError) as caught:
        dash.deploy(Role.CURRENT, model)
    assert (
        f"Kubernetes rejected Deployment mnist-blue in namespace {failing.namespace}" in caught.value.problem
    )
    assert f"ValidatingAdmissionPolicy '{name}'" in caught.value.problem
    assert "Only images of acme.example may run." in caught.value.problem
    assert "ask whoever wrote it" in caught.value.next_step
    for api, kind in (("v1", "Service"), (NETWORKING, "Ingress"), ("v1", "Secret")):
        assert failing.all_live(api, kind) == []
    assert dash.snapshot().current is None
    wait_until(lambda: _is_accepted(dash, model), "the policy is forgotten")


def _is_accepted(dash: Dashboard, model: ModelCheck) -> bool:
    with suppress(EngineError):
        dash.deploy(Role.CURRENT, model)
        return True
    return False


def test_pods_that_a_policy_refuses_are_reported_with_its_name(
    failing: FailingNamespace, dash: Dashboard
) -> None:
    """It lets the Deployment in, but not what comes of it."""
    container = {"name": "probe", "image": "example.com/probe:1"}
    probe = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": {"containers": [container]},
    }
    with policy(failing, "pods", "", probe) as name:
        dash.deploy(Role.CURRENT, failing.model())
        card = await_card(dash, State.FAILED, f"ValidatingAdmissionPolicy '{name}'")
    assert "Only images of acme.example may run" in card.cause
    assert card.next_step
    await_recovery(dash)


# A re-deploy that fails


@pytest.fixture
def both(failing: FailingNamespace, dash: Dashboard) -> ModelCheck:
    """Both roles ready; the model that is New."""
    model = failing.model("cnn")
    dash.deploy(Role.CURRENT, failing.model("linear"))
    dash.deploy(Role.NEW, model)
    await_recovery(dash)
    await_recovery(dash, Role.NEW)
    return model


def test_a_redeploy_that_fails_keeps_the_former_model_serving(
    failing: FailingNamespace, dash: Dashboard, both: ModelCheck, image: Image
) -> None:
    """Whether the image or the model is missing; and the next one that is well takes over."""
    gone = failing.model()
    failing.bed.storage.delete(gone.base)
    other_image = failing.open(image=MISSING_IMAGE)
    dash.wait_settled()
    with constant_load(dash, image, Route.NEW, threads=1) as load:
        for dashboard, model, says in ((other_image, both, MISSING_IMAGE), (dash, gone, gone.base)):
            dashboard.deploy(Role.NEW, model)
            card = await_card(dash, State.FAILED, says, role=Role.NEW)
            assert "keeps serving with 1 replica." in card.cause
            assert card.next_step
            assert (card.base, card.ready) == (both.base, 1)
        fixed = failing.model()
        dash.deploy(Role.NEW, fixed)
        assert await_recovery(dash, Role.NEW).base == fixed.base
    assert load.failures == []
