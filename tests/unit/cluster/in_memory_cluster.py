"""A cluster on paper: keeps what is applied, and has Pods and endpoints for it at once."""

from __future__ import annotations

from collections.abc import Iterable

from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.manifests import pointer_of, release_of
from mnist_dash.cluster.observation import SERVICE_OF_SLICE, Observation
from mnist_dash.cluster.operations import Apply, Delete, Operation, Site
from mnist_dash.cluster.resources import RELEASE_LABEL, Object, service_name
from mnist_dash.domain import Deploy, ModelCheck, Release, Role

SITE = Site("mnist", "tensorflow/serving:2.19.0", IngressRoutes("my.example.com", "nginx", "mnist"))
LINEAR = ModelCheck("gs://models/linear", 1, (-1, 28, 28, 1), 0.92)
CNN = ModelCheck("gs://models/cnn", 3, (-1, 28, 28, 1), 0.99)
DEPLOY_CURRENT, DEPLOY_NEW = Deploy(Role.CURRENT, LINEAR, 1), Deploy(Role.NEW, CNN, 2)
ADDRESSES = {Release.BLUE: "10.77.1.1", Release.GREEN: "10.77.1.2"}


class PaperCluster:
    """Carries acts out; the Pods of a Deployment are ready at once, unless their release is `unready`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.unready: set[Release] = set()
        self.lingering: dict[Release, Object] = {}
        """The Pod templates of those whose Pods are still there after their Deployment."""

    def write(self, acts: Iterable[Operation]) -> None:
        """Carry all of them out."""
        for act in acts:
            match act:
                case Apply(one):
                    self.objects[one["kind"], one["metadata"]["name"]] = one
                case Delete(kind, name):
                    self.objects.pop((kind.name, name), None)

    def seen(self) -> Observation:
        """What a poll sees."""
        routes = self._of("Ingress")
        return Observation(
            deployments=self._of("Deployment"),
            pods=[_pod(release, template) for release, template in self._templates().items()],
            services=self._of("Service"),
            endpoint_slices=[self._slice(one) for one in self._of("Service")],
            routes=routes,
            written=SITE.routes.read(routes),
        )

    def answers(self, header: str = "") -> dict[str, int]:
        """Percent of the requests by the release that answers, as an ingress divides them; 503 for nobody."""
        seen = self.seen()
        weight = seen.written.weight if seen.written else 0
        to_new = {"always": 100, "never": 0}.get(header, weight) if seen.ready_addresses(Role.NEW) else 0
        shares: dict[str, int] = {}
        for role, share in ((Role.CURRENT, 100 - to_new), (Role.NEW, to_new)):
            release = seen.pointer(role).value if seen.ready_addresses(role) else "503"
            shares[release] = shares.get(release, 0) + share
        return {release: share for release, share in shares.items() if share}

    def _of(self, kind: str) -> list[Object]:
        return [one for (its_kind, _), one in self.objects.items() if its_kind == kind]

    def _templates(self) -> dict[Release, Object]:
        live = {Release(one["metadata"]["labels"][RELEASE_LABEL]): one for one in self._of("Deployment")}
        return self.lingering | {release: one["spec"]["template"] for release, one in live.items()}

    def _released(self) -> list[Release]:
        return [release for one in self._of("Deployment") if (release := release_of(one))]

    def _slice(self, service: Object) -> Object:
        release = pointer_of(service)
        ready = release in self._released() and release not in self.unready
        endpoints = [{"addresses": [ADDRESSES[release]], "conditions": {"ready": ready}}] if release else []
        labels = {SERVICE_OF_SLICE: service["metadata"]["name"]}
        return {"metadata": {"name": service["metadata"]["name"], "labels": labels}, "endpoints": endpoints}


def _pod(release: Release, template: Object) -> Object:
    status = {
        "podIP": ADDRESSES[release],
        "podIPs": [{"ip": ADDRESSES[release]}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    metadata = {**template["metadata"], "name": f"mnist-{release}-x"}
    return {"kind": "Pod", "metadata": metadata, "spec": template["spec"], "status": status}


def pointers(cluster: PaperCluster) -> tuple[str, str]:
    """The releases that Current and New point at."""
    selectors = [cluster.objects["Service", service_name(role)]["spec"]["selector"] for role in Role]
    current, new = (selector["mnist-dash/release"] for selector in selectors)
    return current, new
