"""Why a change or a prediction cannot work now: pure functions of a snapshot, for page and service.

Each returns the reason with its next step, or "" if there is none.
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

NO_CURRENT = "Without a Current model, all predictions fail. Deploy a Current model first."
NO_NEW = "No New model is deployed. Deploy a New model first."


def why_not(snapshot: Snapshot, change: Change) -> str:
    """Return why a change cannot be applied."""
    if snapshot.interrupted_promotion and not isinstance(change, Promote | UndoPromote):
        return f"{snapshot.interrupted_promotion} Finish it or take it back first."
    match change:
        case Deploy():
            return ""
        case Remove(role):
            return why_not_remove(snapshot, role)
        case SetSplit(percent):
            return why_not_strategy(snapshot, Strategy.from_split(percent))
        case Promote():
            return why_not_promote(snapshot)
        case UndoPromote():
            return why_not_undo_promote(snapshot)


def why_not_predict(snapshot: Snapshot, route: Route = Route.SPLIT) -> str:
    """Return why a request on this route would fail."""
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


def why_not_strategy(snapshot: Snapshot, strategy: Strategy) -> str:
    """Return why a strategy cannot be set; New need not be ready, because the split is held until it is."""
    if strategy is Strategy.CURRENT_ONLY:
        return ""
    if snapshot.current is None:
        return NO_CURRENT
    return NO_NEW if snapshot.new is None else ""


def why_not_promote(snapshot: Snapshot) -> str:
    """Return why New cannot be promoted; an interrupted promotion can always be finished."""
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
    """Return why the last promotion cannot be taken back."""
    if snapshot.interrupted_promotion:
        return ""
    if not snapshot.can_undo_promote:
        return "There is no promotion to take back, or a model was deployed or removed since."
    if snapshot.new is None or snapshot.new.ready == 0:
        return "The former Current model has no ready replica."
    return ""


def why_not_remove(snapshot: Snapshot, role: Role) -> str:
    """Return why there is nothing to remove."""
    return "" if snapshot.of(role) else f"No {role.label} model is deployed."


def differing_input(current: tuple[int, ...], new: tuple[int, ...]) -> str:
    """Describe the models' different inputs; empty if they are equal or a shape is unknown."""
    if not current or not new or current[1:] == new[1:]:
        return ""
    return (
        f"It takes {new[1:]}, Current {current[1:]}: the dashboard adapts, "
        "but another program's request fits only one of them."
    )
