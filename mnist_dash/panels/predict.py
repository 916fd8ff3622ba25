"""The drawing and its answer: preprocess, predict, show."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mnist_dash import preconditions
from mnist_dash.domain import Comparison, Image, Prediction, Release, Role, Route, Snapshot
from mnist_dash.errors import DrawingError, MnistDashError, ServingError
from mnist_dash.panels import address, answer, background, drawing, labels, samples, traffic_strip
from mnist_dash.panels.session import FIRST_STROKE_SECONDS, Awaited, LastAnswer, Session, session
from mnist_dash.service import Dashboard

NOT_READY: Final = "Its card under Roll out has the reason. Predict works again as soon as it is ready."
TROUBLE: Final = "See the problem under Roll out. Predict works again as soon as it is solved."


def find_obstacles(snapshot: Snapshot, *, in_cluster: bool) -> tuple[str, str]:
    """Return why Predict and why Compare cannot work; empty where they can.

    Predictions bypass a cluster's API server: models may answer while that is out of reach.
    """
    if snapshot.trouble and not (in_cluster and snapshot.current):
        return TROUBLE, TROUBLE
    snapshot = replace(snapshot, trouble="")
    why_not_predict = preconditions.why_not_predict(snapshot)
    if why_not_predict and snapshot.current:  # the reason is shown once, on the card
        return NOT_READY, NOT_READY
    return why_not_predict, preconditions.why_not_predict(snapshot, Route.NEW)


def basis(snapshot: Snapshot, *, in_cluster: bool) -> tuple[object, ...]:
    """Return what drawing and answer depend on: when it changes, the whole page is run again."""
    bases = [(model.role, model.base) for model in (snapshot.current, snapshot.new) if model]
    return find_obstacles(snapshot, in_cluster=in_cluster), _current_release(snapshot), bases


@st.fragment
def draw_and_ask(dash: Dashboard, snapshot: Snapshot) -> None:
    """Draw, ask and show the answer, side by side where there is room."""
    state = session()
    why_not_predict, why_not_compare = find_obstacles(snapshot, in_cluster=dash.in_cluster)
    row = st.container(horizontal=True, gap="medium", key="draw-and-ask")
    with row.container(key="drawing", gap="xsmall"):
        drawn = drawing.draw(state)
        picture = state.picture = None if isinstance(drawn, DrawingError) else drawn
        address.follow(state, picture)
        room_for_button = drawing.show_buttons(state, empty=picture is None)
        live, compare = drawing.show_switches(state, why_not_compare)
        with drawing.show_model_input(picture):
            samples.show_differing(dash, state, why_not_compare)
    with row.container(key="answering", gap="xsmall"):
        st.html(answer.STYLE)
        st.header("Answer", anchor=False)
        room_for_answer = st.container(gap="xsmall")
        labels.show(dash)
        room_for_traffic = st.container()
    with room_for_button:
        _ask(dash, snapshot, drawn, live, compare, room_for_answer)
    with room_for_traffic:
        traffic_strip.show(dash, why_not_predict)


@st.fragment
def _ask(
    dash: Dashboard,
    snapshot: Snapshot,
    drawn: Image | DrawingError,
    live: bool,
    compare: bool,
    room: DeltaGenerator,
) -> None:
    """Show Predict, ask if it is time to, and show the answer in `room`.

    A click on Predict reruns only this part: canvas, switches and traffic need not be drawn again.
    """
    state, picture = session(), None if isinstance(drawn, DrawingError) else drawn
    why_not, why_not_compare = find_obstacles(snapshot, in_cluster=dash.in_cluster)
    pressed = st.button(
        "Predict",
        key="predict",
        type="primary",
        disabled=bool(why_not),
        help=why_not or None,
        width="stretch",
    )
    if last := state.answer:
        state.answer = None  # an unexpected error must not be raised again by each run
        state.answer = _receive(last)
    is_stroke_late = _found_no_digit(state.answer, picture) and state.has_just_asked(FIRST_STROKE_SECONDS)
    if state.answer:
        state.answer = _follow_recovery(state.answer, why_not or why_not_compare)
    if state.answer and _is_obsolete(state.answer, picture, snapshot):
        state.answer = None
    if pressed:
        state.asked_at = time.monotonic()
    pressed = pressed or (state.asks_at_once and not why_not)
    if pressed or (not why_not and (is_stroke_late or _is_due(state, picture, live, compare))):
        state.asks_at_once = False
        truth = samples.find_truth(state, picture)
        outcome = _ask_models(dash, drawn, compare, truth)
        state.answer = _receive(LastAnswer(picture, outcome, snapshot, truth), background.AT_ONCE_SECONDS)
    outdated = state.answer is not None and not state.answer.is_about(picture)
    with room:
        answer.show(state.answer, outdated, why_not, drawn=picture is not None)


def _ask_models(
    dash: Dashboard, drawn: Image | DrawingError, compare: bool, truth: int | None
) -> Awaited | MnistDashError:
    """Ask one model as the strategy says, or both, without waiting: a model may hang."""
    if isinstance(drawn, DrawingError):
        return drawn

    def call() -> Prediction | Comparison:
        return dash.compare(drawn, truth=truth) if compare else dash.predict(drawn, truth=truth)

    try:
        return Awaited(dash.submit(call), compare)
    except MnistDashError as error:
        return error


def _receive(answer: LastAnswer, seconds: float = 0.0) -> LastAnswer:
    """Return the answer with its outcome, if it has come or comes within this time."""
    if not isinstance(answer.outcome, Awaited) or not background.is_done(answer.outcome.result, seconds):
        return answer
    try:
        return replace(answer, outcome=answer.outcome.result.result())
    except MnistDashError as error:
        return replace(answer, outcome=error)


def _follow_recovery(answer: LastAnswer, why_not: str) -> LastAnswer | None:
    """Return the answer, or None if a model was missing for it that is ready now."""
    if not (isinstance(answer.outcome, ServingError) and answer.outcome.is_transient):
        return answer
    return replace(answer, was_down=True) if why_not else None if answer.was_down else answer


def _is_obsolete(answer: LastAnswer, picture: Image | None, snapshot: Snapshot) -> bool:
    """Whether it found no digit and there is one now, or the roles have been swapped since."""
    swapped = _current_release(answer.snapshot) != _current_release(snapshot)
    return swapped or _found_no_digit(answer, picture)


def _found_no_digit(answer: LastAnswer | None, picture: Image | None) -> bool:
    """Whether the answer found no digit, and now there is one."""
    return answer is not None and answer.picture is None and picture is not None


def _current_release(snapshot: Snapshot) -> Release | None:
    return model.release if (model := snapshot.of(Role.CURRENT)) else None


def _is_due(state: Session, picture: Image | None, live: bool, compare: bool) -> bool:
    """Whether to ask without a click: about a new stroke, or because Compare was switched."""
    if picture is None:
        return False
    if state.answer is None or not state.answer.is_about(picture):
        return live or state.has_just_asked()
    outcome = state.answer.outcome
    if isinstance(outcome, Awaited):
        return outcome.compare != compare
    return not isinstance(outcome, MnistDashError) and isinstance(outcome, Comparison) != compare
