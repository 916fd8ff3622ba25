"""The drawing and its answer: preprocess, predict, show."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

import streamlit as st

from mnist_dash import preconditions
from mnist_dash.domain import Comparison, Image, Prediction, Release, Role, Snapshot
from mnist_dash.errors import DrawingError, MnistDashError
from mnist_dash.panels import answer, drawing
from mnist_dash.panels.session import AWAITED_SECONDS, LastAnswer, Session, Verb, session
from mnist_dash.service import Dashboard

TROUBLE: Final = "What is wrong is told under Roll out. The page goes on by itself when it is over."


@dataclass(frozen=True)
class Known:
    """What one run of the whole page started from; when it changes, all of the page is run again."""

    why_not_predict: str
    why_not_compare: str
    current_release: Release | None
    bases: tuple[tuple[Role, str], ...]
    dialog: tuple[Verb, Role] | None

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot, *, in_cluster: bool) -> Known:
        """What is known from one snapshot and this visit.

        Predictions do not go through a cluster's API server: what was ready may answer while that is away.
        """
        dialog = session().dialog
        answering = in_cluster and snapshot.current is not None
        asked = replace(snapshot, trouble="") if answering else snapshot
        return cls(
            why_not_predict=TROUBLE if asked.trouble else preconditions.why_not_predict(asked),
            why_not_compare=TROUBLE if asked.trouble else preconditions.why_not_compare(asked),
            current_release=snapshot.current.release if snapshot.current else None,
            bases=tuple((model.role, model.base) for model in (snapshot.current, snapshot.new) if model),
            dialog=(dialog.verb, dialog.role) if dialog else None,
        )


@st.fragment
def draw_and_ask(dash: Dashboard, known: Known) -> None:
    """Draw, ask and show the answer, in two columns."""
    now = session()
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
        now.answer = LastAnswer(picture, ask(dash, drawn, compare), known.current_release, known.bases)
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


def _is_wrong_now(answer: LastAnswer, picture: Image | None, known: Known) -> bool:
    """Whether it said that there was no digit and now there is, or the roles have been swapped since."""
    return _found_no_digit(answer, picture) or answer.current_release != known.current_release


def _found_no_digit(answer: LastAnswer | None, picture: Image | None) -> bool:
    """Whether it said that there was no digit, and now there is one."""
    return answer is not None and answer.picture is None and picture is not None


def _is_due(now: Session, picture: Image | None, live: bool, compare: bool) -> bool:
    """Whether to ask without a click: about a new stroke, or because Compare was switched."""
    if picture is None:
        return False
    if now.answer is None or not now.answer.is_about(picture):
        return live or now.just_asked()
    said = now.answer.said
    return not isinstance(said, MnistDashError) and isinstance(said, Comparison) != compare
