"""Roles, pointers and addresses, parsed from the objects of a poll."""

from __future__ import annotations

from dataclasses import replace

from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.route_state import PendingPromotion, RouteConfig, RouteState
from mnist_dash.domain import Release, Role
from tests.unit.cluster.sample_objects import READY, complete, endpoint_slice, pod, service


def pointing(current: Release, new: Release) -> Observation:
    """Both Services, and nothing else."""
    return Observation.from_objects([service(Role.CURRENT, current), service(Role.NEW, new)])


def test_services_tell_which_release_plays_which_role() -> None:
    """Their selectors are the pointers."""
    observation = pointing(Release.GREEN, Release.BLUE)
    assert (observation.pointer(Role.CURRENT), observation.pointer(Role.NEW)) == (Release.GREEN, Release.BLUE)
    assert (observation.release(Role.CURRENT), observation.role(Release.BLUE)) == (Release.GREEN, Role.NEW)


def test_without_services_current_is_blue_and_new_the_other_one() -> None:
    """As in an empty namespace."""
    empty = Observation()
    assert (empty.pointer(Role.CURRENT), empty.pointer(Role.NEW)) == (Release.BLUE, Release.GREEN)
    only_current = Observation.from_objects([service(Role.CURRENT, Release.GREEN)])
    assert only_current.pointer(Role.NEW) is Release.BLUE


def test_during_a_promotion_the_roles_are_those_of_its_goal() -> None:
    """Both pointers are on one release for a moment, but never both roles."""
    goal = PendingPromotion(current=Release.GREEN, new=Release.BLUE, split=0, undo=True, by="ann", at=0.0)
    both_green = pointing(Release.GREEN, Release.GREEN)
    observation = replace(both_green, route=RouteConfig(100, RouteState(promotion=goal)))
    assert (observation.pointer(Role.NEW), observation.release(Role.NEW)) == (Release.GREEN, Release.BLUE)
    assert observation.release(Role.CURRENT) is Release.GREEN


def test_pointers_that_others_set_to_one_release_still_give_two_roles() -> None:
    """Current's pointer counts."""
    observation = pointing(Release.GREEN, Release.GREEN)
    assert (observation.release(Role.CURRENT), observation.release(Role.NEW)) == (Release.GREEN, Release.BLUE)


def test_ready_addresses_are_the_endpoints_that_get_requests() -> None:
    """Of the role's slices only; an endpoint without the condition counts as ready."""
    observation = Observation.from_objects(
        [
            endpoint_slice(Role.CURRENT, "10.77.1.1"),
            endpoint_slice(Role.CURRENT, "10.77.1.2", ready=False),
            endpoint_slice(Role.CURRENT, "10.77.1.3", ready=None),
            endpoint_slice(Role.NEW, "10.77.2.1"),
            {**endpoint_slice(Role.NEW), "endpoints": None},
        ]
    )
    assert observation.ready_addresses(Role.CURRENT) == {"10.77.1.1", "10.77.1.3"}
    assert observation.ready_addresses(Role.NEW) == {"10.77.2.1"}


def test_a_release_has_its_pods_and_their_addresses() -> None:
    """By the label, whatever they are called."""
    observation = Observation.from_objects([pod(complete()), pod(complete(Release.GREEN))])
    assert [found.name for found in observation.pods_of(Release.GREEN)] == ["mnist-green-6c8b449b8f-1"]
    assert observation.addresses_of(Release.BLUE) == {"10.77.1.1"}


def test_the_model_server_comes_first_among_the_containers() -> None:
    """A service mesh puts its own container into every Pod."""
    live = pod(complete())
    live["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "istio/proxyv2:1.27.0"})
    live["status"]["containerStatuses"].insert(0, READY.status("istio-proxy"))
    (found,) = Observation.from_objects([live]).pods
    assert [container.name for container in found.containers] == ["tensorflow-serving", "istio-proxy"]
    assert found.containers[0].memory_limit == "1Gi"
