"""The snapshot, and the state of a role's model in it, from observations of the cluster and the gateway."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from mnist_dash.cluster.failures import ROOM_SECONDS
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.promotion import operations_of_step, step_of
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.snapshot import FindCheck, PromotionStatus, deployment_of, snapshot_of
from mnist_dash.cluster.traffic_probe import GatewayView
from mnist_dash.domain import (
    Deployment,
    ModelCheck,
    Promote,
    Release,
    Remove,
    Replacement,
    Role,
    Snapshot,
    State,
    name_of,
)
from mnist_dash.rollout_status import GATEWAY_PENDING, SPLIT_HELD
from tests.unit.cluster.in_memory_cluster import SITE, InMemoryCluster
from tests.unit.cluster.sample_objects import (
    BASE,
    NOON,
    OLD,
    RUNNING,
    check,
    complete,
    condition,
    deployment,
    looping,
    pod,
    rolled_out,
    service,
    silent_pod,
)

OTHER = "gs://acme-models/other"
SERVICES = (service(Role.CURRENT, Release.BLUE), service(Role.NEW, Release.GREEN))
NOW = datetime.fromisoformat(NOON).timestamp() + 2 * ROOM_SECONDS


def unchecked(_base: str, _version: int) -> ModelCheck | None:
    """Nothing is known of a model but what its Pods carry."""
    return None


def observed(
    live: Object,
    *pods: Object,
    version: int | None = None,
    checks: FindCheck = unchecked,
    logs: Mapping[str, str] = {},
) -> Deployment:
    """Current, with this Deployment and these Pods."""
    observation = replace(Observation.from_objects([live, *pods, *SERVICES], taken_at=NOW), logs=logs)
    found = deployment_of(Role.CURRENT, observation, {Release.BLUE: version}, checks)
    assert found is not None
    return found


def rolling(*, replicas: int = 1, updated: int = 1, ready: int = 1) -> Object:
    """A Deployment during a rollout to another base."""
    counts = {"replicas": replicas + 1, "updatedReplicas": updated, "readyReplicas": ready}
    progress = condition("Progressing", "True", "ReplicaSetUpdated", "is progressing.")
    status = counts | {"conditions": [progress]}
    return deployment(base=OTHER, replicas=replicas, generation=2, status=status)


def former(number: int = 1) -> Object:
    """A ready Pod of the template before."""
    return pod(deployment(deployed_at=OLD), number=number, template="5d4f7c9b6d")


# The state of a model


def test_without_a_deployment_there_is_no_model() -> None:
    """Also while the Deployment is being deleted."""
    ending = complete()
    ending["metadata"]["deletionTimestamp"] = "2026-08-07T11:00:00Z"
    for objects in (SERVICES, (*SERVICES, ending)):
        assert deployment_of(Role.CURRENT, Observation.from_objects(objects), {}, unchecked) is None


def test_a_complete_rollout_is_ready() -> None:
    """With its base, its version and the result of the check."""
    live = complete(replicas=2)
    assert observed(live, pod(live), pod(live, number=2), version=1) == Deployment(
        role=Role.CURRENT,
        release=Release.BLUE,
        base=BASE,
        desired=2,
        ready=2,
        state=State.READY,
        version=1,
        accuracy=0.985,
        digits=2000,
        input_shape=(-1, 28, 28, 1),
        generation="2026-08-07T11:00:00.000+00:00",
    )


def test_a_model_that_was_never_ready_is_starting() -> None:
    """With its progress."""
    live = deployment()
    found = observed(live, pod(live, RUNNING), version=1)
    assert (found.state, found.ready, found.version) == (State.STARTING, 0, None)
    assert found.cause == "Loading the model: 0 of 1 replicas ready."


def test_a_change_that_kubernetes_has_not_processed_is_an_update() -> None:
    """Of the template, though the status is of the one before; or of the number of replicas."""
    live = complete(generation=2)
    live["status"]["observedGeneration"] = 1
    found = observed(live, former())
    assert (found.state, found.ready) == (State.UPDATING, 1)
    assert observed(live, pod(live)).state is State.UPDATING


def test_during_a_rollout_the_former_model_is_shown() -> None:
    """It answers until the new replicas have taken over."""
    live = rolling(replicas=2, updated=1, ready=3)
    found = observed(live, former(1), former(2), pod(live))
    assert (found.state, found.base, found.ready, found.desired) == (State.UPDATING, BASE, 2, 2)
    assert found.replacement == Replacement(OTHER, 2, 1)
    assert found.cause == f"{name_of(BASE)} answers with 2 replicas; {name_of(OTHER)} is starting, 1 of 2."


def test_an_update_names_a_problem_of_the_new_replicas() -> None:
    """Beside its progress."""
    live = rolling()
    ended = replace(looping(1), restarts=0, state={"terminated": {"exitCode": 1}}, last=None)
    found = observed(live, former(), pod(live, ended))
    assert found.state is State.UPDATING
    assert found.cause.endswith("is starting, 0 of 1. The model server ended with exit code 1.")


def test_a_redeploy_that_fails_leaves_the_former_model_serving() -> None:
    """Its base is shown, and the cause has both."""
    live = rolling()
    crashing = pod(live, looping(1))
    line = f"There is no saved_model.pb in {OTHER}/model/1; it holds nothing. Export the model there."
    found = observed(live, former(), crashing, logs={crashing["metadata"]["name"]: line}, version=1)
    assert (found.state, found.base, found.ready, found.version) == (State.FAILED, BASE, 1, 1)
    assert found.cause == f"{line} {name_of(BASE)} keeps serving with 1 replica."
    assert found.next_step


def test_a_first_deployment_fails_with_its_cause() -> None:
    """And with the number of replicas that are ready, if any."""
    live = deployment()
    found = observed(live, pod(live, looping(137, "OOMKilled")))
    assert (found.state, found.ready) == (State.FAILED, 0)
    assert found.cause.startswith("The model server ran out of memory")

    live = deployment(replicas=2, status={"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1})
    full = condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")
    found = observed(live, pod(live), pod(live, None, number=2, conditions=[full]))
    assert (found.state, found.ready) == (State.FAILED, 1)
    assert found.cause.startswith("1 of 2 replicas ready. No node can take the Pod")


def lost_one(replicas: int = 2) -> Object:
    """A Deployment that was once complete, and has lost a replica."""
    counts = {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas - 1}
    return deployment(replicas=replicas, status=counts | {"conditions": [rolled_out()]})


def test_a_replica_that_is_lost_later_degrades_and_the_last_one_is_a_failure() -> None:
    """The others keep answering; its problem is reported, though it may never come back."""
    live = lost_one()
    found = observed(live, pod(live), pod(live, looping(137, "OOMKilled"), number=2))
    assert (found.state, found.ready) == (State.DEGRADED, 1)
    assert found.cause.startswith("1 of 2 replicas ready. The model server ran out of memory")
    found = observed(live, pod(live), pod(live, RUNNING, number=2))
    assert (found.state, found.cause) == (State.DEGRADED, "Loading the model: 1 of 2 replicas ready.")
    live = lost_one(replicas=1)
    assert observed(live, pod(live, looping(137, "OOMKilled"))).state is State.FAILED


def test_a_deployment_that_others_scaled_to_0_is_degraded() -> None:
    """Kubernetes counts it as complete, but no request is answered."""
    found = observed(complete(replicas=0))
    assert (found.state, found.desired, found.ready) == (State.DEGRADED, 0, 0)
    assert "0 replicas" in found.cause
    assert found.next_step


def test_a_rollout_is_not_over_while_old_replicas_are_left() -> None:
    """The new ones are all ready, and shown."""
    live = rolling(replicas=1, updated=1, ready=2)
    found = observed(live, former(), pod(live))
    assert (found.state, found.base, found.ready) == (State.UPDATING, OTHER, 1)


# The check of a model


def test_a_version_that_took_over_later_is_shown_with_its_own_check() -> None:
    """The annotation is about the version that was deployed; without another check, nothing is known."""
    live = complete()
    newer = check(version=2, accuracy=0.991)
    asked = []

    def checks(base: str, version: int) -> ModelCheck | None:
        asked.append((base, version))
        return newer

    found = observed(live, pod(live), version=2, checks=checks)
    assert (found.version, found.accuracy, asked) == (2, 0.991, [(BASE, 2)])
    found = observed(live, pod(live), version=2)
    assert (found.version, found.accuracy, found.input_shape) == (2, None, ())


def test_a_model_that_could_not_be_checked_warns_until_it_can() -> None:
    """The warning goes with the Pods."""
    warning = "Deployed unchecked: these credentials may not read gs://acme-models."
    unverified = ModelCheck(BASE, None, (), None, warnings=(warning,), unverified="may not be read")
    live = complete(found=unverified)
    assert observed(live, pod(live), version=1).warnings == (warning,)
    later = observed(live, pod(live), version=1, checks=lambda base, _: check(base))
    assert (later.warnings, later.accuracy) == ((), 0.985)


def test_new_warns_if_the_models_take_different_input() -> None:
    """Current does not."""
    current = complete()
    new = complete(Release.GREEN, base=OTHER, found=check(OTHER, input_shape=(-1, 784)))
    observation = Observation.from_objects([current, new, pod(current), pod(new), *SERVICES])
    shown = snapshot_of(observation, GatewayView(), PromotionStatus(), unchecked)
    warnings = [" ".join(model.warnings) for model in (shown.current, shown.new) if model]
    assert warnings[0] == ""
    assert "fits only one of them" in warnings[1]


# The snapshot


@pytest.fixture
def both() -> InMemoryCluster:
    """Linear is Current on blue, convolutional New on green, split 20."""
    return InMemoryCluster.with_both()


FOLLOWED, NONE = GatewayView(split=20), PromotionStatus()


def snapshot(
    cluster: InMemoryCluster,
    view: GatewayView = FOLLOWED,
    promotion: PromotionStatus = NONE,
    problem: str = "",
) -> Snapshot:
    """The snapshot of that cluster."""
    return snapshot_of(cluster.observe(), view, promotion, unchecked, problem=problem)


def test_an_empty_snapshot_is_settled() -> None:
    """There is nothing to wait for."""
    empty = snapshot(InMemoryCluster(), GatewayView())
    assert (empty.current, empty.new, empty.settled) == (None, None, True)


def test_both_roles_and_the_split_are_in_the_snapshot(both: InMemoryCluster) -> None:
    """The split as the gateway follows it."""
    shown = snapshot(both)
    assert shown.current is not None
    assert shown.new is not None
    assert (shown.current.base, shown.new.base) == ("gs://models/linear", "gs://models/cnn")
    assert (shown.split_desired, shown.split_observed, shown.waiting_for) == (20, 20, "")
    assert time.time() - shown.taken_at < 60


@pytest.mark.parametrize(
    ("view", "problem", "reason"),
    [
        (GatewayView(split=0, pending=True), "", GATEWAY_PENDING),
        (GatewayView(split=20, problem="404."), "", "The gateway does not lead to the models yet. 404."),
        (GatewayView(split=20), "Bob owns the weight.", "Bob owns the weight."),
    ],
)
def test_the_reason_for_waiting_is_reported(
    both: InMemoryCluster, view: GatewayView, problem: str, reason: str
) -> None:
    """And the snapshot is not settled until then."""
    shown = snapshot(both, view, problem=problem)
    assert shown.waiting_for == reason
    assert not shown.settled


def test_a_held_split_waits_for_new(both: InMemoryCluster) -> None:
    """The desired split is remembered all the same."""
    both.unready.add(Release.GREEN)
    shown = snapshot(both, GatewayView(split=0))
    assert (shown.waiting_for, shown.split_desired) == (SPLIT_HELD, 20)


@pytest.mark.parametrize(
    ("promotion", "waiting", "interrupted"),
    [
        (PromotionStatus(mine=True), "Swapping the roles.", False),
        (PromotionStatus(), "ann: Swapping the roles.", False),
        (PromotionStatus(interrupted=True), "A promotion by ann stopped half-way.", True),
    ],
)
def test_a_promotion_is_under_way_or_interrupted(
    both: InMemoryCluster, promotion: PromotionStatus, waiting: str, interrupted: bool
) -> None:
    """Here, or in another dashboard."""
    both.change(Promote())
    shown = snapshot(both, GatewayView(split=100), promotion)
    assert (shown.waiting_for, shown.interrupted_promotion) == (waiting, waiting if interrupted else "")
    assert not shown.settled


def test_half_way_the_new_current_is_shown_with_all_requests(both: InMemoryCluster) -> None:
    """Both Services lead to it, whatever the weight is."""
    both.change(Promote())
    begun = snapshot(both, GatewayView(split=100))
    assert (begun.split_desired, begun.split_observed) == (0, 100)
    observation = both.observe()
    assert observation.promotion is not None
    both.write(operations_of_step(step_of(observation, observation.promotion), observation, SITE))
    halfway = snapshot(both, GatewayView(split=100))
    assert halfway.current is not None
    assert (halfway.current.base, halfway.split_observed) == ("gs://models/cnn", 0)


def test_a_removed_model_whose_node_does_not_answer_says_so() -> None:
    """Its replicas end only when the node is back."""
    live = complete(Release.BLUE)
    ending = silent_pod(deployment(Release.GREEN))
    ending["metadata"]["deletionTimestamp"] = NOON
    observation = Observation.from_objects([live, pod(live), ending, *SERVICES], taken_at=NOW)
    shown = snapshot_of(observation, GatewayView(), PromotionStatus(), unchecked)
    assert shown.waiting_for.endswith("node-1 does not answer: what runs there ends when it is back.")


def test_a_first_start_is_no_update_while_its_last_replica_is_counted() -> None:
    """The Deployment's own count comes a moment after the Pod's."""
    live = deployment(status={"replicas": 1, "updatedReplicas": 1, "readyReplicas": 0})
    assert observed(live, pod(live)).state is State.STARTING


def test_a_removed_model_is_waited_for_until_its_replicas_have_ended(both: InMemoryCluster) -> None:
    """They may still answer for some seconds."""
    both.lingering[Release.GREEN] = both.objects["Deployment", "mnist-green"]["spec"]["template"]
    both.change(Remove(Role.NEW))
    shown = snapshot(both, GatewayView())
    assert (shown.new, shown.waiting_for) == (None, "The replicas of the removed New are ending.")
    both.lingering.clear()
    assert snapshot(both, GatewayView()).waiting_for == ""


def test_undoing_needs_the_former_model(both: InMemoryCluster) -> None:
    """Another program may have removed it."""
    state = both.objects["Ingress", "mnist-canary"]["metadata"]["annotations"]
    state["mnist-dash/can-undo"] = "true"
    assert snapshot(both).can_undo_promote
    del both.objects["Deployment", "mnist-green"]
    assert not snapshot(both).can_undo_promote
    assert snapshot(both).new is None
