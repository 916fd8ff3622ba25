"""Below: the canary check, which answers whether New is better, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import streamlit as st

from mnist_dash.domain import Promote, Role, SetSplit, Snapshot, UndoPromote, describe
from mnist_dash.errors import MnistDashError
from mnist_dash.evidence import figures_html
from mnist_dash.evidence.canary_check import (
    MAX_DIGITS,
    MIN_DIGITS,
    CanaryCheck,
    CheckedDigit,
    CheckOptions,
    CheckSetup,
    DigitSource,
    Guard,
    why_not_check,
)
from mnist_dash.evidence.figures import CheckFigures, rank_disagreements, summarize
from mnist_dash.evidence.rollout import Rollout, RolloutStatus
from mnist_dash.evidence.verdict import Outcome, Terms
from mnist_dash.panels import actions, drawing, labels, rollout_controls
from mnist_dash.panels.session import session, signed_in_user
from mnist_dash.panels.theme import plain, shortened
from mnist_dash.service import Dashboard

NAME_LENGTH: Final = 14
"""Characters of a model's name that fit under a picture."""
REFRESH_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 3.0
"""How soon the page shows that others have started a check."""
KINDS: Final = ("Until there is a verdict", "A fixed number of digits")
ADAPTIVE, FIXED = KINDS
SOURCE, KIND, DIGITS = "check-source", "check-kind", "check-digits"
LEVEL, MARGIN = "check-level", "check-margin"
ERRORS, P95 = "check-errors", "check-p95"
DEFAULTS: Final[dict[str, object]] = {
    SOURCE: DigitSource.MNIST,
    KIND: ADAPTIVE,
    DIGITS: 500,
    LEVEL: 5,
    MARGIN: 2.0,
    ERRORS: 1.0,
    P95: 0,
}
LEVELS: Final = (1, 5, 10)
BUSY: Final = "Wait until the check or the rollout ends."
GALLERY: Final = 12
"""Pictures that are shown of the digits about which the models differ."""
STYLE: Final = """<style>
[data-testid="stLayoutWrapper"]:has(> .st-key-check-evidence, > .st-key-check-table) {
  flex: 1 1 420px; min-width: min(420px, 100%);
}
.st-key-check-progress { min-height: 3.5rem; }
/* The button below a picture covers the picture too. */
[class*="st-key-differing-"] { position: relative; }
[class*="st-key-differing-"] :is([data-testid], button) { position: static; }
[class*="st-key-differing-"] button::after { content: ""; position: absolute; inset: 0; }
</style>"""
INTRODUCTION: Final = (
    "The check asks both models about the same labelled digits, through the gateway, until the evidence tells"
    " which one is better. You may watch it, and stop it at any moment: its verdict holds whenever you look."
)


def show(dash: Dashboard) -> None:
    """Show the controls, and the check under way or the last one, which all browsers share."""
    state = _find_state(dash)
    with st.container(key="canary-check"):
        _show_controls(dash, state)
        every = REFRESH_SECONDS if state.is_busy else IDLE_SECONDS
        st.fragment(_show_check, run_every=every)(dash, state, session().dialog)


class ControlState(NamedTuple):
    """What decides which controls can be used."""

    is_checking: bool
    """Whether a check runs that was started by hand."""
    is_rolling_out: bool
    """Whether a rollout is under way or paused."""
    choices: tuple[object, ...]
    """What can be done with the rollout."""

    @property
    def is_busy(self) -> bool:
        return self.is_checking or self.is_rolling_out


def _find_state(dash: Dashboard) -> ControlState:
    check = dash.canary_check
    rollout = rollout_controls.find_shown(dash, check)
    is_checking = check is not None and check.is_running and not rollout
    is_rolling_out = rollout is not None and (not rollout.is_ended or rollout.is_driven)
    return ControlState(is_checking, is_rolling_out, rollout_controls.find_choices(rollout))


def _show_controls(dash: Dashboard, state: ControlState) -> None:
    why_not = why_not_check(dash.snapshot())
    rollout = rollout_controls.find_shown(dash, dash.canary_check)
    with st.container(horizontal=True, vertical_alignment="center", key="check-controls"):
        # Two buttons rather than one, so that a double click does not stop what it has started.
        st.button(
            "Start check",
            key="start-check",
            icon=":material/science:",
            on_click=_start,
            args=(dash,),
            disabled=state.is_busy or bool(why_not),
            help=why_not or None,
        )
        st.button(
            "Stop check",
            key="stop-check",
            icon=":material/stop:",
            on_click=lambda: dash.on_behalf_of(signed_in_user()).stop_check(),
            disabled=not state.is_checking,
        )
        with st.popover("Options", icon=":material/tune:", key="check-options"):
            _show_options(state.is_busy)
        rollout_controls.show_start(dash, _chosen_options, BUSY if state.is_busy else "")
        labels.show_menu(dash)
    if rollout:
        rollout_controls.show_buttons(dash, rollout)


def _show_options(running: bool) -> None:
    """Show what is chosen before a check; the choices outlive a closed tab, which forgets its widgets."""
    chosen: Any = DEFAULTS | session().check_choices
    sources = list(DigitSource)
    st.radio("Ask about", sources, sources.index(chosen[SOURCE]), key=SOURCE, disabled=running)
    kind = st.radio("Ask", KINDS, KINDS.index(chosen[KIND]), key=KIND, disabled=running)
    st.number_input(
        "Digits",
        MIN_DIGITS,
        MAX_DIGITS,
        chosen[DIGITS],
        step=50,
        key=DIGITS,
        disabled=running or kind != FIXED,
    )
    st.segmented_control(
        "Level in percent",
        LEVELS,
        default=chosen[LEVEL],
        key=LEVEL,
        required=True,
        disabled=running,
        help="How often the check may call one of two equally good models better.",
    )
    for label, key, lowest, highest, step, text in (
        ("Margin in points", MARGIN, 0.1, 20.0, 0.5, "A difference of the accuracies that does not matter."),
        ("Errors of New in percent", ERRORS, 0.0, 100.0, 0.5, "With more, the check ends at once."),
        ("p95 of New in ms", P95, 0, 60_000, 10, "With a higher one, the check ends at once; 0 is no limit."),
    ):
        st.number_input(label, lowest, highest, chosen[key], step=step, key=key, disabled=running, help=text)
    session().check_choices |= {key: st.session_state[key] for key in DEFAULTS}


def _chosen_options() -> CheckOptions:
    chosen = st.session_state
    return CheckOptions(
        digits=chosen[DIGITS] if chosen[KIND] == FIXED else None,
        terms=Terms(chosen[LEVEL] / 100, chosen[MARGIN] / 100),
        guard=Guard(chosen[ERRORS] / 100, chosen[P95] or None),
        source=chosen[SOURCE],
    )


def _start(dash: Dashboard) -> None:
    try:
        dash.on_behalf_of(signed_in_user()).start_check(_chosen_options())
    except MnistDashError as error:
        session().errors.append(str(error))


def _show_check(dash: Dashboard, state: ControlState, page_dialog: object) -> None:
    """Show the check as it is now; when the controls no longer fit it, the page is run again."""
    has_changed = _find_state(dash) != state or session().dialog is not page_dialog
    if has_changed or rollout_controls.has_to_close():
        st.rerun()
    check = dash.canary_check
    if check is None:
        st.markdown(INTRODUCTION)
        return
    rollout = rollout_controls.find_shown(dash, check)
    if rollout:
        rollout_controls.show_ladder(dash, rollout, check)
    figures = summarize(check)
    with st.container(key="check-result"):
        st.html(STYLE + figures_html.STYLE + figures_html.wrap(figures_html.draw_verdict(check)))
        with st.container(horizontal=True, vertical_alignment="center", key="check-progress"):
            if not rollout:
                _show_progress(dash, check)
            elif not state.is_rolling_out:
                _show_end_of_rollout(dash, check, rollout)
        _show_figures(check, figures)
        _show_confusions(check, figures)
        _show_gallery(check, is_growing=state.is_busy)


def _show_end_of_rollout(dash: Dashboard, check: CanaryCheck, rollout: Rollout) -> None:
    """Show what a rollout that could not decide leads on to, and its evidence as files."""
    snapshot = dash.snapshot()
    if rollout.status is RolloutStatus.UNDECIDED and not check.setup.describe_model_change(snapshot):
        _show_back(dash, check.setup, snapshot)
        _show_promote(check.setup)
    if check.rows:
        _show_downloads(check)


def _show_progress(dash: Dashboard, check: CanaryCheck) -> None:
    """Show how far the check is or, once it has ended, what it leads on to."""
    text = plain(figures_html.describe_progress(check))
    if check.is_running:
        st.progress(len(check.rows) / check.planned, text)
        return
    _show_next_step(dash, check, dash.snapshot())
    _show_downloads(check)
    st.caption(text, width="content")


def _show_downloads(check: CanaryCheck) -> None:
    """Show the report and the answers as files, made when they are asked for."""
    name = f"canary-check-{datetime.fromtimestamp(check.started_at, UTC):%Y-%m-%d-%H%M%S}"
    for label, key, make, suffix, mime in (
        ("Report", "check-report", check.to_html, "html", "text/html"),
        ("Answers as CSV", "check-csv", check.to_csv, "csv", "text/csv"),
    ):
        st.download_button(
            label,
            make,
            f"{name}.{suffix}",
            mime,
            key=key,
            icon=":material/download:",
            on_click="ignore",
        )


def _show_next_step(dash: Dashboard, check: CanaryCheck, snapshot: Snapshot) -> None:
    outcome, setup = check.verdict.outcome, check.setup
    if setup.describe_model_change(snapshot):
        st.caption("Other models are deployed now: check again before you decide.", width="content")
    elif check.alarm or outcome is Outcome.CURRENT_IS_BETTER:
        _show_back(dash, setup, snapshot)
    elif outcome is Outcome.NEW_IS_BETTER and snapshot.can_undo_promote:
        st.button(
            describe(UndoPromote(), snapshot),
            key="check-undo",
            type="primary",
            icon=":material/undo:",
            on_click=actions.apply_on_click,
            args=(dash, UndoPromote(), snapshot.etag(Role.NEW)),
            help="The roles and the split are then as before the promotion.",
        )
    elif outcome is Outcome.NEW_IS_BETTER:
        _show_promote(setup)


def _show_back(dash: Dashboard, setup: CheckSetup, snapshot: Snapshot) -> None:
    if snapshot.split_desired:
        st.button(
            "Back to Current only",
            key="check-back",
            type="primary",
            icon=":material/undo:",
            on_click=actions.apply_on_click,
            args=(dash, SetSplit(0)),
            help=f"All requests then go to {setup.current.name}; {setup.new.name} keeps running.",
        )


def _show_promote(setup: CheckSetup) -> None:
    st.button(
        f"Make New the Current: {setup.new.name}",
        key="check-promote",
        type="primary",
        icon=":material/swap_vert:",
        on_click=session().open,
        args=(Role.NEW, Promote()),
        help="Shows what it does before anything changes.",
    )


def _show_figures(check: CanaryCheck, figures: CheckFigures) -> None:
    terms, setup = check.options.terms, check.setup
    with st.container(horizontal=True, gap="medium", key="check-figures"):
        with st.container(key="check-evidence"):
            st.html(figures_html.wrap(figures_html.draw_evidence(figures.evidence, terms.level)))
        with st.container(key="check-table"):
            names = {role: setup.of(role).name for role in Role}
            st.html(
                figures_html.wrap(
                    figures_html.draw_models(figures, names),
                    figures_html.draw_difference(figures, terms.margin),
                    figures_html.draw_notes(figures),
                )
            )
    st.html(figures_html.wrap(figures_html.draw_requests(check)))
    st.caption(plain(figures_html.describe_terms(check)))


def _show_confusions(check: CanaryCheck, figures: CheckFigures) -> None:
    box = st.expander("Which digits each model takes for which", key="confusions", on_change="rerun")
    if box.open:
        with box, st.container(horizontal=True, gap="medium"):
            for role in Role:
                with st.container(width=340):
                    st.markdown(f"**{plain(check.setup.name_of(role))}**: digit down, answer across")
                    st.html(figures_html.wrap(figures_html.draw_confusion(figures.models[role])))


def _show_gallery(check: CanaryCheck, *, is_growing: bool) -> None:
    """Show digits about which the models differ; while there come more, none changes its place."""
    differing = rank_disagreements(check.rows)
    if is_growing:
        differing = [row for row in differing if row.current_right or row.new_right]
    if not differing:
        return
    st.markdown(f"**Where they differ**: {len(differing)} of {len(check.rows):,} digits")
    with st.container(horizontal=True, gap="small", key="check-gallery"):
        _show_digits(check, differing[:GALLERY])


def _show_digits(check: CanaryCheck, rows: Sequence[CheckedDigit]) -> None:
    names = {role: shortened(check.setup.name_of(role), NAME_LENGTH) for role in Role}
    for row in rows:
        with st.container(width=132, gap="xsmall", key=f"differing-{row.place}"):
            st.html(figures_html.wrap(figures_html.draw_digit(check, row, names)))
            label, key = f"Show no. {row.place}", f"try-{row.place}"
            if st.button(label, key=key, type="tertiary", on_click=_put_on_canvas, args=(check, row.place)):
                st.rerun()  # the canvas is not in this fragment


def _put_on_canvas(check: CanaryCheck, place: int) -> None:
    if check.options.source is DigitSource.MNIST:
        drawing.put_sample(session(), place)
    else:
        drawing.put_drawing(session(), check.asked.images[place])
    session().wants_compare = True
