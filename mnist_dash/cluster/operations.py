"""The API writes of a change, and how they are applied."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mnist_dash.cluster import manifests
from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.resources import DEPLOYMENT, Kind, Object, deployment_name, kind_of
from mnist_dash.cluster.route_state import PendingPromotion, RouteConfig, RouteState
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.yaml_diff import diff_yaml
from mnist_dash.domain import (
    Change,
    Deploy,
    HistoryEntry,
    Promote,
    Release,
    Remove,
    Role,
    SetSplit,
    UndoPromote,
    describe,
)
from mnist_dash.errors import EngineError


@dataclass(frozen=True)
class Site:
    """What is the same for all changes: where they go, and what the models run on."""

    namespace: str
    image: str
    routes: Routes
    key: bytes | None = None
    """The content of the key file with which the Pods read the bucket, if one was given."""


@dataclass(frozen=True)
class Apply:
    """Write one object."""

    object: Object


@dataclass(frozen=True)
class Delete:
    """Delete one object."""

    kind: Kind
    name: str


Operation = Apply | Delete


def operations_for(
    change: Change, seen: Observation, site: Site, by: str, *, now: float | None = None
) -> tuple[Operation, ...]:
    """What a change writes, in this order; whatever was written when it is cut short can be gone on from.

    The Deployment comes last: as long as it is not there, nothing is deployed, and once it is there, so is
    all that leads to it. The routes let go of New before its Deployment is deleted.

    Raises EngineError while a promotion is under way: until its end a role's model may still be the other's.
    """
    if state_of(seen).swap and not isinstance(change, Promote | UndoPromote):
        raise EngineError("A promotion is under way.", "Wait until it is done.")
    at = time.time() if now is None else now
    entry = HistoryEntry(at, by, describe(change))
    state = remembered(seen, entry)
    match change:
        case Deploy():
            return tuple(_deploy(change, seen, site, replace(state, can_undo=False), entry))
        case Remove(role):
            return tuple(_remove(role, seen, site, replace(state, can_undo=False)))
        case SetSplit(percent):
            return routed(seen, site, replace(state, split=percent))
        case Promote() | UndoPromote():
            swap = _swap(change, seen, state, entry)
            return routed(seen, site, replace(state, swap=swap), weight=_first_weight(seen, swap))


def later_operations(change: Change, seen: Observation, site: Site) -> tuple[Operation, ...]:
    """What a promotion writes in its later steps, so that a refusal is known before its first."""
    if not isinstance(change, Promote | UndoPromote):
        return ()
    swap = _swap(change, seen, state_of(seen), HistoryEntry(0.0, "", ""))
    return tuple(Apply(manifests.service(role, swap.target(role), site.namespace)) for role in Role)


def state_of(seen: Observation) -> RouteState:
    """What was last written about the traffic; a bare state if nothing was yet."""
    return seen.written.state if seen.written else RouteState()


def remembered(seen: Observation, entry: HistoryEntry) -> RouteState:
    """The state with one more entry in its history."""
    return state_of(seen).remember(entry)


def routed(
    seen: Observation, site: Site, state: RouteState, *, weight: int | None = None
) -> tuple[Operation, ...]:
    """The routes with this state; New gets its share, and is routed to at all, only while it is ready."""
    ready = bool(seen.ready_addresses(Role.NEW))
    desired = state.split if ready else 0
    written = RouteConfig(weight=desired if weight is None else weight, state=state, has_new=ready)
    return _applied(written, seen, site)


def _applied(written: RouteConfig, seen: Observation, site: Site) -> tuple[Operation, ...]:
    """The routes; the object that keeps the state only if nobody has changed it since it was seen."""
    objects = {one["metadata"]["name"]: one for one in site.routes.objects(written)}
    keeper = site.routes.state_name
    live = next((one for one in seen.routes if one["metadata"]["name"] == keeper), None)
    if live and (version := live["metadata"].get("resourceVersion")):
        objects[keeper]["metadata"]["resourceVersion"] = version
    return tuple(map(Apply, objects.values()))


def _deploy(
    change: Deploy, seen: Observation, site: Site, state: RouteState, entry: HistoryEntry
) -> Iterator[Operation]:
    if site.key is not None:
        yield Apply(manifests.secret(site.key, site.namespace))
    for role in Role:
        yield Apply(manifests.service(role, seen.release(role), site.namespace))
    yield from routed(seen, site, state)
    model = manifests.ModelSpec(
        check=change.check,
        replicas=change.replicas,
        deployed_at=datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds"),
        cause=f"{entry.by}: {entry.what}",
    )
    yield Apply(deployment(seen.release(change.role), model, site))


def deployment(release: Release, model: manifests.ModelSpec, site: Site) -> Object:
    """The Deployment of a release on this site."""
    key_hash = manifests.key_hash(site.key) if site.key is not None else ""
    return manifests.deployment(release, model, site.namespace, site.image, key_hash)


def operations_for_new_key(seen: Observation, site: Site) -> tuple[Operation, ...]:
    """What makes the Pods read their bucket with another key: they roll."""
    if site.key is None:
        return ()
    live = {release: seen.deployment(release) for release in Release}
    models = {release: manifests.model_of(one) for release, one in live.items() if one}
    rolled = [Apply(deployment(release, model, site)) for release, model in models.items() if model]
    return (Apply(manifests.secret(site.key, site.namespace)), *rolled) if rolled else ()


def _remove(role: Role, seen: Observation, site: Site, state: RouteState) -> Iterator[Operation]:
    if role is Role.NEW:
        written = RouteConfig(weight=0, state=replace(state, split=0), has_new=False)
        yield from _applied(written, seen, site)
    else:
        yield from routed(seen, site, state)
    yield Delete(DEPLOYMENT, deployment_name(seen.release(role)))


def _swap(
    change: Promote | UndoPromote, seen: Observation, state: RouteState, entry: HistoryEntry
) -> PendingPromotion:
    """Where the pointers are to go. What was interrupted is finished, or turned round with its old split."""
    under_way = state.swap
    if under_way and isinstance(change, Promote):
        return replace(under_way, by=entry.by, at=entry.at)
    if under_way:
        current, new, split = under_way.new, under_way.current, state.split
    else:
        current, new, split = seen.release(Role.NEW), seen.release(Role.CURRENT), 0
    undo = isinstance(change, Promote) and seen.deployment(new) is not None
    return PendingPromotion(current=current, new=new, split=split, undo=undo, by=entry.by, at=entry.at)


def _first_weight(seen: Observation, swap: PendingPromotion) -> int:
    """All requests go to New before Current's pointer moves; an interrupted swap goes on where it stood."""
    written = seen.written.weight if seen.written else 0
    return 100 if seen.pointer(Role.CURRENT) is not swap.current else written


def write(api: KubernetesClient, acts: Sequence[Operation], *, take_over: bool = False) -> None:
    """Write everything, after the API server has said that it would take all of it.

    Raises EngineError: nothing was written if it is refused when asked first.
    """
    dry_run(api, acts, take_over=take_over)
    apply_all(api, acts, take_over=take_over)


def dry_run(api: KubernetesClient, acts: Sequence[Operation], *, take_over: bool = False) -> None:
    """Ask the API server whether it would take all of it; raises EngineError if not.

    All that others own is named together, since taking over takes all of it.
    """
    conflicts = []
    for act in acts:
        try:
            apply_all(api, [act], take_over=take_over, dry_run=True)
        except EngineError as error:
            if not error.can_take_over:
                raise
            conflicts.append(error)
    if conflicts:
        problems = dict.fromkeys(error.problem for error in conflicts)
        raise EngineError(" ".join(problems), conflicts[0].next_step, can_take_over=True)


def apply_all(
    api: KubernetesClient, acts: Sequence[Operation], *, take_over: bool = False, dry_run: bool = False
) -> None:
    """Write one after the other; raises EngineError at the first that is refused."""
    for act in acts:
        match act:
            case Apply(one):
                api.apply(one, live=None, take_over=take_over, dry_run=dry_run)
            case Delete(kind, name):
                api.delete(kind, name, live=None, dry_run=dry_run)


def preview(api: KubernetesClient, acts: Sequence[Operation]) -> str:
    """What would be different, as the API server itself says; raises EngineError if it would refuse."""
    parts = []
    for act in acts:
        match act:
            case Apply(one):
                before = api.get(kind_of(one), one["metadata"]["name"])
                parts.append(diff_yaml(before, api.apply(one, live=before, take_over=True, dry_run=True)))
            case Delete(kind, name):
                parts.append(diff_yaml(api.get(kind, name), None))
    return "".join(filter(None, parts))
