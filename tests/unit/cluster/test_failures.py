"""Why a Deployment is not ready: the causes, from the messages of real kubelets, controllers and servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mnist_dash.cluster import failures
from mnist_dash.cluster.failure_patterns import Failure
from mnist_dash.cluster.failures import failure_of
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.workloads import KubernetesEvent, Workload
from mnist_dash.domain import Release
from tests.unit.cluster.sample_objects import (
    BASE,
    CREATING,
    IMAGE,
    NEW,
    NOON,
    OLD,
    READY,
    RUNNING,
    Container,
    condition,
    deployment,
    ended,
    event,
    looping,
    pod,
    silent_pod,
    waiting,
)

# ruff: noqa: E501  foreign messages are quoted whole, so that they can be searched for

MODEL = f"{BASE}/model"
NOW = datetime.fromisoformat(NOON).timestamp() + 10 * failures.ROOM_SECONDS
SOURCE = "tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc"
Events = Sequence[tuple[str, str]]


def logged(line: str, *, at: str = "11:01:00", level: str = "E", source: str = f"{SOURCE}:353") -> str:
    """A line as TensorFlow Serving writes it."""
    return f"2026-08-07 {at}.019845: {level} {source}] {line}"


def base_error(error: str = "", *, at: str = "11:01:00") -> str:
    """The line that TensorFlow Serving writes each second while it cannot list the versions."""
    suffix = f" with error {error}" if error else ""
    line = f"Could not find base path {MODEL} for servable model{suffix}"
    return logged(f"FileSystemStoragePathSource encountered a filesystem access error: {line}", at=at)


def http_error(code: int, message: str) -> str:
    """The error of TensorFlow's Cloud Storage client, over several lines."""
    body = f'{{\n  "error": {{\n    "code": {code},\n    "message": "{message}"\n  }}\n}}\n'
    return f"PERMISSION_DENIED: Error executing an HTTP request: HTTP response code {code} with body '{body}'"


def find(
    live: Object,
    pods: Sequence[Object] = (),
    events: Sequence[Object] = (),
    logs: Mapping[str, str] = {},
    others: Sequence[Object] = (),
) -> Failure:
    """The failure of a Deployment with these Pods; one without a text if there is none."""
    observation = Observation.from_objects([live, *pods, *others], taken_at=NOW)
    observation = replace(observation, events=list(map(KubernetesEvent.from_object, events)), logs=logs)
    return failure_of(Workload.from_object(Release.BLUE, live, observation.pods), observation) or Failure("")


def found(
    container: Container | None, *, log: str = "", events: Events = (), conditions: Sequence[Object] = ()
) -> Failure:
    """The failure with one such Pod."""
    live = deployment()
    replica = pod(live, container, conditions=conditions)
    own = [event(replica, reason, message) for reason, message in events]
    return find(live, [replica], own, {replica["metadata"]["name"]: log})


NO_IMAGE = f'failed to resolve reference "docker.io/{IMAGE}": docker.io/{IMAGE}: not found'
DENIED = (
    "pull access denied, repository does not exist or may require authorization: server message: "
    "insufficient_scope: authorization failed"
)
NO_HOST = (
    'Head "https://registry.invalid/v2/serving/manifests/1": dial tcp: lookup registry.invalid: no such host'
)
OTHER_PLATFORM = "rpc error: code = NotFound desc = no match for platform in manifest: not found"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize(
    ("message", "text"),
    [
        (NO_IMAGE, f"The image {IMAGE} was not found in its registry."),
        (DENIED, "needs a login"),
        (NO_HOST, "cannot be pulled: Head"),
        (OTHER_PLATFORM, "cannot be pulled: rpc error: code = NotFound desc = no match for platform"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_reported_with_the_registrys_reason(
    reason: str, message: str, text: str
) -> None:
    """Not there, not allowed, not reachable, not for this machine: each with a next step."""
    back_off = f'Back-off pulling image "{IMAGE}": ErrImagePull: {message}'
    failure = found(waiting(reason, back_off if reason == "ImagePullBackOff" else message))
    assert text in failure.text
    assert failure.failed
    assert failure.next_step


def test_the_reason_for_backing_off_is_taken_from_the_event_where_only_it_has_it() -> None:
    """Kubelets before 1.32 do not repeat it in the state."""
    failure = found(
        waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'),
        events=[("Failed", f'Failed to pull image "{IMAGE}": rpc error: code = NotFound desc = {NO_IMAGE}')],
    )
    assert "was not found in its registry" in failure.text


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit.", "The registry's limit of pulls is exceeded"),
        (f'failed to copy: pulling from host docker.io failed with status code [manifests {IMAGE}]: 429 Too Many Requests', "The registry's limit of pulls is exceeded"),
        (f'pulling from host docker.io failed with status code [manifests {IMAGE}]: 503 Service Unavailable', f"The registry of image {IMAGE} fails: 503 Service Unavailable."),
    ],
)  # fmt: skip
def test_a_registry_that_asks_to_wait_is_no_failure(message: str, text: str) -> None:
    """Docker Hub's limit for pulls passes, and so do a registry's own errors."""
    failure = found(waiting("ErrImagePull", message))
    assert failure.text.startswith(text)
    assert not failure.failed


@pytest.mark.parametrize("event", [("Pulling", f'Pulling image "{IMAGE}"'), ("Pulled", "already present on machine and can be accessed by the pod")])  # fmt: skip
@pytest.mark.parametrize(
    "container", [waiting("ErrImagePull", NO_HOST), waiting("RunContainerError", "unknown"), waiting("InvalidImageName", "bad")]
)  # fmt: skip
def test_events_about_the_image_are_not_glued_to_another_reason(
    container: Container, event: tuple[str, str]
) -> None:
    """They fall into the same second."""
    assert found(container, events=[event]) == found(container)


@pytest.mark.parametrize(
    ("log", "text", "step"),
    [
        (base_error(f"NOT_FOUND: The specified path {MODEL} was not found."), f"There is no folder {MODEL}.", "model/<version>/"),
        (base_error(), f"There is no folder {MODEL}.", "model/<version>/"),
        (
            logged(f"No versions of servable model found under base path {MODEL}. Did you forget to name your leaf directory as a number (eg. '/1/')?", level="W", source=f"{SOURCE}:262"),
            f"There is no version in {MODEL}",
            f'model.export("{MODEL}/1")',
        ),
        (base_error("NOT_FOUND: The specified bucket gs://acme-models/ was not found."), "There is no such bucket gs://acme-models/.", "Check its name"),
        (base_error("NOT_FOUND: HTTP response code 404: The specified bucket does not exist."), "There is no such bucket.", "Check its name"),
        (
            base_error(http_error(403, "serving@acme.iam.gserviceaccount.com does not have storage.objects.list access to the Google Cloud Storage bucket.")),
            "serving@acme.iam.gserviceaccount.com may not read the bucket (it lacks storage.objects.list).",
            "Storage Object Viewer",
        ),
        (
            base_error(f"Permission denied: Error executing an HTTP request: HTTP response code 403 when reading metadata of {MODEL}"),
            "the Pods may not read the bucket (403)",
            "Storage Object Viewer",
        ),
        (base_error(http_error(401, "Anonymous caller does not have storage.objects.list access to the bucket.")), "no valid credentials", "--google-app-creds"),
        (http_error(400, '{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'), "no valid credentials", "--google-app-creds"),
        (
            logged(f"Loading servable: {{name: model version: 3}} failed: NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path: {MODEL}/3.", source="tensorflow_serving/util/retrier.cc:37"),
            "TensorFlow Serving cannot load version 3: NOT_FOUND: Could not find SavedModel .pb",
            "Export the model again",
        ),
    ],
)  # fmt: skip
def test_a_model_that_tensorflow_serving_cannot_read_is_reported(log: str, text: str, step: str) -> None:
    """It keeps running and retries every second, so only its log shows it."""
    failure = found(RUNNING, log=log)
    assert text in failure.text
    assert step in failure.next_step
    assert failure.failed


@pytest.mark.parametrize(
    "error",
    [
        "ABORTED: All 10 retry attempts failed. The last failure: libcurl code 6 meaning 'Couldn't resolve host name'",
        f"UNIMPLEMENTED: File system scheme 'gs' not implemented (file: '{MODEL}')",
    ],
)
def test_another_error_of_the_bucket_is_quoted_and_may_pass(error: str) -> None:
    """It is retried every second."""
    failure = found(RUNNING, log=base_error(error))
    assert failure.text == f"TensorFlow Serving cannot read {MODEL}: {error}."
    assert not failure.failed


def test_complaints_right_after_the_start_are_no_failure_yet() -> None:
    """Workload Identity gives a new Pod its credentials only after a few seconds."""
    error = http_error(401, "Anonymous caller does not have storage.objects.list access to the bucket.")
    assert not found(RUNNING, log=base_error(error, at="11:00:08")).failed
    assert found(RUNNING, log=base_error(error, at="11:00:20")).failed


SENTENCE = f'There is no saved_model.pb in {MODEL}/1; it holds nothing. Export the model there: model.export("{MODEL}/1").'
AGAIN = Container(RUNNING.state, last=ended(1), restarts=3)


@pytest.mark.parametrize(
    ("container", "log", "text", "failed"),
    [
        pytest.param(looping(1), f"{SENTENCE}\n", SENTENCE, True, id="the project's own model server says why"),
        pytest.param(looping(137), "Serving version 1 on 10.77.1.5:8501.\n", "The model server ended with exit code 137: Serving version 1 on 10.77.1.5:8501.", True, id="killed"),
        pytest.param(looping(134), logged("Check failed: error == cudaSuccess", level="F"), "The model server ended with exit code 134: Check failed: error == cudaSuccess.", True, id="without TensorFlow's prefix"),
        pytest.param(Container(ended(1)), "OSError: Address already in use", "The model server ended with exit code 1: OSError: Address already in use.", False, id="one end may be the only one"),
        pytest.param(AGAIN, logged(f"Reading SavedModel from: {MODEL}/1", level="I"), "The model server ended with exit code 1.", True, id="the log is of the new run"),
        pytest.param(looping(137, "OOMKilled"), logged("Loading servable version"), "The model server ran out of memory (OOMKilled): its limit is 1Gi.", True, id="out of memory"),
        pytest.param(looping(255), "exec /usr/bin/tf_serving_entrypoint.sh: exec format error", "The image is built for another architecture than the node's (exec format error).", True, id="architecture"),
        pytest.param(Container(ended(128, "StartError", 'exec: "tf_serving": not found in $PATH'), restarts=2), "", 'The container cannot be started: exec: "tf_serving": not found in $PATH.', True, id="no entry point"),
        pytest.param(waiting("RunContainerError", 'exec: "tf_serving": not found in $PATH'), "", 'The container cannot be started: exec: "tf_serving": not found in $PATH.', True, id="no entry point, before it is tried again"),
        pytest.param(looping(139), "about to fall over\n/usr/bin/tf_serving_entrypoint.sh: line 5:     7 Segmentation fault      tensorflow_model_server --port=8500", "The model server ended with exit code 139: about to fall over.", True, id="its own last words, not those of its shell"),
    ],
)  # fmt: skip
def test_the_end_of_a_container_is_reported_with_its_reason(
    container: Container, log: str, text: str, failed: bool
) -> None:
    """The exit code and the last line of the log, or what is known better."""
    failure = found(container, log=log)
    assert (failure.text, failure.failed) == (text, failed)


MISSING_SECRET = (
    'MountVolume.SetUp failed for volume "credentials" : secret "mnist-gcs-credentials" not found'
)


@pytest.mark.parametrize(
    ("container", "events"),
    [
        (waiting("CreateContainerConfigError", 'secret "mnist-gcs-credentials" not found'), []),
        (CREATING, [("FailedMount", MISSING_SECRET)]),
    ],
)
def test_a_missing_key_secret_is_reported(container: Container, events: Events) -> None:
    """Whether it is mounted or goes into a variable."""
    failure = found(container, events=events)
    assert failure.text == "The Secret mnist-gcs-credentials with the key to the bucket is missing."
    assert failure.failed


NO_ROOM = "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient memory."


def test_an_unschedulable_pod_is_reported_with_the_schedulers_reason() -> None:
    """Room, taints or selector; without what it says of preemption."""
    message = f"{NO_ROOM} no new claims to deallocate, preemption: 0/3 nodes are available: 3 No victims."
    failure = found(None, conditions=[condition("PodScheduled", "False", "Unschedulable", message)])
    assert (failure.text, failure.failed) == (f"No node can take the Pod: {NO_ROOM}", True)


def test_a_pod_waits_for_room_before_that_is_a_failure() -> None:
    """An autoscaler needs a while, and so do the Pods of a former release to end."""
    recent = datetime.fromtimestamp(NOW - failures.ROOM_SECONDS / 2, UTC).isoformat()
    unplaced = condition("PodScheduled", "False", "Unschedulable", NO_ROOM, since=recent)
    failure = found(None, conditions=[unplaced], events=[("FailedScheduling", NO_ROOM)])
    assert (failure.text, failure.failed) == (f"Waiting for a node that can take the Pod: {NO_ROOM}", False)
    live, former = deployment(), pod(deployment(Release.GREEN))
    former["metadata"]["deletionTimestamp"] = NOON
    waiting_long = pod(live, None, conditions=[condition("PodScheduled", "False", "Unschedulable", NO_ROOM)])
    assert not find(live, [waiting_long], others=[former]).failed
    assert find(live, [waiting_long]).failed


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("0/1 nodes are available: 1 node(s) were unschedulable.", "kubectl uncordon"),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }.", "kubectl describe nodes"),
        ("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable.", "Make room"),
    ],
)  # fmt: skip
def test_the_next_step_fits_what_keeps_the_nodes_from_taking_the_pod(message: str, step: str) -> None:
    """A cordoned node needs no room, and a silent one none either."""
    failure = found(None, conditions=[condition("PodScheduled", "False", "Unschedulable", message)])
    assert step in failure.next_step


def test_a_node_that_does_not_answer_is_named_with_what_kubernetes_does() -> None:
    """Its Pods look as if they were loading the model."""
    live = deployment()
    replica = silent_pod(live)
    failure = find(live, [replica], [event(replica, "NodeNotReady", "Node is not ready")])
    assert failure.text == (
        "Node node-1 has not answered since 12:00:00 UTC, so its replicas get no requests. "
        "At 12:05:00 UTC Kubernetes starts them elsewhere, if another node has room."
    )
    assert "kubectl describe node node-1" in failure.next_step
    assert not failure.failed
    replica["spec"]["tolerations"][0].pop("tolerationSeconds")
    assert find(live, [replica]).text.endswith("so its replicas get no requests.")


def test_a_server_that_hangs_is_not_said_to_be_starting() -> None:
    """Whichever of its probes times out first."""
    timeout = (
        'Get "http://10.77.1.1:8501/v1/models/model": context deadline exceeded (Client.Timeout exceeded)'
    )
    for kind in ("Readiness", "Liveness"):
        failure = found(RUNNING, events=[("Unhealthy", f"{kind} probe failed: {timeout}")])
        assert failure.text == "The model server does not answer: its probes time out."


def test_a_cluster_that_grows_is_waited_for() -> None:
    """The autoscaler says that it adds a node."""
    unplaced = condition("PodScheduled", "False", "Unschedulable", NO_ROOM)
    failure = found(None, conditions=[unplaced], events=[("TriggeredScaleUp", "pod triggered scale-up")])
    assert failure == Failure("No node has room for the Pod; the cluster is adding one.")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            'pods "mnist-blue-x" is forbidden: exceeded quota: compute, requested: limits.cpu=2, used: limits.cpu=4, limited: limits.cpu=4',
            "The quota compute has no room for another Pod: requested: limits.cpu=2, used: limits.cpu=4, limited: limits.cpu=4.",
        ),
        (
            'pods "mnist-blue-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
            'Kubernetes cannot create the Pods: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false.',
        ),
        (
            'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource Pod/mnist was blocked',
            'Kubernetes cannot create the Pods: admission webhook "validate.kyverno.svc-fail" denied the request: resource Pod/mnist was blocked.',
        ),
    ],
)  # fmt: skip
def test_pods_that_the_cluster_does_not_admit_are_reported_with_its_reason(message: str, text: str) -> None:
    """The controller leaves it on the Deployment; there is no Pod to look at."""
    refused = condition("ReplicaFailure", "True", "FailedCreate", message)
    failure = find(deployment(status={"conditions": [refused]}))
    assert (failure.text, failure.failed) == (text, True)
    assert failure.next_step


@pytest.mark.parametrize(
    ("container", "events", "conditions", "text"),
    [
        (waiting("InvalidImageName", "couldn't parse image name"), [], [], "InvalidImageName: couldn't parse image name."),
        (waiting("CreateContainerError", "context deadline exceeded"), [], [], "CreateContainerError: context deadline exceeded."),
        (None, [], [condition("PodScheduled", "False", "SchedulingGated", "Scheduling is blocked")], "SchedulingGated: Scheduling is blocked."),
        (CREATING, [("FailedMount", "mkdir: no space left on device")], [], "FailedMount: mkdir: no space left on device."),
    ],
)  # fmt: skip
def test_any_other_problem_is_reported_by_its_reason_and_message(
    container: Container | None, events: Events, conditions: Sequence[Object], text: str
) -> None:
    """As Kubernetes words it, with a next step."""
    failure = found(container, events=events, conditions=conditions)
    assert failure.text == text
    assert failure.next_step


def test_a_failing_probe_is_reported_but_may_pass_yet() -> None:
    """Except the startup probe, which fails as long as the model is loaded."""
    message = "Readiness probe failed: HTTP probe failed with statuscode: 404"
    failure = found(RUNNING, events=[("Unhealthy", message)])
    assert failure.text == f"The model is not served yet. {message}."
    assert not failure.failed
    loading = found(RUNNING, events=[("Unhealthy", message.replace("Readiness", "Startup"))])
    assert loading == Failure("Loading the model: 0 of 1 replicas ready.", usual=True)


def test_a_model_that_takes_too_long_to_load_is_a_failure() -> None:
    """The kubelet kills the server when the startup probe's time is over."""
    again = Container(RUNNING.state, last=ended(0, "Completed"), restarts=1)
    failure = found(
        again, events=[("Killing", "Container tensorflow-serving failed startup probe, will be restarted")]
    )
    assert failure.text == "The model server did not answer the startup probe and was killed."
    assert failure.failed


@pytest.mark.parametrize(
    ("container", "events", "text"),
    [
        (CREATING, [], "Creating the container."),
        (CREATING, [("Pulling", f'Pulling image "{IMAGE}"')], f"Pulling image {IMAGE}."),
        (CREATING, [("Pulled", f'Successfully pulled image "{IMAGE}" in 9s')], "Creating the container."),
        (RUNNING, [], "Loading the model: 0 of 1 replicas ready."),
        (None, [], "Waiting for a node."),
    ],
)
def test_progress_is_reported_and_no_failure(container: Container | None, events: Events, text: str) -> None:
    """It merely takes time."""
    failure = found(container, events=events)
    assert (failure.text, failure.failed) == (text, False)


def test_an_exceeded_deadline_is_a_failure_with_the_present_progress() -> None:
    """The controller's deadline turns waiting into failing."""
    overdue = condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out progressing.")
    live = deployment(status={"conditions": [overdue]})
    failure = find(live, [pod(live, RUNNING)])
    assert failure.text == (
        "The rollout has made no progress for 600 s. Loading the model: 0 of 1 replicas ready."
    )
    assert failure.failed
    assert failure.next_step


def test_a_paused_rollout_is_reported() -> None:
    """After `kubectl rollout pause`."""
    live = deployment()
    live["spec"]["paused"] = True
    failure = find(live)
    assert "kubectl rollout resume" in failure.next_step


PRESSURE = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 92Mi. "
PREEMPTED = condition("DisruptionTarget", "True", "PreemptionByScheduler", "preempting a lower priority pod")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"reason": "Evicted", "message": PRESSURE}, "(Evicted): The node was low on resource: memory."),
        ({"conditions": [PREEMPTED]}, "(PreemptionByScheduler): preempting a lower priority pod."),
    ],
)
def test_a_removed_pod_is_reported_while_it_is_replaced(status: Object, text: str) -> None:
    """With the reason, such as the node's pressure; it is no failure."""
    live = deployment()
    failure = find(live, [pod(live, RUNNING, phase="Failed", **status)])
    assert f"A Pod was removed and is being replaced {text}" in failure.text
    assert not failure.failed


def test_a_problem_of_the_new_pod_goes_before_the_removal_of_the_old_one() -> None:
    """The evicted one is history."""
    live = deployment()
    evicted = pod(live, RUNNING, phase="Failed", reason="Evicted", message=PRESSURE)
    failure = find(live, [evicted, pod(live, looping(137, "OOMKilled"), number=2)])
    assert "ran out of memory" in failure.text


def test_only_pods_of_the_newest_template_count() -> None:
    """By their annotations, or by their age where the templates differ in nothing that the Pods show."""
    crashed = looping(137, "OOMKilled")
    live = deployment(deployed_at=NEW)
    old = pod(deployment(deployed_at=OLD), crashed, template="5d4f7c9b6d")
    older = pod(live, crashed, template="5d4f7c9b6d")
    older["metadata"]["creationTimestamp"] = "2026-08-07T10:00:00Z"
    for former in (old, older):
        assert find(live, [former, pod(live, CREATING)]) == Failure("Creating the container.")


def test_a_change_that_the_controller_has_not_seen_is_not_judged_by_the_conditions_before() -> None:
    """They are about the former template."""
    failure = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: compute, ...")
    stale = deployment(generation=2, status={"observedGeneration": 1, "conditions": [failure]})
    assert find(stale) == Failure("Waiting for Kubernetes to process the change.", usual=True)


def test_nothing_is_reported_of_a_ready_pod() -> None:
    """Nor of events and restarts that are over."""
    live = deployment()
    ready = pod(live, Container(READY.state, last=ended(137, "OOMKilled"), restarts=4, ready=True))
    assert find(live, [ready], [event(ready, "Unhealthy", "Readiness probe failed: 503")]) == Failure("")


def test_events_of_an_earlier_pod_of_the_same_name_do_not_count() -> None:
    """They outlive it by an hour."""
    live = deployment()
    replica = pod(live, CREATING)
    earlier = event(replica, "FailedMount", MISSING_SECRET)
    earlier["involvedObject"]["uid"] = "another"
    assert find(live, [replica], [earlier]) == Failure("Creating the container.")
