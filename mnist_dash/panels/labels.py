"""Middle, below the answer: which digit a drawing was, and how both models did on all labelled drawings."""

from __future__ import annotations

from html import escape
from typing import Final

import streamlit as st

from mnist_dash.domain import DIGITS, Image
from mnist_dash.errors import MnistDashError
from mnist_dash.panels import background
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import plain
from mnist_dash.service import Dashboard

REFRESH_SECONDS: Final = 5.0
"""How soon the tally shows what others have labelled."""
ASKED: Final = "asks-digit"
"""The class of the question: the buttons are visible where it is on the page."""
STYLE: Final = f"""<style>
.st-key-answering {{ container-type: inline-size; }}
.st-key-answering .note {{ min-height: 1.75rem; display: flex; align-items: center; }}
.st-key-label {{ min-height: 4.75rem; position: relative; }}
.st-key-label [role="radiogroup"] {{ flex-wrap: nowrap; }}
.st-key-label button {{ flex: 1 1 0; min-width: 0; min-height: 1.75rem; padding: 0; }}
.st-key-answering:not(:has(.{ASKED})) :is(.st-key-label button, .hint) {{ visibility: hidden; }}
.st-key-label p.tally {{ margin: 0; font-size: 13px; line-height: 19px; opacity: 0.7; }}
/* Where there is room, the buttons are beside the question. */
@container (min-width: 364px) {{
  .st-key-label {{ min-height: 1.25rem; }}
  .st-key-label > :first-child:not(:last-child) {{
    position: absolute; right: 0; width: calc(100% - 8rem); margin-top: -2.25rem;
  }}
}}
</style>"""
HINT: Final = '<span class="hint">Click the digit, or press its key.</span>'
NPZ, CSV = "application/octet-stream", "text/csv"


@st.fragment(run_every=REFRESH_SECONDS)
def show(dash: Dashboard) -> None:
    """Show the buttons for the drawing on the canvas, and the tally; a sample of MNIST has its label."""
    state = session()
    with st.container(gap="xsmall", key="label"):
        if (picture := state.picture) is not None and not (state.sample and picture is state.sample.image):
            _show_buttons(dash, picture)
        st.html(f'{STYLE}<p class="tally">{_draw_tally(dash)}</p>')


def _draw_tally(dash: Dashboard) -> str:
    if problem := dash.drawings_problem:
        return escape(problem)
    tally = dash.tally
    return f'<span title="{tally.meaning}">{tally} {tally.odds}</span>' if tally.drawings else HINT


def _show_buttons(dash: Dashboard, picture: Image) -> None:
    """Show a button for each digit; each drawing has its own, so that no click is about another drawing."""
    key = f"label-{hash(picture.tobytes()):x}"
    if st.session_state.get(key) != (known := dash.find_label(picture)):
        st.session_state[key] = known  # it was not kept, or others have cleared or corrected it
    st.segmented_control(
        "Which digit was it?",
        range(DIGITS),
        key=key,
        label_visibility="collapsed",
        on_change=_label,
        args=(dash, picture, key),
        width="stretch",
    )


def _label(dash: Dashboard, picture: Image, key: str) -> None:
    try:
        answered = dash.label(picture, st.session_state[key])
    except MnistDashError as error:
        session().errors.append(str(error))
    else:
        background.is_done(answered, background.AT_ONCE_SECONDS)


@st.fragment
def show_menu(dash: Dashboard) -> None:
    """Show what is known of the labelled drawings, with their files and the button that deletes them.

    Opening it reads that anew.
    """
    count, tally = dash.count_drawings(), dash.tally
    counted = f"{count:,} labelled drawing{'' if count == 1 else 's'}"
    with st.popover("Your drawings", icon=":material/draw:", key="drawings", on_change="rerun"):
        st.markdown(f"**{counted}**, of all visitors.")
        if tally.drawings:
            st.markdown(f"{tally} {tally.meaning}")
        elif not count:
            st.markdown("Predict a drawing, and say which digit it was.")
        if problem := dash.drawings_problem:
            st.markdown(plain(problem))
        with st.container(horizontal=True, gap="small"):
            for label, make, name, mime in (
                ("Download .npz", lambda: dash.drawings().to_npz(), "drawings.npz", NPZ),
                ("Download .csv", lambda: dash.drawings().to_csv(), "drawings.csv", CSV),
            ):
                icon = ":material/download:"
                key = name.replace(".", "-")
                st.download_button(
                    label, make, name, mime, key=key, icon=icon, on_click="ignore", disabled=not count
                )
        _show_clear(dash, counted)


def _show_clear(dash: Dashboard, counted: str) -> None:
    """Show the button that deletes, which asks first."""
    state = session()
    if not state.asks_to_clear:
        st.button(
            "Clear drawings",
            key="clear-drawings",
            icon=":material/delete:",
            on_click=_ask_to_clear,
            args=(True,),
        )
        return
    st.markdown(f"Delete {counted}, and all predictions in the History, for good?")
    with st.container(horizontal=True):
        st.button("Delete", key="clear-confirm", type="primary", on_click=_clear, args=(dash,))
        st.button("Keep", key="clear-cancel", on_click=_ask_to_clear, args=(False,))


def _ask_to_clear(asks: bool) -> None:
    session().asks_to_clear = asks


def _clear(dash: Dashboard) -> None:
    dash.clear_drawings()
    _ask_to_clear(False)
