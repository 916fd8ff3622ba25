"""Routes by one HTTPRoute: a rule with weights, and a rule for each value of the route header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_dash.cluster.objects.kinds import GATEWAY, HTTP_ROUTE, Kind, Object
from mnist_dash.cluster.objects.names import PATH, REST_PORT, ROUTE_NAME, labels, service_name
from mnist_dash.cluster.objects.owners import is_as_applied
from mnist_dash.cluster.routing.gateway_faults import (
    ALWAYS,
    NEVER,
    Parent,
    faults_of,
    http_route,
    rule_for,
    weights_of,
    written_faults,
)
from mnist_dash.cluster.routing.route_state import Written, read_state
from mnist_dash.domain import ROUTE_HEADER, Role


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

    def objects(self, written: Written) -> list[Object]:
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

    def read(self, live: Sequence[Object]) -> Written | None:
        """What the HTTPRoute says, or None while there is none."""
        route = http_route(live)
        if route is None:
            return None
        weight = _share(weights_of(rule_for(route)))
        annotations = route["metadata"].get("annotations") or {}
        state, trouble = read_state(annotations, f"HTTPRoute {ROUTE_NAME}", weight)
        has_new = service_name(Role.NEW) in weights_of(rule_for(route, ALWAYS))
        return Written(weight, state, has_new, (*written_faults(route, self.host, self._parent), *trouble))

    def faults(self, live: Sequence[Object]) -> tuple[str, ...]:
        """What keeps the Gateway from dividing the traffic as it should, with its next step.

        The Gateway itself is taken into account if it is among the objects.
        """
        return tuple(faults_of(live, self.host, self._parent))

    def weight_is_ours(self, live: Sequence[Object]) -> bool:
        """Whether the weights are still those that the dashboard applied."""
        route = http_route(live)
        return route is None or is_as_applied(route, ".spec.rules")


def _share(weights: dict[str, int]) -> int:
    """New's share in percent: weights are proportions."""
    total = sum(weights.values())
    return round(100 * weights.get(service_name(Role.NEW), 0) / total) if total else 0
