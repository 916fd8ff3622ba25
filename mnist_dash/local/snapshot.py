"""What the page is told about the local engine: snapshots and objects, read off the fleet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from mnist_dash.domain import Deployment, EngineObject, ModelCheck, Role, Snapshot
from mnist_dash.local.desired_state import DesiredState
from mnist_dash.local.plan import Phase, condition
from mnist_dash.local.supervisor import Replica, Supervisor
from mnist_dash.preconditions import differing_input
from mnist_dash.rollout_status import GATEWAY_PENDING, SPLIT_HELD

Found = Mapping[int, ModelCheck]
"""What the check of each generation's model found."""


def observe(desired: DesiredState, fleet: Supervisor, found: Found, notices: Sequence[str]) -> Snapshot:
    """The state of everything, in words."""
    current, new = (_deployment(role, desired, fleet, found) for role in Role)
    return Snapshot(
        taken_at=time.time(),
        current=current,
        new=new,
        split_desired=desired.split,
        split_observed=fleet.gateway.applied_split,
        waiting_for=_waiting_for(desired, fleet, new),
        can_undo_promote=desired.can_undo,
        trouble=_trouble(fleet),
        notices=tuple(notices),
    )


def _waiting_for(desired: DesiredState, fleet: Supervisor, new: Deployment | None) -> str:
    if desired.split != fleet.gateway.applied_split and new and new.ready == 0:
        return SPLIT_HELD
    return "" if fleet.gateway.up_to_date else GATEWAY_PENDING


def _trouble(fleet: Supervisor) -> str:
    gateway = fleet.gateway
    if gateway.listening:
        return ""
    if gateway.ends.words:
        return f"The gateway is being restarted. {gateway.ends.words}"
    return "The gateway is starting."


def _deployment(role: Role, desired: DesiredState, fleet: Supervisor, found: Found) -> Deployment | None:
    release = desired.release(role)
    if not (spec := desired.specs.get(release)):
        return None
    ready = [r for r in fleet.replicas.values() if r.release is release and r.phase is Phase.READY]
    fresh = [r for r in ready if r.spec.generation == spec.generation]
    answering = fresh if len(fresh) >= spec.replicas or len(fresh) == len(ready) else _others(ready, fresh)
    shown = answering[0].spec if answering else spec
    version = max((r.version for r in answering if r.version), default=None)
    check = found.get(shown.generation)
    if check and version not in (None, check.version):
        check = None  # it was of another version
    seen, ends = fleet.seen(release), fleet.ends_of(spec)
    state = condition(spec, seen, ends, failed_redeploy=fleet.failed_redeploys.get(release, ""))
    return Deployment(
        role=role,
        release=release,
        base=shown.base,
        desired=spec.replicas,
        ready=len(answering),
        state=state.state,
        version=version,
        accuracy=check.accuracy if check else None,
        input_shape=check.input_shape if check else (),
        cause=state.cause,
        next_step=state.next_step,
        warnings=(
            *(check.warnings if check else ()),
            *_differing_input(role, check, desired, found),
            *sorted({r.trouble for r in answering if r.trouble}),
        ),
    )


def _differing_input(
    role: Role, check: ModelCheck | None, desired: DesiredState, found: Found
) -> Iterator[str]:
    """A word on New's card if one request cannot fit both models."""
    current = desired.spec(Role.CURRENT)
    other = found.get(current.generation) if current else None
    if (
        role is Role.NEW
        and check
        and other
        and (words := differing_input(other.input_shape, check.input_shape))
    ):
        yield words


def _others(ready: Sequence[Replica], fresh: Sequence[Replica]) -> list[Replica]:
    return [r for r in ready if r not in fresh]


def objects(desired: DesiredState, fleet: Supervisor, gateway_url: str) -> tuple[EngineObject, ...]:
    """The gateway first, then the replicas of Current and of New."""
    replicas = sorted(fleet.replicas.values(), key=lambda r: (desired.role(r.release) is Role.NEW, r.name))
    return (_gateway_object(fleet, gateway_url), *(_replica_object(r, desired) for r in replicas))


def _gateway_object(fleet: Supervisor, url: str) -> EngineObject:
    child = fleet.gateway.child
    details = {"Address": url}
    if child:
        details["Process"] = str(child.pid)
    return EngineObject(
        kind="Gateway",
        name="gateway",
        role=None,
        state="ready" if fleet.gateway.listening else "starting",
        details=details,
        log=child.log if child else fleet.gateway.ends.words,
    )


def _replica_object(replica: Replica, desired: DesiredState) -> EngineObject:
    details = {
        "Process": str(replica.child.pid),
        "Address": replica.member.url if replica.port else "",
        "Model base": replica.spec.base,
        "Version": str(replica.version or ""),
        "Release": replica.release.value,
    }
    return EngineObject(
        kind="Model server",
        name=replica.name,
        role=desired.role(replica.release),
        state=replica.phase.value,
        details={key: value for key, value in details.items() if value},
        log=replica.child.log,
    )
