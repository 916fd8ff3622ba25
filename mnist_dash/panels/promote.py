"""Right, below: promote New, undo a promotion, and resolve an interrupted one."""

from __future__ import annotations

import streamlit as st

from mnist_dash import preconditions
from mnist_dash.domain import Promote, Role, Snapshot, UndoPromote
from mnist_dash.panels import actions
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import plain, shortened
from mnist_dash.service import Dashboard


def show(dash: Dashboard, snapshot: Snapshot, obstacle: str) -> None:
    """Show the promote button and, after a promotion, its undo; an `obstacle` disables both."""
    why_not = obstacle or preconditions.why_not(snapshot, Promote())
    with st.container(horizontal=True, vertical_alignment="center", key="promotion"):
        st.button(
            "Make New the Current",
            key="promote",
            icon=":material/swap_vert:",
            on_click=session().open,
            args=(Role.NEW, Promote()),
            disabled=bool(why_not),
            help=why_not or None,
        )
        if snapshot.can_undo_promote and snapshot.new:
            why_not_undo = obstacle or preconditions.why_not(snapshot, UndoPromote())
            st.button(
                f"Undo: make {shortened(snapshot.new.base, 15)} the Current again",
                key="undo-promote",
                icon=":material/undo:",
                on_click=actions.apply_on_click,
                args=(dash, UndoPromote(), snapshot.etag(Role.NEW)),
                disabled=bool(why_not_undo),
                help=why_not_undo
                or f"`{snapshot.new.base}`, and the split, are then as before the promotion.",
            )
        elif why_not and not obstacle:
            st.caption(plain(why_not), width="stretch")
    actions.show_refusal(dash, snapshot, Promote, UndoPromote)


def show_interrupted(dash: Dashboard, snapshot: Snapshot, obstacle: str) -> None:
    """Show that a promotion stopped half-way, with the two ways to resolve it."""
    with st.container(gap="small", key="interrupted"):
        st.warning(
            f"{plain(snapshot.interrupted_promotion)} Finish it or take it back to change anything else.",
            icon=":material/warning:",
        )
        with st.container(horizontal=True, key="interrupted-buttons"):
            for label, key, change in (
                ("Finish the promotion", "finish-promotion", Promote()),
                ("Take it back", "take-back", UndoPromote()),
            ):
                st.button(
                    label,
                    key=key,
                    on_click=actions.apply_on_click,
                    args=(dash, change),
                    disabled=bool(obstacle),
                    help=obstacle or None,
                )
        actions.show_refusal(dash, snapshot, Promote, UndoPromote)
