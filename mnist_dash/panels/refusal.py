"""Changes that need no dialog, and the way on where somebody else owns what such a change writes."""

from __future__ import annotations

import streamlit as st

from mnist_dash.domain import Promote, SetSplit, UndoPromote
from mnist_dash.errors import EngineError, MnistDashError
from mnist_dash.panels.look import show_problem
from mnist_dash.panels.shared import for_visitor
from mnist_dash.panels.visit import Refusal, visit
from mnist_dash.service import Dashboard

Direct = SetSplit | Promote | UndoPromote
"""The changes that are made by a click: a promotion, only where one is to be finished."""


def attempt(dash: Dashboard, change: Direct, done: str, *, take_over: bool = False) -> None:
    """Ask for a change and tell that it is `done`, or what stands in its way; for a button's click."""
    now = visit()
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
    refusal = visit().refusal
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
    visit().refusal = None
