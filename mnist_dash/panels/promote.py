"""Right, below: promote New, and resolve an interrupted promotion."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash import preconditions
from mnist_dash.domain import Promote, Role, Snapshot, State, UndoPromote
from mnist_dash.panels import actions
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import plain
from mnist_dash.service import Dashboard

LABEL: Final = "Make New the Current"
ICON: Final = ":material/swap_vert:"
FORMER: Final = "Deploy a New model first: Former is what Current replaced."


def show(dash: Dashboard, snapshot: Snapshot, obstacle: str) -> None:
    """Show the promote button, at once and without a question if nobody answers otherwise.

    After a promotion there is nothing to promote. An `obstacle` disables the button.
    """
    why_not = obstacle or (
        FORMER if snapshot.can_undo_promote else preconditions.why_not(snapshot, Promote())
    )
    with st.container(horizontal=True, vertical_alignment="center", key="promotion"):
        note = find_outage(snapshot)
        if note and (not why_not or actions.is_sending(Promote)):
            st.button(
                LABEL,
                key="promote-now",
                type="primary",
                icon=actions.choose_icon(ICON, Promote),
                on_click=_promote_now,
                args=(dash, snapshot.etag(Role.NEW)),
                disabled=bool(why_not),
            )
        else:
            st.button(
                LABEL,
                key="promote",
                icon=ICON,
                on_click=session().open,
                args=(Role.NEW, Promote()),
                disabled=bool(why_not),
                help=why_not or None,
            )
        if not obstacle and (note or why_not):
            st.caption(plain(note or why_not), width="stretch")
    actions.show_refusal(dash, snapshot, Promote, UndoPromote)


def find_outage(snapshot: Snapshot) -> str:
    """Return that nobody answers, and why, if Current does not recover by itself; empty otherwise."""
    current = snapshot.current
    if current is None:
        return "Nobody answers: there is no Current model."
    if not snapshot.is_answered and current.state is State.FAILED:
        return f"Nobody answers: {current.name} has no ready replica."
    return ""


def _promote_now(dash: Dashboard, etag: str) -> None:
    if dash.snapshot().etag(Role.CURRENT) != etag:  # else it is the second click of a double click
        actions.apply_on_click(dash, Promote(), etag)


def show_interrupted(dash: Dashboard, snapshot: Snapshot, obstacle: str) -> None:
    """Show that a promotion stopped half-way, with the two ways to resolve it."""
    with st.container(gap="small", key="interrupted"):
        st.warning(
            f"{plain(snapshot.interrupted_promotion)} Finish it or take it back to change anything else.",
            icon=":material/warning:",
        )
        with st.container(horizontal=True, key="interrupted-buttons"):
            for label, key, icon, change in (
                ("Finish the promotion", "finish-promotion", ICON, Promote()),
                ("Take it back", "take-back", ":material/undo:", UndoPromote()),
            ):
                st.button(
                    label,
                    key=key,
                    icon=actions.choose_icon(icon, type(change)),
                    on_click=actions.apply_on_click,
                    args=(dash, change),
                    disabled=bool(obstacle),
                    help=obstacle or None,
                )
        actions.show_refusal(dash, snapshot, Promote, UndoPromote)
