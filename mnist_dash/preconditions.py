"""Why a change or a prediction cannot work now: pure functions of a snapshot, for page, service and engines.

Those that return a text return the reason with its next step, or "" if there is none.
"""

from __future__ import annotations

from dataclasses import replace

from mnist_dash.domain import (
    NOTHING,
    Change,
    Deploy,
    Deployment,
    Promote,
    Remove,
    Role,
    Route,
    SetSplit,
    Snapshot,
    State,
    UndoPromote,
    count_replicas,
)
from mnist_dash.errors import EngineError

NO_CURRENT = "Without a Current model, all predictions fail. Deploy a Current model first."
NO_NEW = "No New model is deployed. Deploy a New model first."


def is_done(snapshot: Snapshot, change: Change, expected: str) -> bool:
    """Whether a change is an undo that a first click, or another browser, has already made.

    `expected` is the etag of the former model, which is Current again then, or on the way there.
    """
    if not isinstance(change, UndoPromote) or not expected or snapshot.interrupted_promotion:
        return False
    if snapshot.becoming_current:
        return expected.split()[0] == snapshot.becoming_current
    return expected == snapshot.etag(Role.CURRENT)


def why_not(snapshot: Snapshot, change: Change) -> str:
    """Return why a change cannot be applied; an interrupted promotion can always be resolved."""
    if snapshot.interrupted_promotion:
        resolves = isinstance(change, Promote | UndoPromote)
        return "" if resolves else f"{snapshot.interrupted_promotion} Finish it or take it back first."
    new = snapshot.new
    match change:
        case Remove(role) if not snapshot.of(role):
            return f"No {role.label} model is deployed."
        case SetSplit(percent) if percent and snapshot.current is None:
            return NO_CURRENT
        case SetSplit(percent) if (
            percent and new is None
        ):  # it need not be ready: the split is held until it is
            return NO_NEW
        case Promote():
            return _why_not_promote(snapshot)
        case UndoPromote() if not snapshot.can_undo_promote:
            return "There is no promotion to take back, or a model was deployed or removed since."
        case UndoPromote() if new is None or new.ready == 0:
            return "The former Current model has no ready replica."
    return ""


def is_needed(snapshot: Snapshot, change: Change, expected: str = "") -> bool:
    """Whether a change would change something; raises EngineError for a model that is deployed already.

    A model that was exported again with its old number counts as another one if its check says so.
    """
    if is_done(snapshot, change, expected):
        return False
    if snapshot.drift:  # the change takes back what others changed
        return True
    match change:
        case SetSplit(percent):
            return percent != snapshot.split_desired
        case Deploy(role, check, replicas) if model := snapshot.of(role):
            if role is Role.NEW and snapshot.can_undo_promote:  # it makes Former New again
                return True
            deployed = model.state, model.base, model.version, model.accuracy, model.desired
            if deployed == (State.READY, check.base, check.version, check.accuracy, replicas):
                version = f" version {model.version}" if model.version is not None else ""
                copies = count_replicas(replicas)
                problem = f"{model.name}{version} is deployed as {role.label} already, with {copies}."
                raise EngineError(problem, "Choose another model or another number of replicas.")
    return True


def check_expected(snapshot: Snapshot, change: Change, expected: str) -> None:
    """Raise EngineError if the role that a change is for is not as `expected`; anything fits "".

    A change of both roles is expected to find the same New.
    """
    role = change.role if isinstance(change, Deploy | Remove) else Role.NEW
    now = snapshot.etag(role)
    if expected in ("", now) or is_done(snapshot, change, expected):
        return
    problem = f"Somebody else deployed to {role.label} meanwhile."
    if now == NOTHING:
        problem = f"{role.label} was removed meanwhile."
    elif expected != NOTHING and expected.split()[0] != now.split()[0]:
        problem = "The roles were swapped meanwhile."
    raise EngineError(problem, "Check what is deployed now.", etag=now)


def _why_not_promote(snapshot: Snapshot) -> str:
    if snapshot.new and snapshot.new.state is State.UPDATING:
        return "New is being re-deployed. Wait until it is ready."
    return _why_not_ready(snapshot, snapshot.new)


def _why_not_ready(snapshot: Snapshot, model: Deployment | None) -> str:
    if model is None:
        return NO_NEW
    title = snapshot.role_title(model.role)
    if model.ready or model.cause.startswith(title):
        return "" if model.ready else model.cause
    return f"{title} has no ready replica. {model.cause}".strip()


def why_not_predict(snapshot: Snapshot, route: Route = Route.SPLIT) -> str:
    """Return why a request on this route would fail."""
    if snapshot.trouble:
        return snapshot.trouble
    if snapshot.current is None:
        return NO_CURRENT
    reason = _why_not_ready(snapshot, snapshot.current)
    if reason or route is not Route.NEW:
        return reason
    return _why_not_ready(snapshot, snapshot.new)


def warn_of_differing_input(current: Deployment | None, new: Deployment | None) -> Deployment | None:
    """Return New with a warning if Current takes another input; unchanged otherwise."""
    if current and new and (warning := differing_input(current.input_shape, new.input_shape)):
        return replace(new, warnings=(*new.warnings, warning))
    return new


def differing_input(current: tuple[int, ...], new: tuple[int, ...]) -> str:
    """Describe the models' different inputs; empty if they are equal or a shape is unknown."""
    if not current or not new or current[1:] == new[1:]:
        return ""
    return (
        f"It takes {new[1:]}, Current {current[1:]}: the dashboard adapts, "
        "but another program's request fits only one of them."
    )
