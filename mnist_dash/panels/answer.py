"""Middle: the models' answer, in words and as bars."""

from __future__ import annotations

from typing import Final

import numpy as np
import streamlit as st

from mnist_dash import charts
from mnist_dash.charts import percent
from mnist_dash.domain import Comparison, Prediction, Snapshot
from mnist_dash.errors import MnistDashError, ServingError
from mnist_dash.panels.samples import judge
from mnist_dash.panels.session import LastAnswer, Outcome
from mnist_dash.panels.theme import ink, plain, role_badge, shorten, shortened

NAME_LENGTH = 24
ERROR_LENGTH = 90
TEXT_WIDTH = 204
HALF_WIDTH = 156
EXAMPLE: Final = Prediction(
    np.array([0, 0.01, 0.02, 0.01, 0, 0, 0, 0.92, 0, 0.04], np.float32), None, None, None, "", 0
)
"""What an answer looks like, for a first visitor; it bears no model's colour."""
VERDICT_COLOUR = {True: "#15924c", False: "#dd403a"}
"""Whether the models agree: at least 3:1 against the background of either theme, for large text."""


def show(answer: LastAnswer | None, outdated: bool, why_not: str, *, drawn: bool) -> None:
    """Show an answer, or how to get one; `outdated` says that the drawing has changed since."""
    outcome = answer.outcome if answer else None
    st.header("Answer", anchor=False)
    with st.container(gap="small", key="answer"):  # theme.STYLE reserves room, so that the bars stay in place
        if answer and isinstance(outcome, Prediction):
            _show_prediction(outcome, answer.snapshot)
        elif isinstance(outcome, Comparison):
            _show_comparison(outcome)
        elif isinstance(outcome, MnistDashError) and not (why_not and isinstance(outcome, ServingError)):
            _show_error(outcome)
        elif why_not:
            st.info(plain(why_not), title="No model can answer now", icon=":material/info:")
        elif drawn:
            st.markdown("Press **Predict**, or switch **Live** on.")
        else:
            st.markdown("Draw a digit from 0 to 9, then press **Predict**, or switch **Live** on.")
            st.caption("Below is an example: the bars of an answer to a seven.")
    _show_bars(outcome, is_example=not (outcome or why_not or drawn))
    _show_note(answer, outdated)


def _show_error(error: MnistDashError) -> None:
    """Show an error in the room of an answer; what does not fit is in a tooltip."""
    problem, whole = shorten(error.problem, ERROR_LENGTH)
    step, more = shorten(error.next_step, ERROR_LENGTH)
    st.warning(plain(step), title=plain(problem), icon=":material/warning:")
    if whole or more:
        st.caption("The whole message", help=plain(str(error)))


def _show_note(answer: LastAnswer | None, outdated: bool) -> None:
    """Show in one line that the drawing has changed, or which model is right about a sample."""
    if outdated:
        st.markdown(":small[:gray[The drawing has changed since this answer: press Predict again.]]")
    elif answer and answer.truth is not None:
        st.markdown(f"**{judge(answer.outcome, answer.truth)}**")
    else:
        st.markdown("&nbsp;")


def describe(prediction: Prediction) -> str:
    """Describe an answer in a sentence: who answered, which digit, how sure."""
    digit = f"{prediction.digit} with {percent(prediction.confidence)}"
    if prediction.shared:
        return f"Both say {digit}"
    return f"{prediction.role.label if prediction.role else 'The model'} says {digit}"


def _show_prediction(prediction: Prediction, snapshot: Snapshot) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.metric(_badge(prediction), prediction.digit, width=110)
        with st.container(gap="xsmall", width=TEXT_WIDTH):
            _announce(describe(prediction))
            st.caption(_origin(prediction, snapshot))


def _show_comparison(comparison: Comparison) -> None:
    current, new = comparison.current, comparison.new
    if comparison.agree:
        verdict, digits = "Agree", f"both say {current.digit}"
    else:
        verdict, digits = "DISAGREE", f"Current says {current.digit}, New says {new.digit}"
    colour = VERDICT_COLOUR[comparison.agree]
    _announce(
        f'<span style="color: {colour}; font-size: 1.75rem; line-height: 1.2">{verdict}</span>: {digits}'
    )
    with st.container(horizontal=True, gap="small"):  # not columns: those would be stacked on a phone
        for prediction in (current, new):
            with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", width=HALF_WIDTH):
                st.metric(_badge(prediction), prediction.digit, width=72)
                lines = [f"**{percent(prediction.confidence)}**", *_details(prediction)]
                st.caption("  \n".join(lines), width=76)


def _announce(html: str) -> None:
    """Show a text that a screen reader says as soon as it appears; Streamlit's own text is silent."""
    st.html(f'<strong role="alert">{html}</strong>')


def _badge(prediction: Prediction) -> str:
    if prediction.shared:
        return ":gray-badge[Both models]"
    return role_badge(prediction.role) if prediction.role else ":gray-badge[Unknown model]"


def _origin(prediction: Prediction, snapshot: Snapshot) -> str:
    """Return three lines: the model that answered, its version and replica, and the time it took."""
    *server, took = _details(prediction)
    model = snapshot.of(prediction.role) if prediction.role else None
    lines = [f"`{shortened(model.base, NAME_LENGTH)}`" if model else "", " · ".join(server), took]
    return "  \n".join(filter(None, lines))


def _details(prediction: Prediction) -> list[str]:
    version = f"version {prediction.version}" if prediction.version is not None else ""
    return [line for line in (version, prediction.replica, f"{prediction.milliseconds:.1f} ms") if line]


def _show_bars(outcome: Outcome | None, *, is_example: bool) -> None:
    if isinstance(outcome, Comparison):
        figure, alt = charts.paired_bars(outcome, ink()), charts.describe_comparison(outcome)
    elif isinstance(outcome, Prediction):
        figure, alt = charts.bars(outcome, ink()), charts.describe_prediction(outcome)
    elif is_example:
        figure, alt = charts.bars(EXAMPLE, ink()), f"An example. {charts.describe_prediction(EXAMPLE)}"
    else:
        figure, alt = charts.bars(None, ink()), "No answer yet: ten empty bars."
    st.plotly_chart(figure, key="bars", height=charts.HEIGHT, config=charts.CONFIG, alt=alt)
