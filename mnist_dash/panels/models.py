"""Right: the two models, the strategy and the promotion; changes made elsewhere appear by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import streamlit as st

from mnist_dash.domain import Role, Snapshot
from mnist_dash.panels import (
    actions,
    background,
    browser_tab,
    model_card,
    outcomes,
    predict,
    promote,
    strategy,
)
from mnist_dash.panels.session import Dialog, session
from mnist_dash.panels.theme import ink, plain
from mnist_dash.service import Dashboard

REFRESH_SECONDS: Final = 1.0
DRIFT_SHOWN: Final = 3
"""How many of others' changes are listed; the rest are counted, so that they never fill the page."""


def show(dash: Dashboard, snapshot: Snapshot) -> None:
    """Show what is deployed, with the controls that change it, and keep the whole page fresh."""
    _show_panel(dash, snapshot, session().dialog)
    _watch(dash)


@st.fragment
def _show_panel(dash: Dashboard, page_snapshot: Snapshot, page_dialog: Dialog | None) -> None:
    """Show the panel from a new snapshot; a click within reruns only this part, if that is enough."""
    snapshot, in_cluster = dash.snapshot(), dash.in_cluster
    before = predict.basis(page_snapshot, in_cluster=in_cluster)
    if predict.basis(snapshot, in_cluster=in_cluster) != before or session().dialog is not page_dialog:
        st.rerun()
    session().shown = _visible_part(dash, snapshot)
    actions.receive_result()
    outcomes.show_toasts(snapshot)
    with st.container(gap="xsmall", key="roll-out"):
        _show_controls(dash, snapshot)
        browser_tab.show(strategy.find_choice(snapshot))
        if sent := session().sent:
            background.rerun_once_done(sent.result)


def _show_controls(dash: Dashboard, snapshot: Snapshot) -> None:
    st.header("Roll out", anchor=False)
    if snapshot.trouble:
        st.error(plain(snapshot.trouble), icon=":material/error:")
    obstacle = actions.find_obstacle(dash, snapshot)
    if snapshot.interrupted_promotion:
        promote.show_interrupted(dash, snapshot, "" if obstacle == actions.INTERRUPTED else obstacle)
    with st.container(horizontal=True, gap="xsmall", key="cards"):
        for role in Role:
            model_card.show(dash, role, snapshot, obstacle)
    strategy.show(dash, snapshot, obstacle)
    if not snapshot.interrupted_promotion:
        promote.show(dash, snapshot, obstacle)
    for change in snapshot.drift[:DRIFT_SHOWN]:
        st.caption(f":material/info: {plain(change)}")
    if (more := len(snapshot.drift) - DRIFT_SHOWN) > 0:
        st.caption(f"and {more} more changes by others.")


@st.fragment(run_every=REFRESH_SECONDS)
def _watch(dash: Dashboard) -> None:
    """Rerun the page when it would look different; draws nothing itself, so that watching costs little."""
    if _visible_part(dash, dash.snapshot()) != session().shown:
        st.rerun()


def _visible_part(dash: Dashboard, snapshot: Snapshot) -> tuple[object, ...]:
    """Return what the page is drawn from: the snapshot without its time, the rollout, the colour of text."""
    return replace(snapshot, taken_at=0), strategy.describe_rollout(dash), ink()
