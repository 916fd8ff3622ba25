"""Make the snapshot of the page from an observation of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mnist_dash.cluster.failures import Failure, failure_of, is_complete, is_observed, was_complete
from mnist_dash.cluster.manifests import ModelSpec, model_of
from mnist_dash.cluster.observation import Observation, is_ready, newest
from mnist_dash.cluster.operations import state_of
from mnist_dash.cluster.resources import Object, service_name
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.traffic_probe import GatewayView
from mnist_dash.domain import Deployment, ModelCheck, Release, Role, Snapshot, State
from mnist_dash.preconditions import differing_input
from mnist_dash.rollout_status import FORMER_KEEPS_SERVING, GATEWAY_PENDING, SPLIT_HELD, Status, redeploying

Versions = Mapping[Release, int | None]
"""The version that each release was heard to answer with."""
Checks = Callable[[str, int], ModelCheck | None]
"""What is known of a version of a model base."""


@dataclass(frozen=True)
class _Running:
    """A Deployment with those of its Pods that are ready."""

    live: Object
    desired: int
    fresh: list[Object]
    """Of the template as it is now."""
    former: list[Object]
    """Of an earlier one."""

    @property
    def answering(self) -> list[Object]:
        """Those whose model is shown: the former ones until the fresh ones have taken over."""
        return self.fresh if len(self.fresh) >= self.desired or not self.former else self.former

    @property
    def ready(self) -> int:
        """How many replicas get requests, no more than are desired: a rollout has one in excess."""
        status = self.live.get("status", {})
        all_ready = len(self.fresh) + len(self.former)
        return min(self.desired, status.get("readyReplicas", 0) if is_observed(self.live) else all_ready)

    @property
    def model(self) -> ModelSpec | None:
        """What is shown: what answers, or is to answer if nothing does."""
        return model_of(self.answering[0]) if self.answering else model_of(self.live)


def deployment_of(role: Role, seen: Observation, versions: Versions, checks: Checks) -> Deployment | None:
    """A role's model as it was seen; None if nothing is deployed there.

    While a re-deploy is under way, or has failed, the model shown is the former one, which answers.
    """
    release = seen.release(role)
    running = _running(release, seen)
    if running is None:
        return None
    found = _found(running, versions.get(release), checks)
    told = _told(running, seen)
    return Deployment(
        role=role,
        release=release,
        base=running.model.check.base if running.model else "",
        desired=running.desired,
        ready=running.ready,
        state=told.state,
        version=versions.get(release) if running.ready else None,
        accuracy=found.accuracy if found else None,
        input_shape=found.input_shape if found else (),
        cause=told.cause,
        next_step=told.next_step,
        warnings=(
            *(found.warnings if found else ()),
            *(_differing(found, seen, versions, checks) if role is Role.NEW else ()),
        ),
    )


def _running(release: Release, seen: Observation) -> _Running | None:
    live = seen.deployment(release)
    if live is None:
        return None
    pods = seen.pods_of(release)
    present = newest(live, pods)
    return _Running(
        live=live,
        desired=live["spec"].get("replicas", 1),
        fresh=[pod for pod in present if is_ready(pod)],
        former=[pod for pod in pods if pod not in present and is_ready(pod)],
    )


def _found(running: _Running, version: int | None, checks: Checks) -> ModelCheck | None:
    """What is known of the model that is shown: by the check before its deployment, or of its version now."""
    if running.model is None:
        return None
    check = running.model.check
    if version is None or not running.answering or check.version == version:
        return check
    of_version = checks(check.base, version)
    return of_version or (check if check.version is None else None)


def _differing(
    new: ModelCheck | None, seen: Observation, versions: Versions, checks: Checks
) -> Iterator[str]:
    release = seen.release(Role.CURRENT)
    running = _running(release, seen)
    current = _found(running, versions.get(release), checks) if running else None
    if new and current and (words := differing_input(current.input_shape, new.input_shape)):
        yield words


def _told(running: _Running, seen: Observation) -> Status:
    live, desired, ready = running.live, running.desired, running.ready
    if desired == 0:
        return Status(State.DEGRADED, "Somebody else scaled it to 0 replicas.", "Re-deploy it.")
    if is_complete(live):
        return Status(State.READY)
    cause = failure_of(live, seen.pods, seen.events, seen.logs) or _settling(ready, desired)
    counted = cause.text if cause.usual else f"{ready} of {desired} replicas ready. {cause.text}"
    degraded = was_complete(live) and not running.former
    if cause.failed and not (degraded and ready):
        words = cause.text
        if running.former:
            words = f"{words} {FORMER_KEEPS_SERVING}"
        elif ready:
            words = counted
        return Status(State.FAILED, words, cause.next_step)
    if running.former:
        return Status(State.UPDATING, _redeploying(running, cause), cause.next_step)
    if degraded:
        return Status(State.DEGRADED, counted, cause.next_step)
    # A change of a Deployment that answers (another number of replicas) is not its start.
    state = State.UPDATING if len(running.fresh) >= desired else State.STARTING
    return Status(state, cause.text, cause.next_step)


def _settling(ready: int, desired: int) -> Failure:
    return Failure(f"The rollout is being finished: {ready} of {desired} replicas ready.", usual=True)


def _redeploying(running: _Running, cause: Failure) -> str:
    words = redeploying(len(running.fresh), running.desired)
    return words if cause.usual else f"{words} {cause.text}"


@dataclass(frozen=True)
class Promotion:
    """A promotion that is under way, as far as this dashboard has to do with it."""

    mine: bool = False
    """Whether this dashboard carries it on."""
    interrupted: bool = False
    """Whether it has not got on for some time."""
    obstacle: str = ""
    """What keeps it from going on, in words."""


def snapshot_of(
    seen: Observation,
    view: GatewayView,
    promotion: Promotion,
    checks: Callable[[str, int], ModelCheck | None],
    *,
    drift: tuple[str, ...] = (),
    problem: str = "",
    notices: tuple[str, ...] = (),
) -> Snapshot:
    """Everything in words; `problem` is why the dashboard could not carry on what it has to."""
    current, new = (deployment_of(role, seen, view.versions, checks) for role in Role)
    state = state_of(seen)
    interrupted = _interrupted(seen, promotion) if promotion.interrupted else ""
    return Snapshot(
        taken_at=seen.taken_at,
        current=current,
        new=new,
        split_desired=state.swap.split if state.swap else state.split,
        split_observed=_observed(seen, view),
        waiting_for=interrupted or _waiting_for(seen, view, promotion, problem),
        can_undo_promote=state.can_undo and new is not None and state.swap is None,
        interrupted_promotion=interrupted,
        drift=drift,
        notices=notices,
    )


def is_swapped(shown: Snapshot, seen: Observation) -> bool:
    """Whether a model that was shown in one role plays the other one by now: somebody else promoted."""
    models = filter(None, (shown.current, shown.new))
    return any(seen.role(model.release) is not model.role for model in models)


def _waiting_for(seen: Observation, view: GatewayView, promotion: Promotion, problem: str) -> str:
    swap = state_of(seen).swap
    if swap:
        doing = "The roles are being" if promotion.mine else f"By {swap.by or 'somebody'} the roles are being"
        return " ".join(filter(None, [f"{doing} swapped.", promotion.obstacle, problem]))
    if problem:
        return problem
    if ending := _ending(seen):
        return ending
    if state_of(seen).split > 0 and not seen.ready_addresses(Role.NEW):
        return SPLIT_HELD
    if view.problem:
        return f"The gateway does not lead to the models yet. {view.problem}"
    return GATEWAY_PENDING if view.pending else ""


def _observed(seen: Observation, view: GatewayView) -> int:
    """New's share; while both pointers lead to one release, that one gets everything, whatever the weight."""
    if seen.pointer(Role.CURRENT) is not seen.pointer(Role.NEW):
        return view.split
    return 0 if seen.release(Role.CURRENT) is seen.pointer(Role.CURRENT) else 100


def _ending(seen: Observation) -> str:
    """That what was removed is not gone yet: it may still answer."""
    removed = [role for role in Role if seen.deployment(seen.release(role)) is None]
    left = [role.label for role in removed if seen.pods_of(seen.release(role))]
    return f"The replicas of the removed {' and '.join(left)} are ending." if left else ""


def _interrupted(seen: Observation, promotion: Promotion) -> str:
    swap = state_of(seen).swap
    by = f" by {swap.by}" if swap and swap.by else ""
    return f"A promotion{by} stopped half-way. {promotion.obstacle}".strip()


def faults(seen: Observation, routes: Routes) -> tuple[str, ...]:
    """What is wrong with the objects that lead to the models, if there are any, a sentence each."""
    if not seen.deployments:
        return ()
    missing = [
        f"Service {service_name(role)} is missing, so nobody reaches {role.label}. "
        "Deploying any model writes it anew."
        for role in Role
        if seen.service(role) is None
    ]
    return (*missing, *(seen.written.trouble if seen.written else routes.find_faults(seen.routes)))
