"""The one seam over both ways to divide the traffic: Ingresses with canary annotations, or an HTTPRoute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.resources import Kind, Object
from mnist_dash.cluster.route_state import RouteConfig
from mnist_dash.settings import RouterKind, Settings


class Routes(Protocol):
    """What leads requests to the Services `mnist-current` and `mnist-new`."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that the objects are of."""

    @property
    def state_kind(self) -> Kind:
        """The kind of the object that keeps the state."""

    @property
    def state_name(self) -> str:
        """The name of the object that keeps the state in its annotations."""

    def objects(self, written: RouteConfig) -> list[Object]:
        """The objects that say it."""

    def read(self, live: Sequence[Object]) -> RouteConfig | None:
        """What the live objects say, or None while there is no object that keeps the state."""

    def find_faults(self, live: Sequence[Object]) -> tuple[str, ...]:
        """What is wrong with the live objects: a sentence each, which names the object and the next step."""

    def is_weight_ours(self, live: Sequence[Object]) -> bool:
        """Whether the weight is still the one that the dashboard applied; so it is while there is none."""


def routes_for(settings: Settings) -> Routes:
    """The routes that the settings ask for."""
    if settings.router is RouterKind.GATEWAY:
        return GatewayRoutes(settings.ingress_host, settings.gateway, settings.namespace)
    return IngressRoutes(settings.ingress_host, settings.ingress_class, settings.namespace, settings.scheme)
