"""Right: the two models, the strategy and the promotion; what changes elsewhere is seen by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import streamlit as st

from mnist_dash.domain import Role, Snapshot
from mnist_dash.panels import model_card, promote, strategy
from mnist_dash.panels.predict import Known
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import ink, plain
from mnist_dash.service import Dashboard

REFRESH_SECONDS: Final = 1.0
OUTSIDE_SHOWN: Final = 3


def roll_out(dash: Dashboard, known: Known) -> None:
    """Show what is deployed, with the controls that change it, and keep all of the page fresh."""
    _panel(dash, known)
    _watch(dash)


@st.fragment
def _panel(dash: Dashboard, known: Known) -> None:
    snapshot = dash.snapshot()
    if Known.from_snapshot(snapshot, in_cluster=dash.in_cluster) != known:
        st.rerun()
    session().drawn = _seen(snapshot)
    _tell()
    st.header("Roll out", anchor=False)
    if snapshot.trouble:
        st.error(plain(snapshot.trouble), icon=":material/error:")
    obstacle = obstacle_to_all(snapshot, in_cluster=dash.in_cluster)
    if snapshot.interrupted_promotion:
        promote.show_interrupted(dash, snapshot, obstacle if snapshot.trouble else "")
    for role in Role:
        model_card.show(role, snapshot, obstacle)
    strategy.show(dash, snapshot, obstacle)
    if not snapshot.interrupted_promotion:
        promote.show(dash, snapshot, obstacle)
    _outside(snapshot.drift)


def obstacle_to_all(snapshot: Snapshot, *, in_cluster: bool) -> str:
    """What stands in the way of every change; the panel tells the whole of it once, above."""
    if snapshot.trouble and in_cluster:  # the local engine takes changes while its gateway is restarted
        return "Nothing can be changed until the trouble above is over."
    if snapshot.interrupted_promotion:
        return "Finish the promotion or take it back first."
    return ""


def _outside(changes: tuple[str, ...]) -> None:
    """What somebody else changed; the rest is counted, so that it never fills the page."""
    more = len(changes) - OUTSIDE_SHOWN
    for change in changes[:OUTSIDE_SHOWN]:
        st.caption(f":material/info: {plain(change)}")
    if more > 0:
        st.caption(f"and {more} more changes from outside.")


@st.fragment(run_every=REFRESH_SECONDS)
def _watch(dash: Dashboard) -> None:
    """Run the page again if something else is to be seen; it draws nothing, so that watching costs little."""
    if _seen(dash.snapshot()) != session().drawn:
        st.rerun()


def _seen(snapshot: Snapshot) -> tuple[Snapshot, str]:
    """What the page is drawn from: the snapshot without its time, and the colour of text."""
    return replace(snapshot, taken_at=0), ink()


def _tell() -> None:
    """Show what the last click led to, for a few seconds."""
    told, session().told = session().told, []
    for words, well in told:
        icon = ":material/check:" if well else ":material/error:"
        st.toast(plain(words), icon=icon, duration="short" if well else "long")
