"""The figures of a canary check as HTML, for the page and the report: no script, and no file beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from mnist_dash import charts
from mnist_dash.charts import COLOUR, UNKNOWN, percent
from mnist_dash.domain import Role
from mnist_dash.evidence.figures import CheckFigures, ModelFigures, SplitFigures
from mnist_dash.evidence.statistics import Interval, find_threshold
from mnist_dash.evidence.verdict import Outcome
from mnist_dash.preprocessing import to_data_url

if TYPE_CHECKING:
    from mnist_dash.evidence.canary_check import CanaryCheck, CheckedDigit

SPAN: Final = 0.15
"""The least difference at either end of the scale, 0 to 1."""
VERDICT_COLOUR: Final = {
    Outcome.NEW_IS_BETTER: COLOUR[Role.NEW],
    Outcome.CURRENT_IS_BETTER: COLOUR[Role.CURRENT],
    Outcome.NO_DIFFERENCE: "#2c8a57",
    Outcome.NOT_ENOUGH: UNKNOWN,
}
DOTS, CELLS = 200, 216
"""The last requests through the split that are drawn as dots, and the cells for them, which leave a gap."""
LEAST_DIGITS: Final = 100
"""The least width of the line of evidence, so that its beginning does not jump."""
LEAST_HEIGHT, MOST_HEIGHT = 1.25, 2.5
"""Of the line of evidence above and below its middle, in thresholds."""
MOST_LOG_ODDS: Final = 50.0
SCOPE: Final = ".check-figures"
STYLE: Final = f"""{charts.DOT_STYLE}<style>
{SCOPE} .verdict {{ border-left: 8px solid; padding: 2px 0 2px 14px; min-height: 92px; }}
{SCOPE} .verdict b {{ display: block; font-size: clamp(26px, 4vw, 40px); line-height: 1.15; }}
{SCOPE} .verdict span {{ font-size: clamp(16px, 2vw, 20px); line-height: 1.35; }}
{SCOPE} table {{ border-collapse: collapse; width: 100%; margin: 0; }}
{SCOPE} td, {SCOPE} th {{
  border: none; padding: 1px 0 1px 8px; font-size: 14px; font-weight: 400; text-align: right;
  font-variant-numeric: tabular-nums;
}}
{SCOPE} th:first-child {{ text-align: left; padding-left: 0; }}
{SCOPE} p {{ font-size: 14px; margin: 4px 0 0; }}
{SCOPE} i.key {{ display: inline-block; width: 10px; height: 10px; flex: none; }}
{SCOPE} i.key.current {{ background: {COLOUR[Role.CURRENT]}; border-radius: 50%; }}
{SCOPE} i.key.new {{ background: {COLOUR[Role.NEW]}; clip-path: polygon(50% 0, 100% 100%, 0 100%); }}
{SCOPE} .evidence {{ position: relative; height: 260px; overflow: hidden; }}
{SCOPE} .evidence > * {{ position: absolute; left: 0; right: 0; box-sizing: border-box; }}
{SCOPE} .evidence div {{
  top: 0; bottom: 0; background: linear-gradient({COLOUR[Role.NEW]} 50%, {COLOUR[Role.CURRENT]} 50%);
}}
{SCOPE} .evidence hr {{ top: 50%; margin: 0; border: none; border-top: 2px solid {UNKNOWN}; }}
{SCOPE} .evidence span {{ display: flex; gap: 6px; align-items: end; padding: 2px 0; font-size: 13px; }}
{SCOPE} .evidence span i {{ margin-bottom: 4px; }}
{SCOPE} .evidence span b {{ margin-left: auto; font-weight: 400; }}
{SCOPE} .evidence span.new {{ border-bottom: 2px dashed {COLOUR[Role.NEW]}; }}
{SCOPE} .evidence span.current {{ border-top: 2px dashed {COLOUR[Role.CURRENT]}; align-items: start; }}
{SCOPE} .digit {{ font-size: 12px; line-height: 1.4; overflow-wrap: anywhere; }}
{SCOPE} .digit img {{ width: 84px; image-rendering: pixelated; display: block; }}
{SCOPE} .scale {{ position: relative; height: 34px; margin: 8px 0 2px; border-bottom: 1px solid {UNKNOWN}; }}
{SCOPE} .scale * {{ position: absolute; }}
{SCOPE} .scale .margin {{ top: 0; bottom: 0; background: {UNKNOWN}33; }}
{SCOPE} .scale .zero {{ top: 0; bottom: 0; border-left: 1px solid {UNKNOWN}; }}
{SCOPE} .scale .interval {{ top: 15px; height: 4px; background: currentColor; }}
{SCOPE} .scale .observed {{
  top: 10px; width: 14px; height: 14px; margin-left: -7px; border-radius: 50%; background: currentColor;
}}
{SCOPE} .ends {{ display: flex; justify-content: space-between; font-size: 13px; }}
{SCOPE} .confusion {{ max-width: 330px; table-layout: fixed; }}
{SCOPE} .confusion td, {SCOPE} .confusion th {{ text-align: center; padding: 1px 0; font-size: 12px; }}
{SCOPE} .confusion td.wrong {{ background: {charts.ERROR}55; font-weight: 700; }}
{SCOPE} .confusion td.right {{ opacity: 0.55; }}
</style>"""


def wrap(*parts: str) -> str:
    """Return parts in the element that STYLE is about."""
    return f'<div class="check-figures">{"".join(parts)}</div>'


def draw_verdict(check: CanaryCheck) -> str:
    """Return the verdict in large type; a screen reader speaks it when it changes, but no estimate."""
    verdict = check.verdict
    if check.alarm:
        return _draw_status(charts.ERROR, "New fails its guard", escape(check.alarm, quote=False))
    colour = VERDICT_COLOUR[verdict.outcome]
    if verdict.is_decided:
        return _draw_status(colour, verdict.outcome, escape(_capitalize(verdict.reason), quote=False))
    estimate = f'<span aria-live="off">{escape(_capitalize(verdict.reason), quote=False)}</span>'
    return _draw_status(colour, verdict.outcome, estimate)


def _draw_status(colour: str, title: str, text: str) -> str:
    return (
        f'<div class="verdict" role="status" style="border-color: {colour}">'
        f'<b style="color: {colour}">{title}</b> <span>{text}</span></div>'
    )


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def draw_evidence(evidence: NDArray[np.float64], level: float) -> str:
    """Return the signed log e-value over the digits as an area, in a race between the thresholds of a level.

    It is made of boxes, because `st.html` removes SVG.
    """
    threshold, digits = find_threshold(level), max(len(evidence), LEAST_DIGITS)
    # Evidence far beyond a threshold leaves the picture, which would otherwise show little of the race.
    top = threshold * min(max(LEAST_HEIGHT, float(np.abs(evidence).max(initial=0)) / threshold), MOST_HEIGHT)
    distance = 50 - 50 * threshold / top
    labels = "".join(
        f'<span class="{role}" style="{edge}: 0; height: {distance:.1f}%"><i class="key {role}"></i>'
        f"{role.label} is better<b>{1 / level:.0f} : 1</b></span>"
        for role, edge in ((Role.NEW, "top"), (Role.CURRENT, "bottom"))
    )
    corners = ", ".join(f"{100 * x / digits:.2f}% {50 - 50 * y / top:.2f}%" for x, y in _corners(evidence))
    return (
        f'<div class="evidence" role="img" aria-label="{describe_evidence(evidence, level)}">'
        f'<div style="clip-path: polygon({corners})"></div>{labels}<hr></div>'
        f'<div class="ends"><span>0</span><span>digits asked</span><span>{digits:,}</span></div>'
    )


def _corners(evidence: NDArray[np.float64]) -> list[tuple[int, float]]:
    """Return the corners of the area below the line, which only a disagreement moves: digits, log e-value."""
    corners, height = [(0, 0.0)], 0.0
    for number, value in enumerate(evidence.tolist(), start=1):
        if value != height:
            corners += [(number, height), (number, value)]
            height = value
    return [*corners, (len(evidence), height), (len(evidence), 0.0)]


def describe_evidence(evidence: NDArray[np.float64], level: float) -> str:
    """Describe the line of evidence in words."""
    last = float(evidence[-1]) if len(evidence) else 0.0
    odds = f"{math.exp(min(abs(last), MOST_LOG_ODDS)):,.0f} : 1"
    ahead = f"{odds} for {'New' if last > 0 else 'Current'}" if last else "for neither model"
    return f"The evidence after {len(evidence):,} digits: {ahead}. It decides at {1 / level:.0f} : 1."


def describe_progress(check: CanaryCheck) -> str:
    """Describe how far a check is, or how it ended."""
    done = f"{check.digits_asked:,} of {check.planned:,} digits"
    if not check.is_running:
        return f"{check.ended} {done} in {check.seconds:.1f} s."
    if check.waiting_for:
        return f"Waiting: {check.waiting_for}"
    left = f", about {check.seconds_left:.0f} s left" if check.seconds_left is not None else ""
    return f"{done}, {check.rate:.0f} per second{left}"


def describe_terms(check: CanaryCheck) -> str:
    """Describe what the verdict holds for: models, level, margin and seed."""
    terms, setup = check.options.terms, check.setup
    who = f" Started by {check.by}." if check.by else ""
    return (
        f"{setup.new} as New against {setup.current} as Current. Level {terms.level * 100:g} %, margin "
        f"{terms.margin * 100:g} points, seed {check.options.seed}: the order of the "
        f"{check.options.source.noun} is always the same.{who}"
    )


def draw_models(figures: CheckFigures, names: dict[Role, str]) -> str:
    """Return two tables with a row for each model: its accuracy, and its latency."""
    accuracy = {role: _list_accuracy(model) for role, model in figures.models.items()}
    latency = {role: _list_latency(model) for role, model in figures.models.items()}
    return _draw_table(("right", "interval", "errors"), accuracy, names) + _draw_table(
        ("requests", "p50 ms", "p95 ms", "p99 ms"), latency, names
    )


def _list_accuracy(model: ModelFigures) -> list[str]:
    return [
        "-" if model.accuracy is None else percent(model.accuracy),
        f"{model.interval.low * 100:.1f} to {model.interval.high * 100:.1f}",
        str(model.errors.total()),
    ]


def _list_latency(model: ModelFigures) -> list[str]:
    times = [f"{time:.1f}" for time in model.percentiles] if model.percentiles else ["-"] * 3
    return [f"{model.answers:,}", *times]


def _draw_table(heads: Sequence[str], cells: dict[Role, list[str]], names: dict[Role, str]) -> str:
    head = "".join(f'<th scope="col">{text}</th>' for text in ("", *heads))
    rows = "".join(
        f'<tr><th scope="row"><i class="key {role}"></i> {role.label} '
        f"{escape(names[role], quote=False)}</th>"
        + "".join(f"<td>{cell}</td>" for cell in cells[role])
        + "</tr>"
        for role in Role
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def draw_difference(figures: CheckFigures, margin: float) -> str:
    """Return the difference of the accuracies with its interval, on a scale that shows the margin."""
    interval, span = figures.interval, SPAN
    if interval.high - interval.low < 1:  # else nothing is known yet
        span = max(SPAN, *(abs(end) * 1.1 for end in (interval.low, interval.high)))

    def place(difference: float) -> float:
        return 50 + 50 * max(-1.0, min(1.0, difference / span))

    def draw_part(name: str, low: float, high: float) -> str:
        left, right = place(low), place(high)
        return f'<i class="{name}" style="left: {left:.2f}%; width: {right - left:.2f}%"></i>'

    text = f"{_points(figures.difference)} points ({_range(interval)})"
    return (
        f"<p>New minus Current: <b>{text}</b></p>"
        f'<div class="scale" role="img" aria-label="New minus Current: {text}">'
        f"{draw_part('margin', -margin, margin)}"
        f'<i class="zero" style="left: 50%"></i>{draw_part("interval", interval.low, interval.high)}'
        f'<i class="observed" style="left: {place(figures.difference):.2f}%"></i></div>'
        f'<div class="ends"><span>Current is better by {span * 100:.0f}</span>'
        f"<span>New is better by {span * 100:.0f}</span></div>"
    )


def _points(difference: float) -> str:
    return f"{difference * 100:+.1f}"


def _range(interval: Interval) -> str:
    return f"{_points(interval.low)} to {_points(interval.high)}"


def draw_requests(check: CanaryCheck) -> str:
    """Return a dot for each of the last requests through the split: which model took it, right or wrong."""
    asked = [row for row in check.rows if row.answered_by or row.milliseconds is not None or row.error]
    last = [(row.error and "error") or _classify(row) for row in asked[-DOTS:]]
    shares = ", ".join(f"{len(check.latencies(role)):,} by {role.label}" for role in Role)
    label = f"Requests through the split, answered: {shares}"
    return f"<p>{label}</p>{charts.draw_dots(last, len(asked), CELLS, label)}" if asked else ""


def _classify(row: CheckedDigit) -> str:
    if not row.answered_by:
        return charts.classify_dot(None, is_right=None)
    return charts.classify_dot(
        row.answered_by, is_right=row.new_right if row.answered_by is Role.NEW else row.current_right
    )


def draw_notes(figures: CheckFigures) -> str:
    """Return what else was seen, a sentence each: split, latency, McNemar's test and errors."""
    notes = [_describe_split(figures.split)]
    if figures.new_slower is not None:
        notes.append(
            f"New is slower than Current in {figures.new_slower * 100:.0f} % of the pairs of requests."
        )
    if figures.p_value is not None:
        notes.append(f"McNemar's exact test, at the planned end: p = {_p_value(figures.p_value)}.")
    errors = [(role.label, figures.models[role].errors) for role in Role]
    for name, kinds in (*errors, ("Unknown model", figures.other_errors)):
        notes += [f"{name}, {count} x: {problem}" for problem, count in kinds.most_common(3)]
    return "".join(f"<p>{escape(note, quote=False)}</p>" for note in notes if note)


def _describe_split(split: SplitFigures) -> str:
    if split.band is None:
        return ""
    seen = (
        f"Split: {split.set_share * 100:g} % set, {split.new / split.requests * 100:.1f} % seen of "
        f"{split.requests:,} requests; chance alone gives {split.band.low * 100:.1f} to "
        f"{split.band.high * 100:.1f} %."
    )
    return f"{seen} The gateway does not follow the split." if split.is_off else seen


def _p_value(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "less than 0.0001"


def draw_confusion(model: ModelFigures) -> str:
    """Return a model's answers (across) to each digit (down)."""
    digits = range(len(model.confusion))
    head = "".join(f'<th scope="col">{digit}</th>' for digit in digits)
    rows = "".join(
        f'<tr><th scope="row">{digit}</th>'
        + "".join(_draw_cell(int(model.confusion[digit, answer]), digit == answer) for answer in digits)
        + "</tr>"
        for digit in digits
    )
    return f'<table class="confusion"><tr><th></th>{head}</tr>{rows}</table>'


def _draw_cell(count: int, is_right: bool) -> str:
    if not count:
        return "<td></td>"
    return f'<td class="{"right" if is_right else "wrong"}">{count}</td>'


def draw_digit(check: CanaryCheck, row: CheckedDigit, names: dict[Role, str]) -> str:
    """Return a digit's picture with its label and what both models say."""
    source, labeller = to_data_url(check.asked.images[row.place]), check.options.source.labeller
    answers = {Role.CURRENT: (row.current, row.current_probability), Role.NEW: (row.new, row.new_probability)}
    lines = [
        f"{escape(names[role], quote=False)}: <b>{digit}</b>, {percent(probability)}"
        for role, (digit, probability) in answers.items()
    ]
    return (
        f'<div class="digit"><img src="{source}" alt="A digit of which {labeller} says {row.truth}">'
        f"{'<br>'.join([f'{_capitalize(labeller)}: <b>{row.truth}</b>', *lines])}</div>"
    )
