"""Right, middle: how the traffic is divided, and the button that divides it otherwise."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash import preconditions
from mnist_dash.domain import DEFAULT_CANARY, MAX_CANARY, MIN_CANARY, Role, SetSplit, Snapshot, Strategy
from mnist_dash.panels import actions, diff
from mnist_dash.panels.session import Verb, session
from mnist_dash.panels.theme import plain, role_badge
from mnist_dash.service import Dashboard

CHOSEN, CANARY_PERCENT = "strategy", "canary-percent"
STRATEGIES: Final = tuple(Strategy)
BESIDE_PREVIEW: Final = 138
"""How wide the words about an unsent strategy are where a third thing stands in their row, in px."""


def show(dash: Dashboard, snapshot: Snapshot, obstacle: str = "") -> None:
    """Show the split that is in force and the controls that change it; `obstacle` keeps them from it."""
    _follow(snapshot)
    with st.container(border=True, gap="xsmall", key="strategy-card"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="in-force"):
            st.subheader("Strategy", anchor=False)
            st.markdown(f"In force: {traffic(snapshot.split_observed)}", width="content")
        if held := waiting(snapshot):
            st.caption(held)
        chosen = st.radio("Strategy", STRATEGIES, key=CHOSEN, horizontal=True, label_visibility="collapsed")
        _slider(chosen)
        unsent = None if _chosen_split() == snapshot.split_desired else _chosen_split()
        _set_button(dash, unsent, obstacle or preconditions.why_not_strategy(snapshot, chosen))
        actions.show(dash, SetSplit)


def in_words(split: int) -> str:
    """A split as the page says it."""
    strategy = Strategy.from_split(split)
    return f"{strategy}, {split} % to New" if strategy is Strategy.CANARY else str(strategy)


def traffic(split: int) -> str:
    """Each role's share of the requests, as badges."""
    shares = {Role.CURRENT: 100 - split, Role.NEW: split}
    return " ".join(role_badge(role, f" {share} %") for role, share in shares.items())


def waiting(snapshot: Snapshot) -> str:
    """What the split that is desired waits for; empty once it is in force."""
    if snapshot.split_observed == snapshot.split_desired:
        return ""
    reason = snapshot.waiting_for or "The gateway has not taken it up yet."
    return f":material/hourglass_top: Wanted: {in_words(snapshot.split_desired)}. {plain(reason)}"


def _follow(snapshot: Snapshot) -> None:
    """Set the controls to the desired split, unless the visitor has chosen another and not sent it."""
    now, state = session(), st.session_state
    shown = CHOSEN in state
    if shown and now.split_shown == snapshot.split_desired:
        return
    if not shown or _chosen_split() == now.split_shown:
        state[CHOSEN] = snapshot.strategy
        if snapshot.strategy is Strategy.CANARY:
            state[CANARY_PERCENT] = snapshot.split_desired
    now.split_shown = snapshot.split_desired


def _chosen_split() -> int:
    state = st.session_state
    percent: int = state.get(CANARY_PERCENT, DEFAULT_CANARY)
    ends = {Strategy.CURRENT_ONLY: 0, Strategy.NEW_ONLY: 100}
    return ends.get(state.get(CHOSEN, Strategy.CURRENT_ONLY), percent)


def _slider(chosen: Strategy) -> None:
    st.session_state.setdefault(CANARY_PERCENT, DEFAULT_CANARY)
    st.slider(
        "Percent of the requests that New receives",
        MIN_CANARY,
        MAX_CANARY,
        key=CANARY_PERCENT,
        format="%d %%",
        disabled=chosen is not Strategy.CANARY,
        label_visibility="collapsed",
    )


def _set_button(dash: Dashboard, unsent: int | None, why_not: str) -> None:
    previewed = dash.in_cluster and not why_not
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="strategy-buttons"):
        # Always of one type: a button that changes it is made anew in the browser, and loses the focus.
        st.button(
            "Set strategy",
            key="set-strategy",
            icon=":material/alt_route:",
            on_click=_set,
            args=(dash,),
            disabled=bool(why_not),
        )
        st.caption(
            why_not or ("" if unsent is None else f"Not sent yet: {in_words(unsent)}."),
            width=BESIDE_PREVIEW if previewed else "stretch",
        )
        if previewed:
            st.button(
                "Preview",
                key="preview-split",
                type="tertiary",
                help=f"{diff.LABEL}, before it is set.",
                on_click=_preview,
                disabled=unsent is None,
            )


def _set(dash: Dashboard) -> None:
    percent = _chosen_split()
    actions.attempt(dash, SetSplit(percent), f"The strategy is being set: {in_words(percent)}.")


def _preview() -> None:
    session().open(Verb.SPLIT, Role.NEW, _chosen_split())
