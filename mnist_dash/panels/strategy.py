"""Right, middle: how the traffic is divided, and the controls that change it."""

from __future__ import annotations

import time
from typing import Final

import streamlit as st

from mnist_dash import preconditions
from mnist_dash.domain import DEFAULT_CANARY, MAX_CANARY, MIN_CANARY, Role, SetSplit, Snapshot, Strategy
from mnist_dash.errors import MnistDashError
from mnist_dash.evidence.rollout_html import describe_place
from mnist_dash.panels import actions, diff
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import describe_split, plain, role_badge, shorten
from mnist_dash.rollout_status import GATEWAY_PENDING
from mnist_dash.service import Dashboard

CHOSEN, CANARY_PERCENT = "strategy", "canary-percent"
STRATEGIES: Final = tuple(Strategy)
NOTE_LENGTH: Final = 100
"""Characters of a refusal that fit into the room of the note; its tooltip has the whole."""
RESEND_SECONDS: Final = 3.0
"""A run that follows another at once drops what that one sent, so the controls are set again for so long."""


def show(dash: Dashboard, snapshot: Snapshot, obstacle: str = "") -> None:
    """Show the split in force and the controls that change it; an `obstacle` disables them."""
    is_set = _follow_desired_split(snapshot)
    with st.container(border=True, gap="xsmall", key="strategy-card"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="in-force"):
            st.subheader("Strategy", anchor=False)
            st.markdown(f"In force: {traffic(snapshot)}", width="content")
        # Defaults, for a browser that has lost what an earlier run set, because the next followed at once.
        index, percent = (0, None) if is_set else _defaults(snapshot)
        chosen = st.radio(
            "Strategy",
            STRATEGIES,
            index,
            snapshot.title_strategy,
            key=CHOSEN,
            horizontal=True,
            label_visibility="collapsed",
        )
        st.slider(
            f"Percent of the requests that {snapshot.role_title(Role.NEW)} receives",
            MIN_CANARY,
            MAX_CANARY,
            percent,
            key=CANARY_PERCENT,
            format="%d %%",
            disabled=chosen is not Strategy.CANARY,
            label_visibility="collapsed",
        )
        _show_buttons(dash, snapshot, obstacle)


def traffic(snapshot: Snapshot) -> str:
    """Return each role's share of the requests, as badges; or that nobody answers them."""
    if not snapshot.is_answered:
        return ":red-badge[:material/error: Nobody answers]"
    shares = {Role.CURRENT: 100 - snapshot.split_observed, Role.NEW: snapshot.split_observed}
    return " ".join(role_badge(role, f"{snapshot.role_title(role)} {shares[role]} %") for role in Role)


def describe_pending(snapshot: Snapshot) -> str:
    """Describe the desired split and what it waits for; empty once it is in force."""
    if snapshot.split_observed == snapshot.split_desired:
        return ""
    reason = snapshot.waiting_for or GATEWAY_PENDING
    desired = describe_split(snapshot.split_desired, snapshot)
    return f":material/hourglass_top: Desired: {desired}. {plain(reason)}"


def describe_rollout(dash: Dashboard) -> str:
    """Describe the automatic rollout under way; empty if there is none."""
    rollout = dash.rollout
    if rollout is None or rollout.is_ended:
        return ""
    return f":material/stairs: Automatic rollout. {describe_place(rollout)}"


def find_choice(snapshot: Snapshot) -> int | None:
    """Return the split that the visitor has chosen, if it is another one than desired."""
    chosen = _chosen_split()
    return None if CHOSEN not in st.session_state or chosen == snapshot.split_desired else chosen


def choose(split: int) -> None:
    """Set the controls to a split without sending it; only a callback may do so."""
    if 0 <= split <= 100:
        session().split_is_restored = True
        st.session_state[CHOSEN] = Strategy.from_split(split)
        if MIN_CANARY <= split <= MAX_CANARY:
            st.session_state[CANARY_PERCENT] = split


def _defaults(snapshot: Snapshot) -> tuple[int, int]:
    is_canary = snapshot.strategy is Strategy.CANARY
    return STRATEGIES.index(snapshot.strategy), snapshot.split_desired if is_canary else DEFAULT_CANARY


def _follow_desired_split(snapshot: Snapshot) -> bool:
    """Set the controls to the desired split, unless the visitor has an unsent choice; return whether set."""
    state, widgets, now = session(), st.session_state, time.monotonic()
    is_restored, state.split_is_restored = state.split_is_restored, False
    shown = CHOSEN in widgets
    if shown and state.split_shown == snapshot.split_desired and now - state.split_shown_at > RESEND_SECONDS:
        return is_restored
    is_untouched = not shown or _chosen_split() == state.split_shown
    if is_untouched:
        widgets[CHOSEN] = snapshot.strategy
        widgets.setdefault(CANARY_PERCENT, DEFAULT_CANARY)
        if snapshot.strategy is Strategy.CANARY:
            widgets[CANARY_PERCENT] = snapshot.split_desired
    if state.split_shown != snapshot.split_desired:
        state.split_shown, state.split_shown_at = snapshot.split_desired, now
    return is_untouched or is_restored


def _chosen_split() -> int:
    widgets = st.session_state
    percent: int = widgets.get(CANARY_PERCENT, DEFAULT_CANARY)
    ends = {Strategy.CURRENT_ONLY: 0, Strategy.NEW_ONLY: 100}
    return ends.get(widgets.get(CHOSEN, Strategy.CURRENT_ONLY), percent)


def _find_unsent(snapshot: Snapshot) -> int | None:
    """Return the chosen split if it is another one than desired, or others have changed the one in force."""
    chosen, state = _chosen_split(), session()
    drifted = bool(snapshot.drift) and snapshot.split_observed != snapshot.split_desired
    if chosen == snapshot.split_desired and not drifted:
        return None
    state.split_sent = None
    return chosen


def _show_buttons(dash: Dashboard, snapshot: Snapshot, obstacle: str) -> None:
    """Show the buttons and one note, for which theme.STYLE reserves room: nothing moves when it changes."""
    sending, refusal = actions.is_sending(SetSplit), actions.find_refusal(snapshot, SetSplit)
    unsent = None if sending else _find_unsent(snapshot)
    is_sent = session().split_sent == snapshot.split_desired
    why_not = obstacle or preconditions.why_not(snapshot, SetSplit(_chosen_split()))
    with st.container(gap="xsmall", key="strategy-buttons"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="strategy-row"):
            # A button whose type changes is made anew in the browser, and one that is disabled under the
            # focus loses it. So this one is always primary, and after a click theme.STYLE lets it look
            # disabled until there is another choice.
            st.button(
                "Set strategy",
                key="set-strategy",
                type="primary",
                icon=actions.choose_icon(":material/alt_route:", SetSplit),
                on_click=_set,
                args=(dash,),
                disabled=not sending and (bool(why_not) or (unsent is None and not is_sent)),
            )
            if actions.can_take_over(refusal):
                actions.show_take_over(dash)
            elif dash.in_cluster:
                _show_preview_button(unsent, why_not)
            if not dash.in_cluster:
                _show_note(dash, snapshot, unsent, why_not, refusal)
        if dash.in_cluster:
            _show_note(dash, snapshot, unsent, why_not, refusal)


def _show_note(
    dash: Dashboard, snapshot: Snapshot, unsent: int | None, why_not: str, refusal: MnistDashError | None
) -> None:
    with st.container(key="note-unsent" if unsent is not None else "note-sent"):
        if refusal:
            text, whole = shorten(str(refusal), NOTE_LENGTH)
            st.caption(f":red[{plain(text)}]", help=whole and plain(whole))
        elif why_not or unsent is None:
            st.caption(why_not or describe_pending(snapshot) or describe_rollout(dash))
        else:
            pauses = " It pauses the rollout." if describe_rollout(dash) else ""
            st.caption(f"Not sent yet: {describe_split(unsent, snapshot)}.{pauses}")


def _show_preview_button(unsent: int | None, why_not: str) -> None:
    st.button(
        "Preview",
        key="preview-split",
        type="tertiary",
        help=f"{diff.LABEL}, before it is set.",
        on_click=_preview,
        disabled=unsent is None or bool(why_not),
    )


def _set(dash: Dashboard) -> None:
    chosen = _find_unsent(dash.snapshot())
    if chosen is not None:  # else it is the second click of a double click
        session().split_sent = chosen
        actions.apply_on_click(dash, SetSplit(chosen))


def _preview() -> None:
    session().open(Role.NEW, SetSplit(_chosen_split()))
