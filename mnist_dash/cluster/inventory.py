"""What the Objects tab is told: all that the dashboard applied and what came of it, with events and logs."""

from __future__ import annotations

from collections.abc import Iterator

from mnist_dash.cluster.events import sentences
from mnist_dash.cluster.failures import is_complete
from mnist_dash.cluster.ingress import WEIGHT
from mnist_dash.cluster.manifests import image_of, model_of, pointer_of, release_of
from mnist_dash.cluster.observation import (
    Observation,
    created_at,
    is_going,
    is_ready,
    phase,
    release_label,
    restarts,
    statuses,
)
from mnist_dash.cluster.resources import (
    HTTP_ROUTE,
    INGRESS,
    SECRET,
    SECRET_NAME,
    Object,
    annotations_of,
    name_of,
    service_name,
)
from mnist_dash.cluster.yaml_diff import to_yaml
from mnist_dash.domain import EngineObject, Gateway, Role


def engine_objects(seen: Observation, gateway: Gateway) -> tuple[EngineObject, ...]:
    """Routes first, then the Services, Deployments, Pods and the Secret; Current's before New's."""
    return tuple(_all(seen, gateway))


def _all(seen: Observation, gateway: Gateway) -> Iterator[EngineObject]:
    for route in seen.routes:
        if route["kind"] == INGRESS.name:
            yield _ingress(route, seen, gateway)
        elif route["kind"] == HTTP_ROUTE.name:
            yield _http_route(route, seen, gateway)
    for role in Role:
        if service := seen.service(role):
            yield _service(service, role, seen)
    for role in Role:
        if deployment := seen.deployment(seen.release(role)):
            yield _deployment(deployment, role, seen)
    for role in Role:
        for pod in sorted(seen.pods_of(seen.release(role)), key=name_of):
            yield _pod(pod, role, seen)
    yield from _secret(seen)


def _object(
    one: Object, seen: Observation, *, role: Role | None, state: str, details: dict[str, str], log: str = ""
) -> EngineObject:
    return EngineObject(
        kind=one["kind"],
        name=name_of(one),
        role=role,
        state=state,
        details={key: value for key, value in details.items() if value},
        log=log,
        events=sentences(seen.events, one),
        yaml="" if one["kind"] == "Pod" else to_yaml([one]),
    )


def _ingress(ingress: Object, seen: Observation, gateway: Gateway) -> EngineObject:
    services = _services_of_ingress(ingress)
    roles = [role for role in Role if services == [service_name(role)]]
    published = _published(ingress)
    return _object(
        ingress,
        seen,
        role=roles[0] if roles else None,
        state="published" if published else "applied",
        details={
            "Address": gateway.url,
            "Host": ", ".join(rule.get("host", "*") for rule in ingress["spec"].get("rules") or []),
            "Class": ingress["spec"].get("ingressClassName", ""),
            "Service": ", ".join(services),
            "Weight": annotations_of(ingress).get(WEIGHT, ""),
            "Load balancer": published,
        },
    )


def _services_of_ingress(ingress: Object) -> list[str]:
    rules = ingress["spec"].get("rules") or []
    paths = [path for rule in rules for path in (rule.get("http") or {}).get("paths") or []]
    return [str((path["backend"].get("service") or {}).get("name", "")) for path in paths]


def _published(ingress: Object) -> str:
    found = (ingress.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    return ", ".join(one.get("ip") or one.get("hostname") or "" for one in found)


def _http_route(route: Object, seen: Observation, gateway: Gateway) -> EngineObject:
    spec = route["spec"]
    parents = [f"{one.get('namespace', '')}/{one['name']}".strip("/") for one in spec.get("parentRefs") or []]
    return _object(
        route,
        seen,
        role=None,
        state=_acceptance(route),
        details={
            "Address": gateway.url,
            "Host": ", ".join(spec.get("hostnames") or []),
            "Gateway": ", ".join(parents),
            "Weights": _weights(spec),
        },
    )


def _acceptance(route: Object) -> str:
    parents = route.get("status", {}).get("parents") or []
    said = [one["status"] for parent in parents for one in parent.get("conditions") or []]
    if "False" in said:
        return "refused"
    return "accepted" if said else "applied"


def _weights(spec: Object) -> str:
    """Of the rule that matches no header, which divides the traffic."""
    for rule in spec.get("rules") or []:
        if not any(match.get("headers") for match in rule.get("matches") or []):
            references = rule.get("backendRefs") or []
            return ", ".join(f"{one['name']} {one.get('weight', 1)}" for one in references)
    return ""


def _service(service: Object, role: Role, seen: Observation) -> EngineObject:
    pointer, ready = pointer_of(service), sorted(seen.ready_addresses(role))
    selector = service["spec"].get("selector") or {}
    return _object(
        service,
        seen,
        role=role,
        state="ready" if ready else "without replicas",
        details={
            "Release": pointer.value if pointer else "",
            "Selector": ", ".join(f"{key}={value}" for key, value in sorted(selector.items())),
            "Ready addresses": ", ".join(ready),
        },
    )


def _deployment(deployment: Object, role: Role, seen: Observation) -> EngineObject:
    model, status = model_of(deployment), deployment.get("status", {})
    version = model.check.version if model else None
    return _object(
        deployment,
        seen,
        role=role,
        state="ready" if is_complete(deployment) else "rolling out",
        details={
            "Replicas": f"{status.get('readyReplicas', 0)} of {deployment['spec'].get('replicas', 1)} ready",
            "Image": image_of(deployment),
            "Model base": model.check.base if model else "",
            "Version": "" if version is None else str(version),
            "Release": release_label(deployment),
        },
    )


def _pod(pod: Object, role: Role, seen: Observation) -> EngineObject:
    model = model_of(pod)
    age = _age(seen.taken_at - created_at(pod)) if created_at(pod) else ""
    release = release_of(pod)
    return _object(
        pod,
        seen,
        role=role,
        state=_pod_state(pod),
        details={
            "Node": pod["spec"].get("nodeName", ""),
            "Address": pod.get("status", {}).get("podIP", ""),
            "Model base": model.check.base if model else "",
            "Release": release.value if release else "",
            "Restarts": str(restarts(pod)),
            "Waiting": _waiting(pod),
            "Age": age,
        },
        log=seen.logs.get(name_of(pod), ""),
    )


def _pod_state(pod: Object) -> str:
    if is_going(pod):
        return "failed" if phase(pod) == "Failed" else "stopping"
    return "ready" if is_ready(pod) else "starting"


def _waiting(pod: Object) -> str:
    """Why its container does not run, in Kubernetes' word."""
    reasons = (one.get("state", {}).get("waiting", {}).get("reason") for one in statuses(pod))
    return next(filter(None, reasons), "")


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _secret(seen: Observation) -> Iterator[EngineObject]:
    """The Secret as the Pods know it: its content is nobody's to see, so it is never read."""
    users = [name_of(one) for one in seen.deployments if _mounts_key(one)]
    if users:
        yield EngineObject(
            kind=SECRET.name,
            name=SECRET_NAME,
            role=None,
            state="mounted",
            details={"Mounted by": ", ".join(users)},
        )


def _mounts_key(deployment: Object) -> bool:
    volumes = deployment["spec"]["template"]["spec"].get("volumes") or []
    return any((one.get("secret") or {}).get("secretName") == SECRET_NAME for one in volumes)
