"""Middle: the models' answer, in words and as bars."""

from __future__ import annotations

import time
from html import escape
from typing import Final

import numpy as np
import streamlit as st

from mnist_dash import charts
from mnist_dash.charts import COLOUR, FAINT, HEIGHT, TOP, UNKNOWN, WIDTH, percent
from mnist_dash.domain import DIGITS, Comparison, Prediction, Role, Snapshot
from mnist_dash.errors import MnistDashError, ServingError
from mnist_dash.panels import labels
from mnist_dash.panels.background import POLL_SECONDS
from mnist_dash.panels.samples import judge
from mnist_dash.panels.session import Awaited, LastAnswer, Outcome
from mnist_dash.panels.theme import ink, plain, shorten, shortened
from mnist_dash.serving.client import READ_SECONDS

NAME_LENGTH = 24
ERROR_LENGTH = 90
EXPLAINED_AFTER: Final = (2, 5, 10)
"""Seconds without an answer after which the page says so. Few, because a screen reader speaks each change."""
EXAMPLE: Final = Prediction(
    np.array([0, 0.01, 0.02, 0.01, 0, 0, 0, 0.92, 0, 0.04], np.float32), None, None, None, "", 0
)
"""What an answer looks like, for a first visitor; it bears no model's colour."""
FULL: Final = round((HEIGHT - 68) / TOP, 1)
"""Height of a bar of 100 % in px, as in `charts.bars`."""
VERDICT_COLOUR = {True: "#15924c", False: "#dd403a"}
"""Whether the models agree: at least 3:1 against the background of either theme, for large text."""
STYLE: Final = f"""<style>
.st-key-answer .row {{ display: flex; gap: 1rem; align-items: flex-end; }}
.st-key-answer .half {{ display: flex; gap: 0.5rem; align-items: flex-end; width: 156px; }}
.st-key-answer .digit {{ flex: 0 0 auto; min-width: 72px; }}
.st-key-answer .row > .digit {{ min-width: 110px; }}
.st-key-answer .digit b {{ display: block; font-size: 4.5rem; line-height: 1.35; font-weight: 700; }}
.st-key-answer i {{
  --role: {UNKNOWN}; padding: 0.1rem 0.4rem; border-radius: 0.4rem; font-style: normal; font-size: 0.875rem;
  white-space: nowrap; color: color-mix(in srgb, var(--role) 60%, currentColor);
  background: color-mix(in srgb, var(--role) 15%, transparent);
}}
.st-key-answer i.current {{ --role: {COLOUR[Role.CURRENT]}; }}
.st-key-answer i.new {{ --role: {COLOUR[Role.NEW]}; }}
.st-key-answer i.current::before, .st-key-answer i.new::before {{
  content: ""; display: inline-block; width: 9px; height: 9px; margin-right: 4px; background: var(--role);
}}
.st-key-answer i.current::before {{ border-radius: 50%; }}
.st-key-answer i.new::before {{ clip-path: polygon(50% 0, 100% 100%, 0 100%); }}
.st-key-answer strong[role="alert"] {{ display: block; }}
.st-key-answer .verdict {{ font-size: 1.75rem; line-height: 1.35; }}
.st-key-answer small {{ display: block; font-size: 0.875rem; line-height: 1.5; opacity: 0.7; }}
.st-key-answer small, .st-key-answer strong {{ overflow-wrap: anywhere; }}
.st-key-answering .note {{ margin: 0; line-height: 1.5; }}
.st-key-bars .bars {{
  display: flex; align-items: flex-end; height: {HEIGHT}px; padding-right: 4px; font-size: 12px;
}}
.st-key-bars .bars > * {{ flex: 1; text-align: center; line-height: 1.3; }}
.st-key-bars .axis {{
  flex: 0 0 36px; padding-right: 4px; margin-bottom: calc(40px - {FULL / 4}px);
  text-align: right; line-height: {FULL / 2}px;
}}
.st-key-bars .bar {{
  height: calc(var(--share) * {FULL}px); margin: 0 11.5%; background: {UNKNOWN}; opacity: {FAINT};
}}
.st-key-bars .won .bar {{ opacity: 1; }}
.st-key-bars .won {{ font-weight: 700; }}
.st-key-bars .digit {{ height: 40px; font-size: 15px; }}
</style>"""


def show(answer: LastAnswer | None, outdated: bool, why_not: str, *, drawn: bool) -> None:
    """Show an answer, or how to get one; `outdated` says that the drawing has changed since.

    An answer consists of three elements, because each takes the server and the browser a millisecond.
    """
    outcome = answer.outcome if answer else None
    with st.container(gap="small", key="answer"):  # theme.STYLE reserves room, so that the bars stay in place
        if answer and isinstance(outcome, Awaited):
            _show_wait(outcome, answer.snapshot)
        elif answer and isinstance(outcome, Prediction):
            st.html(_draw_prediction(outcome, answer.snapshot))
        elif answer and isinstance(outcome, Comparison):
            st.html(_draw_comparison(outcome, answer.snapshot))
        elif isinstance(outcome, MnistDashError) and not (why_not and isinstance(outcome, ServingError)):
            _show_error(outcome)
        elif why_not:
            st.info(plain(why_not), title="No model can answer now", icon=":material/info:")
        elif drawn:
            st.markdown("Press **Predict**, or switch **Live** on.")
        else:
            st.markdown("Draw a digit from 0 to 9, then press **Predict**, or switch **Live** on.")
            st.caption("Below is an example: the bars of an answer to a seven.")
    _show_bars(outcome, answer.snapshot if answer else None, is_example=not (outcome or why_not or drawn))
    st.html(f'<p class="note">{_draw_note(answer, outdated)}</p>')


@st.fragment(run_every=POLL_SECONDS)
def _show_wait(awaited: Awaited, snapshot: Snapshot) -> None:
    """Say which model has not answered yet and what happens next; with the answer, run the page again."""
    if awaited.result.done():
        st.rerun()
    names = plain(_name_asked(awaited, snapshot))
    elapsed = time.monotonic() - awaited.asked_at
    if told := [seconds for seconds in EXPLAINED_AFTER if elapsed >= seconds]:
        st.warning(
            f"Waiting up to {READ_SECONDS:g} s. Predict asks again, Clear gives up.",
            title=f"No answer for {told[-1]} s from {names}",
            icon="spinner",
        )
    else:
        st.info(f"Waiting for {names}.", icon="spinner")


def _name_asked(awaited: Awaited, snapshot: Snapshot) -> str:
    """Name the models that may owe the answer: of a canary, only the answer tells which one it was."""
    split = snapshot.split_observed
    is_asked = {Role.CURRENT: awaited.compare or split < 100, Role.NEW: awaited.compare or split > 0}
    return " or ".join(_name(role, snapshot) for role in Role if is_asked[role])


def _show_error(error: MnistDashError) -> None:
    """Show an error in the room of an answer; what does not fit is in a tooltip."""
    problem, whole = shorten(error.problem, ERROR_LENGTH)
    step, more = shorten(error.next_step, ERROR_LENGTH)
    st.warning(plain(step), title=plain(problem), icon=":material/warning:")
    if whole or more:
        st.caption("The whole message", help=plain(str(error)))


def _draw_note(answer: LastAnswer | None, outdated: bool) -> str:
    """Return that the drawing has changed, which model is right about a sample, or who is asked for that.

    Where it asks, the page has its ten buttons visible.
    """
    if not answer or isinstance(answer.outcome, Awaited):
        return "&nbsp;"
    if outdated:
        return "<small>The drawing has changed since this answer: press Predict again.</small>"
    if answer.truth is not None:
        return f"<strong>{escape(judge(answer.outcome, answer.truth, answer.snapshot))}</strong>"
    if isinstance(answer.outcome, MnistDashError):
        return "&nbsp;"
    return f'<small class="{labels.ASKED}">Which digit was it?</small>'


def describe(prediction: Prediction, snapshot: Snapshot) -> str:
    """Describe an answer in a sentence: who answered, which digit, how sure."""
    digit = f"{prediction.digit} with {percent(prediction.confidence)}"
    if prediction.shared:
        return f"Both say {digit}"
    return f"{_name(prediction.role, snapshot) if prediction.role else 'The model'} says {digit}"


def _name(role: Role, snapshot: Snapshot) -> str:
    return shortened(snapshot.name_of(role), NAME_LENGTH)


def _draw_prediction(prediction: Prediction, snapshot: Snapshot) -> str:
    details = "<br>".join(_details(prediction))
    return (
        f'<div class="row" title="{_origin(prediction, snapshot)}">{_draw_digit(prediction, snapshot)}'
        f"<div>{_draw_alert(escape(describe(prediction, snapshot)))}<small>{details}</small></div></div>"
    )


def _draw_comparison(comparison: Comparison, snapshot: Snapshot) -> str:
    current, new = comparison.current, comparison.new
    names = [_name(role, snapshot) for role in Role]
    if comparison.agree:
        verdict, digits = "Agree", f"both say {current.digit}"
    else:
        verdict, digits = "DISAGREE", f"{names[0]} says {current.digit}, {names[1]} says {new.digit}"
    colour = VERDICT_COLOUR[comparison.agree]
    halves = "".join(
        f'<div class="half" title="{_origin(prediction, snapshot)}">{_draw_digit(prediction, snapshot)}'
        f"<small><b>{percent(prediction.confidence)}</b><br>"
        f"{'<br>'.join([escape(name), *_details(prediction)])}</small></div>"
        for name, prediction in zip(names, (current, new), strict=True)
    )
    alert = _draw_alert(f'<span class="verdict" style="color: {colour}">{verdict}</span>: {escape(digits)}')
    return f'{alert}<div class="row">{halves}</div>'


def _draw_alert(markup: str) -> str:
    """Return HTML that a screen reader says as soon as it appears."""
    return f'<strong role="alert">{markup}</strong>'


def _draw_digit(prediction: Prediction, snapshot: Snapshot) -> str:
    """Return the digit, below the badge of the role that answered."""
    role = prediction.role
    if prediction.shared or not role:
        badge = f"<i>{'Both models' if prediction.shared else 'Unknown model'}</i>"
    else:
        badge = f'<i class="{role}">{snapshot.role_title(role)}</i>'
    return f'<div class="digit">{badge}<b>{prediction.digit}</b></div>'


def _origin(prediction: Prediction, snapshot: Snapshot) -> str:
    """Return the model base and the replica that answered, for a tooltip."""
    model = snapshot.of(prediction.role) if prediction.role else None
    replica = f"replica {prediction.replica}" if prediction.replica else ""
    return escape(", ".join(filter(None, [model.base if model else "", replica])))


def _details(prediction: Prediction) -> list[str]:
    version = f"version {prediction.version}" if prediction.version is not None else ""
    return [line for line in (version, f"{prediction.milliseconds:.1f} ms") if line]


def _show_bars(outcome: Outcome | Awaited | None, snapshot: Snapshot | None, *, is_example: bool) -> None:
    """Show an answer's bars with plotly, and bars without an answer with HTML.

    Plotly is 4.7 MB of JavaScript, for which a new visitor would wait.
    """
    if snapshot and isinstance(outcome, Comparison):
        names = [_name(role, snapshot) for role in Role]
        titles = [snapshot.role_title(role) for role in Role]
        figure = charts.paired_bars(outcome, ink(), names)
        spoken = [f"{name}, {title}" for name, title in zip(names, titles, strict=True)]
        alt = charts.describe_comparison(outcome, spoken)
    elif isinstance(outcome, Prediction):
        figure, alt = charts.bars(outcome, ink()), charts.describe_prediction(outcome)
    else:
        with st.container(key="bars", width=WIDTH):
            st.html(_draw_bars(EXAMPLE if is_example else None))
        return
    figure = charts.as_plotly(figure)
    st.plotly_chart(figure, theme=None, key="bars", width=WIDTH, height=HEIGHT, config=charts.CONFIG, alt=alt)


def _draw_bars(example: Prediction | None) -> str:
    """Return the bars of an example or, for None, ten empty places, where `charts.bars` has them."""
    shares = example.probabilities.tolist() if example else [0.0] * DIGITS
    labels = charts.label_bars(example) if example else [""] * DIGITS
    alt = (
        f"An example. {charts.describe_prediction(example)}" if example else "No answer yet: ten empty bars."
    )
    columns = []
    for digit, (share, label) in enumerate(zip(shares, labels, strict=True)):
        won, mark = ("won", "▲") if example and digit == example.digit else ("", "")
        bar = f'{label}<div class="bar"></div><div class="digit">{mark}<br>{digit}</div>'
        columns.append(f'<div class="{won}" style="--share: {share:.3f}">{bar}</div>')
    axis = '<div class="axis">100%<br>50%<br>0%</div>'
    return f'<div class="bars" role="img" aria-label="{escape(alt)}">{axis}{"".join(columns)}</div>'
