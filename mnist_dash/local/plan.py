"""Decide the next step for a release, and its state: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mnist_dash.domain import State
from mnist_dash.local.desired_state import Spec
from mnist_dash.rollout_status import Status, keeps_serving, loading, redeploying, restarting

GIVE_UP_AFTER = 3
"""Starts that failed in a row before a release is called failed (or a re-deploy is given up)."""
FIRST_DELAY, MAX_DELAY = 0.5, 30.0
"""Seconds between restarts in a crash loop; the first restart comes at once."""


class Phase(StrEnum):
    """The life of a process."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    """Out of the gateway's table, its last requests being answered."""
    STOPPING = "stopping"
    """Asked to end."""


@dataclass(eq=False)
class ReplicaStatus:
    """A replica as the planner needs it."""

    name: str
    generation: int
    phase: Phase


@dataclass(frozen=True)
class RestartHistory:
    """How the processes of one generation ended by themselves."""

    failed_starts: int = 0
    """In a row, since one last became ready."""
    in_a_row: int = 0
    """Ends in a row, since one last stayed up for a while."""
    reason: str = ""
    """Of the last end."""


@dataclass(frozen=True)
class Plan:
    """What to do about a release now."""

    backends: tuple[str, ...] = ()
    """The replicas that get its requests."""
    start: int = 0
    """How many replicas of the desired generation to start."""
    start_former: int = 0
    """How many of the former generation, which answers until the desired one does."""
    drain: tuple[str, ...] = ()
    taken_over: bool = False
    """Whether the desired generation gets the requests."""
    give_up: bool = False
    """Whether the desired generation cannot be had, and there is a former one to fall back to."""


def plan(
    spec: Spec | None, replicas: Sequence[ReplicaStatus], restarts: RestartHistory, former: Spec | None = None
) -> Plan:
    """Decide about one release.

    The replicas of a new generation are all started beside the `former` ones, and get the requests once all
    of them are ready (or no former one is left to answer); then the former ones are drained. Replicas of any
    other generation, which a later deploy has superseded, are drained at once.
    """
    running = [r for r in replicas if r.phase in (Phase.STARTING, Phase.READY)]
    if spec is None:
        return Plan(drain=tuple(r.name for r in running))
    fresh = [r for r in running if r.generation == spec.generation]
    old = [r for r in running if former and r.generation == former.generation]
    strays = tuple(r.name for r in running if r not in fresh and r not in old)
    fresh_ready, old_ready = _ready(fresh), _ready(old)
    taken_over = len(fresh_ready) >= spec.replicas or (bool(fresh_ready) and not old_ready)
    if former and not taken_over and restarts.failed_starts >= GIVE_UP_AFTER:
        return Plan(backends=old_ready, give_up=True)
    return Plan(
        backends=fresh_ready if taken_over else old_ready,
        start=max(0, spec.replicas - len(fresh)),
        start_former=max(0, former.replicas - len(old)) if former and not taken_over else 0,
        drain=(*strays, *(r.name for r in old)) if taken_over else strays,
        taken_over=taken_over,
    )


def _ready(replicas: Sequence[ReplicaStatus]) -> tuple[str, ...]:
    return tuple(r.name for r in replicas if r.phase is Phase.READY)


def delay(restarts: RestartHistory) -> float:
    """Return the seconds to wait before the next start: 0 after one end, then doubling up to MAX_DELAY."""
    return 0.0 if restarts.in_a_row <= 1 else min(MAX_DELAY, FIRST_DELAY * 2 ** (restarts.in_a_row - 2))


def status_of(
    title: str,
    spec: Spec,
    replicas: Sequence[ReplicaStatus],
    restarts: RestartHistory,
    former_base: str = "",
    *,
    failed_redeploy: str = "",
    ready_in: float | None = None,
) -> Status:
    """Return the status of a release whose role is called `title`.

    `former_base` is of its replicas that a re-deploy is to replace, `failed_redeploy` why its last re-deploy
    was given up; `ready_in` are the seconds until a restart is expected to be over, if that is known.
    """
    status = _status_of(title, spec, replicas, restarts, former_base, ready_in)
    if not failed_redeploy:
        return status
    if status.state is State.READY:
        next_step = "Fix the model or choose another, then re-deploy."
        cause = f"{failed_redeploy} {keeps_serving(spec.base, spec.replicas)}"
        return Status(State.FAILED, cause, next_step)
    return Status(status.state, f"{failed_redeploy} {status.cause}", status.next_step)


def _status_of(
    title: str,
    spec: Spec,
    replicas: Sequence[ReplicaStatus],
    restarts: RestartHistory,
    former_base: str,
    ready_in: float | None,
) -> Status:
    fresh = len(_ready([r for r in replicas if r.generation == spec.generation]))
    if former := len(_ready(replicas)) - fresh:
        reason = f" {restarts.reason}" if restarts.failed_starts else ""
        progress = redeploying(former_base, former, spec.base, fresh, spec.replicas)
        return Status(State.UPDATING, progress + reason)
    if fresh >= spec.replicas:
        return Status(State.READY)
    if fresh == 0 and restarts.failed_starts >= GIVE_UP_AFTER:
        cause = f"The model server ended {restarts.failed_starts} times while starting. {restarts.reason}"
        return Status(
            State.FAILED, cause, "Fix the model or deploy another one. Restarts continue in the background."
        )
    if restarts.reason:
        who = f"{fresh} of {spec.replicas} replicas ready, another one" if fresh else title
        return Status(State.DEGRADED, restarting(who, restarts.reason, ready_in))
    return Status(State.STARTING, loading(fresh, spec.replicas))
