"""Apply the changes that a visitor asks for, and show an error where the change was asked for."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mnist_dash.domain import Change, Deploy, Release, describe
from mnist_dash.errors import EngineError, MnistDashError, ModelError
from mnist_dash.panels.session import Dialog, session, signed_in_user
from mnist_dash.panels.theme import show_problem
from mnist_dash.service import Dashboard

MakeChange = Callable[[], Change]
"""Returns the change to apply; raises MnistDashError if there is none."""
Button = Callable[..., bool]
"""`st.button`, or `st.form_submit_button` within a form."""


def apply_on_click(dash: Dashboard, change: Change, *, take_over: bool = False) -> None:
    """Apply a change from a button's callback; the next run shows that it has started, or the error."""
    session().conflict = None
    try:
        _apply(dash, change, take_over=take_over)
    except MnistDashError as error:
        if isinstance(error, EngineError) and error.can_take_over:
            session().conflict = change, error
        else:
            session().notify(str(error), error=True)


def _apply(dash: Dashboard, change: Change, *, take_over: bool, expected: Release | None = None) -> None:
    dash.on_behalf_of(signed_in_user(), take_over=take_over).apply(change, expected=expected)
    warnings = change.check.warnings if isinstance(change, Deploy) else ()
    session().notify(" ".join([f"Started: {describe(change)}.", *warnings]))


def show_conflict(dash: Dashboard, *kinds: type[Change]) -> None:
    """Show the conflict of a change of these kinds, if there is one, with the choice to take over."""
    change, problem = session().conflict or (None, None)
    if problem is None or not isinstance(change, kinds):
        return
    show_problem(problem)
    with st.container(horizontal=True, key="conflict-buttons"):
        _take_over_button(st.button, apply_on_click, dash, change)
        st.button("Leave it", key="leave-it", on_click=setattr, args=(session(), "conflict", None))


def _take_over_button(button: Button, on_click: Callable[..., None], *args: object, **kwargs: object) -> None:
    button(
        "Take it over",
        key="take-over",
        icon=":material/front_hand:",
        on_click=on_click,
        args=args,
        kwargs={"take_over": True, **kwargs},
    )


def run_dialog(
    dash: Dashboard, dialog: Dialog, make_change: MakeChange, busy: str, button: Button = st.button
) -> None:
    """After the click, apply the change and close the dialog; on an error keep it open and show the error.

    Done here rather than in the button's callback, so that the dialog shows that it is busy.
    """
    spot = st.empty()  # always, because only another placeholder removes what it showed before
    if dialog.confirmed:
        with spot.container(), st.spinner(busy):
            _apply_and_close(dash, dialog, make_change)
    if dialog.problem:
        with spot.container():
            show_problem(dialog.problem)
            _show_override(dialog, dialog.problem, button)
    elif session().dialog is not dialog:
        st.rerun()


def _apply_and_close(dash: Dashboard, dialog: Dialog, make_change: MakeChange) -> None:
    dialog.confirmed, dialog.problem = False, None
    try:
        _apply(dash, make_change(), take_over=dialog.take_over, expected=dialog.expected)
    except MnistDashError as error:
        dialog.problem = error
    else:
        session().close()


def _show_override(dialog: Dialog, problem: MnistDashError, button: Button) -> None:
    """Show a second, explicit button where the visitor may override the problem."""
    if isinstance(problem, EngineError) and problem.can_take_over:
        _take_over_button(button, session().confirm, allow_unverified=dialog.allow_unverified)
    elif isinstance(problem, ModelError) and problem.unverified:
        button(
            "Deploy unchecked",
            key="deploy-unchecked",
            icon=":material/rule:",
            on_click=session().confirm,
            kwargs={"allow_unverified": True},
        )
