"""Make the snapshot of the page from an observation of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mnist_dash.cluster.failure_patterns import Failure
from mnist_dash.cluster.failures import failure_of
from mnist_dash.cluster.manifests import ModelSpec
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.resources import service_name
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.traffic_probe import GatewayView
from mnist_dash.cluster.workloads import Pod, Workload
from mnist_dash.domain import Deployment, ModelCheck, Release, Role, Snapshot, State
from mnist_dash.preconditions import differing_input
from mnist_dash.rollout_status import FORMER_KEEPS_SERVING, GATEWAY_PENDING, SPLIT_HELD, Status, redeploying

Versions = Mapping[Release, int | None]
"""The version that each release was observed to answer with."""
FindCheck = Callable[[str, int], ModelCheck | None]
"""Returns the check of a version of a model base; None if it is not known."""


@dataclass(frozen=True)
class _Rollout:
    """A Deployment with those of its Pods that are ready."""

    workload: Workload
    fresh: list[Pod]
    """Of the present template."""
    former: list[Pod]
    """Of an earlier template."""

    @classmethod
    def of(cls, release: Release, observation: Observation) -> _Rollout | None:
        """The rollout of a release; None if it has no Deployment."""
        workload = observation.workloads.get(release)
        if workload is None:
            return None
        pods = observation.pods_of(release)
        newest = workload.newest(pods)
        former = [pod for pod in pods if pod.is_ready and pod not in newest]
        return cls(workload, [pod for pod in newest if pod.is_ready], former)

    @property
    def answering(self) -> list[Pod]:
        """The Pods whose model is shown: the former ones until the fresh ones have taken over."""
        is_over = len(self.fresh) >= self.workload.desired or not self.former
        return self.fresh if is_over else self.former

    @property
    def ready(self) -> int:
        """The replicas that get requests, no more than are desired: a rollout has one in excess."""
        counted = len(self.fresh) + len(self.former)
        return min(self.workload.desired, self.workload.ready if self.workload.is_observed else counted)

    @property
    def model(self) -> ModelSpec | None:
        """The model shown: the one that answers, or is to answer if none does."""
        return self.answering[0].model if self.answering else self.workload.model

    def find_check(self, version: int | None, checks: FindCheck) -> ModelCheck | None:
        """The check of the model shown: the one before its deployment, or that of its present version."""
        if self.model is None:
            return None
        check = self.model.check
        if version is None or not self.answering or check.version == version:
            return check
        return checks(check.base, version) or (check if check.version is None else None)


def deployment_of(
    role: Role, observation: Observation, versions: Versions, checks: FindCheck
) -> Deployment | None:
    """Return a role's model as observed; None if nothing is deployed there.

    While a re-deploy is under way, or has failed, it is the former model, which answers.
    """
    release = observation.release(role)
    rollout = _Rollout.of(release, observation)
    if rollout is None:
        return None
    check = rollout.find_check(versions.get(release), checks)
    status = _status(rollout, observation)
    return Deployment(
        role=role,
        release=release,
        base=rollout.model.check.base if rollout.model else "",
        desired=rollout.workload.desired,
        ready=rollout.ready,
        state=status.state,
        version=versions.get(release) if rollout.ready else None,
        accuracy=check.accuracy if check else None,
        input_shape=check.input_shape if check else (),
        cause=status.cause,
        next_step=status.next_step,
        warnings=check.warnings if check else (),
    )


def _status(rollout: _Rollout, observation: Observation) -> Status:
    workload, desired, ready = rollout.workload, rollout.workload.desired, rollout.ready
    if desired == 0:
        return Status(State.DEGRADED, "Another program scaled it to 0 replicas.", "Re-deploy it.")
    if workload.is_complete:
        return Status(State.READY)
    failure = failure_of(workload, observation.pods, observation.events, observation.logs) or Failure(
        f"The rollout is finishing: {ready} of {desired} replicas ready.", usual=True
    )
    counted = failure.text if failure.usual else f"{ready} of {desired} replicas ready. {failure.text}"
    is_degraded = workload.was_complete and not rollout.former
    if failure.failed and not (is_degraded and ready):
        cause = (
            f"{failure.text} {FORMER_KEEPS_SERVING}" if rollout.former else counted if ready else failure.text
        )
        return Status(State.FAILED, cause, failure.next_step)
    if rollout.former:
        cause = redeploying(len(rollout.fresh), desired)
        return Status(
            State.UPDATING, cause if failure.usual else f"{cause} {failure.text}", failure.next_step
        )
    if is_degraded:
        return Status(State.DEGRADED, counted, failure.next_step)
    # A change of a Deployment that answers (another number of replicas) is not its start.
    state = State.UPDATING if len(rollout.fresh) >= desired else State.STARTING
    return Status(state, failure.text, failure.next_step)


@dataclass(frozen=True)
class PromotionStatus:
    """The progress of a promotion under way."""

    mine: bool = False
    """Whether this dashboard drives it."""
    interrupted: bool = False
    """Whether it has stalled."""
    obstacle: str = ""
    """What keeps it from its next step; empty if nothing does."""


def snapshot_of(
    observation: Observation,
    view: GatewayView,
    promotion: PromotionStatus,
    checks: FindCheck,
    *,
    drift: tuple[str, ...] = (),
    problem: str = "",
    notices: tuple[str, ...] = (),
) -> Snapshot:
    """Make the snapshot; `problem` is why the dashboard could not do its own writes."""
    current, new = (deployment_of(role, observation, view.versions, checks) for role in Role)
    if current and new and (warning := differing_input(current.input_shape, new.input_shape)):
        new = replace(new, warnings=(*new.warnings, warning))
    state, pending = observation.state, observation.promotion
    interrupted = ""
    if promotion.interrupted:
        by = f" by {pending.by}" if pending and pending.by else ""
        interrupted = f"A promotion{by} stopped half-way. {promotion.obstacle}".strip()
    return Snapshot(
        taken_at=observation.taken_at,
        current=current,
        new=new,
        split_desired=pending.split if pending else state.split,
        split_observed=_split_observed(observation, view),
        waiting_for=interrupted or _waiting_for(observation, view, promotion, problem),
        can_undo_promote=state.can_undo and new is not None and pending is None,
        interrupted_promotion=interrupted,
        drift=drift,
        notices=notices,
    )


def is_swapped(shown: Snapshot, observation: Observation) -> bool:
    """Whether a model that was shown in one role now plays the other: another dashboard has promoted."""
    models = filter(None, (shown.current, shown.new))
    return any(observation.role(model.release) is not model.role for model in models)


def _waiting_for(
    observation: Observation, view: GatewayView, promotion: PromotionStatus, problem: str
) -> str:
    if pending := observation.promotion:
        by = "" if promotion.mine else f"{pending.by or 'Another dashboard'}: "
        return " ".join(filter(None, [f"{by}Swapping the roles.", promotion.obstacle, problem]))
    if problem:
        return problem
    removed = [role for role in Role if observation.workload(role) is None]
    if ending := [role.label for role in removed if observation.pods_of(observation.release(role))]:
        return f"The replicas of the removed {' and '.join(ending)} are ending."
    if observation.state.split > 0 and not observation.ready_addresses(Role.NEW):
        return SPLIT_HELD
    if view.problem:
        return f"The gateway does not lead to the models yet. {view.problem}"
    return GATEWAY_PENDING if view.pending else ""


def _split_observed(observation: Observation, view: GatewayView) -> int:
    """New's share; while both pointers lead to one release, that one gets everything, whatever the weight."""
    current = observation.pointer(Role.CURRENT)
    if current is not observation.pointer(Role.NEW):
        return view.split
    return 0 if observation.release(Role.CURRENT) is current else 100


def route_faults(observation: Observation, routes: Routes) -> tuple[str, ...]:
    """Return what is wrong with the objects that lead to the models, if there are any, a sentence each."""
    if not observation.workloads:
        return ()
    missing = [
        f"Service {service_name(role)} is missing, so {role.label} gets no requests. "
        "Deploying any model creates it again."
        for role in Role
        if role not in observation.services
    ]
    return (
        *missing,
        *(observation.route.trouble if observation.route else routes.find_faults(observation.routes)),
    )
