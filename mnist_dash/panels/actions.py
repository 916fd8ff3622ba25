"""Run an action of the page and show its error where it was asked for."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mnist_dash.domain import Promote, SetSplit, UndoPromote
from mnist_dash.errors import EngineError, MnistDashError, ModelError
from mnist_dash.panels.lifecycle import for_visitor
from mnist_dash.panels.session import Dialog, Refusal, session
from mnist_dash.panels.theme import show_problem
from mnist_dash.service import Dashboard

Direct = SetSplit | Promote | UndoPromote
"""The changes that are made by a click: a promotion, only where one is to be finished."""


def attempt(dash: Dashboard, change: Direct, done: str, *, take_over: bool = False) -> None:
    """Ask for a change and tell that it is `done`, or what stands in its way; for a button's click."""
    now = session()
    now.refusal = None
    try:
        _ask(for_visitor(dash, take_over=take_over), change)
    except MnistDashError as error:
        if isinstance(error, EngineError) and error.can_take_over:
            now.refusal = Refusal(change, error, done)
        else:
            now.tell(str(error), well=False)
    else:
        now.tell(done)


def show(dash: Dashboard, *kinds: type[Direct]) -> None:
    """Show the refusal of such a change, if there was one, with what can be done."""
    refusal = session().refusal
    if not refusal or not isinstance(refusal.change, kinds):
        return
    show_problem(refusal.problem)
    with st.container(horizontal=True, key="refusal-buttons"):
        st.button(
            "Take it over",
            key="take-over",
            icon=":material/front_hand:",
            on_click=attempt,
            args=(dash, refusal.change, refusal.done),
            kwargs={"take_over": True},
        )
        st.button("Leave it", key="leave-it", on_click=_forget)


def _ask(dash: Dashboard, change: Direct) -> None:
    match change:
        case SetSplit(percent):
            dash.set_split(percent)
        case Promote():
            dash.promote()
        case UndoPromote():
            dash.undo_promote()


def _forget() -> None:
    session().refusal = None


Button = Callable[..., bool]
"""`st.button`, or `st.form_submit_button` within a form."""


def dashboard_for(dash: Dashboard, dialog: Dialog) -> Dashboard:
    """The dashboard that makes the dialog's change on behalf of this visitor, as far as they said."""
    return for_visitor(dash, take_over=dialog.take_over)


def confirm_or_cancel(label: str, key: str, icon: str) -> None:
    """Show the button that acts, and the one that leaves."""
    with st.container(horizontal=True):
        st.button(label, key=key, type="primary", icon=icon, on_click=session().confirm)
        st.button("Cancel", key="cancel", on_click=session().close)


def run_action(dialog: Dialog, act: Callable[[], str], doing: str, button: Button = st.button) -> None:
    """After the click: do it, then close the dialog; or keep it open and say what stands in the way.

    Done here rather than in the button's callback, so that the dialog shows that it is busy.
    """
    spot = st.empty()  # always, since only another of its kind sweeps away what it showed before
    if dialog.confirmed:
        with spot.container():
            _attempt(dialog, act, doing)
    if dialog.problem:
        with spot.container():
            show_problem(dialog.problem)
            _way_on(dialog, dialog.problem, button)
    if session().dialog is not dialog and not dialog.problem:
        st.rerun()


def _attempt(dialog: Dialog, act: Callable[[], str], doing: str) -> None:
    dialog.confirmed, dialog.problem = False, None
    try:
        with st.spinner(doing):
            session().tell(act())
    except MnistDashError as error:
        dialog.problem = error
    else:
        session().close()


def _way_on(dialog: Dialog, problem: MnistDashError, button: Button) -> None:
    """A second, explicit button where the visitor may go on in spite of the problem."""
    if isinstance(problem, EngineError) and problem.can_take_over:
        button(
            "Take it over",
            key="take-over",
            icon=":material/front_hand:",
            on_click=session().confirm,
            kwargs={"take_over": True, "unchecked": dialog.unchecked},
        )
    elif isinstance(problem, ModelError) and problem.unverified:
        button(
            "Deploy unchecked",
            key="deploy-unchecked",
            icon=":material/rule:",
            on_click=session().confirm,
            kwargs={"unchecked": True},
        )
