"""Make the snapshot of the page from an observation of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mnist_dash.cluster.failure_patterns import KILLED, Failure
from mnist_dash.cluster.failures import failure_of
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.resources import service_name
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.traffic_probe import GatewayView
from mnist_dash.cluster.workloads import Workload
from mnist_dash.domain import Deployment, ModelCheck, Release, Replacement, Role, Snapshot, State, title_of
from mnist_dash.preconditions import warn_of_differing_input
from mnist_dash.rollout_status import (
    GATEWAY_PENDING,
    SPLIT_HELD,
    Status,
    keeps_serving,
    redeploying,
    restarting,
)

Versions = Mapping[Release, int | None]
"""The version that each release was observed to answer with."""
FindCheck = Callable[[str, int], ModelCheck | None]
"""Returns the check of a version of a model base; None if it is not known."""


def deployment_of(
    role: Role, observation: Observation, versions: Versions, checks: FindCheck
) -> Deployment | None:
    """Return a role's model as observed; None if nothing is deployed there.

    While a re-deploy is under way, or has failed, it is the former model, which answers.
    """
    workload = observation.workload(role)
    if workload is None:
        return None
    version = versions.get(workload.release) if workload.available else None
    model = workload.answering[0].model if workload.answering else workload.model
    check = model.check if model else None
    if check and version is not None and workload.answering and check.version != version:
        # The folder has got another version since the check before the deployment.
        check = checks(check.base, version) or (check if check.version is None else None)
    title = title_of(role, is_former=observation.state.can_undo and not observation.promotion)
    status, fresh = _status(title, workload, observation), len(workload.fresh)
    replacement = Replacement(workload.base, workload.desired, fresh) if workload.is_replacing else None
    return Deployment(
        role=role,
        release=workload.release,
        base=model.check.base if model else "",
        desired=workload.desired,
        ready=len(workload.former) if replacement else workload.available,
        state=status.state,
        version=version,
        accuracy=check.accuracy if check else None,
        digits=check.digits if check else 0,
        input_shape=check.input_shape if check else (),
        signature=check.signature if check else "",
        cause=status.cause,
        next_step=status.next_step,
        warnings=check.warnings if check else (),
        generation=workload.model.deployed_at if workload.model else "",
        replacement=replacement,
    )


def _status(title: str, workload: Workload, observation: Observation) -> Status:
    desired, ready = workload.desired, workload.available
    if desired == 0:
        return Status(State.DEGRADED, "Another program scaled it to 0 replicas.", "Re-deploy it.")
    if workload.is_complete:
        return Status(State.READY)
    failure = failure_of(workload, observation) or Failure(
        f"The rollout is finishing: {ready} of {desired} replicas ready.", usual=True
    )
    counted = failure.text if failure.usual else f"{ready} of {desired} replicas ready. {failure.text}"
    is_degraded = workload.was_complete and not workload.former
    if failure.failed and not (is_degraded and ready):
        cause = counted if ready else failure.text
        if former := workload.former:
            cause = f"{failure.text} {keeps_serving(former[0].base, len(former))}"
        return Status(State.FAILED, cause, failure.next_step)
    if former := workload.former:
        cause = f"{len(workload.fresh)} of {desired} replicas ready; the former ones are ending."
        if workload.is_replacing:
            cause = redeploying(former[0].base, len(former), workload.base, len(workload.fresh), desired)
        return Status(
            State.UPDATING, cause if failure.usual else f"{cause} {failure.text}", failure.next_step
        )
    if is_degraded and failure.text.startswith(KILLED):
        who = f"{ready} of {desired} replicas ready, another one" if ready else title
        return Status(State.DEGRADED, restarting(who, "It was killed by signal SIGKILL."), failure.next_step)
    if is_degraded:
        return Status(State.DEGRADED, counted, failure.next_step)
    # A change of a Deployment that answers (another number of replicas) is not its start.
    state = State.UPDATING if workload.ready >= desired else State.STARTING
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
    new = warn_of_differing_input(current, new)
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
        can_undo_promote=state.can_undo
        and new is not None
        and (pending is None or pending.current is new.release),
        becoming_current=pending.current if pending else None,
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
    if ending := _describe_ending(observation):
        return ending
    if observation.state.split > 0 and not observation.ready_addresses(Role.NEW):
        return SPLIT_HELD
    if view.problem:
        return f"The gateway does not lead to the models yet. {view.problem}"
    return GATEWAY_PENDING if view.pending else ""


def _describe_ending(observation: Observation) -> str:
    """Say whose replicas are ending after a removal, and which nodes hold that up; empty if none are."""
    removed = [role for role in Role if observation.workload(role) is None]
    pods = {role: observation.pods_of(observation.release(role)) for role in removed}
    names = " and ".join(role.label for role in removed if pods[role])
    if not names:
        return ""
    text = f"The replicas of the removed {names} are ending."
    silent = {pod.node for role in removed for pod in pods[role] if pod.is_node_silent}
    nodes = " and ".join(sorted(silent))
    return f"{text} {nodes} does not answer: what runs there ends when it is back." if silent else text


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
