"""Read the cluster, and how often."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from mnist_dash.cluster import manifests
from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.observation import Observation, is_going, is_ready, restarts, statuses
from mnist_dash.cluster.resources import (
    CREDENTIALS_HASH,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    GATEWAY,
    INGRESS,
    INGRESS_CLASS,
    NAMESPACE,
    POD,
    SELECTOR,
    SERVICE,
    Object,
    annotations_of,
    name_of,
)
from mnist_dash.cluster.route_state import RouteConfig, RouteState
from mnist_dash.cluster.routes import Routes
from mnist_dash.errors import EngineError
from mnist_dash.settings import RouterKind, Settings

PROMOTING_SECONDS = 0.2
MOVING_SECONDS = 1.0
RESTING_SECONDS = 5.0
VIEWER_SECONDS = 15.0
"""So long after it last asked for a snapshot somebody counts as looking: an open page asks every second."""
RETRY_SECONDS = (1.0, 2.0, RESTING_SECONDS)
"""After the first, the second and every further failure."""


class PollInterval:
    """Decides when to look next; it does not depend on how many are looking."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._viewed = clock()
        self.failures = 0
        """Looks that failed since the last one that did not."""

    def viewed(self) -> bool:
        """Note that somebody is looking; returns whether nobody was before."""
        before, self._viewed = self._viewed, self._clock()
        return self._viewed - before > VIEWER_SECONDS

    def seconds(self, *, promoting: bool, driving: bool, moving: bool) -> float | None:
        """Until the next look; None: until somebody looks.

        `driving` is that something waits for this dashboard to carry it on, `moving` that what is observed is
        not yet what is wanted.
        """
        watched = self._clock() - self._viewed <= VIEWER_SECONDS
        if not watched and not promoting:
            return RESTING_SECONDS if driving else None
        if self.failures:
            return RETRY_SECONDS[min(self.failures, len(RETRY_SECONDS)) - 1]
        if promoting:
            return PROMOTING_SECONDS
        return MOVING_SECONDS if driving or moving else RESTING_SECONDS


LOG_LINES = 20


def read(api: KubernetesClient, routes: Routes, *, details: bool = False) -> Observation:
    """What there is now; raises EngineError if it cannot be read.

    Events and logs are fetched only for `details`, or where a Pod is not ready and the reason is wanted.
    """
    live_routes = [one for kind in routes.kinds for one in api.list(kind, selector=SELECTOR)]
    deployments, pods, services, slices = (
        api.list(kind, selector=SELECTOR) for kind in (DEPLOYMENT, POD, SERVICE, ENDPOINT_SLICE)
    )
    staying = [pod for pod in pods if not is_going(pod)]
    unready = [pod for pod in staying if not is_ready(pod)]
    unwell = bool(unready) or any(_is_short(one) for one in deployments)
    return Observation(
        deployments=deployments,
        pods=pods,
        services=services,
        endpoint_slices=slices,
        routes=live_routes,
        events=api.list(EVENT) if details or unwell else [],
        logs={name_of(pod): _log(api, pod) for pod in (staying if details else unready)},
        written=_adopted(routes, live_routes),
        taken_at=time.time(),
    )


def _adopted(routes: Routes, live: list[Object]) -> RouteConfig | None:
    """What the routes say; a weight that somebody else has set counts as the split that is wanted."""
    written = routes.read(live)
    if written is None or routes.is_weight_ours(live):
        return written
    return replace(written, state=replace(written.state, split=written.weight))


def _is_short(deployment: Object) -> bool:
    """Whether a Deployment has fewer ready Pods than it wants, perhaps because none could be made."""
    wanted: int = deployment["spec"].get("replicas", 1)
    return bool(deployment.get("status", {}).get("readyReplicas", 0) < wanted)


def _log(api: KubernetesClient, pod: Object) -> str:
    """The last lines of a Pod; of the run before, if it was started anew and has not become ready since."""
    name = name_of(pod)
    if all("waiting" in status.get("state", {}) for status in statuses(pod)) and not restarts(pod):
        return ""
    previous = api.logs(name, lines=LOG_LINES, previous=True) if restarts(pod) and not is_ready(pod) else ""
    return previous or api.logs(name, lines=LOG_LINES)


def around(api: KubernetesClient, settings: Settings) -> list[Object]:
    """What stands beside the routes and may be in their way, as far as it may be looked at."""
    found: list[Object] = []
    if settings.router is RouterKind.GATEWAY:
        namespace, _, name = settings.gateway.rpartition("/")
        with contextlib.suppress(EngineError):
            found += filter(None, [api.get(GATEWAY, name, namespace=namespace)])
        return found
    for kind in (INGRESS, INGRESS_CLASS):
        with contextlib.suppress(EngineError):
            found += api.list(kind)
    return found


def written_objects(seen: Observation, namespace: str, routes: Routes) -> tuple[Object, ...]:
    """All that the dashboard has applied, in the order in which it can be applied again.

    The split stays with the routes; who changed what, and a promotion under way, do not.
    """
    if not seen.deployments or seen.written is None:
        return ()
    bare = replace(seen.written, state=RouteState(split=seen.written.state.split))
    key = [manifests.secret(b"", namespace)] if key_hashes(seen) else []
    # One that is there already is used as it is, whoever made it: its labels stay theirs.
    space: Object = {"apiVersion": NAMESPACE.api, "kind": NAMESPACE.name, "metadata": {"name": namespace}}
    return (space, *key, *seen.services, *routes.objects(bare), *seen.deployments)


def key_hashes(seen: Observation) -> frozenset[str]:
    """The hashes of the key files that the Deployments were given."""
    given = (annotations_of(one["spec"]["template"]).get(CREDENTIALS_HASH) for one in seen.deployments)
    return frozenset(filter(None, given))
