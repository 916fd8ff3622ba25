"""The dialog that deploys: model base, replicas, the model's check, and a preview on a cluster."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mnist_dash.domain import MAX_REPLICAS, MIN_REPLICAS, MODEL_NAME, Deploy
from mnist_dash.errors import MnistDashError, ModelError
from mnist_dash.panels import actions, diff
from mnist_dash.panels.session import Dialog, session
from mnist_dash.panels.theme import plain, shortened
from mnist_dash.service import Dashboard
from mnist_dash.storage.location import Progress

BASE, REPLICAS, SUGGESTION = "deploy-base", "deploy-replicas", "suggestion"
MISSING = "Type a model base, or choose one above."


def show(dash: Dashboard, dialog: Dialog) -> None:
    """Show the form, any problem, and on a cluster the preview.

    All buttons are in the form, because only its own send what was typed.
    """
    deployed = dash.snapshot().of(dialog.role)  # the widgets' keys keep what was typed since
    st.session_state.setdefault(BASE, deployed.base if deployed else "")
    st.session_state.setdefault(REPLICAS, deployed.desired if deployed else MIN_REPLICAS)
    above = st.empty()
    _show_suggestions(dash, dialog, above)
    with st.form("deploy-form", border=False):
        _show_fields(dash)
        _show_submit_buttons(dash, dialog)
        spot = st.container()  # below the buttons, so that they stay where they are
    below = st.container()
    with spot:
        change = _change_to_preview(dash, dialog) if dialog.wants_preview else None
        button = st.form_submit_button
        actions.run_dialog(dash, dialog, lambda: _make_change(dash, dialog), "Checking the model", button)
        _show_hints(dialog)
    if change:
        with below:
            diff.show(dash, dialog, change)
    if dash.in_cluster and dialog.suggestions is None:  # the last, since a bucket may take seconds to list
        dialog.suggestions = dash.suggestions()
        _show_suggestions(dash, dialog, above)


def _show_fields(dash: Dashboard) -> None:
    st.text_input(
        "Model base directory",
        key=BASE,
        placeholder="gs://bucket/path" if dash.in_cluster else "/path/to/folder",
        help="An address in Cloud Storage." if dash.in_cluster else "A folder that this computer can read.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Model name", MODEL_NAME, disabled=True, key="deploy-name", width=140)
        st.number_input("Replicas", MIN_REPLICAS, MAX_REPLICAS, key=REPLICAS, width=160)
    st.caption(
        f"The highest version in `<base>/{MODEL_NAME}/<version>/` is served. "
        "It is tried on known digits before anything changes."
    )


def _show_submit_buttons(dash: Dashboard, dialog: Dialog) -> None:
    """Show the buttons, and beside them why Deploy cannot be pressed; theme.STYLE hides that of a path."""
    why_not = actions.find_obstacle(dash, dash.snapshot())
    with st.container(horizontal=True, vertical_alignment="center", key="deploy-buttons"):
        st.form_submit_button(
            f"Deploy as {dialog.role.label}",
            key="deploy-confirm",
            type="primary",
            icon=actions.choose_confirm_icon(dialog, ":material/rocket_launch:"),
            on_click=session().confirm,
            disabled=bool(why_not),
        )
        if dash.in_cluster:
            st.form_submit_button(
                diff.LABEL, key="deploy-difference", icon=diff.ICON, on_click=_ask_preview, args=(dialog,)
            )
        actions.show_cancel(st.form_submit_button)
        with st.container(key="obstacle" if why_not else "path-missing", width="content"):
            st.caption(why_not or MISSING)


def _show_hints(dialog: Dialog) -> None:
    """Offer the model base that was probably meant, and what is there when asked."""
    problem, button = dialog.problem, st.form_submit_button
    if not isinstance(problem, ModelError):
        return
    with st.container(horizontal=True, gap="small", key="deploy-hints"):
        if len(problem.suggestions) == 1 or dialog.shows_content:
            for number, base in enumerate(problem.suggestions):
                button(f"Use {plain(shortened(base))}", key=f"use-{number}", on_click=_fill, args=(base,))
        elif problem.suggestions or problem.content:
            button(
                "Show what is there",
                key="show-content",
                on_click=setattr,
                args=(dialog, "shows_content", True),
            )
    if dialog.shows_content and problem.content:
        st.caption(plain(problem.content))


def _ask_preview(dialog: Dialog) -> None:
    dialog.wants_preview, dialog.preview, dialog.problem = True, None, None
    dialog.shows_content = False


def _make_change(dash: Dashboard, dialog: Dialog) -> Deploy:
    """Return the change that the form describes, with its model checked. Raises ModelError."""
    if dialog.check and dialog.check[1].unverified and not dialog.allow_unverified:
        dialog.check = None  # another click on Deploy tries the check again
    change = _checked_change(dash, dialog)
    if change.check.unverified and not dialog.allow_unverified:
        problem = "The model could not be checked from here."
        raise ModelError(problem, change.check.unverified, unverified=True)
    return change


def _checked_change(dash: Dashboard, dialog: Dialog) -> Deploy:
    """Return the change, checking its base once per dialog and showing the progress."""
    base = st.session_state[BASE].strip()
    if not base:
        raise ModelError("The model base directory is empty.", MISSING)
    if not dialog.check or dialog.check[0] != base:
        dialog.allow_unverified = False  # that was meant for another base
        spot = st.empty()
        try:
            dialog.check = base, dash.check(base, _show_progress_in(spot))
        finally:
            spot.empty()
    return Deploy(dialog.role, dialog.check[1], int(st.session_state[REPLICAS]))


def _show_progress_in(spot: DeltaGenerator) -> Progress:
    """Return a callback that shows how many bytes of the model have been fetched."""
    shown = -1

    def show_progress(fetched: int, total: int) -> None:
        nonlocal shown
        percent = min(100, 100 * fetched // max(total, 1))
        if percent != shown:  # one message to the browser per percent, not per block
            shown = percent
            doing = "Fetching the model" if percent < 100 else "Trying the model"
            spot.progress(percent, f"{doing}: {fetched / 1e6:.1f} of {total / 1e6:.1f} MB")

    return show_progress


def _change_to_preview(dash: Dashboard, dialog: Dialog) -> Deploy | None:
    """Return the change with its model checked; on an error the dialog has a problem instead."""
    try:
        return _checked_change(dash, dialog)
    except MnistDashError as error:
        dialog.wants_preview, dialog.problem = False, error
        return None


def _show_suggestions(dash: Dashboard, dialog: Dialog, spot: DeltaGenerator) -> None:
    """Offer models: as buttons, or on a cluster as a list that waits for the buckets."""
    if not dash.in_cluster:
        with spot.container(horizontal=True, vertical_alignment="center", gap="small"):
            for number, suggestion in enumerate(dash.suggestions()):
                st.button(
                    suggestion.label,
                    key=f"suggest-{number}",
                    icon=":material/folder:",
                    help=f"`{suggestion.base}`",
                    on_click=_fill,
                    args=(suggestion.base,),
                )
        return
    offered, key, placeholder = dialog.suggestions, SUGGESTION, "Choose a model"
    if offered is None:
        key, placeholder = "suggestions-awaited", "Looking for models in the buckets…"
    elif not offered:
        placeholder = "No models found: type the address"
    spot.selectbox(
        "Models found",
        offered or (),
        index=None,
        format_func=lambda suggestion: suggestion.label,
        placeholder=placeholder,
        disabled=not offered,
        key=key,
        label_visibility="collapsed",
        on_change=_fill_chosen,
    )


def _fill(base: str) -> None:
    """Fill in a model base; a problem with the former one is over."""
    st.session_state[BASE] = base
    if dialog := session().dialog:
        dialog.problem = None


def _fill_chosen() -> None:
    """Fill in the base that was chosen in the list."""
    if chosen := st.session_state.get(SUGGESTION):
        _fill(chosen.base)
