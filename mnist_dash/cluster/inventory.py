"""List the objects for the Objects tab: what the dashboard applied, and the Pods, with events and logs."""

from __future__ import annotations

from collections.abc import Iterator

from mnist_dash.cluster import resources
from mnist_dash.cluster.http_route import rule_for, weights_of
from mnist_dash.cluster.ingress import WEIGHT
from mnist_dash.cluster.manifests import pointer_of
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.replica_runs import describe_end
from mnist_dash.cluster.resources import Object
from mnist_dash.cluster.route_faults import published_addresses
from mnist_dash.cluster.workloads import Pod, Workload, events_about
from mnist_dash.cluster.yaml_diff import to_yaml
from mnist_dash.domain import EngineObject, Gateway, Role, name_of

MAX_EVENTS = 30  # of one object


def engine_objects(observation: Observation, gateway: Gateway) -> tuple[EngineObject, ...]:
    """List routes first, then the Services, Deployments, Pods and the Secret; Current's before New's."""
    objects = []
    for route in observation.routes:
        describe = _ingress if route["kind"] == resources.INGRESS.name else _http_route
        objects.append(describe(route, observation, gateway))
    objects += [_service(service, role, observation) for role, service in observation.services.items()]
    objects += [_deployment(it, role, observation) for role in Role if (it := observation.workload(role))]
    for role in Role:
        pods = sorted(observation.pods_of(observation.release(role)), key=lambda pod: pod.name)
        objects += [_pod(pod, role, observation) for pod in pods]
    return (*objects, *_secret(observation))


def _applied(
    live: Object, observation: Observation, *, role: Role | None, state: str, details: dict[str, str]
) -> EngineObject:
    uid = live["metadata"].get("uid", "")
    return EngineObject(
        kind=live["kind"],
        name=resources.name_of(live),
        role=role,
        state=state,
        details={key: value for key, value in details.items() if value},
        events=_sentences(observation, live["kind"], resources.name_of(live), uid),
        yaml=to_yaml([live]),
    )


def _sentences(observation: Observation, kind: str, name: str, uid: str) -> tuple[str, ...]:
    return tuple(map(str, events_about(observation.events, kind, name, uid)[:MAX_EVENTS]))


def _ingress(ingress: Object, observation: Observation, gateway: Gateway) -> EngineObject:
    spec = ingress["spec"]
    rules = spec.get("rules") or []
    paths = [path for rule in rules for path in (rule.get("http") or {}).get("paths") or []]
    services = [str((path["backend"].get("service") or {}).get("name", "")) for path in paths]
    published = ", ".join(published_addresses([ingress]))
    return _applied(
        ingress,
        observation,
        role=next((role for role in Role if services == [resources.service_name(role)]), None),
        state="published" if published else "applied",
        details={
            "Address": gateway.url,
            "Host": ", ".join(rule.get("host", "*") for rule in rules),
            "Class": spec.get("ingressClassName", ""),
            "Service": ", ".join(services),
            "Weight": resources.annotations_of(ingress).get(WEIGHT, ""),
            "Load balancer": published,
        },
    )


def _http_route(route: Object, observation: Observation, gateway: Gateway) -> EngineObject:
    spec = route["spec"]
    references = spec.get("parentRefs") or []
    gateways = [f"{ref.get('namespace', '')}/{ref['name']}".strip("/") for ref in references]
    parents = route.get("status", {}).get("parents") or []
    conditions = [item["status"] for parent in parents for item in parent.get("conditions") or []]
    weights = weights_of(rule_for(route))
    return _applied(
        route,
        observation,
        role=None,
        state="refused" if "False" in conditions else "accepted" if conditions else "applied",
        details={
            "Address": gateway.url,
            "Host": ", ".join(spec.get("hostnames") or []),
            "Gateway": ", ".join(gateways),
            "Weights": ", ".join(f"{name} {weight}" for name, weight in weights.items()),
        },
    )


def _service(service: Object, role: Role, observation: Observation) -> EngineObject:
    pointer, ready = pointer_of(service), sorted(observation.ready_addresses(role))
    selector = service["spec"].get("selector") or {}
    return _applied(
        service,
        observation,
        role=role,
        state="ready" if ready else "without replicas",
        details={
            "Release": pointer.value if pointer else "",
            "Selector": ", ".join(f"{key}={value}" for key, value in sorted(selector.items())),
            "Ready addresses": ", ".join(ready),
        },
    )


def _deployment(workload: Workload, role: Role, observation: Observation) -> EngineObject:
    version = workload.model.check.version if workload.model else None
    return _applied(
        workload.live,
        observation,
        role=role,
        state="ready" if workload.is_complete else "rolling out",
        details={
            "Replicas": f"{workload.ready} of {workload.desired} ready",
            "Image": workload.image,
            "Model": name_of(workload.base),
            "Version": "" if version is None else str(version),
            "Release": workload.release.value,
            "Model base": workload.base,
        },
    )


def _pod(pod: Pod, role: Role, observation: Observation) -> EngineObject:
    waiting = next((container.waiting for container in pod.containers if container.waiting), "")
    details = {
        "Model": name_of(pod.base),
        "Version": str(pod.model.check.version or "") if pod.model else "",
        "Release": pod.release.value if pod.release else "",
        "Model base": pod.base,
        "Node": pod.node,
        "Address": pod.addresses[0] if pod.addresses else "",
        "Restarts": str(pod.restarts),
        "Waiting": waiting,
        "Ended": describe_end(pod.containers[0]) if pod.containers and pod.containers[0].ended else "",
        "Age": _age(observation.taken_at - pod.created_at) if pod.created_at else "",
    }
    looping = waiting == "CrashLoopBackOff"
    state = "ready" if pod.is_ready else "crash-looping" if looping else "starting"
    if pod.is_ending:
        state = "failed" if pod.phase == "Failed" else "stopping"
    return EngineObject(
        kind=resources.POD.name,
        name=pod.name,
        role=role,
        state=state,
        details={key: value for key, value in details.items() if value},
        log=observation.logs.get(pod.name, ""),
        events=_sentences(observation, resources.POD.name, pod.name, pod.uid),
    )


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _secret(observation: Observation) -> Iterator[EngineObject]:
    """The Secret as the Deployments mount it: its content is never read."""
    if users := [workload.name for workload in observation.workloads.values() if workload.key_hash]:
        kind, name = resources.SECRET.name, resources.SECRET_NAME
        yield EngineObject(kind, name, None, "mounted", {"Mounted by": ", ".join(users)})
