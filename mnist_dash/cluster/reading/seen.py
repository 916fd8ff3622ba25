"""What one poll of the cluster saw, as plain lists, and what is read off them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mnist_dash.cluster.manifests import pointer_of, release_of
from mnist_dash.cluster.objects.kinds import Object
from mnist_dash.cluster.objects.metadata import labels_of, name_of
from mnist_dash.cluster.objects.names import deployment_name, service_name
from mnist_dash.cluster.reading.pods import addresses
from mnist_dash.cluster.routing.route_state import Written
from mnist_dash.domain import Release, Role

SERVICE_OF_SLICE = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Seen:
    """Everything that one poll saw."""

    deployments: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    services: Sequence[Object] = ()
    endpoint_slices: Sequence[Object] = ()
    routes: Sequence[Object] = ()
    events: Sequence[Object] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    """The last lines of Pods by their names."""
    written: Written | None = None
    """What the routes say; None while there are none."""
    taken_at: float = 0.0
    """Seconds since the epoch."""

    @property
    def all(self) -> tuple[Object, ...]:
        """All that the dashboard applied: routes, Services, Deployments."""
        return (*self.routes, *self.services, *self.deployments)

    def deployment(self, release: Release) -> Object | None:
        """The Deployment of a release; None if there is none, or it is being deleted."""
        live = _named(self.deployments, deployment_name(release))
        return None if live is None or live["metadata"].get("deletionTimestamp") else live

    def service(self, role: Role) -> Object | None:
        """The Service of a role."""
        return _named(self.services, service_name(role))

    def pointer(self, role: Role) -> Release:
        """The release that a role's Service selects.

        A role whose Service selects none, or is missing, points at what the other role does not; where
        neither selects any, Current points at blue.
        """
        other = Role.NEW if role is Role.CURRENT else Role.CURRENT
        if found := self._selected(role):
            return found
        if others := self._selected(other):
            return others.other
        return Release.BLUE if role is Role.CURRENT else Release.GREEN

    def _selected(self, role: Role) -> Release | None:
        service = self.service(role)
        return pointer_of(service) if service else None

    def release(self, role: Role) -> Release:
        """The release that plays a role: never one for both, also while the pointers are being swapped."""
        current = self.pointer(Role.CURRENT)
        if self.pointer(Role.NEW) is not current:
            return self.pointer(role)
        swap = self.written.state.swap if self.written else None
        if swap:
            return swap.target(role)
        return current if role is Role.CURRENT else current.other

    def role(self, release: Release) -> Role:
        """The role that a release plays."""
        return Role.CURRENT if self.release(Role.CURRENT) is release else Role.NEW

    def ready_addresses(self, role: Role) -> frozenset[str]:
        """The addresses to which a role's Service leads now; those of Pods that end are not among them."""
        wanted = service_name(role)
        slices = [one for one in self.endpoint_slices if labels_of(one).get(SERVICE_OF_SLICE) == wanted]
        endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
        # No condition means that nobody knows, and clients are to take that for ready.
        ready = [one for one in endpoints if (one.get("conditions") or {}).get("ready") is not False]
        return frozenset(address for one in ready for address in one["addresses"])

    def addresses_of(self, release: Release) -> frozenset[str]:
        """The addresses of all Pods of a release, ready or not."""
        return frozenset(address for pod in self.pods_of(release) for address in addresses(pod))

    def pods_of(self, release: Release) -> list[Object]:
        """The Pods of a release, of whichever template."""
        return [pod for pod in self.pods if release_of(pod) is release]


def _named(objects: Sequence[Object], name: str) -> Object | None:
    return next((one for one in objects if name_of(one) == name), None)
