"""The route as an HTTPRoute of the Gateway API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mnist_dash.cluster import resources
from mnist_dash.cluster.drift import is_as_applied
from mnist_dash.cluster.resources import Kind, Object
from mnist_dash.cluster.route_faults import find_differences, find_object
from mnist_dash.cluster.route_state import RouteConfig, read_state
from mnist_dash.domain import FORCING, ROUTE_HEADER, Role, Route

ALWAYS, NEVER = FORCING[Route.NEW], FORCING[Route.CURRENT]
_ROUTE: Final = f"HTTPRoute {resources.ROUTE_NAME}"
_CONDITIONS: Final = ("Accepted", "ResolvedRefs", "Programmed")


@dataclass(frozen=True)
class GatewayRoutes:
    """HTTPRoute `mnist` divides the traffic between both Services; the split is a weight in it."""

    host: str
    gateway: str
    """NAMESPACE/NAME."""
    namespace: str
    kinds: tuple[Kind, ...] = (resources.HTTP_ROUTE,)
    state_name: str = resources.ROUTE_NAME
    reads: str = "weights and header matches"
    advice: str = "See with kubectl describe httproute whether the Gateway has accepted the route mnist."

    @property
    def controller(self) -> str:
        """Name the program that divides the traffic."""
        return f"the controller of the Gateway {self.gateway}"

    def objects(self, config: RouteConfig) -> list[Object]:
        """Return the HTTPRoute; where New cannot answer, even requests forced to it go to Current."""
        forced = Role.NEW if config.has_new else Role.CURRENT
        rules = [
            _rule([_backend(forced)], ALWAYS),
            _rule([_backend(Role.CURRENT)], NEVER),
            _rule(backends(config.weight)),
        ]
        namespace, name = self._parent
        kind = {"group": resources.GATEWAY.group, "kind": resources.GATEWAY.name}
        reference = {**kind, "namespace": namespace, "name": name}
        spec = {"parentRefs": [reference], "hostnames": [self.host], "rules": rules}
        head = resources.head(resources.HTTP_ROUTE, resources.ROUTE_NAME, self.namespace, "router")
        head["metadata"]["annotations"] = config.state.to_annotations()
        return [{**head, "spec": spec}]

    @property
    def _parent(self) -> tuple[str, str]:
        namespace, _, name = self.gateway.rpartition("/")
        return namespace or self.namespace, name

    def read(self, live: Sequence[Object]) -> RouteConfig | None:
        """Read the HTTPRoute; None while there is none."""
        route = find_object(live, resources.HTTP_ROUTE, resources.ROUTE_NAME)
        config = _read_route(route) if route else None
        # Not the status: right after a write, no controller has reported any.
        return config and replace(config, trouble=(*self._spec_faults(route, live), *config.trouble))

    def find_faults(self, live: Sequence[Object]) -> tuple[str, ...]:
        """Return what keeps the Gateway from dividing the traffic by the split, with a next step each.

        The Gateway itself is checked if it is among the objects.
        """
        route = find_object(live, resources.HTTP_ROUTE, resources.ROUTE_NAME)
        return (*self._spec_faults(route, live), *(self._status_faults(route, live) if route else ()))

    def _spec_faults(self, route: Object | None, live: Sequence[Object]) -> tuple[str, ...]:
        config = _read_route(route) if route else RouteConfig(0)
        # Weights are proportions: any will do, unless all are 0.
        has_weights = route is not None and sum(weights_of(rule_for(route)).values()) > 0
        return find_differences(self.objects(config), live, ignored="weight" if has_weights else "")

    def _status_faults(self, route: Object, live: Sequence[Object]) -> Iterator[str]:
        """Yield the conditions in which a controller refuses the route or the Gateway."""
        gateway = f"Gateway {self.gateway}"
        reported = (route.get("status") or {}).get("parents") or ()
        parents = [parent for parent in reported if self._is_parent(parent["parentRef"])]
        if not parents:
            yield f"No controller serves {_ROUTE}. Check that {gateway} exists, and that its controller runs."
        for parent in parents:
            yield from _refusals(f"{_ROUTE} in {gateway}", parent)
        for item in live:
            if item["kind"] == resources.GATEWAY.name and self._is_parent(item["metadata"]):
                yield from _refusals(gateway, item.get("status") or {})

    def _is_parent(self, reference: Object) -> bool:
        is_gateway = reference.get("kind", resources.GATEWAY.name) == resources.GATEWAY.name
        return is_gateway and (reference.get("namespace", self.namespace), reference["name"]) == self._parent

    def is_weight_ours(self, live: Sequence[Object]) -> bool:
        """Whether the weights are still those that the dashboard applied."""
        route = find_object(live, resources.HTTP_ROUTE, resources.ROUTE_NAME)
        return route is None or is_as_applied(route, ".spec.rules")


def backends(weight: int) -> list[Object]:
    """Return both backends, of which New gets `weight` percent."""
    return [_backend(Role.CURRENT, 100 - weight), _backend(Role.NEW, weight)]


def _backend(role: Role, weight: int = 1) -> Object:
    name = resources.service_name(role)
    return {"group": "", "kind": "Service", "name": name, "port": resources.REST_PORT, "weight": weight}


def _rule(backends: list[Object], header: str = "") -> Object:
    match: Object = {"path": {"type": "PathPrefix", "value": resources.PATH}}
    if header:
        match["headers"] = [{"type": "Exact", "name": ROUTE_HEADER, "value": header}]
    return {"matches": [match], "backendRefs": backends}


def rule_for(route: Object, header: str = "") -> Object:
    """Return the rule for a value of the route header, or for requests without it; empty if there is none."""
    wanted = [(ROUTE_HEADER.lower(), header)] if header else []
    rules: list[Object] = route["spec"].get("rules") or []
    for rule in rules:
        for match in rule.get("matches") or ():
            path = match.get("path") or {}
            headers = [(h["name"].lower(), h["value"]) for h in match.get("headers") or ()]
            if (path.get("type"), path.get("value"), headers) == ("PathPrefix", resources.PATH, wanted):
                return rule
    return {}


def weights_of(rule: Object) -> dict[str, int]:
    """Return the weight of each Service in a rule."""
    return {backend["name"]: backend.get("weight", 1) for backend in rule.get("backendRefs") or ()}


def _read_route(route: Object) -> RouteConfig:
    weights, new = weights_of(rule_for(route)), resources.service_name(Role.NEW)
    total = sum(weights.values())
    share = round(100 * weights.get(new, 0) / total) if total else 0
    state, trouble = read_state(resources.annotations_of(route), _ROUTE, share)
    return RouteConfig(share, state, new in weights_of(rule_for(route, ALWAYS)), trouble)


def _refusals(name: str, status: Object) -> Iterator[str]:
    for condition in status.get("conditions") or ():
        if condition["type"] in _CONDITIONS and condition["status"] == "False":
            why = f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": .")
            yield f"{name} is not {condition['type']} ({why}). See its conditions with kubectl describe."
