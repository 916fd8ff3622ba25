"""Middle, below the answer: send labelled digits, and see who answers them, as one dot for each answer."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash import charts
from mnist_dash.domain import Role, Snapshot
from mnist_dash.errors import MnistDashError
from mnist_dash.panels.session import session
from mnist_dash.service import Dashboard
from mnist_dash.traffic import Answer, Traffic
from mnist_dash.traffic_generator import DEFAULT_RATE, MAX_RATE, MIN_RATE

BUTTON, RATE = "send-traffic", "traffic-rate"
BUTTON_WIDTH: Final = 148
"""In px: both labels fit, so that the button never changes its size."""
REFRESH_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 2.0
"""How soon the page shows what others did while no traffic runs."""
COLUMNS, CELLS = 26, 104
"""The grid of dots; it has a few cells more than dots, so that a gap follows the newest."""
ERRORS: Final = '<i class="dot error" title="errors" role="img" aria-label="errors"></i>'
STYLE: Final = f"""<style>
.st-key-traffic {{ container-type: inline-size; }}
.st-key-traffic .dots {{ grid-template-columns: repeat({COLUMNS}, minmax(0, 14px)); }}
.st-key-traffic table {{ width: 100%; max-width: 460px; border-collapse: collapse; margin: 4px 0 0; }}
.st-key-traffic td, .st-key-traffic th {{
  padding: 0 0 0 6px; border: none; font-size: 13px; line-height: 19px; font-weight: 400;
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
}}
.st-key-traffic th:first-child {{ padding-left: 0; text-align: left; }}
.st-key-traffic table i {{ display: inline-block; width: 14px; vertical-align: -2px; }}
@container (max-width: 400px) {{
  .st-key-traffic td, .st-key-traffic th {{ padding-left: 4px; font-size: 12px; }}
}}
@container (max-width: 340px) {{
  .st-key-traffic td, .st-key-traffic th {{ padding-left: 2px; font-size: 11px; }}
}}
.st-key-traffic p {{ margin: 0; font-size: 13px; line-height: 19px; }}
</style>"""


def show(dash: Dashboard, why_not: str = "") -> None:
    """Show the button that sends traffic, and the answers of all visitors; `why_not` disables the button."""
    running = dash.is_sending_traffic
    with st.container(key="traffic", gap="xsmall"):
        st.html(charts.DOT_STYLE + STYLE)
        _show_controls(dash, running, why_not)
        strip = st.fragment(_show_strip, run_every=REFRESH_SECONDS if running else IDLE_SECONDS)
        strip(dash, running)


def _show_controls(dash: Dashboard, running: bool, why_not: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="traffic-controls"):
        # A button, because the state is everybody's: a browser that missed a change of a switch would send
        # the old state with its next request, as if its visitor had switched.
        st.button(
            "Stop traffic" if running else "Send traffic",
            key=BUTTON,
            icon=":material/stop:" if running else ":material/play_arrow:",
            on_click=_switch,
            args=(dash, not running),
            disabled=bool(why_not) and not running,
            width=BUTTON_WIDTH,
        )
        st.slider(
            "Digits per second",
            MIN_RATE,
            MAX_RATE,
            DEFAULT_RATE,
            key=RATE,
            format="%d per second",
            on_change=_change_rate,
            args=(dash,),
            label_visibility="collapsed",
            width="stretch",
        )


def _switch(dash: Dashboard, on: bool) -> None:
    """Start or stop the traffic, once for a double click."""
    if session().is_double_click(BUTTON):
        return
    if on:
        _start(dash)
    else:
        dash.stop_traffic()


def _change_rate(dash: Dashboard) -> None:
    if dash.is_sending_traffic:
        _start(dash)


def _start(dash: Dashboard) -> None:
    try:
        dash.start_traffic(st.session_state[RATE])
    except MnistDashError as error:
        session().errors.append(str(error))


def _show_strip(dash: Dashboard, running: bool) -> None:
    """Draw the answers; when traffic is no longer what the button shows, the page is run again."""
    traffic = dash.traffic()
    if traffic.running != running:
        st.rerun()
    snapshot = dash.snapshot()
    st.html(draw_dots(traffic, snapshot) + draw_table(traffic, snapshot) + draw_note(traffic))


def draw_dots(traffic: Traffic, snapshot: Snapshot) -> str:
    """Return a dot for each answer, in rows: the newest replaces the oldest, so that no dot moves."""
    classes = [_classes(answer) for answer in traffic.answers]
    return charts.draw_dots(classes, traffic.total, CELLS, describe(traffic, snapshot))


def _classes(answer: Answer) -> str:
    """Return the classes of an answer's dot: who, right or wrong, and whose request."""
    mine = " mine" if answer.by_visitor else ""
    if not answer.prediction:
        return f"error{mine}"
    return f"{charts.classify_dot(answer.role, is_right=answer.is_right)}{mine}"


def describe(traffic: Traffic, snapshot: Snapshot) -> str:
    """Describe the dots in words."""
    answers = traffic.answers
    if not answers:
        return "No answers yet."
    parts = []
    for role in Role:
        given = [answer for answer in answers if answer.prediction and answer.role is role]
        wrong = sum(answer.is_right is False for answer in given)
        parts.append(f"{snapshot.role_title(role)} gave {len(given)}, {wrong} of them wrong")
    errors = sum(answer.prediction is None for answer in answers)
    return f"The last {len(answers)} answers: {'; '.join(parts)}; {errors} errors."


def draw_table(traffic: Traffic, snapshot: Snapshot) -> str:
    """Return a table with each role's figures."""
    heads = ("", "answers", ERRORS, "share", "set", "right", "per s", "p50", "p95 ms")
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    rows = "".join(_draw_row(role, snapshot.role_title(role), traffic) for role in Role)
    return f"<table><tr>{head}</tr>{rows}</table>"


def _draw_row(role: Role, title: str, traffic: Traffic) -> str:
    figures = traffic.roles[role]
    set_share = traffic.split if role is Role.NEW else 100 - traffic.split
    cells = (
        str(figures.answers),
        str(figures.errors),
        _percent(figures.share),
        f"{set_share} %",
        _percent(figures.right / figures.labelled if figures.labelled else None, digits=1),
        f"{figures.per_second:.1f}",
        _milliseconds(figures.p50),
        _milliseconds(figures.p95),
    )
    name = f'<i class="dot {role}"></i> {title}'
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def draw_note(traffic: Traffic) -> str:
    """Return a line on errors, on the state of the traffic, and on how to read the dots."""
    if not traffic.answers:
        return f"<p>{traffic.stopped or 'A dot for each answer: filled is right, hollow is wrong.'}</p>"
    errors = f"{traffic.errors} error{'' if traffic.errors == 1 else 's'}"
    counted = f"Last {traffic.counted} at this split: "
    if traffic.unknown_errors:
        errors += f", {traffic.unknown_errors} at an unknown model"
    unknown = f", {traffic.unknown} answers of an unknown model" if traffic.unknown else ""
    minutes = (
        f"{traffic.rate} per second for {max(round(traffic.seconds_left / 60), 1)} min."
        if traffic.running
        else ""
    )
    return f"<p>{counted}{errors}{unknown}. {minutes or traffic.stopped}</p>"


def _percent(share: float | None, digits: int = 0) -> str:
    return "-" if share is None else f"{share * 100:.{digits}f} %"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
