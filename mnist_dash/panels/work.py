"""The part of the page that a stroke or a click on Predict reruns: drawing and answer, and nothing else."""

from __future__ import annotations

import time

import streamlit as st

from mnist_dash.domain import Comparison, Image, Prediction
from mnist_dash.errors import DrawingError, MnistDashError
from mnist_dash.panels import answer, drawing
from mnist_dash.panels.known import Known
from mnist_dash.panels.visit import AWAITED_SECONDS, Answer, Visit, visit
from mnist_dash.service import Dashboard


@st.fragment
def draw_and_ask(dash: Dashboard, known: Known) -> None:
    """Draw, ask and show the answer, in two columns."""
    now = visit()
    left, middle = st.columns([300, 372], gap="medium")
    with left:
        drawn = drawing.draw(now)
        pressed = drawing.buttons(now, known.why_not_predict)
        live, compare = drawing.switches(known.why_not_compare)
        picture = None if isinstance(drawn, DrawingError) else drawn
        drawing.seen_by_model(picture)
    awaited = _found_no_digit(now.answer, picture) and now.just_asked(AWAITED_SECONDS)
    if now.answer and _is_wrong_now(now.answer, picture, known):
        now.answer = None
    if pressed:
        now.asked_at = time.monotonic()
    if pressed or (not known.why_not_predict and (awaited or _is_due(now, picture, live, compare))):
        now.answer = Answer(picture, ask(dash, drawn, compare), known.current_release, known.bases)
    outdated = now.answer is not None and not now.answer.is_about(picture)
    with middle:
        answer.show(now.answer, compare, outdated, known.why_not_predict, drawn=picture is not None)


def ask(
    dash: Dashboard, drawn: Image | DrawingError | None, compare: bool
) -> Prediction | Comparison | MnistDashError:
    """Ask one model as the strategy says, or both; whatever goes wrong is an answer too."""
    if drawn is None:
        return DrawingError("The drawing is empty.", "Draw a digit first.")
    if isinstance(drawn, DrawingError):
        return drawn
    try:
        return dash.compare(drawn) if compare else dash.predict(drawn)
    except MnistDashError as error:
        return error


def _is_wrong_now(answer: Answer, picture: Image | None, known: Known) -> bool:
    """Whether it said that there was no digit and now there is, or the roles have been swapped since."""
    return _found_no_digit(answer, picture) or answer.current_release != known.current_release


def _found_no_digit(answer: Answer | None, picture: Image | None) -> bool:
    """Whether it said that there was no digit, and now there is one."""
    return answer is not None and answer.picture is None and picture is not None


def _is_due(now: Visit, picture: Image | None, live: bool, compare: bool) -> bool:
    """Whether to ask without a click: about a new stroke, or because Compare was switched."""
    if picture is None:
        return False
    if now.answer is None or not now.answer.is_about(picture):
        return live or now.just_asked()
    said = now.answer.said
    return not isinstance(said, MnistDashError) and isinstance(said, Comparison) != compare
