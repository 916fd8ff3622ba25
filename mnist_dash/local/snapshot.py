"""Make the snapshot and the objects of the page from the state of the supervisor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from mnist_dash.domain import (
    Deployment,
    EngineObject,
    ModelCheck,
    Release,
    Replacement,
    Role,
    Snapshot,
    name_of,
    title_of,
)
from mnist_dash.local.desired_state import DesiredState
from mnist_dash.local.plan import Phase, status_of
from mnist_dash.local.processes import GatewayProcess, Process, Replica
from mnist_dash.local.supervisor import GATEWAY_GENERATION, Supervisor
from mnist_dash.preconditions import warn_of_differing_input
from mnist_dash.rollout_status import GATEWAY_PENDING, SPLIT_HELD, restarting
from mnist_dash.timeline import ReplicaRun

FindCheck: TypeAlias = Callable[[str, int | None], ModelCheck | None]
"""Returns what is known of a version (None while no version answers) of a model base."""


def snapshot_of(
    desired: DesiredState, supervisor: Supervisor, find_check: FindCheck, notices: Sequence[str]
) -> Snapshot:
    """Return the snapshot of everything."""
    current, new = (_deployment(role, desired, supervisor, find_check) for role in Role)
    new = warn_of_differing_input(current, new)
    gateway = supervisor.gateway
    split = gateway.applied.table.split if gateway and gateway.applied else 0
    waiting_for = "" if gateway and gateway.is_up_to_date else GATEWAY_PENDING
    return Snapshot(
        taken_at=time.time(),
        current=current,
        new=new,
        split_desired=desired.split,
        split_observed=split,
        waiting_for=SPLIT_HELD if desired.split != split and new and new.ready == 0 else waiting_for,
        can_undo_promote=desired.can_undo,
        trouble=_trouble(supervisor),
        notices=tuple(notices),
    )


def _trouble(supervisor: Supervisor) -> str:
    if supervisor.gateway and supervisor.gateway.phase is Phase.READY:
        return ""
    reason = supervisor.restarts_of(GATEWAY_GENERATION).reason
    seconds = supervisor.seconds_until_ready(GATEWAY_GENERATION)
    return restarting("The gateway", reason, seconds) if reason else "The gateway is starting."


def _deployment(
    role: Role, desired: DesiredState, supervisor: Supervisor, find_check: FindCheck
) -> Deployment | None:
    """Describe a role's model; while a re-deploy is under way it is the former one, which answers."""
    release = desired.release(role)
    if not (spec := desired.specs.get(release)):
        return None
    replicas = supervisor.replicas_of(release)
    ready = [r for r in replicas if r.phase is Phase.READY]
    fresh = [r for r in ready if r.generation == spec.generation]
    former = [r for r in ready if r not in fresh]
    is_replacing = bool(former) and len(fresh) < spec.replicas
    answering = former if is_replacing else fresh
    base = answering[0].spec.base if answering else spec.base
    version = max((r.version for r in answering if r.version), default=None)
    check = find_check(base, version)
    status = status_of(
        title_of(role, is_former=desired.can_undo),
        spec,
        replicas,
        supervisor.restarts_of(spec.generation),
        former[0].spec.base if former else "",
        failed_redeploy=supervisor.failed_redeploys.get(release, ""),
        ready_in=supervisor.seconds_until_ready(spec.generation),
    )
    return Deployment(
        role=role,
        release=release,
        base=base,
        generation=str(spec.generation),
        desired=spec.replicas,
        ready=len(answering),
        state=status.state,
        version=version,
        accuracy=check.accuracy if check else None,
        digits=check.digits if check else 0,
        input_shape=check.input_shape if check else (),
        signature=check.signature if check else "",
        cause=status.cause,
        next_step=status.next_step,
        replacement=Replacement(spec.base, spec.replicas, len(fresh)) if is_replacing else None,
        warnings=(*(check.warnings if check else ()), *sorted({r.problem for r in answering if r.problem})),
    )


def runs_of(supervisor: Supervisor) -> list[ReplicaRun]:
    """Return the runs of the replicas: those under way, and the last that ended by themselves."""
    ended = [process for process in supervisor.ended if isinstance(process, Replica)]
    running = [replica for replica in supervisor.replicas.values() if not replica.end]
    return [
        ReplicaRun(it.name, it.name, it.release, it.phase is Phase.READY, it.end, it.ended_at)
        for it in (*ended, *running)
    ]


def engine_objects_of(
    desired: DesiredState, supervisor: Supervisor, gateway_url: str
) -> tuple[EngineObject, ...]:
    """Return the gateway, then the replicas of Current and of New, each with the one that ended last."""
    gateway = supervisor.gateway or next(
        (process for process in reversed(supervisor.ended) if isinstance(process, GatewayProcess)), None
    )
    return (
        EngineObject(
            kind="Gateway",
            name="gateway",
            role=None,
            state=_state_of(gateway, supervisor) if gateway else Phase.STARTING.value,
            details={"Address": gateway_url, **(_process_details(gateway) if gateway else {})},
            log=gateway.child.log if gateway else supervisor.restarts_of(GATEWAY_GENERATION).reason,
        ),
        *(
            _replica_object(replica, role, supervisor)
            for role in Role
            for replica in _replicas_to_list(desired, desired.release(role), supervisor)
        ),
    )


def _replicas_to_list(desired: DesiredState, release: Release, supervisor: Supervisor) -> list[Replica]:
    """Return the replicas that run, and the last one that ended by itself since the last good deployment."""
    running, spec = supervisor.replicas_of(release), desired.specs.get(release)
    ended = [
        process
        for process in supervisor.ended
        if isinstance(process, Replica) and process.release is release and process not in running
    ]
    is_recent = bool(ended) and spec is not None and ended[-1].generation >= spec.generation
    return [*running, *(ended[-1:] if is_recent else ())]


def _state_of(process: Process, supervisor: Supervisor) -> str:
    if not process.end:
        return process.phase.value
    is_looping = supervisor.restarts_of(process.generation).in_a_row > 1
    return "crash-looping" if is_looping else "ended"


def _process_details(process: Process) -> dict[str, str]:
    details = {"Process": str(process.child.pid)}
    return {**details, "Ended": process.end} if process.end else details


def _replica_object(replica: Replica, role: Role, supervisor: Supervisor) -> EngineObject:
    details = {
        "Model": name_of(replica.spec.base),
        "Version": str(replica.version or ""),
        "Release": replica.release.value,
        "Model base": replica.spec.base,
        "Address": replica.backend.url if replica.port else "",
        **_process_details(replica),
    }
    return EngineObject(
        kind="Model server",
        name=replica.name,
        role=role,
        state=_state_of(replica, supervisor),
        details={key: value for key, value in details.items() if value},
        log=replica.child.log,
    )
