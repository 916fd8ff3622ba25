"""Why a Deployment is not ready: every cause from what real kubelets, controllers and servers say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mnist_dash.cluster.failures import Failure, failure_of
from mnist_dash.cluster.resources import Object
from tests.unit.cluster.sample_objects import (
    BASE,
    CREATING,
    IMAGE,
    NEW,
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
    waiting,
)

# ruff: noqa: E501  what others say is quoted whole, so that it can be searched for


MODEL = f"{BASE}/model"
SOURCE = "tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc"


def logged(line: str, *, at: str = "11:01:00", level: str = "E", source: str = f"{SOURCE}:353") -> str:
    """A line as TensorFlow Serving writes it."""
    return f"2026-08-07 {at}.019845: {level} {source}] {line}"


def access_error(line: str, *, at: str = "11:01:00") -> str:
    """What TensorFlow Serving says each second that it cannot list the versions."""
    return logged(f"FileSystemStoragePathSource encountered a filesystem access error: {line}", at=at)


def http_error(code: int, message: str) -> str:
    """What TensorFlow's Cloud Storage client passes on, over several lines."""
    body = f'{{\n  "error": {{\n    "code": {code},\n    "message": "{message}"\n  }}\n}}\n'
    return f"PERMISSION_DENIED: Error executing an HTTP request: HTTP response code {code} with body '{body}'"


def found(
    container: Container | None,
    *,
    log: str = "",
    events: Sequence[tuple[str, str]] = (),
    conditions: Sequence[Object] = (),
    live: Object | None = None,
) -> Failure:
    """The cause where one Pod is as told."""
    live = live or deployment()
    one = pod(live, container, conditions=conditions)
    told = [event(one, reason, message) for reason, message in events]
    cause = failure_of(live, [one], told, {one["metadata"]["name"]: log})
    assert cause is not None
    return cause


def refused(message: str) -> Failure:
    """The cause where the cluster lets no Pod in."""
    pod_name = "mnist-blue-6c8b449b8f-abcde"
    failure = condition(
        "ReplicaFailure", "True", "FailedCreate", f'pods "{pod_name}" is forbidden: {message}'
    )
    cause = failure_of(deployment(status={"conditions": [failure]}), [], [], {})
    assert cause is not None
    return cause


NO_IMAGE = (
    f'failed to pull and unpack image "docker.io/{IMAGE}": failed to resolve reference '
    f'"docker.io/{IMAGE}": docker.io/{IMAGE}: not found'
)
DENIED = (
    'failed to pull and unpack image "docker.io/acme/private:1": failed to resolve reference '
    '"docker.io/acme/private:1": pull access denied, repository does not exist or may require authorization: '
    "server message: insufficient_scope: authorization failed"
)
FORBIDDEN = (
    "failed to resolve reference: unexpected status from HEAD request to https://europe-docker.pkg.dev/v2/acme/"
    "serving/manifests/1: 403 Forbidden"
)
NO_HOST = (
    'failed to do request: Head "https://registry.invalid/v2/serving/manifests/1": dial tcp: '
    "lookup registry.invalid on 10.96.0.10:53: no such host"
)
OTHER_PLATFORM = (
    f'rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/{IMAGE}": '
    "no match for platform in manifest: not found"
)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize(
    ("message", "says"),
    [
        (NO_IMAGE, f"The image {IMAGE} was not found in its registry."),
        (DENIED, "needs a login (unauthorised)"),
        (FORBIDDEN, "needs a login (unauthorised)"),
        (NO_HOST, f"The node cannot reach the registry of {IMAGE} (no such host)."),
        (OTHER_PLATFORM, f"The image {IMAGE} does not exist for the architecture of the node."),
        ("failed to extract layer: no space left on device", "cannot be pulled: failed to extract layer"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_told_with_the_registrys_reason(
    reason: str, message: str, says: str
) -> None:
    """Not there, not for us, not reachable, not for this machine: four next steps."""
    back_off = f'Back-off pulling image "{IMAGE}": ErrImagePull: {message}'
    cause = found(waiting(reason, back_off if reason == "ImagePullBackOff" else message))
    assert says in cause.text
    assert cause.failed
    assert cause.next_step


def test_the_reason_for_backing_off_is_taken_from_the_event_where_only_it_tells() -> None:
    """Kubelets before 1.32 do not repeat it in the state."""
    cause = found(
        waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'),
        events=[("Failed", f'Failed to pull image "{IMAGE}": rpc error: code = NotFound desc = {NO_IMAGE}')],
    )
    assert "was not found in its registry" in cause.text


def test_a_registry_that_asks_to_wait_is_no_failure() -> None:
    """Docker Hub's limit for pulls passes."""
    message = (
        "429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit."
    )
    assert not found(waiting("ErrImagePull", message)).failed


def test_a_name_that_is_none_is_told() -> None:
    """It will never be pulled."""
    message = (
        'Failed to apply default image tag "serving:": couldn\'t parse image name "serving:": '
        "invalid reference format"
    )
    assert found(waiting("InvalidImageName", message)).text == f"{IMAGE} is not the name of an image."


@pytest.mark.parametrize(
    ("log", "says", "step"),
    [
        (
            access_error(
                f"Could not find base path {MODEL} for servable model with error NOT_FOUND: "
                f"The specified path {MODEL} was not found."
            ),
            f"There is no folder {MODEL}.",
            "model/<version>/",
        ),
        (
            access_error(f"Could not find base path {MODEL} for servable model"),
            f"There is no folder {MODEL}.",
            "model/<version>/",
        ),
        (
            logged(
                f"No versions of servable model found under base path {MODEL}. Did you forget to name your leaf "
                "directory as a number (eg. '/1/')?",
                level="W",
                source=f"{SOURCE}:262",
            ),
            f"No version was found in {MODEL}: that is a folder named by a number.",
            f'model.export("{MODEL}/1")',
        ),
        (
            access_error(
                f"Could not find base path {MODEL} for servable model with error NOT_FOUND: "
                "The specified bucket gs://acme-models/ was not found."
            ),
            "There is no bucket gs://acme-models/.",
            "Check its name",
        ),
        (
            access_error(
                f"Could not find base path {MODEL} for servable model with error "
                + http_error(
                    403,
                    "serving@acme.iam.gserviceaccount.com does not have storage.objects.list access to the "
                    "Google Cloud Storage bucket. Permission 'storage.objects.list' denied on resource (or it "
                    "may not exist).",
                )
            ),
            "Permission denied: serving@acme.iam.gserviceaccount.com may not read the bucket "
            "(it lacks storage.objects.list).",
            "Storage Object Viewer",
        ),
        (
            access_error(
                f"Could not find base path {MODEL} for servable model with error Permission denied: Error "
                f"executing an HTTP request: HTTP response code 403 when reading metadata of {MODEL}"
            ),
            "the Pods may not read the bucket (403)",
            "Storage Object Viewer",
        ),
        (
            access_error(
                f"Could not find base path {MODEL} for servable model with error "
                + http_error(401, "Anonymous caller does not have storage.objects.list access to the bucket.")
            ),
            "The bucket is not public, and the Pods have no credentials to read it with (401).",
            "--google-app-creds",
        ),
        (
            access_error(
                f"Could not find base path {MODEL} for servable model with error UNIMPLEMENTED: "
                f"File system scheme 'gs' not implemented (file: '{MODEL}')"
            ),
            "cannot read gs:// addresses",
            "--image",
        ),
        (
            logged(
                "Loading servable: {name: model version: 3} failed: NOT_FOUND: Could not find SavedModel .pb or "
                f".pbtxt at supplied export directory path: {MODEL}/3. Check that the directory exists and that "
                "you have the right permissions for accessing it.",
                source="tensorflow_serving/util/retrier.cc:37",
            ),
            "TensorFlow Serving cannot load version 3: NOT_FOUND: Could not find SavedModel .pb",
            "Export the model anew",
        ),
    ],
)
def test_what_tensorflow_serving_cannot_read_is_told(log: str, says: str, step: str) -> None:
    """It goes on running and asks again every second, so only its log tells."""
    cause = found(RUNNING, log=log)
    assert says in cause.text
    assert step in cause.next_step
    assert cause.failed


def test_a_bucket_that_cannot_be_reached_may_be_reached_later() -> None:
    """It is asked again every second."""
    cause = found(
        RUNNING,
        log=access_error(
            f"Could not find base path {MODEL} for servable model with error ABORTED: All 10 retry attempts "
            "failed. The last failure: Error executing an HTTP request: libcurl code 6 meaning 'Couldn't resolve "
            "host name', error details: Could not resolve host: storage.googleapis.com"
        ),
    )
    assert cause.text == "Cloud Storage cannot be reached from the Pod (Couldn't resolve host name)."
    assert not cause.failed


def test_complaints_right_after_the_start_are_no_failure_yet() -> None:
    """Workload Identity gives a new Pod its credentials after a few seconds only."""
    error = f"Could not find base path {MODEL} for servable model with error " + http_error(
        401, "Anonymous caller does not have storage.objects.list access to the bucket."
    )
    assert not found(RUNNING, log=access_error(error, at="11:00:08")).failed
    assert found(RUNNING, log=access_error(error, at="11:00:20")).failed


def test_what_the_own_model_server_says_at_its_end_is_the_cause() -> None:
    """Its sentences tell what is wrong and what to do."""
    says = f'There is no saved_model.pb in {MODEL}/1; it holds nothing. Export the model there: model.export("{MODEL}/1").'
    cause = found(looping(1), log=f"{says}\n")
    assert cause.text == says
    assert cause.failed


def test_its_usual_lines_are_not_taken_for_the_cause() -> None:
    """A server that served and was killed did not end of that line."""
    cause = found(looping(137), log="Serving version 1 on 10.77.1.5:8501.\n")
    assert cause.text == (
        "The model server was killed (exit code 137), most often for want of memory: its limit is 1Gi."
    )


def test_a_crash_loop_is_told_with_exit_code_and_last_words() -> None:
    """Without what TensorFlow puts before its lines."""
    log = logged("Check failed: error == cudaSuccess (100 vs. 0)", level="F", source="device.cc:12")
    cause = found(looping(134), log=log)
    assert cause.text == (
        "The model server ended with exit code 134. It says: Check failed: error == cudaSuccess (100 vs. 0)."
    )
    assert cause.failed


def test_one_end_may_be_the_only_one() -> None:
    """The first restart comes at once, and often helps."""
    cause = found(Container(ended(1)), log="OSError: [Errno 98] Address already in use")
    assert "exit code 1. It says: OSError" in cause.text
    assert not cause.failed


def test_the_log_of_a_new_run_does_not_tell_how_the_last_one_ended() -> None:
    """Its last line is but how far it has come."""
    again = Container(RUNNING.state, last=ended(1), restarts=3)
    log = logged(f"Reading SavedModel from: {MODEL}/1", level="I", source="reader.cc:83")
    assert found(again, log=log).text == "The model server ended with exit code 1."


def test_running_out_of_memory_is_told_with_the_limit() -> None:
    """Whatever the log's last line is."""
    cause = found(looping(137, "OOMKilled"), log=logged("Loading servable version {name: model version: 1}"))
    assert cause.text == "The model server ran out of memory (OOMKilled): its limit is 1Gi."
    assert "memory limit" in cause.next_step


@pytest.mark.parametrize(
    ("container", "log"),
    [
        (looping(255), "exec /usr/bin/tf_serving_entrypoint.sh: exec format error"),
        (
            waiting(
                "RunContainerError",
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
                'create failed: unable to start container process: exec: "/usr/bin/tf_serving_entrypoint.sh": '
                "exec format error: unknown",
            ),
            "",
        ),
    ],
)
def test_an_image_of_another_architecture_is_told(container: Container, log: str) -> None:
    """Wherever the kernel's words turn up."""
    assert "another architecture" in found(container, log=log).text


@pytest.mark.parametrize(
    ("container", "events"),
    [
        (waiting("CreateContainerConfigError", 'secret "mnist-gcs-credentials" not found'), []),
        (
            CREATING,
            [
                (
                    "FailedMount",
                    'MountVolume.SetUp failed for volume "credentials" : secret "mnist-gcs-credentials" not found',
                )
            ],
        ),
    ],
)
def test_a_missing_key_secret_is_told(container: Container, events: Sequence[tuple[str, str]]) -> None:
    """Whether it is mounted or goes into a variable."""
    cause = found(container, events=events)
    assert cause.text == "The Secret mnist-gcs-credentials with the key to the bucket is missing."
    assert cause.failed


def test_a_secret_without_the_key_is_told() -> None:
    """With the entry that is missing."""
    message = (
        'MountVolume.SetUp failed for volume "credentials" : references non-existent secret key: key.json'
    )
    assert "no entry key.json" in found(CREATING, events=[("FailedMount", message)]).text


@pytest.mark.parametrize(
    ("container", "log", "events", "conditions", "says"),
    [
        (waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'), "", [], [], f"The image {IMAGE} cannot be pulled."),
        (waiting("ErrImageNeverPull", f'Container image "{IMAGE}" is not present with pull policy of Never'), "", [], [], f"The image {IMAGE} is not on the node, and may not be pulled."),
        (waiting("SignatureValidationFailed", f"image pull failed for {IMAGE} because the signature validation failed"), "", [], [], f"The image {IMAGE} cannot be used: image pull failed for {IMAGE} because the signature validation failed."),
        (RUNNING, "exec /usr/bin/tf_serving_entrypoint.sh: exec format error", [], [], "The image is built for another architecture than the node's (exec format error)."),
        (waiting("CreateContainerConfigError", "couldn't find key key.json in Secret mnist/mnist-gcs-credentials"), "", [], [], "The Secret with the key to the bucket has no entry key.json."),
        (waiting("CreateContainerError", "context deadline exceeded"), "", [], [], "The container cannot be started: context deadline exceeded."),
        (RUNNING, http_error(400, '{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'), [], [], "Google does not accept the Pods' key: it was deleted, or a clock is wrong."),
        (RUNNING, access_error("Error executing an HTTP request: HTTP response code 401 with body 'Invalid Credentials'"), [], [], "The bucket is not public, and the Pods have no valid credentials to read it with (401)."),
        (RUNNING, access_error(http_error(404, "The specified bucket does not exist.").replace("PERMISSION_DENIED", "NOT_FOUND")), [], [], "There is no such bucket."),
        (looping(255), "Failed to start the server. Error: INVALID_ARGUMENT: Expected model model to have an absolute path or URI; got base_path()=model", [], [], "TensorFlow Serving does not start: INVALID_ARGUMENT: Expected model model to have an absolute path or URI; got base_path()=model."),
        (Container(ended(128, "StartError", 'exec: "tf_serving": executable file not found in $PATH'), restarts=2), "", [], [], 'The container cannot be started: exec: "tf_serving": executable file not found in $PATH.'),
        (None, "", [], [condition("PodScheduled", "False", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")], "The Pod is held back by a scheduling gate: Scheduling is blocked due to non-empty scheduling gates."),
        (CREATING, "", [("FailedMount", "MountVolume.SetUp failed for volume \"tmp\" : mkdir: no space left on device")], [], 'A volume cannot be mounted: MountVolume.SetUp failed for volume "tmp" : mkdir: no space left on device.'),
        (CREATING, "", [("FailedCreatePodSandBox", "Failed to create pod sandbox: plugin type=\"calico\" failed (add): connection is unauthorized")], [], 'The node cannot set up the Pod: Failed to create pod sandbox: plugin type="calico" failed (add): connection is unauthorized.'),
    ],
)  # fmt: skip
def test_rarer_troubles_are_told_as_well(
    container: Container | None,
    log: str,
    events: Sequence[tuple[str, str]],
    conditions: Sequence[Object],
    says: str,
) -> None:
    """Each in whole sentences, with what the cluster says."""
    assert found(container, log=log, events=events, conditions=conditions).text == says


def test_an_image_that_insists_on_root_is_told() -> None:
    """The security context forbids it."""
    message = (
        "container has runAsNonRoot and image will run as root (pod: "
        '"mnist-blue-1_mnist(0)", container: tensorflow-serving)'
    )
    assert "wants to run as root" in found(waiting("CreateContainerConfigError", message)).text


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
            "1 No preemption victims found for incoming pod.",
            "of the only node: 1 without enough free cpu.",
        ),
        (
            "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
            "2 Insufficient memory. no new claims to deallocate, preemption: 0/3 nodes are available: 1 Preemption "
            "is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
            "of 3 nodes: 1 with a taint that the Pod does not tolerate {node-role.kubernetes.io/control-plane: }, "
            "2 without enough free memory.",
        ),
        (
            "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. "
            "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
            "1 with a taint that the Pod does not tolerate, 1 closed to new Pods (cordoned).",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            "2 that its node selector leaves out.",
        ),
        ("no nodes available to schedule pods", "No node can take the Pod: no nodes available"),
    ],
)
def test_a_pod_that_fits_nowhere_is_told_with_what_is_lacking(message: str, says: str) -> None:
    """In the scheduler's numbers, without its jargon."""
    cause = found(None, conditions=[condition("PodScheduled", "False", "Unschedulable", message)])
    assert says in cause.text
    assert cause.failed


def test_a_cluster_that_grows_is_waited_for() -> None:
    """The autoscaler says that it adds a node."""
    message = "0/1 nodes are available: 1 Insufficient cpu."
    grows = (
        "TriggeredScaleUp",
        "pod triggered scale-up: [{instanceGroups/gke-a-default-pool 1->2 (max: 6)}]",
    )
    unplaced = condition("PodScheduled", "False", "Unschedulable", message)
    cause = found(None, conditions=[unplaced], events=[grows])
    assert cause == Failure("No node has room for the Pod; the cluster is adding one.")


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (
            "exceeded quota: compute, requested: limits.cpu=2,limits.memory=1Gi, used: limits.cpu=4,"
            "limits.memory=2Gi, limited: limits.cpu=4,limits.memory=2Gi",
            "The namespace's quota compute has no room for another Pod: it needs limits.cpu=2,limits.memory=1Gi, "
            "in use is limits.cpu=4,limits.memory=2Gi of limits.cpu=4,limits.memory=2Gi.",
        ),
        (
            "failed quota: storage: must specify limits.ephemeral-storage for: tensorflow-serving",
            "quota storage forbids the Pods: must specify limits.ephemeral-storage",
        ),
        (
            'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container '
            '"tensorflow-serving" must set securityContext.allowPrivilegeEscalation=false)',
            "Pod Security restricted:latest of the namespace forbids the Pods: allowPrivilegeEscalation != false",
        ),
        (
            "ValidatingAdmissionPolicy 'only-signed.acme.com' with binding 'everywhere' denied request: "
            "failed expression: object.spec.containers.all(c, c.image.startsWith('acme/'))",
            "The admission policy only-signed.acme.com forbids the Pods: failed expression",
        ),
        (
            "[maximum cpu usage per Container is 500m, but limit is 2, maximum memory usage per Container is "
            "128Mi, but limit is 1Gi]",
            "A LimitRange of the namespace forbids the Pods: maximum cpu usage per Container is 500m, but limit is 2",
        ),
        (
            'error looking up service account mnist/default: serviceaccount "default" not found',
            "The cluster refuses to make the Pods: ",
        ),
    ],
)
def test_what_the_cluster_does_not_let_in_is_told_with_who_forbids_it(message: str, says: str) -> None:
    """The controller leaves it on the Deployment; there is no Pod to look at."""
    cause = refused(message)
    assert says in cause.text
    assert cause.failed
    assert cause.next_step


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (
            'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource Pod/mnist was blocked',
            "The admission webhook validate.kyverno.svc-fail forbids the Pods: resource Pod/mnist was blocked.",
        ),
        (
            'admission webhook "images.acme.com" denied the request without explanation',
            "The admission webhook images.acme.com forbids the Pods: without explanation.",
        ),
        (
            'Internal error occurred: failed calling webhook "images.acme.com": failed to call webhook: Post '
            '"https://images.acme.svc:443/?timeout=10s": no endpoints available for service "images"',
            "the admission webhook images.acme.com does not answer",
        ),
    ],
)
def test_an_admission_webhook_is_named(message: str, says: str) -> None:
    """Its refusal has no prefix about the Pod."""
    failure = condition("ReplicaFailure", "True", "FailedCreate", message)
    cause = failure_of(deployment(status={"conditions": [failure]}), [], [], {})
    assert cause is not None
    assert says in cause.text


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("Readiness probe failed: HTTP probe failed with statuscode: 404", "the readiness probe fails (HTTP 404)"),
        (
            'Readiness probe failed: Get "http://10.77.1.5:8501/v1/models/model/metadata": dial tcp '
            "10.77.1.5:8501: connect: connection refused",
            "(nothing listens on its port)",
        ),
        (
            'Liveness probe failed: Get "http://10.77.1.5:8501/v1/models/model": context deadline exceeded '
            "(Client.Timeout exceeded while awaiting headers)",
            "the liveness probe fails (no answer in time)",
        ),
    ],
)  # fmt: skip
def test_a_failing_probe_is_told(message: str, says: str) -> None:
    """In words, without addresses; it may pass yet."""
    cause = found(RUNNING, events=[("Unhealthy", message)])
    assert says in cause.text
    assert not cause.failed


def test_a_startup_probe_fails_as_long_as_the_model_is_loaded() -> None:
    """That is what it is for, so nothing is made of it."""
    cause = found(
        RUNNING, events=[("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 404")]
    )
    assert cause == Failure("Loading the model: 0 of 1 replicas ready.", usual=True)


def test_a_model_that_takes_too_long_to_load_is_a_failure() -> None:
    """The kubelet ends the server when the startup probe's time is over."""
    again = Container(RUNNING.state, last=ended(0, "Completed"), restarts=1)
    killed = "Container tensorflow-serving failed startup probe, will be restarted"
    cause = found(again, events=[("Killing", killed)])
    assert cause.text == "The model server did not answer the startup probe and was ended."
    assert cause.failed


@pytest.mark.parametrize(
    ("container", "events", "says"),
    [
        (CREATING, [], "The container is being made."),
        (CREATING, [("Pulling", f'Pulling image "{IMAGE}"')], f"The image {IMAGE} is being pulled."),
        (
            CREATING,
            [("Pulled", f'Successfully pulled image "{IMAGE}" in 9s')],
            "The container is being made.",
        ),
        (RUNNING, [], "Loading the model: 0 of 1 replicas ready."),
        (None, [], "The Pod waits for a node."),
    ],
)
def test_what_merely_takes_time_is_no_failure(
    container: Container | None, events: Sequence[tuple[str, str]], says: str
) -> None:
    """It is told all the same."""
    cause = found(container, events=events)
    assert cause.text == says
    assert not cause.failed


def test_no_progress_for_too_long_is_a_failure_with_what_it_waits_for() -> None:
    """The controller's deadline turns waiting into failing."""
    overdue = condition(
        "Progressing",
        "False",
        "ProgressDeadlineExceeded",
        'ReplicaSet "mnist-blue-6c8b449b8f" has timed out progressing.',
    )
    cause = found(RUNNING, live=deployment(status={"conditions": [overdue]}))
    assert cause.text == (
        "The rollout has made no progress for 600 s. Loading the model: 0 of 1 replicas ready."
    )
    assert cause.failed
    assert cause.next_step


def test_a_paused_rollout_is_told() -> None:
    """Somebody ran `kubectl rollout pause`."""
    live = deployment()
    live["spec"]["paused"] = True
    cause = failure_of(live, [], [], {})
    assert cause is not None
    assert "paused" in cause.text
    assert "kubectl rollout resume" in cause.next_step


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: memory. Threshold quantity: 100Mi, available: 92Mi. ",
            },
            "A Pod was evicted from its node: The node was low on resource: memory.",
        ),
        (
            {
                "phase": "Failed",
                "conditions": [
                    condition(
                        "DisruptionTarget",
                        "True",
                        "PreemptionByScheduler",
                        "default-scheduler: preempting to accommodate a higher priority pod",
                    )
                ],
            },
            "A Pod had to make room for a more important one",
        ),
        (
            {
                "phase": "Failed",
                "reason": "NodeLost",
                "message": "Node node-1 which was running pod mnist-blue-1 is unresponsive",
            },
            "The node of a Pod was lost",
        ),
        (
            {
                "phase": "Failed",
                "conditions": [
                    condition(
                        "DisruptionTarget", "True", "TerminationByKubelet", "Pod was terminated by kubelet"
                    )
                ],
            },
            "A node is being emptied",
        ),
        (
            {
                "phase": "Failed",
                "reason": "OutOfcpu",
                "message": "Pod was rejected: Node didn't have enough resource: cpu, requested: 200, used: 1900, capacity: 2000",
            },
            "A node turned a Pod away (OutOfcpu): Pod was rejected: Node didn't have enough resource: cpu",
        ),
    ],
)
def test_a_pod_that_was_taken_away_is_told_while_another_comes(status: Object, says: str) -> None:
    """The replacement is on its way, so it is no failure."""
    live = deployment()
    cause = failure_of(live, [pod(live, RUNNING, **status)], [], {})
    assert cause is not None
    assert says in cause.text
    assert not cause.failed


def test_what_ails_the_new_pod_goes_before_what_befell_the_old_one() -> None:
    """The evicted one is history."""
    live = deployment()
    evicted = pod(live, RUNNING, phase="Failed", reason="Evicted", message="The node was low on resource.")
    out_of_memory = pod(live, looping(137, "OOMKilled"), number=2)
    cause = failure_of(live, [evicted, out_of_memory], [], {})
    assert cause is not None
    assert "ran out of memory" in cause.text


def test_only_pods_of_the_newest_template_count() -> None:
    """What an older one suffers from is over with the rollout."""
    old = pod(deployment(deployed_at=OLD), looping(137, "OOMKilled"), template="5d4f7c9b6d")
    live = deployment(deployed_at=NEW)
    new = pod(live, CREATING)
    cause = failure_of(live, [old, new], [], {})
    assert cause == Failure("The container is being made.")


def test_pods_whose_template_differs_in_nothing_they_show_are_told_apart_by_age() -> None:
    """Another memory limit, say, set by kubectl."""
    live = deployment()
    old = pod(live, looping(137, "OOMKilled"), template="5d4f7c9b6d")
    old["metadata"]["creationTimestamp"] = "2026-08-07T10:00:00Z"
    cause = failure_of(live, [old, pod(live, CREATING)], [], {})
    assert cause == Failure("The container is being made.")


def test_a_change_that_the_controller_has_not_seen_is_not_judged_by_what_was_before() -> None:
    """The conditions are about the template before."""
    failure = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: compute, ...")
    stale = deployment(generation=2, status={"observedGeneration": 1, "conditions": [failure]})
    assert failure_of(stale, [], [], {}) == Failure("Kubernetes is taking the change up.", usual=True)


def test_nothing_is_told_of_what_is_ready() -> None:
    """Nor of events and restarts that are over."""
    live = deployment()
    one = pod(live, Container(READY.state, last=ended(137, "OOMKilled"), restarts=4, ready=True))
    old = event(one, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    assert failure_of(live, [one], [old], {}) is None


def test_events_of_an_earlier_pod_of_the_same_name_do_not_count() -> None:
    """They outlive it by an hour."""
    live = deployment()
    one = pod(live, CREATING)
    message = 'MountVolume.SetUp failed for volume "credentials" : secret "mnist-gcs-credentials" not found'
    of_another = event(one, "FailedMount", message)
    of_another["involvedObject"]["uid"] = "another"
    cause = failure_of(live, [one], [of_another], {})
    assert cause == Failure("The container is being made.")
