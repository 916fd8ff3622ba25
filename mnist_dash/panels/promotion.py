"""Right, below: making New the Current, and taking that back."""

from __future__ import annotations

import streamlit as st

from mnist_dash import rules
from mnist_dash.domain import Role, Snapshot
from mnist_dash.errors import MnistDashError
from mnist_dash.panels.look import shortened
from mnist_dash.panels.visit import Verb, visit
from mnist_dash.service import Dashboard


def show(dash: Dashboard, snapshot: Snapshot) -> None:
    """Show the promote button and, after a promotion, its undo."""
    why_not = rules.why_not_promote(snapshot)
    with st.container(horizontal=True, vertical_alignment="center", key="promotion"):
        st.button(
            "Make New the Current",
            key="promote",
            icon=":material/swap_vert:",
            on_click=visit().open,
            args=(Verb.PROMOTE, Role.NEW),
            disabled=bool(why_not),
            help=why_not or None,
        )
        if snapshot.can_undo_promote and snapshot.new:
            why_not_undo = rules.why_not_undo_promote(snapshot)
            st.button(
                f"Undo: make {shortened(snapshot.new.base, 24)} the Current again",
                key="undo-promote",
                icon=":material/undo:",
                on_click=_undo,
                args=(dash,),
                disabled=bool(why_not_undo),
                help=why_not_undo or "All traffic then goes to it.",
            )
        elif why_not:
            st.caption(why_not, width="stretch")


def _undo(dash: Dashboard) -> None:
    try:
        dash.undo_promote()
    except MnistDashError as error:
        visit().tell(str(error), well=False)
    else:
        visit().tell("The promotion is taken back.")
