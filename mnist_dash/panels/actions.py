"""Apply the changes that a visitor asks for, and show an error where the change was asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from mnist_dash.domain import Change, Snapshot
from mnist_dash.errors import EngineError, MnistDashError, ModelError
from mnist_dash.panels import background
from mnist_dash.panels.session import Dialog, SentChange, session, signed_in_user
from mnist_dash.panels.theme import show_problem
from mnist_dash.service import Dashboard

Button = Callable[..., bool]
"""`st.button`, or `st.form_submit_button` within a form."""
SENDING = "Sending the change."
INTERRUPTED = "Finish the promotion or take it back first."
TAKE_OVER = "Take it over", "take-over", ":material/front_hand:"


def apply_on_click(dash: Dashboard, change: Change, expected: str = "", *, take_over: bool = False) -> None:
    """Apply a change from a button's callback; a later run shows the error, if there is one.

    While the engine has not accepted or refused a change, others are ignored.
    """
    state = session()
    if state.sent:
        return
    state.refusal = None
    try:
        state.sent = _send(dash, change, take_over=take_over, expected=expected)
    except MnistDashError as error:
        state.refusal = change, error
    else:
        receive_result(background.AT_ONCE_SECONDS)


def _send(dash: Dashboard, change: Change, *, take_over: bool, expected: str = "") -> SentChange:
    """Give the engine a change without waiting: a cluster's API server may take seconds."""
    before = dash.snapshot()
    sender = dash.on_behalf_of(signed_in_user(), take_over=take_over)
    result = dash.submit(lambda: sender.apply(change, expected=expected))
    return SentChange(change, before, result)


def receive_result(seconds: float = 0.0) -> None:
    """Note whether the change that was sent is accepted or refused, if that is known within this time."""
    state = session()
    if not (sent := state.sent) or not background.is_done(sent.result, seconds):
        return
    state.sent = None
    try:
        _note_result(sent)
    except MnistDashError as error:
        state.refusal = sent.change, error


def _note_result(sent: SentChange) -> None:
    """Wait until the engine has accepted a change, and note that it is under way; raises its refusal."""
    if sent.result.result():
        session().pending.append((sent.change, sent.before))


def is_sending(*kinds: type[Change]) -> bool:
    """Whether a change of these kinds has been sent and is neither accepted nor refused yet."""
    sent = session().sent
    return sent is not None and isinstance(sent.change, kinds)


def choose_icon(icon: str, *kinds: type[Change]) -> str:
    """Return a button's icon, or a spinner while the change that it makes is being sent."""
    return "spinner" if is_sending(*kinds) else icon


def find_obstacle(dash: Dashboard, snapshot: Snapshot) -> str:
    """Return the obstacle to every change, in short: the panel shows the full reason once, above."""
    if session().sent:
        return SENDING
    if snapshot.trouble and dash.in_cluster:  # the local engine takes changes while its gateway restarts
        return "Wait until the problem under Roll out is solved."
    return INTERRUPTED if snapshot.interrupted_promotion else ""


def find_refusal(snapshot: Snapshot, *kinds: type[Change]) -> MnistDashError | None:
    """Return why the last change was refused, if it is of these kinds, and the reason is not gone by now."""
    change, problem = session().refusal or (None, None)
    if problem is None or not isinstance(change, kinds):
        return None
    if snapshot.trouble:  # it is shown above, and once it is over, so is its refusal
        session().refusal = None
        return None
    return problem


def show_refusal(dash: Dashboard, snapshot: Snapshot, *kinds: type[Change]) -> None:
    """Show why the last change was refused, if it is of these kinds, and the choice to take over."""
    if problem := find_refusal(snapshot, *kinds):
        show_problem(problem)
        with st.container(horizontal=True, key="refusal-buttons"):
            show_take_over(dash)


def can_take_over(problem: MnistDashError | None) -> bool:
    """Whether a change was refused because somebody else owns fields, which it may take over."""
    return isinstance(problem, EngineError) and problem.can_take_over


def show_take_over(dash: Dashboard) -> None:
    """Show the buttons that take over the fields that somebody else owns, or leave them, where that helps."""
    change, problem = session().refusal or (None, None)
    if change and can_take_over(problem):
        label, key, icon = TAKE_OVER
        take_over = partial(apply_on_click, dash, change, take_over=True)
        st.button(label, key=key, icon=icon, on_click=take_over)
        st.button("Leave it", key="leave-it", on_click=setattr, args=(session(), "refusal", None))


def run_dialog(
    dash: Dashboard, dialog: Dialog, make_change: Callable[[], Change], busy: str, button: Button = st.button
) -> None:
    """After the click, apply the change and close the dialog; on an error keep it open and show the error.

    Done here rather than in the button's callback, so that the dialog shows that it is busy.
    """
    spot = st.empty()  # always, because only another placeholder removes what it showed before
    if dialog.confirmed:
        with spot.container(), st.spinner(busy):
            _apply_and_close(dash, dialog, make_change)
        st.rerun()  # the button that was pressed shows a spinner until then
    if session().dialog is not dialog:
        st.rerun()
    if dialog.problem:
        with spot.container():
            show_problem(dialog.problem)
            _show_override(dialog, dialog.problem, button)


def _apply_and_close(dash: Dashboard, dialog: Dialog, make_change: Callable[[], Change]) -> None:
    dialog.confirmed, dialog.shows_content, dialog.problem = False, False, None
    try:
        _note_result(_send(dash, make_change(), take_over=dialog.take_over, expected=dialog.expected))
    except MnistDashError as error:
        dialog.problem = error
    else:
        session().close()


def choose_confirm_icon(dialog: Dialog, icon: str) -> str:
    """Return the icon of the button that confirms a dialog, or a spinner while its change is applied."""
    return "spinner" if dialog.confirmed else icon


def show_cancel(button: Button = st.button) -> None:
    """Show the button that closes a dialog, as Esc and its cross do."""
    button("Cancel", key="cancel", on_click=session().close)


def _show_override(dialog: Dialog, problem: MnistDashError, button: Button) -> None:
    """Show a second, explicit button where the visitor may override the problem."""
    options: dict[str, bool | str] = {"allow_unverified": dialog.allow_unverified}
    if can_take_over(problem):
        options["take_over"] = True
        label, key, icon = TAKE_OVER
    elif isinstance(problem, EngineError) and problem.etag:
        options |= {"take_over": dialog.take_over, "expected": problem.etag}
        label, key, icon = "Do it anyway", "confirm-anyway", ":material/priority_high:"
    elif isinstance(problem, ModelError) and problem.unverified:
        options["allow_unverified"] = True
        label, key, icon = "Deploy unchecked", "deploy-unchecked", ":material/rule:"
    else:
        return
    button(label, key=key, icon=icon, on_click=session().confirm, kwargs=options)
