"""Middle: what the models said."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from mnist_dash import charts
from mnist_dash.charts import percent
from mnist_dash.domain import Comparison, Prediction, Role
from mnist_dash.errors import MnistDashError
from mnist_dash.panels.session import LastAnswer
from mnist_dash.panels.theme import ink, plain, role_badge, shortened

Bases = Mapping[Role, str]
"""The model base of each role when the answer was given."""
NAME_LENGTH = 24
HALF_WIDTH = 156
WORDS_HEIGHT, WORDS_OF_BOTH_HEIGHT = 142, 184
"""Room for the words above the bars, so that the bars stay where they are whatever is said.

With less of it a finger would scroll the words rather than the page.
"""


def show(answer: LastAnswer | None, compare: bool, outdated: bool, why_not: str, *, drawn: bool) -> None:
    """Show an answer, or how to get one; `outdated` says that the drawing has changed since."""
    said = answer.said if answer else None
    bases = dict(answer.bases) if answer else {}
    st.header("Answer", anchor=False)
    height = WORDS_OF_BOTH_HEIGHT if compare else WORDS_HEIGHT
    with st.container(height=height, border=False, key="answer"):
        if isinstance(said, Prediction):
            _one(said, bases)
        elif isinstance(said, Comparison):
            _both(said)
        elif isinstance(said, MnistDashError):
            st.warning(plain(said.next_step), title=plain(said.problem), icon=":material/warning:")
        elif why_not:
            st.info(plain(why_not), title="Nobody can answer now", icon=":material/info:")
        else:
            first = "" if drawn else "Draw a digit from 0 to 9, then "
            st.markdown(f"{first}{'Press' if drawn else 'press'} **Predict**, or switch **Live** on.")
    _bars(said, charts.HEIGHT - height)
    st.caption("The drawing has changed since this answer: press Predict again." if outdated else "&nbsp;")


def in_words(said: Prediction) -> str:
    """One answer as a sentence: who says what, and how sure it is."""
    if said.shared:
        return f"Both say {said.digit} with {percent(said.confidence)}"
    who = said.role.label if said.role else "The model"
    return f"{who} says {said.digit} with {percent(said.confidence)}"


def _one(said: Prediction, bases: Bases) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.metric(_badge(said), said.digit, width=110)
        with st.container(gap="xsmall", width=204):
            _spoken(in_words(said))
            st.caption(_named(said, bases))


def _both(said: Comparison) -> None:
    if said.agree:
        _spoken(f"Agree: both say {said.current.digit}")
    else:
        _spoken(f"Disagree: Current says {said.current.digit}, New says {said.new.digit}")
    with st.container(horizontal=True, gap="small"):  # not columns: those would stand in a pile on a phone
        for one in (said.current, said.new):
            with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", width=HALF_WIDTH):
                st.metric(_badge(one), one.digit, width=72)
                st.caption("  \n".join([f"**{percent(one.confidence)}**", *_details(one)]), width=76)


def _spoken(words: str) -> None:
    """Text that a screen reader says as soon as it appears; Streamlit's own text is silent."""
    st.html(f'<strong role="alert">{words}</strong>')


def _badge(said: Prediction) -> str:
    if said.shared:
        return ":gray-badge[Both models]"
    return role_badge(said.role) if said.role else ":gray-badge[Unknown model]"


def _named(said: Prediction, bases: Bases) -> str:
    """Three lines: which model gave it, its version and replica, and how fast."""
    *who, took = _details(said)
    base = bases.get(said.role) if said.role else None
    if said.shared:
        who = ["Both models give this very answer."]
    lines = [f"`{shortened(base, NAME_LENGTH)}`" if base else "", " · ".join(who), took]
    return "  \n".join(filter(None, lines))


def _details(said: Prediction) -> list[str]:
    version = f"version {said.version}" if said.version is not None else ""
    return [line for line in (version, said.replica, f"{said.milliseconds:.1f} ms") if line]


def _bars(said: Prediction | Comparison | MnistDashError | None, height: int) -> None:
    if isinstance(said, Comparison):
        figure, words = charts.paired_bars(said, ink()), charts.described_pair(said)
    elif isinstance(said, Prediction):
        figure, words = charts.bars(said, ink()), charts.described(said)
    else:
        figure, words = charts.bars(None, ink()), "No answer yet: ten empty bars."
    st.plotly_chart(figure, key="bars", height=height, config=charts.CONFIG, alt=words)
