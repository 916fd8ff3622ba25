"""The route as two Ingresses, the second with canary annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mnist_dash.cluster import resources
from mnist_dash.cluster.drift import is_as_applied
from mnist_dash.cluster.resources import Kind, Object
from mnist_dash.cluster.route_faults import find_differences, find_object
from mnist_dash.cluster.route_state import RouteConfig, read_state
from mnist_dash.domain import ROUTE_HEADER, Role

CANARY: Final = "nginx.ingress.kubernetes.io/canary"
WEIGHT: Final = f"{CANARY}-weight"
BY_HEADER: Final = f"{CANARY}-by-header"
SSL_REDIRECT: Final = "nginx.ingress.kubernetes.io/ssl-redirect"
WITHOUT_NEW: Final = "mnist-dash/without-new"
"""Says that New cannot answer; controllers then ask Current, so no other field of an Ingress shows it."""
CANARY_CONTROLLERS: Final = (
    "ingress-nginx, Traefik from 3.7 on (with its provider kubernetesIngressNGINX) and Higress read them. "
    "Use one of these, or Gateway API with --router gateway."
)
_NOT_CANARY_CONTROLLERS: Final = ("nginx.org", "haproxy", "apisix", "traefik.io", "konghq.com", "k8s.aws")
"""Parts of the controller names of F5, HAProxy, APISIX, Traefik (its own class), Kong and AWS."""


@dataclass(frozen=True)
class IngressRoutes:
    """Ingress `mnist` leads to Current, `mnist-canary` to New; the split is an annotation of the canary.

    TLS is left to the controller's default certificate, or to another manager of `spec.tls`.
    """

    host: str
    ingress_class: str
    namespace: str
    scheme: str = "http"
    kinds: tuple[Kind, ...] = (resources.INGRESS,)
    state_name: str = resources.CANARY_NAME
    reads: str = "canary annotations"
    advice: str = CANARY_CONTROLLERS

    @property
    def controller(self) -> str:
        """Name the program that divides the traffic."""
        return f"the controller of the ingress class {self.ingress_class}"

    def objects(self, config: RouteConfig) -> list[Object]:
        """Return both Ingresses; the canary is switched off by weight 0, never deleted."""
        canary = {
            CANARY: "true",
            WEIGHT: str(config.weight),
            BY_HEADER: ROUTE_HEADER,
            **({} if config.has_new else {WITHOUT_NEW: "true"}),
            **config.state.to_annotations(),
        }
        main = {SSL_REDIRECT: "false"} if self.scheme == "http" else {}
        names = (resources.ROUTE_NAME, resources.CANARY_NAME)
        return [*map(self._ingress, names, (Role.CURRENT, Role.NEW), (main, canary))]

    def _ingress(self, name: str, role: Role, annotations: dict[str, str]) -> Object:
        backend = {"service": {"name": resources.service_name(role), "port": {"number": resources.REST_PORT}}}
        path = {"path": resources.PATH, "pathType": "Prefix", "backend": backend}
        rules = [{"host": self.host, "http": {"paths": [path]}}]
        head = resources.head(resources.INGRESS, name, self.namespace, "router")
        head["metadata"] |= {"annotations": annotations} if annotations else {}
        return {**head, "spec": {"ingressClassName": self.ingress_class, "rules": rules}}

    def read(self, live: Sequence[Object]) -> RouteConfig | None:
        """Read the canary's annotations; None while there is no canary."""
        config = self._read_annotations(live)
        return config and replace(config, trouble=(*self.find_faults(live), *config.trouble))

    def _read_annotations(self, live: Sequence[Object]) -> RouteConfig | None:
        canary = find_object(live, resources.INGRESS, resources.CANARY_NAME)
        if canary is None:
            return None
        annotations = resources.annotations_of(canary)
        weight = weight_of(annotations)
        state, trouble = read_state(annotations, f"Ingress {resources.CANARY_NAME}", weight)
        return RouteConfig(weight, state, annotations.get(WITHOUT_NEW) != "true", trouble)

    def find_faults(self, live: Sequence[Object]) -> tuple[str, ...]:
        """Return what keeps the controller from dividing the traffic by the split, with a next step each.

        Other Ingresses and IngressClasses are checked if they are among the objects.
        """
        config = self._read_annotations(live) or RouteConfig(0)
        return (
            *_class_faults(live, self.ingress_class),
            *find_differences(self.objects(config), live),
            *_other_faults(live, self.host),
        )

    def is_weight_ours(self, live: Sequence[Object]) -> bool:
        """Whether the weight is still the one that the dashboard applied."""
        canary = find_object(live, resources.INGRESS, resources.CANARY_NAME)
        return canary is None or is_as_applied(canary, f".metadata.annotations.{WEIGHT}")


def weight_of(annotations: dict[str, str]) -> int:
    """Return the weight as controllers read it: 0 for no integer, the nearest end if it is out of range."""
    try:
        return max(0, min(100, int(annotations.get(WEIGHT, "0"))))
    except ValueError:
        return 0


def _class_faults(live: Sequence[Object], name: str) -> Iterator[str]:
    found = [item for item in live if item["kind"] == resources.INGRESS_CLASS.name]
    classes = {resources.name_of(item): item.get("spec") or {} for item in found}
    controller = classes.get(name, {}).get("controller", "")
    if classes and name not in classes:
        flag = f"--ingress-class {' or '.join(sorted(classes))}"
        yield f"The cluster has no ingress class {name}. Start the dashboard with {flag}."
    elif any(part in controller for part in _NOT_CANARY_CONTROLLERS):
        yield f"The controller {controller} does not read canary annotations. {CANARY_CONTROLLERS}"


def _other_faults(live: Sequence[Object], host: str) -> Iterator[str]:
    """Yield what others have added: an annotation of the canary, or an Ingress that competes with it."""
    for ingress in live:
        if ingress["kind"] != resources.INGRESS.name:
            continue
        name = resources.name_of(ingress)
        total = resources.annotations_of(ingress).get(f"{WEIGHT}-total", "100")
        if name == resources.CANARY_NAME and total != "100":
            yield f"Ingress {name} has the annotation {WEIGHT}-total {total!r}, not '100'. Remove it."
        is_ours = name in (resources.ROUTE_NAME, resources.CANARY_NAME)
        if not is_ours and (conflict := _conflict(ingress, host)):
            yield f"Ingress {name} {conflict}. Delete it, or let it lead elsewhere."


def _conflict(other: Object, host: str) -> str:
    for rule in other["spec"].get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            if (rule.get("host"), path.get("path")) == (host, resources.PATH):
                return "has the same host and path, and either may win"
            if (path["backend"].get("service") or {}).get("name") == resources.service_name(Role.NEW):
                return "leads to New too, which stops the canary in some controllers"
    return ""
