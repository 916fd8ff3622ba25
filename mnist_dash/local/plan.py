"""What to do next about one release, and what to call its state: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mnist_dash.domain import State
from mnist_dash.local.desired_state import Spec
from mnist_dash.rollout_status import FORMER_KEEPS_SERVING, Status, loading, redeploying

GIVE_UP_AFTER = 3
"""Starts that failed in a row before a release is called failed (or a re-deploy is given up)."""
FIRST_DELAY, MAX_DELAY = 0.5, 30.0
"""Seconds between restarts on a crash loop; the first restart comes at once."""


class Phase(StrEnum):
    """The life of one replica."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    """Out of the gateway's table, its last requests being answered."""
    STOPPING = "stopping"
    """Told to end."""


@dataclass(frozen=True)
class ReplicaStatus:
    """One replica as it is."""

    name: str
    generation: int
    phase: Phase


@dataclass(frozen=True)
class RestartHistory:
    """How the replicas of one generation ended by themselves."""

    failed_starts: int = 0
    """In a row, since one last became ready."""
    in_a_row: int = 0
    """Ends in a row, since one last stayed up for a while."""
    words: str = ""
    """The last words of the last one."""


@dataclass(frozen=True)
class Plan:
    """What to do about one release now."""

    members: tuple[str, ...] = ()
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
    spec: Spec | None, seen: Sequence[ReplicaStatus], ends: RestartHistory, former: Spec | None = None
) -> Plan:
    """Decide about one release.

    The replicas of a new generation are all started beside the `former` ones, and get the requests once all
    of them are ready (or no former one is left to answer); then the former ones are drained. Replicas of any
    other generation, which a later deploy has superseded, are drained at once.
    """
    serving = [s for s in seen if s.phase in (Phase.STARTING, Phase.READY)]
    if spec is None:
        return Plan(drain=tuple(s.name for s in serving))
    fresh = [s for s in serving if s.generation == spec.generation]
    old = [s for s in serving if former and s.generation == former.generation]
    strays = tuple(s.name for s in serving if s not in fresh and s not in old)
    fresh_ready, old_ready = _ready(fresh), _ready(old)
    taken_over = len(fresh_ready) >= spec.replicas or (bool(fresh_ready) and not old_ready)
    if former and not taken_over and ends.failed_starts >= GIVE_UP_AFTER:
        return Plan(members=old_ready, give_up=True)
    return Plan(
        members=fresh_ready if taken_over else old_ready,
        start=max(0, spec.replicas - len(fresh)),
        start_former=max(0, former.replicas - len(old)) if former and not taken_over else 0,
        drain=(*strays, *(s.name for s in old)) if taken_over else strays,
        taken_over=taken_over,
    )


def _ready(seen: Sequence[ReplicaStatus]) -> tuple[str, ...]:
    return tuple(s.name for s in seen if s.phase is Phase.READY)


def delay(ends: RestartHistory) -> float:
    """Seconds to wait before the next start: none after one end, then doubling up to half a minute."""
    return 0.0 if ends.in_a_row <= 1 else min(MAX_DELAY, FIRST_DELAY * 2 ** (ends.in_a_row - 2))


def condition(
    spec: Spec, seen: Sequence[ReplicaStatus], ends: RestartHistory, *, failed_redeploy: str = ""
) -> Status:
    """The state of a release: `seen` are its replicas, `failed_redeploy` what its last re-deploy died of."""
    found = _condition(spec, seen, ends)
    if not failed_redeploy:
        return found
    if found.state is State.READY:
        step = "Fix the model or choose another, then re-deploy."
        return Status(State.FAILED, f"{failed_redeploy} {FORMER_KEEPS_SERVING}", step)
    return Status(found.state, f"{failed_redeploy} {found.cause}", found.next_step)


def _condition(spec: Spec, seen: Sequence[ReplicaStatus], ends: RestartHistory) -> Status:
    fresh = len(_ready([s for s in seen if s.generation == spec.generation]))
    old = len(_ready([s for s in seen if s.generation != spec.generation]))
    if old:
        words = f" {ends.words}" if ends.failed_starts else ""
        cause = redeploying(fresh, spec.replicas) + words
        return Status(State.UPDATING, cause)
    if fresh >= spec.replicas:
        return Status(State.READY)
    if fresh == 0 and ends.failed_starts >= GIVE_UP_AFTER:
        return Status(
            State.FAILED,
            f"The model server ended {ends.failed_starts} times while starting. {ends.words}",
            "Fix the model or deploy another one. Restarts continue in the background.",
        )
    if ends.words:
        return Status(State.DEGRADED, f"{fresh} of {spec.replicas} replicas ready; one ended. {ends.words}")
    return Status(State.STARTING, loading(fresh, spec.replicas))
