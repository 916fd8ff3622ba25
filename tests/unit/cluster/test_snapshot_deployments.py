"""What is told of a role's model and of the cluster's objects, from plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.inventory import engine_objects
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_state import PendingPromotion, RouteConfig, RouteState
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.snapshot import deployment_of
from mnist_dash.domain import Deployment, EngineObject, Gateway, ModelCheck, Release, Role, State
from tests.unit.cluster.sample_objects import (
    BASE,
    IMAGE,
    NAMESPACE,
    NEW,
    OLD,
    READY,
    RUNNING,
    check,
    complete,
    condition,
    deployment,
    endpoint_slice,
    event,
    looping,
    pod,
    rolled_out,
    service,
)

OTHER = "gs://acme-models/other"
GATEWAY = Gateway("http://mnist.example.com")
SERVICES = (service(Role.CURRENT, Release.BLUE), service(Role.NEW, Release.GREEN))


def nothing_known(_base: str, _version: int) -> ModelCheck | None:
    """No check has been made meanwhile."""
    return None


def seen_of(live: Object, *pods: Object, **more: object) -> Observation:
    """One Deployment with its Pods, blue being Current."""
    return replace(Observation(deployments=[live], pods=pods, services=SERVICES), **more)  # type: ignore[arg-type]  # of Seen


def told(
    seen: Observation,
    role: Role = Role.CURRENT,
    version: int | None = None,
    checks: Callable[[str, int], ModelCheck | None] = nothing_known,
) -> Deployment:
    """What is told of a role that is deployed."""
    found = deployment_of(role, seen, {seen.release(role): version}, checks)
    assert found is not None
    return found


def rolling(
    *, base: str = OTHER, replicas: int = 1, updated: int = 1, ready: int = 1, **status: object
) -> Object:
    """A Deployment amid a rollout to another base."""
    counts = {"replicas": replicas + 1, "updatedReplicas": updated, "readyReplicas": ready}
    progress = condition("Progressing", "True", "ReplicaSetUpdated", "is progressing.")
    return deployment(
        base=base, replicas=replicas, generation=2, status=counts | {"conditions": [progress]} | status
    )


def former(number: int = 1, *, replicas: int = 1) -> Object:
    """A ready Pod of the template before."""
    return pod(deployment(deployed_at=OLD, replicas=replicas), number=number, template="5d4f7c9b6d")


# The pointers


def test_services_say_which_release_plays_which_role() -> None:
    """Their selectors are the pointers."""
    seen = Observation(services=[service(Role.CURRENT, Release.GREEN), service(Role.NEW, Release.BLUE)])
    assert (seen.pointer(Role.CURRENT), seen.pointer(Role.NEW)) == (Release.GREEN, Release.BLUE)
    assert (seen.release(Role.CURRENT), seen.role(Release.BLUE)) == (Release.GREEN, Role.NEW)


def test_without_services_current_is_blue_and_new_the_other_one() -> None:
    """As in an empty namespace."""
    assert (Observation().pointer(Role.CURRENT), Observation().pointer(Role.NEW)) == (
        Release.BLUE,
        Release.GREEN,
    )
    only_current = Observation(services=[service(Role.CURRENT, Release.GREEN)])
    assert only_current.pointer(Role.NEW) is Release.BLUE


def test_amid_a_swap_the_roles_are_those_of_its_goal() -> None:
    """Both pointers are on one release for a moment, but never both roles."""
    both_green = [service(role, Release.GREEN) for role in Role]
    swap = PendingPromotion(current=Release.GREEN, new=Release.BLUE, split=0, undo=True, by="ann", at=0.0)
    seen = Observation(services=both_green, written=RouteConfig(100, RouteState(swap=swap), has_new=True))
    assert (seen.pointer(Role.NEW), seen.release(Role.NEW)) == (Release.GREEN, Release.BLUE)
    assert seen.release(Role.CURRENT) is Release.GREEN


def test_pointers_that_somebody_put_on_one_release_still_give_two_roles() -> None:
    """What Current points at is Current."""
    seen = Observation(services=[service(role, Release.GREEN) for role in Role])
    assert (seen.release(Role.CURRENT), seen.release(Role.NEW)) == (Release.GREEN, Release.BLUE)


def test_ready_addresses_are_the_endpoints_that_get_requests() -> None:
    """Of the role's slices only; what does not say whether it is ready counts as ready."""
    slices = [
        endpoint_slice(Role.CURRENT, "10.77.1.1"),
        endpoint_slice(Role.CURRENT, "10.77.1.2", ready=False),
        endpoint_slice(Role.CURRENT, "10.77.1.3", ready=None),
        endpoint_slice(Role.NEW, "10.77.2.1"),
        {**endpoint_slice(Role.NEW), "endpoints": None},
    ]
    seen = Observation(endpoint_slices=slices)
    assert seen.ready_addresses(Role.CURRENT) == {"10.77.1.1", "10.77.1.3"}
    assert seen.ready_addresses(Role.NEW) == {"10.77.2.1"}


def test_a_release_knows_its_pods_and_their_addresses() -> None:
    """By the label, whatever they are called."""
    blue, green = pod(complete()), pod(complete(Release.GREEN))
    seen = Observation(pods=[blue, green])
    assert seen.pods_of(Release.GREEN) == [green]
    assert seen.addresses_of(Release.BLUE) == {"10.77.1.1"}


# The state


def test_nothing_deployed_is_told_as_nothing() -> None:
    """Also while the Deployment is being deleted."""
    going = complete()
    going["metadata"]["deletionTimestamp"] = "2026-08-07T11:00:00Z"
    for seen in (Observation(services=SERVICES), seen_of(going)):
        assert deployment_of(Role.CURRENT, seen, {}, nothing_known) is None


def test_a_complete_rollout_is_ready() -> None:
    """With base, version and what the check found."""
    live = complete(replicas=2)
    seen = seen_of(live, pod(live), pod(live, number=2))
    assert told(seen, version=1) == Deployment(
        role=Role.CURRENT,
        release=Release.BLUE,
        base=BASE,
        desired=2,
        ready=2,
        state=State.READY,
        version=1,
        accuracy=0.985,
        input_shape=(-1, 28, 28, 1),
    )


def test_what_was_never_ready_is_starting() -> None:
    """And says what it is at."""
    live = deployment()
    found = told(seen_of(live, pod(live, RUNNING)), version=1)
    assert (found.state, found.ready, found.version) == (State.STARTING, 0, None)
    assert found.cause == "Loading the model: 0 of 1 replicas ready."


def test_a_change_that_was_not_taken_up_yet_is_not_ready() -> None:
    """Though the status still tells of the template before."""
    live = complete(deployed_at=NEW, generation=2)
    live["status"]["observedGeneration"] = 1
    found = told(seen_of(live, former()))
    assert (found.state, found.ready) == (State.UPDATING, 1)


def test_other_replicas_that_were_not_taken_up_yet_are_an_update() -> None:
    """The Pods are of the present template; nothing starts anew."""
    live = complete(replicas=1, generation=2)
    live["status"]["observedGeneration"] = 1
    assert told(seen_of(live, pod(live))).state is State.UPDATING


def test_while_a_rollout_is_under_way_the_former_model_is_shown() -> None:
    """It answers until the fresh one has taken over."""
    live = rolling(replicas=2, updated=1, ready=3)
    seen = seen_of(live, former(1), former(2), pod(live))
    found = told(seen)
    assert (found.state, found.base, found.ready, found.desired) == (State.UPDATING, BASE, 2, 2)
    assert found.cause == "Re-deploying: 1 of 2 new replicas ready. The former model keeps serving."


def test_an_update_tells_what_it_waits_for() -> None:
    """If there is more to tell than that it loads."""
    live = rolling()
    crashed = pod(live, replace(looping(1), restarts=0, state={"terminated": {"exitCode": 1}}, last=None))
    found = told(seen_of(live, former(), crashed))
    assert found.state is State.UPDATING
    assert found.cause.endswith("keeps serving. The model server ended with exit code 1.")


def test_a_redeploy_that_fails_leaves_the_former_model_serving() -> None:
    """Its base is shown, and the cause says both."""
    live = rolling()
    crashing = pod(live, looping(1))
    says = f"There is no saved_model.pb in {OTHER}/model/1; it holds nothing. Export the model there."
    found = told(seen_of(live, former(), crashing, logs={crashing["metadata"]["name"]: says}), version=1)
    assert (found.state, found.base, found.ready, found.version) == (State.FAILED, BASE, 1, 1)
    assert found.cause == f"{says} The former model keeps serving."
    assert found.next_step


def test_a_first_deployment_that_fails_says_so() -> None:
    """Nothing serves."""
    live = deployment()
    found = told(seen_of(live, pod(live, looping(137, "OOMKilled"))))
    assert (found.state, found.ready) == (State.FAILED, 0)
    assert found.cause.startswith("The model server ran out of memory")


def test_too_few_replicas_from_the_first_are_a_failure_with_their_number() -> None:
    """There is room for one of two."""
    live = deployment(replicas=2, status={"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1})
    full = condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")
    found = told(seen_of(live, pod(live), pod(live, None, number=2, conditions=[full])))
    assert (found.state, found.ready) == (State.FAILED, 1)
    assert found.cause.startswith("1 of 2 replicas ready. No node can take the Pod")


def test_a_replica_that_is_lost_later_degrades() -> None:
    """The others go on; what ails it is told, though it may never come back."""
    counts = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1, "conditions": [rolled_out()]}
    live = deployment(replicas=2, status=counts)
    found = told(seen_of(live, pod(live), pod(live, looping(137, "OOMKilled"), number=2)))
    assert (found.state, found.ready) == (State.DEGRADED, 1)
    assert found.cause.startswith("1 of 2 replicas ready. The model server ran out of memory")


def test_a_replica_that_is_replaced_degrades_for_the_time_being() -> None:
    """Nothing is wrong with the new Pod."""
    counts = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1, "conditions": [rolled_out()]}
    live = deployment(replicas=2, status=counts)
    found = told(seen_of(live, pod(live), pod(live, RUNNING, number=2)))
    assert (found.state, found.cause) == (State.DEGRADED, "Loading the model: 1 of 2 replicas ready.")


def test_all_replicas_lost_for_good_is_a_failure() -> None:
    """Nobody answers any more."""
    counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 0, "conditions": [rolled_out()]}
    live = deployment(status=counts)
    assert told(seen_of(live, pod(live, looping(137, "OOMKilled")))).state is State.FAILED


def test_scaled_to_nothing_by_somebody_else_is_degraded() -> None:
    """It would count as complete, but nobody answers."""
    found = told(seen_of(complete(replicas=0)))
    assert (found.state, found.desired, found.ready) == (State.DEGRADED, 0, 0)
    assert "0 replicas" in found.cause
    assert found.next_step


def test_a_rollout_is_not_over_while_old_replicas_are_left() -> None:
    """The new ones are all ready, and shown."""
    live = rolling(replicas=1, updated=1, ready=2)
    found = told(seen_of(live, former(), pod(live)))
    assert (found.state, found.base, found.ready) == (State.UPDATING, OTHER, 1)


def test_a_container_beside_the_model_server_does_no_harm() -> None:
    """A service mesh puts one into every Pod."""
    live = complete()
    one = pod(live)
    one["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "istio/proxyv2:1.27.0"})
    one["status"]["containerStatuses"].insert(0, READY.status("istio-proxy"))
    assert told(seen_of(live, one)).base == BASE


# What is known of the model


def test_a_version_that_took_over_later_is_told_with_its_own_check() -> None:
    """The annotation is about the version that was deployed."""
    live = complete()
    newer = check(version=2, accuracy=0.991)
    asked = []

    def checks(base: str, version: int) -> ModelCheck | None:
        asked.append((base, version))
        return newer

    found = told(seen_of(live, pod(live)), version=2, checks=checks)
    assert (found.version, found.accuracy, asked) == (2, 0.991, [(BASE, 2)])


def test_a_version_that_nobody_checked_has_no_accuracy() -> None:
    """Rather than another version's."""
    live = complete()
    found = told(seen_of(live, pod(live)), version=2)
    assert (found.version, found.accuracy, found.input_shape) == (2, None, ())


def test_a_model_that_could_not_be_checked_says_so_until_it_can() -> None:
    """The warning goes with the Pods."""
    warning = "Deployed unchecked: these credentials may not read gs://acme-models."
    unverified = ModelCheck(BASE, None, (), None, (warning,), unverified="may not be read")
    live = complete(found=unverified)
    assert told(seen_of(live, pod(live)), version=1).warnings == (warning,)
    later = told(seen_of(live, pod(live)), version=1, checks=lambda base, _: check(base))
    assert (later.warnings, later.accuracy) == ((), 0.985)


def test_new_warns_if_the_models_take_different_input() -> None:
    """The other card does not."""
    flat = check(OTHER, input_shape=(-1, 784))
    current, new = complete(), complete(Release.GREEN, base=OTHER, found=flat)
    seen = Observation(deployments=[current, new], pods=[pod(current), pod(new)], services=SERVICES)
    assert told(seen, Role.NEW, version=1).warnings == (
        "It takes (784,), Current (28, 28, 1): the dashboard adapts, "
        "but another program's request fits only one of them.",
    )
    assert told(seen, Role.CURRENT, version=1).warnings == ()


# The objects


def listed(routes: Routes, *, weight: int = 20) -> dict[tuple[str, str], EngineObject]:
    """Everything that is told of two releases, by kind and name."""
    live = routes.objects(RouteConfig(weight, RouteState(split=weight), has_new=True))
    for one in live:
        one["metadata"]["uid"] = one["metadata"]["name"]
    current, new = complete(key_hash="abc"), deployment(Release.GREEN, key_hash="abc")
    pods = [pod(current), pod(new, looping(137, "OOMKilled"))]
    seen = Observation(
        deployments=[new, current],
        pods=pods[::-1],
        services=SERVICES,
        endpoint_slices=[endpoint_slice(Role.CURRENT, "10.77.1.1"), endpoint_slice(Role.NEW)],
        routes=live,
        events=[
            event(pods[1], "Started", "Container started", lastTimestamp="2026-08-07T11:00:05Z"),
            event(pods[1], "BackOff", "Back-off restarting failed container", count=4),
            {
                **event(new, "SuccessfulCreate", "Created pod: mnist-green-6c8b449b8f-1"),
                "involvedObject": {"kind": "ReplicaSet", "name": "mnist-green-6c8b449b8f", "uid": "rs"},
            },
        ],
        logs={"mnist-green-6c8b449b8f-1": "Loading servable version {name: model version: 1}"},
        taken_at=1786100700.0,
    )
    return {(one.kind, one.name): one for one in engine_objects(seen, GATEWAY)}


INGRESSES = IngressRoutes("mnist.example.com", "nginx", NAMESPACE)
HTTP_ROUTES = GatewayRoutes("mnist.example.com", "infra/public", NAMESPACE)


def test_objects_come_in_the_order_of_a_request() -> None:
    """Routes, Services, Deployments, Pods; Current's before New's; and the Secret that they mount."""
    assert [f"{kind} {name}" for kind, name in listed(INGRESSES)] == [
        "Ingress mnist",
        "Ingress mnist-canary",
        "Service mnist-current",
        "Service mnist-new",
        "Deployment mnist-blue",
        "Deployment mnist-green",
        "Pod mnist-blue-6c8b449b8f-1",
        "Pod mnist-green-6c8b449b8f-1",
        "Secret mnist-gcs-credentials",
    ]


def test_an_ingress_tells_where_it_leads() -> None:
    """The canary with its weight."""
    canary = listed(INGRESSES)["Ingress", "mnist-canary"]
    assert canary.role is Role.NEW
    assert canary.details == {
        "Address": GATEWAY.url,
        "Host": "mnist.example.com",
        "Class": "nginx",
        "Service": "mnist-new",
        "Weight": "20",
    }
    assert "canary-weight" in canary.yaml


def test_an_http_route_tells_its_weights() -> None:
    """Of the rule that divides the traffic, not of those for the header."""
    route = listed(HTTP_ROUTES)["HTTPRoute", "mnist"]
    assert (route.role, route.state) == (None, "applied")
    assert route.details["Weights"] == "mnist-current 80, mnist-new 20"
    assert route.details["Gateway"] == "infra/public"


@pytest.mark.parametrize(("status", "state"), [("True", "accepted"), ("False", "refused")])
def test_an_http_route_tells_whether_its_gateway_takes_it(status: str, state: str) -> None:
    """By the conditions that the controller writes."""
    (route,) = HTTP_ROUTES.objects(RouteConfig(0, RouteState(), has_new=False))
    accepted = condition("Accepted", status, "Accepted" if status == "True" else "NoMatchingParent")
    route["status"] = {"parents": [{"parentRef": {"name": "public"}, "conditions": [accepted]}]}
    (told_of,) = engine_objects(Observation(routes=[route]), GATEWAY)
    assert told_of.state == state


def test_a_service_tells_its_pointer_and_its_ready_addresses() -> None:
    """And whether anybody is behind it."""
    objects = listed(INGRESSES)
    current, new = objects["Service", "mnist-current"], objects["Service", "mnist-new"]
    assert (current.state, current.details["Release"]) == ("ready", "blue")
    assert current.details["Ready addresses"] == "10.77.1.1"
    assert (new.state, new.role) == ("without replicas", Role.NEW)


def test_a_deployment_tells_what_it_runs() -> None:
    """What befell its ReplicaSets is told with it."""
    green = listed(INGRESSES)["Deployment", "mnist-green"]
    assert green.details == {
        "Replicas": "0 of 1 ready",
        "Image": IMAGE,
        "Model base": BASE,
        "Version": "1",
        "Release": "green",
    }
    assert green.state == "rolling out"
    assert "SuccessfulCreate: Created pod" in green.events[0]
    assert "MODEL_BASE_PATH" in green.yaml
    assert "status" not in green.yaml


def test_a_pod_tells_where_and_how_it_runs() -> None:
    """With its log, and its events with the newest first."""
    green = listed(INGRESSES)["Pod", "mnist-green-6c8b449b8f-1"]
    assert (green.role, green.state) == (Role.NEW, "starting")
    assert green.details == {
        "Node": "node-1",
        "Address": "10.77.2.1",
        "Model base": BASE,
        "Release": "green",
        "Restarts": "1",
        "Waiting": "CrashLoopBackOff",
        "Age": "5 min",
    }
    assert green.log.startswith("Loading servable")
    assert green.events == (
        "2026-08-07 11:00:10 UTC, BackOff: Back-off restarting failed container (4 times)",
        "2026-08-07 11:00:05 UTC, Started: Container started",
    )
    assert green.yaml == ""


def test_a_pod_that_is_ending_says_so() -> None:
    """It answers no more."""
    live = complete()
    going = pod(live)
    going["metadata"]["deletionTimestamp"] = "2026-08-07T11:05:00Z"
    assert [one.state for one in engine_objects(seen_of(live, going), GATEWAY) if one.kind == "Pod"] == [
        "stopping"
    ]


def test_the_secrets_content_is_nowhere() -> None:
    """Only that it is mounted, and by whom."""
    secret = listed(INGRESSES)["Secret", "mnist-gcs-credentials"]
    assert (secret.details, secret.yaml) == ({"Mounted by": "mnist-green, mnist-blue"}, "")
