"""Figures of predictions and dots of answers, with their descriptions; pure functions of values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from typing import Any, Final, TypeAlias

import numpy as np

from mnist_dash.domain import DIGITS, Comparison, Prediction, Role

Figure: TypeAlias = dict[str, Any]
"""`data` and `layout` as plotly.js takes them; `go.Figure` would validate them for 20 ms at each answer."""
COLOUR: Final = {Role.CURRENT: "#8459d8", Role.NEW: "#d0701c"}
"""Each role's colour: at least 3:1 against the background of either theme (.streamlit/config.toml)."""
TITLES: Final = tuple(role.label for role in Role)
UNKNOWN: Final = "#707784"
"""The colour of an answer of unknown origin."""
HATCH: Final = {Role.CURRENT: "", Role.NEW: "/"}
"""New's bars are hatched, so that roles differ in more than colour."""
CONFIG: Final[dict[str, Any]] = {"staticPlot": True}
HEIGHT: Final = 250
"""Of a chart, in CSS pixels."""
WIDTH: Final = 368
"""Of a chart, in CSS pixels, where there is room for it."""
INK: Final = "#12151a"
"""Of text on a light page."""
FONT: Final = '"Source Sans", sans-serif'
"""Streamlit's own."""
FAINT: Final = 0.38
TOP: Final = 1.08
"""The axis ends above 1 to leave room for labels."""
LABELLED_FROM: Final = 0.01
SMALL: Final = "< 1 %"
PAIR_LABEL: Final = 120
"""Width of the longest label of a pair, in CSS pixels."""


ERROR: Final = "#d9362b"
DOT_STYLE: Final = f"""<style>
.dots {{ display: grid; grid-template-columns: repeat(auto-fill, 14px); }}
i.dot {{ display: block; max-width: 14px; height: 15px; padding: 2px 2px 1px; }}
i.dot.mine {{ border-bottom: 2px solid; padding-bottom: 0; }}
i.dot::before {{ content: ""; display: block; max-width: 10px; aspect-ratio: 1; background: {UNKNOWN}; }}
i.dot.empty::before {{ width: 3px; height: 3px; margin: 3px; opacity: 0.4; border-radius: 50%; }}
i.dot.current::before {{ background: {COLOUR[Role.CURRENT]}; border-radius: 50%; }}
i.dot.current.wrong::before {{ background: none; border: 2px solid {COLOUR[Role.CURRENT]}; }}
i.dot.new::before {{ background: {COLOUR[Role.NEW]}; clip-path: polygon(50% 0, 100% 100%, 0 100%); }}
i.dot.new.wrong::before {{
  clip-path: polygon(evenodd, 50% 0, 100% 100%, 0 100%, 50% 0, 50% 40%, 28% 84%, 72% 84%, 50% 40%);
}}
i.dot.unknown.wrong::before {{ background: none; border: 2px solid {UNKNOWN}; }}
i.dot.unlabelled::before {{ opacity: 0.5; }}
i.dot.error::before {{
  background: {ERROR};
  clip-path: polygon(20% 0, 50% 30%, 80% 0, 100% 20%, 70% 50%, 100% 80%, 80% 100%, 50% 70%,
    20% 100%, 0 80%, 30% 50%, 0 20%);
}}
</style>"""
"""Draws with boxes, because `st.html` removes SVG, and a new picture every second would flicker."""


def percent(share: float) -> str:
    """Format a share of 0 to 1 as "97.3 %"; only 1 itself is "100 %"."""
    if share >= 1:
        return "100 %"
    return "> 99.9 %" if share >= 0.9995 else f"{share * 100:.1f} %"


def bars(prediction: Prediction, ink: str = INK) -> Figure:
    """Draw ten bars, the winner solid and bold, the others faint."""
    return _figure(_trace(prediction, prediction.role), ink, prediction.digit)


def paired_bars(comparison: Comparison, ink: str = INK, names: Sequence[str] = TITLES) -> Figure:
    """Draw ten pairs of bars, Current's solid and New's hatched, each with its own winner.

    The legend has the `names` of Current's and New's models.
    They lie, so that each label has room beside the pair of its digit, where no bar and no line touches it.
    """
    answers = (comparison.current, comparison.new)
    traces = [
        _trace(answer, role, name, lying=True)
        for role, name, answer in zip(Role, names, answers, strict=True)
    ]
    labels = _pair_labels(*answers)
    return _lying_figure([*traces, labels], ink, winners=[answer.digit for answer in answers])


def describe_prediction(prediction: Prediction) -> str:
    """Describe `bars` in words: the digits with at least one percent, likeliest first."""
    shares = prediction.probabilities
    order = sorted(range(DIGITS), key=lambda digit: -shares[digit])
    named = [f"{digit}: {percent(shares[digit])}" for digit in order if shares[digit] >= LABELLED_FROM]
    return f"Probabilities of the digits. {', '.join(named)}."


def describe_comparison(comparison: Comparison, names: Sequence[str] = TITLES) -> str:
    """Describe `paired_bars` in words."""
    answers = zip(names, (comparison.current, comparison.new), strict=True)
    return " ".join(f"{name}: {describe_prediction(answer)}" for name, answer in answers)


def as_plotly(figure: Figure) -> Any:
    """Return a figure as the type that Streamlit takes without validating it."""
    return _ready_type()(figure)


@cache
def _ready_type() -> type:
    # Imported with the first answer: plotly takes a second to import.
    from plotly.basedatatypes import BaseFigure  # type: ignore[import-untyped]  # ships no py.typed

    class ReadyFigure(BaseFigure):  # type: ignore[misc]  # untyped
        def __init__(self, figure: Figure) -> None:
            self._figure = figure

        def to_dict(self) -> Figure:
            return self._figure

    return ReadyFigure


def _trace(prediction: Prediction, role: Role | None, name: str = "Answer", lying: bool = False) -> Figure:
    digits, shares = list(range(DIGITS)), prediction.probabilities.tolist()
    colour = COLOUR[role] if role else UNKNOWN
    won = _wins(prediction)
    return {
        "type": "bar",
        "name": name,
        "x": shares if lying else digits,
        "y": digits if lying else shares,
        "orientation": "h" if lying else "v",
        "text": None if lying else label_bars(prediction),
        "textposition": "outside",
        "textangle": 0,
        "cliponaxis": False,
        "marker": {
            "color": colour,
            "opacity": [1 if bold else FAINT for bold in won],
            "line": {"color": colour, "width": [2 if bold else 0 for bold in won]},
            "pattern": {"shape": HATCH[role] if role else "", "fillmode": "overlay", "size": 6},
        },
    }


def _pair_labels(current: Prediction, new: Prediction) -> Figure:
    """Return a label for each pair, Current's share first, behind the longer bar; a bar alone is too low."""
    shares = [
        (first or SMALL, second or SMALL)
        for first, second in zip(label_bars(current), label_bars(new), strict=True)
    ]
    return {
        "type": "scatter",
        "x": np.maximum(current.probabilities, new.probabilities).tolist(),
        "y": list(range(DIGITS)),
        "text": [
            "" if both == (SMALL, SMALL) else f"\N{NO-BREAK SPACE}{' · '.join(both)}" for both in shares
        ],
        "mode": "text",
        "textposition": "middle right",
        "cliponaxis": False,
        "showlegend": False,
    }


def _wins(prediction: Prediction) -> list[bool]:
    return [digit == prediction.digit for digit in range(DIGITS)]


def label_bars(prediction: Prediction) -> list[str]:
    """Return the label of each bar, the winner's bold; empty below one percent."""
    return [_label(*it) for it in zip(prediction.probabilities.tolist(), _wins(prediction), strict=True)]


def _label(share: float, winner: bool) -> str:
    if winner:
        return f"<b>{percent(share)}</b>"
    return f"{share * 100:.0f} %" if share >= LABELLED_FROM else ""


def _figure(trace: Figure, ink: str, winner: int) -> Figure:
    ticks = [f"<b>▲<br>{digit}</b>" if digit == winner else f"<br>{digit}" for digit in range(DIGITS)]
    layout = {
        **_base_layout(ink, {"l": 36, "r": 4, "t": 28, "b": 40}),
        "xaxis": {**_digit_axis(ticks, ink), "range": [-0.5, DIGITS - 0.5]},
        "yaxis": {**_share_axis(ink), "range": [0, TOP]},
    }
    return {"data": [trace], "layout": layout}


def _lying_figure(traces: list[Figure], ink: str, winners: Iterable[int]) -> Figure:
    marked = set(winners)
    ticks = [f"<b>{digit} ▶</b>" if digit in marked else f"{digit}    " for digit in range(DIGITS)]
    layout = {
        **_base_layout(ink, {"l": 36, "r": PAIR_LABEL, "t": 28, "b": 4}),
        "yaxis": {**_digit_axis(ticks, ink), "range": [DIGITS - 0.5, -0.5]},
        "xaxis": {**_share_axis(ink), "range": [0, 1], "showticklabels": False},
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    }
    return {"data": traces, "layout": layout}


def _base_layout(ink: str, margin: dict[str, int]) -> Figure:
    return {
        "margin": margin,
        "bargap": 0.18,
        "bargroupgap": 0.06,
        "showlegend": False,
        "font": {"color": ink, "size": 12, "family": FONT},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "uniformtext": {"mode": "show", "minsize": 10},
        # Streamlit gives each figure to plotly twice. With its size and a revision it is drawn only once.
        "width": WIDTH,
        "height": HEIGHT,
        "datarevision": 0,
    }


def _digit_axis(ticks: list[str], ink: str) -> Figure:
    return {
        "tickvals": list(range(DIGITS)),
        "ticktext": ticks,
        "tickfont": {"size": 15, "color": ink},
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def _share_axis(ink: str) -> Figure:
    """Return an axis without a grid, whose lines would cross labels."""
    return {
        "tickvals": [0, 0.5, 1],
        "tickformat": ".0%",
        "tickfont": {"color": ink},
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def classify_dot(role: Role | None, *, is_right: bool | None) -> str:
    """Return the classes of an answer's dot: who gave it, and whether it is right (None: unknown)."""
    outcome = {True: "", False: " wrong", None: " unlabelled"}[is_right]
    return f"{role or 'unknown'}{outcome}"


def draw_dots(dots: Sequence[str], total: int, cells: int, label: str) -> str:
    """Return the last dots by their classes, in rows: the newest replaces the oldest, so that no dot moves.

    `total` counts all dots so far, of which `dots` are the last; there are more `cells` than these, so that
    a gap follows the newest.
    """
    places = ["empty"] * cells
    for number, classes in enumerate(dots, start=total - len(dots)):
        places[number % cells] = classes
    drawn = "".join(f'<i class="dot {classes}"></i>' for classes in places)
    return f'<div class="dots" role="img" aria-label="{escape(label)}">{drawn}</div>'
