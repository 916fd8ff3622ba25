"""A cluster in memory: keeps the objects that are applied, with Pods and endpoints for them at once."""

from __future__ import annotations

from collections.abc import Iterable

from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.manifests import pointer_of, release_of
from mnist_dash.cluster.observation import SERVICE_OF_SLICE, Observation
from mnist_dash.cluster.operations import Operation, Site, operations_for
from mnist_dash.cluster.polling import observe
from mnist_dash.cluster.resources import Object, name_of, service_name
from mnist_dash.domain import Change, Deploy, ModelCheck, Release, Role, SetSplit

SITE = Site("mnist", "tensorflow/serving:2.19.0", IngressRoutes("my.example.com", "nginx", "mnist"))
LINEAR = ModelCheck("gs://models/linear", 1, (-1, 28, 28, 1), 0.92, 2000)
CNN = ModelCheck("gs://models/cnn", 3, (-1, 28, 28, 1), 0.99, 2000)
DEPLOY_CURRENT, DEPLOY_NEW = Deploy(Role.CURRENT, LINEAR, 1), Deploy(Role.NEW, CNN, 2)
ADDRESSES = {Release.BLUE: "10.77.1.1", Release.GREEN: "10.77.1.2"}


class InMemoryCluster:
    """Applies operations; the Pods of a Deployment are ready at once, unless their release is `unready`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.unready: set[Release] = set()
        self.lingering: dict[Release, Object] = {}
        """The Pod templates of releases whose Pods outlive their Deployment."""

    @classmethod
    def with_both(cls) -> InMemoryCluster:
        """Linear is Current on blue, convolutional New on green, split 20."""
        cluster = cls()
        for change in (DEPLOY_CURRENT, DEPLOY_NEW, SetSplit(20)):
            cluster.change(change)
        return cluster

    def change(self, change: Change, by: str = "ann", now: float | None = None) -> None:
        """Apply the operations of a change."""
        self.write(operations_for(change, self.observe(), SITE, by, now=now))

    def write(self, operations: Iterable[Operation]) -> None:
        """Apply operations in order."""
        for op in operations:
            if op.manifest:
                self.objects[op.kind.name, op.name] = op.manifest
            else:
                self.objects.pop((op.kind.name, op.name), None)

    def observe(self) -> Observation:
        """What a poll observes."""
        pods = [_pod(release, template) for release, template in self._templates().items()]
        slices = [self._slice(service) for service in self._of("Service")]
        return observe([*self.objects.values(), *pods, *slices], SITE.routes)

    def answers(self) -> dict[str, int]:
        """Percent of the requests by the release that answers, as an ingress divides them; 503 for none."""
        observation = self.observe()
        has_new = bool(observation.ready_addresses(Role.NEW))
        to_new = observation.weight if has_new else 0
        shares: dict[str, int] = {}
        for role, share in ((Role.CURRENT, 100 - to_new), (Role.NEW, to_new)):
            release = observation.pointer(role).value if observation.ready_addresses(role) else "503"
            shares[release] = shares.get(release, 0) + share
        return {release: share for release, share in shares.items() if share}

    def pointers(self) -> tuple[str, str]:
        """The releases that Current and New point at."""
        selectors = [self.objects["Service", service_name(role)]["spec"]["selector"] for role in Role]
        current, new = (selector["mnist-dash/release"] for selector in selectors)
        return current, new

    def _of(self, kind: str) -> list[Object]:
        return [item for (its_kind, _), item in self.objects.items() if its_kind == kind]

    def _templates(self) -> dict[Release, Object]:
        live = {release_of(item): item["spec"]["template"] for item in self._of("Deployment")}
        return self.lingering | {release: template for release, template in live.items() if release}

    def _slice(self, service: Object) -> Object:
        release = pointer_of(service)
        ready = ("Deployment", f"mnist-{release}") in self.objects and release not in self.unready
        endpoints = [{"addresses": [ADDRESSES[release]], "conditions": {"ready": ready}}] if release else []
        metadata = {"name": name_of(service), "labels": {SERVICE_OF_SLICE: name_of(service)}}
        return {"kind": "EndpointSlice", "metadata": metadata, "endpoints": endpoints}


def _pod(release: Release, template: Object) -> Object:
    status = {
        "podIPs": [{"ip": ADDRESSES[release]}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    metadata = {**template["metadata"], "name": f"mnist-{release}-x"}
    return {"kind": "Pod", "metadata": metadata, "spec": template["spec"], "status": status}
