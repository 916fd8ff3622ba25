"""The route as an HTTPRoute of the Gateway API, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mnist_dash.cluster.ingress import REPAIR
from mnist_dash.cluster.managed_fields import is_as_applied
from mnist_dash.cluster.resources import (
    GATEWAY,
    HTTP_ROUTE,
    PATH,
    REST_PORT,
    ROUTE_NAME,
    Kind,
    Object,
    labels,
    service_name,
)
from mnist_dash.cluster.route_state import RouteConfig, read_state
from mnist_dash.domain import FORCING, ROUTE_HEADER, Role, Route

ALWAYS, NEVER = FORCING[Route.NEW], FORCING[Route.CURRENT]
_ROUTE: Final = f"HTTPRoute {ROUTE_NAME}"
_CURRENT, _NEW = (service_name(role) for role in (Role.CURRENT, Role.NEW))


@dataclass(frozen=True)
class Parent:
    """The Gateway that the HTTPRoute belongs to."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"Gateway {self.namespace}/{self.name}"

    def is_meant_by(self, reference: Object, namespace: str) -> bool:
        """Whether a parentRef of an object in `namespace` means it."""
        place = (reference.get("namespace", namespace), reference["name"])
        return reference.get("kind", GATEWAY.name) == GATEWAY.name and place == (self.namespace, self.name)

    def is_among(self, live: Sequence[Object]) -> bool:
        """Whether it is one of the live objects."""
        return any(
            one["kind"] == GATEWAY.name
            and (one["metadata"]["namespace"], one["metadata"]["name"]) == (self.namespace, self.name)
            for one in live
        )


def faults_of(live: Sequence[Object], host: str, parent: Parent) -> Iterator[str]:
    """A sentence or two for each fault."""
    route = http_route(live)
    if route is None:
        yield f"{_ROUTE} is missing, so every request is answered with 404. {REPAIR}"
        return
    yield from written_faults(route, host, parent)
    yield from _controller_faults(route, parent, live)


def written_faults(route: Object, host: str, parent: Parent) -> Iterator[str]:
    """What is wrong with what the HTTPRoute asks for, whatever a controller says."""
    spec, namespace = route["spec"], route["metadata"]["namespace"]
    if host not in (hosts := spec.get("hostnames") or []):
        found = ", ".join(hosts) or "none"
        yield f"{_ROUTE} has the host {found}, not {host}, so it gets no request. {REPAIR}"
    if not any(parent.is_meant_by(one, namespace) for one in spec.get("parentRefs") or ()):
        yield f"{_ROUTE} does not belong to {parent}, so it gets no request. {REPAIR}"
    weights = weights_of(rule_for(route))
    if not weights:
        yield f"{_ROUTE} has no rule for the path prefix {PATH}, so requests get no answer. {REPAIR}"
    elif strangers := sorted(weights.keys() - {_CURRENT, _NEW}):
        yield f"{_ROUTE} sends requests to {' and '.join(strangers)} too. {REPAIR}"
    elif not sum(weights.values()):
        yield f"{_ROUTE} has no weight above 0, so requests get no answer. {REPAIR}"
    yield from _header_faults(route)


def http_route(live: Sequence[Object]) -> Object | None:
    """The dashboard's HTTPRoute, or None."""
    routes = (one for one in live if one["kind"] == HTTP_ROUTE.name)
    return next((one for one in routes if one["metadata"]["name"] == ROUTE_NAME), None)


def rule_for(route: Object, header: str = "") -> Object:
    """The rule for a value of the route header, or for requests without it; empty if there is none."""
    wanted = [(ROUTE_HEADER.lower(), header)] if header else []
    for rule in route["spec"].get("rules") or ():
        for match in rule.get("matches") or ():
            path = match.get("path") or {}
            headers = [(one["name"].lower(), one["value"]) for one in match.get("headers") or ()]
            if (path.get("type"), path.get("value"), headers) == ("PathPrefix", PATH, wanted):
                found: Object = rule
                return found
    return {}


def weights_of(rule: Object) -> dict[str, int]:
    """The weight of each Service in a rule."""
    return {one["name"]: one.get("weight", 1) for one in rule.get("backendRefs") or ()}


def _header_faults(route: Object) -> Iterator[str]:
    """`always` may lead to Current as well: it does as long as New cannot answer."""
    for header, role, allowed in (
        (ALWAYS, Role.NEW, ({_NEW}, {_CURRENT})),
        (NEVER, Role.CURRENT, ({_CURRENT},)),
    ):
        if set(weights_of(rule_for(route, header))) not in allowed:
            lacks = f"{_ROUTE} lacks the rule for the header {ROUTE_HEADER}: {header}"
            yield f"{lacks}, so no request can be forced to {role.label}. {REPAIR}"


def _controller_faults(route: Object, parent: Parent, live: Sequence[Object]) -> Iterator[str]:
    namespace = route["metadata"]["namespace"]
    parents = (route.get("status") or {}).get("parents") or ()
    ours = [one for one in parents if parent.is_meant_by(one["parentRef"], namespace)]
    if not ours:
        yield _nobody(parent, live)
    for one in ours:
        for condition in one.get("conditions") or ():
            yield from _condition_faults(condition, parent)


def _nobody(parent: Parent, live: Sequence[Object]) -> str:
    """No controller has said anything about the route."""
    if parent.is_among(live):
        why = f"though {parent} is there. Look whether the controller of its GatewayClass runs."
        return f"No controller serves {_ROUTE}, {why}"
    look = f"kubectl get gateway --namespace={parent.namespace} {parent.name}"
    return f"No controller serves {_ROUTE}: {parent} is missing, or its controller does not run. Look: {look}"


def _condition_faults(condition: Object, parent: Parent) -> Iterator[str]:
    if condition["status"] != "False":
        return
    said = f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": .")
    if condition["type"] == "Accepted":
        look = "Look whether a listener of it allows this host, and routes from this namespace."
        yield f"{parent} does not accept {_ROUTE} ({said}). {look}"
    elif condition["type"] == "ResolvedRefs":
        yield f"{parent} cannot find what {_ROUTE} leads to ({said}). A deployment writes the Services anew."


def backends(weight: int) -> list[Object]:
    """The backends among which New gets `weight` percent."""
    return [_backend(Role.CURRENT, 100 - weight), _backend(Role.NEW, weight)]


def _backend(role: Role, weight: int = 1) -> Object:
    name = service_name(role)
    return {"group": "", "kind": "Service", "name": name, "port": REST_PORT, "weight": weight}


def _rule(backends: list[Object], header: str = "") -> Object:
    match: Object = {"path": {"type": "PathPrefix", "value": PATH}}
    if header:
        match["headers"] = [{"type": "Exact", "name": ROUTE_HEADER, "value": header}]
    return {"matches": [match], "backendRefs": backends}


@dataclass(frozen=True)
class GatewayRoutes:
    """HTTPRoute `mnist` divides the traffic between both Services; the split is a weight in it."""

    host: str
    gateway: str
    """NAMESPACE/NAME."""
    namespace: str
    kinds: tuple[Kind, ...] = (HTTP_ROUTE,)
    state_kind: Kind = HTTP_ROUTE
    state_name: str = ROUTE_NAME

    def objects(self, written: RouteConfig) -> list[Object]:
        """The HTTPRoute; where New cannot answer, even what is forced to it goes to Current."""
        forced = Role.NEW if written.has_new else Role.CURRENT
        rules = [
            _rule([_backend(forced)], ALWAYS),
            _rule([_backend(Role.CURRENT)], NEVER),
            _rule(backends(written.weight)),
        ]
        parent = self._parent
        reference = {
            "group": GATEWAY.group,
            "kind": GATEWAY.name,
            "namespace": parent.namespace,
            "name": parent.name,
        }
        return [
            {
                "apiVersion": HTTP_ROUTE.api,
                "kind": HTTP_ROUTE.name,
                "metadata": {
                    "name": ROUTE_NAME,
                    "namespace": self.namespace,
                    "labels": labels("router"),
                    "annotations": written.state.to_annotations(),
                },
                "spec": {"parentRefs": [reference], "hostnames": [self.host], "rules": rules},
            }
        ]

    @property
    def _parent(self) -> Parent:
        namespace, _, name = self.gateway.rpartition("/")
        return Parent(namespace or self.namespace, name)

    def read(self, live: Sequence[Object]) -> RouteConfig | None:
        """What the HTTPRoute says, or None while there is none."""
        route = http_route(live)
        if route is None:
            return None
        weight = _share(weights_of(rule_for(route)))
        annotations = route["metadata"].get("annotations") or {}
        state, trouble = read_state(annotations, f"HTTPRoute {ROUTE_NAME}", weight)
        has_new = service_name(Role.NEW) in weights_of(rule_for(route, ALWAYS))
        return RouteConfig(
            weight, state, has_new, (*written_faults(route, self.host, self._parent), *trouble)
        )

    def find_faults(self, live: Sequence[Object]) -> tuple[str, ...]:
        """What keeps the Gateway from dividing the traffic as it should, with its next step.

        The Gateway itself is taken into account if it is among the objects.
        """
        return tuple(faults_of(live, self.host, self._parent))

    def is_weight_ours(self, live: Sequence[Object]) -> bool:
        """Whether the weights are still those that the dashboard applied."""
        route = http_route(live)
        return route is None or is_as_applied(route, ".spec.rules")


def _share(weights: dict[str, int]) -> int:
    """New's share in percent: weights are proportions."""
    total = sum(weights.values())
    return round(100 * weights.get(service_name(Role.NEW), 0) / total) if total else 0
