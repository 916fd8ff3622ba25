"""Read the cluster, and decide how often."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import partial
from typing import TypeVar

from mnist_dash.cluster import manifests, resources
from mnist_dash.cluster.api_client import LOG_SECONDS, KubernetesClient
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_state import RouteState
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.workloads import KubernetesEvent, Pod
from mnist_dash.errors import EngineError
from mnist_dash.settings import RouterKind, Settings

PROMOTING_SECONDS = 0.2
MOVING_SECONDS = 1.0
RESTING_SECONDS = 5.0
VIEWER_SECONDS = 15.0
"""A viewer counts as active for so long after a request for a snapshot; pages make one every second."""
RETRY_SECONDS = (1.0, 2.0, RESTING_SECONDS)
"""After the first, the second and every further failure."""
LOG_LINES = 20
T = TypeVar("T")


class PollInterval:
    """Decides when to poll next; it does not depend on the number of viewers."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._viewed = clock()
        self.failures = 0
        """Polls that failed since the last one that did not."""

    def note_viewer(self) -> bool:
        """Note a viewer; returns whether there was none before."""
        before, self._viewed = self._viewed, self._clock()
        return self._viewed - before > VIEWER_SECONDS

    def seconds(self, *, promoting: bool, driving: bool, moving: bool) -> float | None:
        """Until the next poll; None: until there is a viewer.

        `driving` means that this dashboard has writes to do, `moving` that the cluster is not yet as desired.
        """
        watched = self._clock() - self._viewed <= VIEWER_SECONDS
        if not watched and not promoting:
            return RESTING_SECONDS if driving else None
        if self.failures:
            return RETRY_SECONDS[min(self.failures, len(RETRY_SECONDS)) - 1]
        if promoting:
            return PROMOTING_SECONDS
        return MOVING_SECONDS if driving or moving else RESTING_SECONDS


def start(call: Callable[[], T]) -> Future[T]:
    """Begin a request beside others; its daemon thread cannot hold up the end of the dashboard."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="request", daemon=True).start()
    return future


def poll(
    api: KubernetesClient, routes: Routes, *, details: bool = False, reasons: Observation | None = None
) -> Observation:
    """Observe the cluster; raises EngineError if it cannot be read.

    Events and logs are read only for `details`, or where a Pod is not ready and the reason is wanted; with
    `reasons`, they are those of this earlier observation: a click does not wait for them.
    """
    # The routes first: a promotion moves the pointers before it ends in the routes, so that no order of the
    # other lists shows its end without its effect.
    objects = [item for kind in routes.kinds for item in api.list(kind, selector=resources.SELECTOR)]
    kinds = (resources.DEPLOYMENT, resources.POD, resources.SERVICE, resources.ENDPOINT_SLICE)
    lists = [start(partial(api.list, kind, selector=resources.SELECTOR)) for kind in kinds]
    objects += [item for listed in lists for item in listed.result()]
    observation = observe(objects, routes, reasons=reasons)
    if reasons:
        return observation
    staying = [pod for pod in observation.pods if not pod.is_ending]
    unready = [pod for pod in staying if not pod.is_ready]
    # A Deployment may lack Pods because none can be created; its events say why.
    short = any(workload.ready < workload.desired for workload in observation.workloads.values())
    events = start(partial(api.list, resources.EVENT)) if details or unready or short else None
    asked = [pod for pod in (staying if details else unready) if not pod.is_node_silent]
    logs = {pod.name: start(partial(_log, api, pod)) for pod in asked}
    wait(logs.values(), LOG_SECONDS)
    return replace(
        observation,
        events=[KubernetesEvent.from_object(item) for item in events.result()] if events else (),
        logs={name: log.result() for name, log in logs.items() if log.done()},
    )


def observe(objects: Iterable[Object], routes: Routes, *, reasons: Observation | None = None) -> Observation:
    """Parse what was listed; a weight that another program has set counts as the desired split."""
    observation = Observation.from_objects(objects, taken_at=time.time())
    if reasons:
        observation = replace(observation, events=reasons.events, logs=reasons.logs)
    route = routes.read(observation.routes)
    if route and not routes.is_weight_ours(observation.routes):
        route = replace(route, state=replace(route.state, split=route.weight))
    return replace(observation, route=route)


def _log(api: KubernetesClient, pod: Pod) -> str:
    """The last lines of a Pod; of the run before, if it was restarted and has not become ready since."""
    if not pod.has_run:
        return ""
    is_new_run = pod.restarts > 0 and not pod.is_ready and not pod.containers[0].has_just_ended
    previous = is_new_run and api.logs(pod.name, lines=LOG_LINES, previous=True)
    return previous or api.logs(pod.name, lines=LOG_LINES)


def list_neighbours(api: KubernetesClient, settings: Settings) -> list[Object]:
    """List what may be in the routes' way: other Ingresses and classes, or the Gateway, as far as allowed."""
    found: list[Object] = []
    if settings.router is RouterKind.GATEWAY:
        namespace, _, name = settings.gateway.rpartition("/")
        with contextlib.suppress(EngineError):
            found += filter(None, [api.get(resources.GATEWAY, name, namespace=namespace)])
        return found
    for kind in (resources.INGRESS, resources.INGRESS_CLASS):
        with contextlib.suppress(EngineError):
            found += api.list(kind)
    return found


def applied_objects(observation: Observation, namespace: str, routes: Routes) -> tuple[Object, ...]:
    """All that the dashboard has applied, in the order in which it can be applied again.

    The split stays with the routes; the history and a promotion under way do not.
    """
    workloads = observation.workloads.values()
    if not workloads or observation.route is None:
        return ()
    bare = replace(observation.route, state=RouteState(split=observation.state.split))
    key = [manifests.secret(b"", namespace)] if observation.key_hashes else []
    # An existing namespace is used as it is, whoever made it: its labels stay theirs.
    space: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    budgets = (manifests.disruption_budget(release, namespace) for release in observation.workloads)
    deployments = (workload.live for workload in workloads)
    return (space, *key, *observation.services.values(), *routes.objects(bare), *budgets, *deployments)
