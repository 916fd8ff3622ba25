"""Both ways to divide the traffic between the Services: canary Ingresses, or an HTTPRoute."""

from __future__ import annotations

from typing import TypeAlias

from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes

Routes: TypeAlias = IngressRoutes | GatewayRoutes
