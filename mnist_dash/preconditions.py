"""What cannot work now, and why: pure functions of a snapshot, for the page and the service.

Each returns the reason as a sentence with its next step, or "" where nothing stands in the way.
"""

from __future__ import annotations

from mnist_dash.domain import (
    Change,
    Deploy,
    Promote,
    Remove,
    Role,
    Route,
    SetSplit,
    Snapshot,
    State,
    Strategy,
    UndoPromote,
)

NO_CURRENT = (
    "No Current model is deployed, and without one the gateway answers nobody. Deploy a Current model first."
)
NO_NEW = "No New model is deployed. Deploy a New model first."


def why_not(snapshot: Snapshot, change: Change) -> str:
    """Why a change cannot be asked for now."""
    match change:
        case Deploy():
            return _why_not_in_between(snapshot)
        case Remove(role):
            return _why_not_in_between(snapshot) or why_not_remove(snapshot, role)
        case SetSplit(percent):
            strategy = Strategy.from_split(percent)
            return _why_not_in_between(snapshot) or why_not_strategy(snapshot, strategy)
        case Promote():
            return why_not_promote(snapshot)
        case UndoPromote():
            return why_not_undo_promote(snapshot)


def _why_not_in_between(snapshot: Snapshot) -> str:
    """Why nothing else can be changed: the roles' pointers are on their way."""
    return (
        f"{snapshot.interrupted_promotion} Finish it or take it back first."
        if snapshot.interrupted_promotion
        else ""
    )


def why_not_predict(snapshot: Snapshot, route: Route = Route.SPLIT) -> str:
    """Why a request on this route would get no answer."""
    if snapshot.trouble:
        return snapshot.trouble
    if snapshot.current is None:
        return NO_CURRENT
    if snapshot.current.ready == 0:
        return f"Current has no ready replica. {snapshot.current.cause}".strip()
    if route is Route.NEW and snapshot.new is None:
        return NO_NEW
    if route is Route.NEW and snapshot.new is not None and snapshot.new.ready == 0:
        return f"New has no ready replica. {snapshot.new.cause}".strip()
    return ""


def why_not_compare(snapshot: Snapshot) -> str:
    """Why both models cannot be asked about one drawing."""
    return why_not_predict(snapshot, Route.NEW)


def why_not_strategy(snapshot: Snapshot, strategy: Strategy) -> str:
    """Why a strategy cannot be set; one that New is not ready for may be set, and is held until it is."""
    if strategy is Strategy.CURRENT_ONLY:
        return ""
    if snapshot.current is None:
        return NO_CURRENT
    return NO_NEW if snapshot.new is None else ""


def why_not_promote(snapshot: Snapshot) -> str:
    """Why New cannot be made the Current; finishing what was interrupted always can be tried."""
    if snapshot.interrupted_promotion:
        return ""
    if snapshot.new is None:
        return NO_NEW
    if snapshot.new.state is State.UPDATING:
        return "New is being re-deployed. Wait until it is ready."
    if snapshot.new.ready == 0:
        return f"New has no ready replica yet. {snapshot.new.cause}".strip()
    return ""


def why_not_undo_promote(snapshot: Snapshot) -> str:
    """Why the last promotion cannot be taken back."""
    if snapshot.interrupted_promotion:
        return ""
    if not snapshot.can_undo_promote:
        return "There is no promotion to take back: none was made, or a model was deployed or removed since."
    if snapshot.new is None or snapshot.new.ready == 0:
        return "The former Current model has no ready replica."
    return ""


def why_not_remove(snapshot: Snapshot, role: Role) -> str:
    """Why there is nothing to remove."""
    return "" if snapshot.of(role) else f"No {role.label} model is deployed."


def differing_input(current: tuple[int, ...], new: tuple[int, ...]) -> str:
    """Why one request cannot fit both models; empty if it can, or where a shape is not known."""
    if not current or not new or current[1:] == new[1:]:
        return ""
    return (
        f"It takes {new[1:]}, Current {current[1:]}: the dashboard adapts, "
        "but another program's request fits only one of them."
    )
