"""The objects of the Objects tab, from plain data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.inventory import engine_objects
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.route_state import RouteConfig, RouteState
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.workloads import KubernetesEvent
from mnist_dash.domain import EngineObject, Gateway, Release, Role
from tests.unit.cluster.sample_objects import (
    BASE,
    IMAGE,
    NAMESPACE,
    complete,
    condition,
    deployment,
    endpoint_slice,
    event,
    looping,
    pod,
    service,
)

GATEWAY = Gateway("http://mnist.example.com")
INGRESSES = IngressRoutes("mnist.example.com", "nginx", NAMESPACE)
HTTP_ROUTES = GatewayRoutes("mnist.example.com", "infra/public", NAMESPACE)


def listed(routes: Routes, *, weight: int = 20) -> dict[tuple[str, str], EngineObject]:
    """The objects of two releases, by kind and name."""
    current, new = complete(key_hash="abc"), deployment(Release.GREEN, key_hash="abc")
    pods = [pod(current), pod(new, looping(137, "OOMKilled"))]
    replica_set = {"kind": "ReplicaSet", "name": "mnist-green-6c8b449b8f", "uid": "rs"}
    events = [
        event(pods[1], "Started", "Container started", lastTimestamp="2026-08-07T11:00:05Z"),
        event(pods[1], "BackOff", "Back-off restarting failed container", count=4),
        event(new, "SuccessfulCreate", "Created pod: mnist-green-6c8b449b8f-1", involvedObject=replica_set),
    ]
    observation = Observation.from_objects(
        [
            *routes.objects(RouteConfig(weight, RouteState(split=weight))),
            *(new, current),
            *pods[::-1],
            *(service(Role.CURRENT, Release.BLUE), service(Role.NEW, Release.GREEN)),
            *(endpoint_slice(Role.CURRENT, "10.77.1.1"), endpoint_slice(Role.NEW)),
        ],
        taken_at=1786100700.0,
    )
    observation = replace(
        observation,
        events=list(map(KubernetesEvent.from_object, events)),
        logs={"mnist-green-6c8b449b8f-1": "Loading servable version {name: model version: 1}"},
    )
    return {(item.kind, item.name): item for item in engine_objects(observation, GATEWAY)}


def test_objects_come_in_the_order_of_a_request() -> None:
    """Routes, Services, Deployments, Pods; Current's before New's; and the Secret that they mount."""
    objects = listed(INGRESSES)
    assert [f"{kind} {name}" for kind, name in objects] == [
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
    secret = objects["Secret", "mnist-gcs-credentials"]
    assert (secret.details, secret.yaml) == ({"Mounted by": "mnist-blue, mnist-green"}, "")


def test_an_ingress_has_its_target_and_the_canary_its_weight() -> None:
    """And the YAML that was applied."""
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


def test_an_http_route_has_its_weights() -> None:
    """Of the rule that divides the traffic, not of those for the header."""
    route = listed(HTTP_ROUTES)["HTTPRoute", "mnist"]
    assert (route.role, route.state) == (None, "applied")
    assert route.details["Weights"] == "mnist-current 80, mnist-new 20"
    assert route.details["Gateway"] == "infra/public"


@pytest.mark.parametrize(("status", "state"), [("True", "accepted"), ("False", "refused")])
def test_an_http_route_shows_whether_its_gateway_accepts_it(status: str, state: str) -> None:
    """By the conditions that the controller writes."""
    (route,) = HTTP_ROUTES.objects(RouteConfig(0, RouteState(), has_new=False))
    conditions = [condition("Accepted", status, "Accepted")]
    route["status"] = {"parents": [{"parentRef": {"name": "public"}, "conditions": conditions}]}
    (shown,) = engine_objects(Observation.from_objects([route]), GATEWAY)
    assert shown.state == state


def test_a_service_has_its_pointer_and_its_ready_addresses() -> None:
    """And a state that says whether there are any."""
    objects = listed(INGRESSES)
    current, new = objects["Service", "mnist-current"], objects["Service", "mnist-new"]
    assert (current.state, current.details["Release"]) == ("ready", "blue")
    assert current.details["Ready addresses"] == "10.77.1.1"
    assert (new.state, new.role) == ("without replicas", Role.NEW)


def test_a_deployment_has_its_model_and_the_events_of_its_replica_sets() -> None:
    """The YAML is what was applied."""
    green = listed(INGRESSES)["Deployment", "mnist-green"]
    assert green.details == {
        "Replicas": "0 of 1 ready",
        "Model": "mnist",
        "Image": IMAGE,
        "Model base": BASE,
        "Version": "1",
        "Release": "green",
    }
    assert green.state == "rolling out"
    assert "SuccessfulCreate: Created pod" in green.events[0]
    assert "MODEL_BASE_PATH" in green.yaml
    assert "status" not in green.yaml


def test_a_pod_has_its_state_log_and_events() -> None:
    """The newest event first."""
    green = listed(INGRESSES)["Pod", "mnist-green-6c8b449b8f-1"]
    assert (green.role, green.state, green.yaml) == (Role.NEW, "crash-looping", "")
    assert green.details == {
        "Model": "mnist",
        "Version": "1",
        "Release": "green",
        "Model base": BASE,
        "Node": "node-1",
        "Address": "10.77.2.1",
        "Restarts": "1",
        "Waiting": "CrashLoopBackOff",
        "Ended": "It was killed because it ran out of memory: its limit is 1Gi.",
        "Age": "5 min",
    }
    assert green.log.startswith("Loading servable")
    assert green.events == (
        "2026-08-07 11:00:10 UTC, BackOff: Back-off restarting failed container (4 times)",
        "2026-08-07 11:00:05 UTC, Started: Container started",
    )


def test_a_pod_that_is_being_deleted_is_stopping() -> None:
    """It answers no more."""
    ending = pod(complete())
    ending["metadata"]["deletionTimestamp"] = "2026-08-07T11:05:00Z"
    (shown,) = engine_objects(Observation.from_objects([ending]), GATEWAY)
    assert shown.state == "stopping"
