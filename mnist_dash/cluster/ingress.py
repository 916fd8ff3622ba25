"""The route as two Ingresses: canary annotations, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mnist_dash.cluster.managed_fields import is_as_applied
from mnist_dash.cluster.resources import (
    CANARY_NAME,
    INGRESS,
    INGRESS_CLASS,
    PATH,
    REST_PORT,
    ROUTE_NAME,
    Kind,
    Object,
    annotations_of,
    labels,
    service_name,
)
from mnist_dash.cluster.route_state import RouteConfig, percent, read_state
from mnist_dash.domain import ROUTE_HEADER, Role

CANARY: Final = "nginx.ingress.kubernetes.io/canary"
WEIGHT: Final = f"{CANARY}-weight"
BY_HEADER: Final = f"{CANARY}-by-header"
REPAIR: Final = "Set the split anew: that writes it as it should be."
_NEW: Final = service_name(Role.NEW)
_LUCK: Final = "which of the two wins is left to the controller"


@dataclass(frozen=True)
class IngressPlace:
    """Where both Ingresses must be."""

    host: str
    ingress_class: str

    def rule(self, role: Role) -> _Rule:
        """What the Ingress of a role must have."""
        return _Rule(self.host, PATH, "Prefix", service_name(role), REST_PORT)


class _Rule(NamedTuple):
    """One path of an Ingress, flat."""

    host: str
    path: str
    path_type: str
    service: str
    port: int | str


_WORDS: Final = ("host", "path", "path type", "Service", "port")


def faults_of(live: Sequence[Object], place: IngressPlace) -> Iterator[str]:
    """A sentence or two for each fault."""
    main, canary = (ingress_named(live, name) for name in (ROUTE_NAME, CANARY_NAME))
    yield from _class_faults(live, place.ingress_class)
    if main is None:
        yield f"Ingress {ROUTE_NAME} is missing, so every request is answered with 404. {REPAIR}"
    else:
        effect = f"so requests to {place.host} do not reach Current"
        yield from _place_faults(main, place, Role.CURRENT, effect)
    if canary is None:
        yield f"Ingress {CANARY_NAME} is missing, so all requests go to Current. {REPAIR}"
    else:
        effect = "so controllers ignore it and all requests go to Current"
        yield from _place_faults(canary, place, Role.NEW, effect)
        yield from _canary_faults(annotations_of(canary))
    yield from _rivals(live, place.host)


def ingress_named(live: Sequence[Object], name: str) -> Object | None:
    """The Ingress of this name, or None."""
    ingresses = (one for one in live if one["kind"] == INGRESS.name)
    return next((one for one in ingresses if one["metadata"]["name"] == name), None)


def weight_of(annotations: dict[str, str]) -> int:
    """The weight as controllers read it: what is no integer is 0, what is out of range is its end."""
    try:
        return max(0, min(100, int(annotations.get(WEIGHT, "0"))))
    except ValueError:
        return 0


def _class_faults(live: Sequence[Object], wanted: str) -> Iterator[str]:
    classes = sorted(one["metadata"]["name"] for one in live if one["kind"] == INGRESS_CLASS.name)
    if classes and wanted not in classes:
        yield (
            f"The cluster has no ingress class {wanted}, so no controller serves the Ingresses."
            f" Start the dashboard with --ingress-class {' or '.join(classes)}."
        )


def _place_faults(ingress: Object, place: IngressPlace, role: Role, effect: str) -> Iterator[str]:
    name, rules, wanted = ingress["metadata"]["name"], list(_rules(ingress)), place.rule(role)
    wrong = []
    if (found := ingress["spec"].get("ingressClassName")) != place.ingress_class:
        wrong.append(f"the class {found or 'none'}, not {place.ingress_class}")
    if not rules:
        wrong.append("no rule")
    elif wanted not in rules:
        wrong += [
            f"the {word} {is_now or 'none'}, not {should}"
            for word, is_now, should in zip(_WORDS, rules[0], wanted, strict=True)
            if is_now != should
        ]
    if wrong:
        yield f"Ingress {name} has {' and '.join(wrong)}, {effect}. {REPAIR}"


def _rules(ingress: Object) -> Iterator[_Rule]:
    for rule in ingress["spec"].get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            service = path["backend"].get("service") or {}
            port = service.get("port") or {}
            yield _Rule(
                rule.get("host", ""),
                path.get("path", ""),
                path["pathType"],
                service.get("name", ""),
                port.get("number") or port.get("name", ""),
            )


def _canary_faults(annotations: dict[str, str]) -> Iterator[str]:
    canary = f"Ingress {CANARY_NAME} has"
    if (switch := annotations.get(CANARY)) != "true":
        taken = "which makes it a second main Ingress"
        yield f"{canary} {_told(CANARY, switch)}, not 'true', {taken}: {_LUCK}. {REPAIR}"
    if (header := annotations.get(BY_HEADER)) != ROUTE_HEADER:
        named = f"{_told(BY_HEADER, header)}, not {ROUTE_HEADER!r}"
        yield f"{canary} {named}, so no request can be forced to one model. {REPAIR}"
    weight = annotations.get(WEIGHT)
    try:
        percent(weight or "")
    except ValueError:
        taken = f"which controllers take for {weight_of(annotations)}"
        yield f"{canary} {_told(WEIGHT, weight)}, no integer from 0 to 100, {taken}. {REPAIR}"
    total = f"{WEIGHT}-total"
    if annotations.get(total, "100") != "100":
        yield f"{canary} {_told(total, annotations[total])}, so its weight is no percentage. Remove it."


def _told(annotation: str, value: str | None) -> str:
    return f"no annotation {annotation}" if value is None else f"the annotation {annotation} {value!r}"


def _rivals(live: Sequence[Object], host: str) -> Iterator[str]:
    """What other Ingresses take away."""
    for other in live:
        if other["kind"] != INGRESS.name or other["metadata"]["name"] in (ROUTE_NAME, CANARY_NAME):
            continue
        name, rules = other["metadata"]["name"], list(_rules(other))
        if any((rule.host, rule.path) == (host, PATH) for rule in rules):
            same = f"Ingress {name} has the same host and path, and {_LUCK}."
            yield f"{same} Delete Ingress {name}, or give it another host."
        elif any(rule.service == _NEW for rule in rules):
            same = f"Ingress {name} leads to Service {_NEW} too, which stops the canary in some controllers."
            yield f"{same} Delete Ingress {name}, or let it lead elsewhere."


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

    def objects(self, written: RouteConfig) -> list[Object]:
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

    def read(self, live: Sequence[Object]) -> RouteConfig | None:
        """What the canary's annotations say, or None while there is no canary."""
        canary = ingress_named(live, CANARY_NAME)
        if canary is None:
            return None
        annotations = annotations_of(canary)
        weight = weight_of(annotations)
        state, trouble = read_state(annotations, f"Ingress {CANARY_NAME}", weight)
        has_new = annotations.get(WITHOUT_NEW) != "true"
        return RouteConfig(weight, state, has_new, (*self.find_faults(live), *trouble))

    def find_faults(self, live: Sequence[Object]) -> tuple[str, ...]:
        """What keeps the controller from dividing the traffic as it should, with its next step.

        Other Ingresses and the ingress classes are taken into account if they are among the objects.
        """
        return tuple(faults_of(live, IngressPlace(self.host, self.ingress_class)))

    def is_weight_ours(self, live: Sequence[Object]) -> bool:
        """Whether the weight is still the one that the dashboard applied."""
        canary = ingress_named(live, CANARY_NAME)
        return canary is None or is_as_applied(canary, f".metadata.annotations.{WEIGHT}")
