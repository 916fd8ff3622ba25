"""Digits with a label: find those about which the models differ, and say which model is right."""

from __future__ import annotations

import random
from typing import Final

import streamlit as st

from mnist_dash.domain import Comparison, Image, Prediction, Role, Snapshot
from mnist_dash.errors import MnistDashError
from mnist_dash.panels import drawing
from mnist_dash.panels.session import Outcome, Session
from mnist_dash.service import Dashboard

SEARCH_SECONDS: Final = 3.0
MODEL_INPUT: Final = "What the model sees: 28x28 pixels, centred as in MNIST."
DOT_LEFT_OUT: Final = "What the model sees. A dot far from the digit was left out."


def show_differing(dash: Dashboard, state: Session, why_not: str) -> None:
    """Show the button that puts a digit on the canvas about which the models differ."""
    st.caption(state.note_on_samples or (DOT_LEFT_OUT if state.has_far_dot else MODEL_INPUT))
    st.button(
        "Where they differ",
        key="differing",
        type="tertiary",
        on_click=put_differing,
        args=(dash, state),
        disabled=bool(why_not),
    )


def put_differing(dash: Dashboard, state: Session) -> None:
    """Put a digit on the canvas about which the models differ, and have both asked about it."""
    try:
        search = dash.find_disagreements(SEARCH_SECONDS)
    except MnistDashError as error:
        state.note_on_samples = str(error)
        return
    if search.found:
        drawing.put_sample(state, random.choice(search.found))
        st.session_state["compare"] = True
    elif search.problem:
        state.note_on_samples = search.problem
    else:
        digits = f"all {search.total:,}" if search.is_finished else f"the first {search.asked:,}"
        state.note_on_samples = f"The models agree on {digits} digits."


def find_truth(state: Session, picture: Image | None) -> int | None:
    """Return the label of the picture, if it is the sample and nothing was drawn over it."""
    return state.sample.label if state.sample and picture is state.sample.image else None


def judge(outcome: Outcome, truth: int, snapshot: Snapshot) -> str:
    """Say which answer is right: `MNIST says 4: New is right.`; only the label after an error."""
    if isinstance(outcome, Comparison):
        verdict = _judge_both(outcome.current.digit == truth, outcome.new.digit == truth, snapshot)
    elif isinstance(outcome, Prediction):
        model = snapshot.role_title(outcome.role) if outcome.role else "the model"
        who = "both are" if outcome.shared else f"{model} is"
        verdict = f": {who} {'right' if outcome.digit == truth else 'wrong'}"
    else:
        verdict = ""
    return f"MNIST says {truth}{verdict}."


def _judge_both(current: bool, new: bool, snapshot: Snapshot) -> str:
    if current == new:
        return f": both are {'right' if new else 'wrong'}"
    return f": {snapshot.role_title(Role.NEW if new else Role.CURRENT)} is right"
