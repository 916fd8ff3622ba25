"""The cluster as one poll observed it: Pods, Deployments, and which release plays which role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mnist_dash.cluster import resources
from mnist_dash.cluster.manifests import pointer_of
from mnist_dash.cluster.resources import Kind, Object, name_of
from mnist_dash.cluster.route_state import PendingPromotion, RouteConfig, RouteState
from mnist_dash.cluster.workloads import KubernetesEvent, Pod, Workload
from mnist_dash.domain import Release, Role

ROUTE_KINDS = (resources.INGRESS, resources.HTTP_ROUTE)
SERVICE_OF_SLICE = "kubernetes.io/service-name"
SERVICE_NAMES = {role: resources.service_name(role) for role in Role}


@dataclass(frozen=True)
class Observation:
    """Everything that one poll observed."""

    objects: tuple[Object, ...] = ()
    """All that carry the dashboard's label, as the API server listed them."""
    workloads: Mapping[Release, Workload] = field(default_factory=dict)
    """Without those that are being deleted."""
    pods: Sequence[Pod] = ()
    services: Mapping[Role, Object] = field(default_factory=dict)
    endpoints: Mapping[Role, frozenset[str]] = field(default_factory=dict)
    """The addresses to which the role's Service leads now."""
    routes: Sequence[Object] = ()
    route: RouteConfig | None = None
    """The configuration that the routes hold; None while there are none."""
    events: Sequence[KubernetesEvent] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    """The last lines of Pods by their names."""
    taken_at: float = 0.0
    """Seconds since the epoch."""

    @classmethod
    def from_objects(
        cls, objects: Iterable[Object], *, route: RouteConfig | None = None, taken_at: float = 0.0
    ) -> Observation:
        """Parse what was listed; `route` is what the `Routes` in use read from it."""
        objects = tuple(objects)
        deployments, services = _by_name(objects, resources.DEPLOYMENT), _by_name(objects, resources.SERVICE)
        slices = [item for item in objects if item["kind"] == resources.ENDPOINT_SLICE.name]
        live = {release: deployments.get(resources.deployment_name(release)) for release in Release}
        pods = [Pod.from_object(item) for item in objects if item["kind"] == resources.POD.name]
        return cls(
            objects=objects,
            workloads={
                release: Workload.from_object(release, found, pods)
                for release, found in live.items()
                if found and not found["metadata"].get("deletionTimestamp")
            },
            pods=pods,
            services={role: services[name] for role, name in SERVICE_NAMES.items() if name in services},
            endpoints={role: _ready_addresses(slices, name) for role, name in SERVICE_NAMES.items()},
            routes=[item for item in objects if item["kind"] in [kind.name for kind in ROUTE_KINDS]],
            route=route,
            taken_at=taken_at,
        )

    @property
    def applied(self) -> tuple[Object, ...]:
        """The objects that the dashboard applied and can read: routes, Services, Deployments."""
        kinds = (*ROUTE_KINDS, resources.SERVICE, resources.DEPLOYMENT)
        return tuple(item for kind in kinds for item in self.objects if item["kind"] == kind.name)

    @property
    def state(self) -> RouteState:
        """The state last written to the routes; a bare one if nothing was yet."""
        return self.route.state if self.route else RouteState()

    @property
    def promotion(self) -> PendingPromotion | None:
        """The promotion under way, whichever dashboard started it."""
        return self.state.promotion

    @property
    def weight(self) -> int:
        """The percentage that the routes send to New."""
        return self.route.weight if self.route else 0

    @property
    def key_hashes(self) -> frozenset[str]:
        """The hashes of the key files that the Pods are given."""
        return frozenset(w.key_hash for w in self.workloads.values() if w.key_hash)

    def live(self, kind: Kind, name: str) -> Object | None:
        """A listed object, or None."""
        return _by_name(self.objects, kind).get(name)

    def pointer(self, role: Role) -> Release:
        """The release that a role's Service selects.

        A role whose Service selects none, or is missing, points at what the other role does not; where
        neither selects any, Current points at blue.
        """
        other = Role.NEW if role is Role.CURRENT else Role.CURRENT
        if selected := self._selected(role):
            return selected
        if selected := self._selected(other):
            return selected.other
        return Release.BLUE if role is Role.CURRENT else Release.GREEN

    @property
    def pointers(self) -> dict[Role, Release]:
        """The release that each role points at."""
        return {role: self.pointer(role) for role in Role}

    def _selected(self, role: Role) -> Release | None:
        return pointer_of(self.services[role]) if role in self.services else None

    def release(self, role: Role) -> Release:
        """The release that plays a role: never one for both, also while the pointers are being swapped."""
        current = self.pointer(Role.CURRENT)
        if self.pointer(Role.NEW) is not current:
            return self.pointer(role)
        if self.promotion:
            return self.promotion.target(role)
        return current if role is Role.CURRENT else current.other

    def role(self, release: Release) -> Role:
        """The role that a release plays."""
        return Role.CURRENT if self.release(Role.CURRENT) is release else Role.NEW

    def workload(self, role: Role) -> Workload | None:
        """The Deployment that plays a role; None if there is none, or it is being deleted."""
        return self.workloads.get(self.release(role))

    def ready_addresses(self, role: Role) -> frozenset[str]:
        """The addresses to which a role's Service leads now; those of Pods that end are not among them."""
        return self.endpoints.get(role, frozenset())

    def addresses_of(self, release: Release) -> frozenset[str]:
        """The addresses of all Pods of a release, ready or not."""
        return frozenset(address for pod in self.pods_of(release) for address in pod.addresses)

    def pods_of(self, release: Release) -> list[Pod]:
        """The Pods of a release, of whichever template."""
        return [pod for pod in self.pods if pod.release is release]


def _by_name(objects: Iterable[Object], kind: Kind) -> dict[str, Object]:
    return {name_of(item): item for item in objects if item["kind"] == kind.name}


def _ready_addresses(slices: Iterable[Object], service: str) -> frozenset[str]:
    own = [item for item in slices if resources.labels_of(item).get(SERVICE_OF_SLICE) == service]
    endpoints = [endpoint for item in own for endpoint in item.get("endpoints") or ()]
    # The API defines an absent condition as ready.
    ready = [item for item in endpoints if (item.get("conditions") or {}).get("ready") is not False]
    return frozenset(address for item in ready for address in item["addresses"])
