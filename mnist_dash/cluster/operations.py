"""The API writes of a change, and how they are applied."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from mnist_dash.cluster import manifests, resources
from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.polling import start
from mnist_dash.cluster.resources import Kind, Object, name_of
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
from mnist_dash.errors import EngineError, SettingsError
from mnist_dash.storage.key_file import read_key


@dataclass(frozen=True)
class Site:
    """The settings that all writes share."""

    namespace: str
    image: str
    routes: Routes
    key: bytes | None = None
    """The content of the key file with which the Pods read the bucket, if there is one."""


@dataclass(frozen=True)
class Operation:
    """One write: apply the manifest, or delete the object if there is none."""

    kind: Kind
    name: str
    manifest: Object | None = None

    @classmethod
    def apply(cls, manifest: Object) -> Operation:
        return cls(resources.kind_of(manifest), name_of(manifest), manifest)


Live: TypeAlias = Mapping[tuple[Kind, str], Object | None]
"""The present object of each operation; None if there is none."""


def operations_for(
    change: Change,
    observation: Observation,
    site: Site,
    by: str,
    *,
    now: float | None = None,
    what: str = "",
) -> tuple[Operation, ...]:
    """Return the writes of a change, ordered so that an interruption at any point can be resumed.

    The Deployment comes last: without it nothing is deployed, and with it so is all that leads to it. The
    routes let go of New before its Deployment is deleted. `what` is the change in words, for the history.

    Raises EngineError while a promotion is under way: until its end a role's model may still be the other's.
    """
    if observation.promotion and not isinstance(change, Promote | UndoPromote):
        raise EngineError("A promotion is under way.", "Wait until it is done.")
    entry = HistoryEntry(time.time() if now is None else now, by, what or describe(change))
    state = observation.state.remember(entry)
    match change:
        case Deploy():
            return tuple(_deploy(change, observation, site, state.without_undo(), entry))
        case Remove(role):
            return tuple(_remove(role, observation, site, state.without_undo()))
        case SetSplit(percent):
            return route_operations(observation, site, replace(state, split=percent))
        case Promote() | UndoPromote():
            promotion = _promotion(change, observation, state, entry)
            # All requests go to New before Current's pointer moves; later steps keep their weight.
            begun = observation.pointer(Role.CURRENT) is promotion.current
            weight = observation.weight if begun else 100
            return route_operations(observation, site, replace(state, promotion=promotion), weight=weight)


def later_operations(change: Change, observation: Observation, site: Site) -> tuple[Operation, ...]:
    """Return the writes of a promotion's later steps, so that a refusal is known before its first."""
    if not isinstance(change, Promote | UndoPromote):
        return ()
    promotion = _promotion(change, observation, observation.state, HistoryEntry(0.0, "", ""))
    services = (manifests.service(role, promotion.target(role), site.namespace) for role in Role)
    return tuple(map(Operation.apply, services))


def route_operations(
    observation: Observation, site: Site, state: RouteState, *, weight: int | None = None
) -> tuple[Operation, ...]:
    """Return the writes of this state; New gets its share, and any request, only while it is ready."""
    ready = bool(observation.ready_addresses(Role.NEW))
    desired = state.split if ready else 0
    return _apply_route(RouteConfig(desired if weight is None else weight, state, ready), observation, site)


def _apply_route(route: RouteConfig, observation: Observation, site: Site) -> tuple[Operation, ...]:
    """Apply the routes; the object that keeps the state only if it was not changed since it was observed."""
    objects = {name_of(item): item for item in site.routes.objects(route)}
    keeper = site.routes.state_name
    live = next((item for item in observation.routes if name_of(item) == keeper), None)
    if live and (version := live["metadata"].get("resourceVersion")):
        objects[keeper]["metadata"]["resourceVersion"] = version
    return tuple(map(Operation.apply, objects.values()))


def _deploy(
    change: Deploy, observation: Observation, site: Site, state: RouteState, entry: HistoryEntry
) -> Iterator[Operation]:
    if site.key is not None:
        yield Operation.apply(manifests.secret(site.key, site.namespace))
    for role in Role:
        yield Operation.apply(manifests.service(role, observation.release(role), site.namespace))
    yield from route_operations(observation, site, state)
    model = manifests.ModelSpec(
        check=change.check,
        replicas=change.replicas,
        deployed_at=datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds"),
        cause=f"{entry.by}: {entry.what}",
    )
    release = observation.release(change.role)
    if release not in observation.workloads:  # it never changes
        yield Operation.apply(manifests.disruption_budget(release, site.namespace))
    yield _apply_deployment(release, model, site)


def _apply_deployment(release: Release, model: manifests.ModelSpec, site: Site) -> Operation:
    key_hash = manifests.key_hash(site.key) if site.key is not None else ""
    return Operation.apply(manifests.deployment(release, model, site.namespace, site.image, key_hash))


def operations_for_new_key(observation: Observation, site: Site) -> tuple[Operation, ...]:
    """Return the writes that roll the Pods to another key; none if nothing is deployed."""
    models = {release: w.model for release, w in observation.workloads.items()}
    rolled = [_apply_deployment(release, model, site) for release, model in models.items() if model]
    if site.key is None or not rolled:
        return ()
    return (Operation.apply(manifests.secret(site.key, site.namespace)), *rolled)


def _remove(role: Role, observation: Observation, site: Site, state: RouteState) -> Iterator[Operation]:
    if role is Role.NEW:
        route = RouteConfig(weight=0, state=replace(state, split=0), has_new=False)
        yield from _apply_route(route, observation, site)
    else:
        yield from route_operations(observation, site, state)
    name = resources.deployment_name(observation.release(role))
    yield Operation(resources.DISRUPTION_BUDGET, name)
    yield Operation(resources.DEPLOYMENT, name)


def _promotion(
    change: Promote | UndoPromote, observation: Observation, state: RouteState, entry: HistoryEntry
) -> PendingPromotion:
    """The goal: an interrupted promotion is finished, or reversed with its old split, as an undo is."""
    pending = state.promotion
    if pending and isinstance(change, Promote):
        return replace(pending, by=entry.by, at=entry.at)
    if pending:
        current, new, split = pending.new, pending.current, state.split
    else:
        current, new = observation.release(Role.NEW), observation.release(Role.CURRENT)
        split = state.split_before if isinstance(change, UndoPromote) else 0
    undo = isinstance(change, Promote) and new in observation.workloads
    return PendingPromotion(current=current, new=new, split=split, undo=undo, by=entry.by, at=entry.at)


def write(
    api: KubernetesClient,
    operations: Sequence[Operation],
    observation: Observation,
    later: Sequence[Operation] = (),
    *,
    take_over: bool = False,
) -> tuple[Object, ...]:
    """Write everything, after the API server has accepted all of it, and `later`, in a dry run.

    Returns the observed objects as they are after it. Raises EngineError; nothing was written if the dry run
    is refused.
    """
    live, _ = rehearse(api, (*operations, *later), observation, take_over=take_over)
    objects = {(item["kind"], name_of(item)): item for item in observation.objects}
    for op in operations:
        written = _send(api, op, live, take_over=take_over)
        if written is None:
            objects.pop((op.kind.name, op.name), None)
        elif op.kind is not resources.SECRET:  # its content is not kept
            objects[op.kind.name, op.name] = written
    return tuple(objects.values())


def rehearse(
    api: KubernetesClient, operations: Sequence[Operation], observation: Observation, *, take_over: bool
) -> tuple[Live, list[Object | None]]:
    """Ask for a dry run of all writes; returns their objects before and after it, or raises EngineError.

    All conflicts of ownership are reported together, since taking over concerns all of them.
    """
    live = {
        # A Secret is never listed.
        (op.kind, op.name): api.get(resources.SECRET, op.name)
        if op.kind is resources.SECRET
        else observation.live(op.kind, op.name)
        for op in operations
    }
    requests = [start(partial(_send, api, op, live, take_over=take_over, dry_run=True)) for op in operations]
    errors = [error for request in requests if (error := request.exception())]
    conflicts = [error for error in errors if isinstance(error, EngineError) and error.can_take_over]
    for error in errors:
        if error not in conflicts:
            raise error
    if conflicts:
        problems = dict.fromkeys(error.problem for error in conflicts)
        raise EngineError(" ".join(problems), conflicts[0].next_step, can_take_over=True)
    return live, [request.result() for request in requests]


def _send(
    api: KubernetesClient, op: Operation, live: Live, *, take_over: bool, dry_run: bool = False
) -> Object | None:
    before = live[op.kind, op.name]
    if op.manifest:
        return api.apply(op.manifest, live=before, take_over=take_over, dry_run=dry_run)
    api.delete(op.kind, op.name, live=before, dry_run=dry_run)
    return None


def preview(api: KubernetesClient, operations: Sequence[Operation], observation: Observation) -> str:
    """Return what would change, according to the API server; raises EngineError if it would refuse."""
    live, after = rehearse(api, operations, observation, take_over=True)
    parts = (diff_yaml(live[op.kind, op.name], item) for op, item in zip(operations, after, strict=True))
    return "".join(filter(None, parts))


class KeyFile:
    """The key file with which the Pods read their bucket; it is read again for every change."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.deployed: bytes | None = None
        """The content that the Pods were last given."""

    @property
    def problem(self) -> str:
        """What is wrong with the file; empty if nothing is, or there is none."""
        try:
            self.read()
        except EngineError as error:
            return str(error)
        return ""

    def read(self) -> bytes | None:
        """Return its content, or None if there is no file; raises EngineError if it is unfit."""
        if self._path is None:
            return None
        try:
            return read_key(self._path)
        except SettingsError as error:
            raise EngineError(error.problem, error.next_step) from error

    def replacement(self, hashes: Set[str]) -> bytes | None:
        """Return the content if it is fit and differs from the key that the Pods were last given.

        `hashes` are of the keys that they have. They count only until this dashboard has deployed a key
        itself, so that two dashboards with two keys do not take turns for ever.
        """
        content = None if self.problem else self.read()
        if content is None or not hashes:
            return None
        if self.deployed is None and manifests.key_hash(content) in hashes:
            self.deployed = content
        return content if content != self.deployed else None
