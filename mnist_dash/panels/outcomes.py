"""Say that a change is done, once the snapshot shows it."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash.domain import (
    Change,
    Deploy,
    Deployment,
    Promote,
    Remove,
    Role,
    SetSplit,
    Snapshot,
    State,
    UndoPromote,
)
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import plain, shortened

NAME_LENGTH: Final = 24


def show_toasts(snapshot: Snapshot) -> None:
    """Show a toast for each change of this visitor that is done, and forget those that will not be."""
    state = session()
    errors, state.errors = state.errors, []
    for error in errors:
        st.toast(plain(error), icon=":material/error:", duration="long")
    outcomes = [(pending, describe_outcome(*pending, snapshot)) for pending in state.pending]
    state.pending = [pending for pending, outcome in outcomes if outcome is None]
    for _, outcome in outcomes:
        if outcome:
            st.toast(plain(outcome), icon=":material/check:", duration="short")


def describe_outcome(change: Change, before: Snapshot, snapshot: Snapshot) -> str | None:
    """Describe a change that is done; None while it is under way, empty if it failed or was superseded.

    `before` is the snapshot when it was applied.
    """
    match change:
        case SetSplit(percent):
            if snapshot.split_desired != percent:
                return ""
            return _describe_split(percent, snapshot) if snapshot.split_observed == percent else None
        case Remove(role):
            if snapshot.of(role):
                return ""
            return None if snapshot.waiting_for else f"{before.role_title(role)} is removed."
        case Deploy():
            return _describe_deployment(change, snapshot)
        case Promote() | UndoPromote():
            return _describe_promotion(change, before.new, snapshot)


def _describe_split(percent: int, snapshot: Snapshot) -> str:
    title = snapshot.role_title(Role.NEW if percent else Role.CURRENT)
    return f"{'All' if percent in (0, 100) else f'{percent} % of the'} requests go to {title}."


def _shortened_name(model: Deployment) -> str:
    """Return a name that leaves the toast so low that it does not reach a dialog's cross."""
    return shortened(model.name, NAME_LENGTH)


def _describe_deployment(change: Deploy, snapshot: Snapshot) -> str | None:
    model = snapshot.of(change.role)
    if model is None or model.state is State.FAILED:
        return ""
    if model.state is not State.READY:
        return None
    if (model.base, model.desired) != (change.check.base, change.replicas):
        return ""
    ready = f"{model.ready} of {model.desired} replicas"
    return f"{_shortened_name(model)} is ready as {change.role.label}: {ready}."


def _describe_promotion(
    change: Promote | UndoPromote, promoted: Deployment | None, snapshot: Snapshot
) -> str | None:
    current = snapshot.current
    if snapshot.interrupted_promotion or current is None:
        return ""
    if snapshot.waiting_for or not promoted or current.release is not promoted.release:
        return None
    return f"{_shortened_name(current)} is the Current{' again' if isinstance(change, UndoPromote) else ''}."
