"""The dialog that deploys: which model, how many replicas, and what is told before anything changes."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash.domain import (
    MAX_REPLICAS,
    MIN_REPLICAS,
    MODEL_NAME,
    Deploy,
    Deployment,
    ModelCheck,
    Suggestion,
)
from mnist_dash.errors import MnistDashError, ModelError
from mnist_dash.panels import diff
from mnist_dash.panels.actions import dashboard_for, run_action
from mnist_dash.panels.session import Dialog, session
from mnist_dash.panels.theme import show_problem
from mnist_dash.service import Dashboard
from mnist_dash.storage.location import Progress

BASE, REPLICAS, SUGGESTION = "deploy-base", "deploy-replicas", "suggestion"
MEGABYTE: Final = 1e6


def show(dash: Dashboard, dialog: Dialog) -> None:
    """Show the form, what stands in the way, and on a cluster what would change."""
    _start_from(dash.snapshot().of(dialog.role))
    above = st.empty()
    _suggestions(dash, dialog, above)
    with st.form("deploy-form", border=False):
        _fields(dash)
        spot = st.container()
        _submit_buttons(dash, dialog)
    below = st.container()
    with spot:
        run_action(dialog, lambda: _deploy(dash, dialog), "Checking the model", st.form_submit_button)
    if dialog.asks_difference:
        with below:
            _difference(dash, dialog)
    if dash.in_cluster and dialog.suggestions is None:  # the last, since a bucket may take seconds to list
        dialog.suggestions = dash.suggestions()
        _suggestions(dash, dialog, above)


def _start_from(deployed: Deployment | None) -> None:
    """Offer what is deployed, to be changed; what was typed since is kept by the widgets' keys."""
    st.session_state.setdefault(BASE, deployed.base if deployed else "")
    st.session_state.setdefault(REPLICAS, deployed.desired if deployed else MIN_REPLICAS)


def _fields(dash: Dashboard) -> None:
    place, where = (
        ("gs://bucket/path", "An address in Cloud Storage")
        if dash.in_cluster
        else (
            "/path/to/folder",
            "A folder that this computer can read",
        )
    )
    st.text_input(
        "Model base directory",
        key=BASE,
        placeholder=place,
        help=f"{where}: the one that holds `{MODEL_NAME}/<version>/`.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Model name", MODEL_NAME, disabled=True, key="deploy-name", width=140)
        st.number_input("Replicas", MIN_REPLICAS, MAX_REPLICAS, key=REPLICAS, width=160)
    st.caption(
        f"The SavedModel is read from `<base>/{MODEL_NAME}/<version>/`; the highest version is served. "
        "It is loaded and tried on known digits before anything changes."
    )


def _submit_buttons(dash: Dashboard, dialog: Dialog) -> None:
    with st.container(horizontal=True, key="deploy-buttons"):
        st.form_submit_button(
            f"Deploy as {dialog.role.label}",
            key="deploy-confirm",
            type="primary",
            icon=":material/rocket_launch:",
            on_click=session().confirm,
        )
        if dash.in_cluster:  # in the form too, since it is about what was typed
            st.form_submit_button(
                diff.LABEL,
                key="deploy-difference",
                icon=diff.ICON,
                on_click=_ask_difference,
                args=(dialog,),
            )


def _ask_difference(dialog: Dialog) -> None:
    dialog.asks_difference, dialog.difference, dialog.problem = True, None, None


def _typed() -> tuple[str, int]:
    return st.session_state[BASE].strip(), int(st.session_state[REPLICAS])


def _deploy(dash: Dashboard, dialog: Dialog) -> str:
    base, replicas = _typed()
    if dialog.check and dialog.check[1].unverified and not dialog.unchecked:
        dialog.check = None  # asked for again, so it is looked at again
    check = _checked(dash, dialog, base)
    if check.unverified and not dialog.unchecked:
        raise ModelError("The model could not be looked at from here.", check.unverified, unverified=True)
    dashboard_for(dash, dialog).deploy(dialog.role, check, replicas, expected=dialog.release)
    which = "the highest version" if check.version is None else f"version {check.version}"
    return " ".join([f"{dialog.role.label}: {which} is being deployed.", *check.warnings])


def _checked(dash: Dashboard, dialog: Dialog, base: str) -> ModelCheck:
    """What the check finds at this base; it is made once in each dialog, with its progress shown."""
    if not base:
        raise ModelError("No model is named.", "Type its base directory, or choose one that was found.")
    if not dialog.check or dialog.check[0] != base:
        dialog.unchecked = False  # that was said of another one
        spot = st.empty()
        try:
            dialog.check = base, dash.check(base, _progress(spot))
        finally:
            spot.empty()
    return dialog.check[1]


def _progress(spot: st.delta_generator.DeltaGenerator) -> Progress:
    """Shows how much of the model has been fetched, where it has to be."""
    shown = -1

    def tell(fetched: int, whole: int) -> None:
        nonlocal shown
        percent = min(100, 100 * fetched // max(whole, 1))
        if percent != shown:  # the browser need not hear of each block
            shown = percent
            amount = f"{fetched / MEGABYTE:.1f} of {whole / MEGABYTE:.1f} MB"
            spot.progress(
                percent, f"Fetching the model: {amount}" if percent < 100 else f"Trying it: {amount}"
            )

    return tell


def _difference(dash: Dashboard, dialog: Dialog) -> None:
    base, replicas = _typed()
    try:
        check = _checked(dash, dialog, base)
    except MnistDashError as error:
        dialog.asks_difference = False
        show_problem(error)
    else:
        diff.show(dash, dialog, Deploy(dialog.role, check, replicas))


def _suggestions(dash: Dashboard, dialog: Dialog, spot: st.delta_generator.DeltaGenerator) -> None:
    if not dash.in_cluster:
        with spot.container(horizontal=True, vertical_alignment="center", gap="small"):
            _suggestion_buttons(dash.suggestions())
    elif dialog.suggestions is None:
        _choice(spot, (), "Looking for models in the buckets…", "suggestions-awaited")
    else:
        words = "Choose a model" if dialog.suggestions else "No models were found: type the address"
        _choice(spot, dialog.suggestions, words, SUGGESTION)


def _suggestion_buttons(suggestions: tuple[Suggestion, ...]) -> None:
    for number, suggestion in enumerate(suggestions):
        st.button(
            suggestion.label,
            key=f"suggest-{number}",
            icon=":material/folder:",
            help=f"`{suggestion.base}`",
            on_click=_take,
            args=(suggestion.base,),
        )


def _choice(
    spot: st.delta_generator.DeltaGenerator, suggestions: tuple[Suggestion, ...], words: str, key: str
) -> None:
    spot.selectbox(
        "Models that were found",
        suggestions,
        index=None,
        format_func=lambda suggestion: suggestion.label,
        placeholder=words,
        disabled=not suggestions,
        key=key,
        label_visibility="collapsed",
        on_change=_take_chosen,
    )


def _take_chosen() -> None:
    if chosen := st.session_state.get(SUGGESTION):
        _take(chosen.base)


def _take(base: str) -> None:
    st.session_state[BASE] = base
