"""Routes by two Ingresses, of which the second is a canary by ingress-nginx's annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mnist_dash.cluster.objects.kinds import INGRESS, Kind, Object
from mnist_dash.cluster.objects.metadata import annotations_of
from mnist_dash.cluster.objects.names import CANARY_NAME, PATH, REST_PORT, ROUTE_NAME, labels, service_name
from mnist_dash.cluster.objects.owners import is_as_applied
from mnist_dash.cluster.routing.ingress_faults import (
    BY_HEADER,
    CANARY,
    WEIGHT,
    IngressPlace,
    faults_of,
    ingress_named,
    weight_of,
)
from mnist_dash.cluster.routing.route_state import Written, read_state
from mnist_dash.domain import ROUTE_HEADER, Role

SSL_REDIRECT: Final = "nginx.ingress.kubernetes.io/ssl-redirect"
WITHOUT_NEW: Final = "mnist-dash/without-new"
"""Remembers that New cannot answer: nothing else in an Ingress tells it, as controllers then ask Current."""


@dataclass(frozen=True)
class IngressRoutes:
    """Ingress `mnist` leads to Current, `mnist-canary` to New; the split is an annotation of the canary.

    TLS is left to the controller's default certificate, or to whoever else manages `spec.tls`.
    """

    host: str
    ingress_class: str
    namespace: str
    scheme: str = "http"
    kinds: tuple[Kind, ...] = (INGRESS,)
    state_kind: Kind = INGRESS
    state_name: str = CANARY_NAME

    def objects(self, written: Written) -> list[Object]:
        """Both Ingresses; the canary is switched off by weight 0, never taken away."""
        canary = {
            CANARY: "true",
            WEIGHT: str(written.weight),
            BY_HEADER: ROUTE_HEADER,
            **({} if written.has_new else {WITHOUT_NEW: "true"}),
            **written.state.to_annotations(),
        }
        main = {SSL_REDIRECT: "false"} if self.scheme == "http" else {}
        return [self._ingress(ROUTE_NAME, Role.CURRENT, main), self._ingress(CANARY_NAME, Role.NEW, canary)]

    def _ingress(self, name: str, role: Role, annotations: dict[str, str]) -> Object:
        backend = {"service": {"name": service_name(role), "port": {"number": REST_PORT}}}
        path = {"path": PATH, "pathType": "Prefix", "backend": backend}
        return {
            "apiVersion": INGRESS.api,
            "kind": INGRESS.name,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": labels("router"),
                **({"annotations": annotations} if annotations else {}),
            },
            "spec": {
                "ingressClassName": self.ingress_class,
                "rules": [{"host": self.host, "http": {"paths": [path]}}],
            },
        }

    def read(self, live: Sequence[Object]) -> Written | None:
        """What the canary's annotations say, or None while there is no canary."""
        canary = ingress_named(live, CANARY_NAME)
        if canary is None:
            return None
        annotations = annotations_of(canary)
        weight = weight_of(annotations)
        state, trouble = read_state(annotations, f"Ingress {CANARY_NAME}", weight)
        has_new = annotations.get(WITHOUT_NEW) != "true"
        return Written(weight, state, has_new, (*self.faults(live), *trouble))

    def faults(self, live: Sequence[Object]) -> tuple[str, ...]:
        """What keeps the controller from dividing the traffic as it should, with its next step.

        Other Ingresses and the ingress classes are taken into account if they are among the objects.
        """
        return tuple(faults_of(live, IngressPlace(self.host, self.ingress_class)))

    def weight_is_ours(self, live: Sequence[Object]) -> bool:
        """Whether the weight is still the one that the dashboard applied."""
        canary = ingress_named(live, CANARY_NAME)
        return canary is None or is_as_applied(canary, f".metadata.annotations.{WEIGHT}")
