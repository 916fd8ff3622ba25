"""The evidence of a canary check as a plotly figure, and its description; pure functions of values."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mnist_dash.charts import COLOUR, FONT, INK, UNKNOWN, Figure
from mnist_dash.domain import Role
from mnist_dash.evidence.statistics import find_threshold

LEAST_DIGITS: Final = 100
"""The least width of the line, so that its beginning does not jump."""
LEAST_HEIGHT, MOST_HEIGHT = 1.25, 2.5
"""Of the picture above and below its middle, in thresholds."""
MOST_LOG_ODDS: Final = 50.0


def evidence_line(evidence: NDArray[np.float64], level: float, ink: str = INK) -> Figure:
    """Draw the signed log e-value over the digits, as a race between the two thresholds of a level."""
    threshold = find_threshold(level)
    # Evidence far beyond a threshold leaves the picture, which would otherwise show little of the race.
    top = threshold * min(max(LEAST_HEIGHT, float(np.abs(evidence).max(initial=0)) / threshold), MOST_HEIGHT)
    width = max(len(evidence), LEAST_DIGITS)
    line = {
        "type": "scatter",
        "mode": "lines",
        "y": [0.0, *evidence.tolist()],
        "line": {"color": ink, "width": 2},
    }
    heights = {Role.NEW: threshold, Role.CURRENT: -threshold}
    odds = f"{1 / level:.0f} : 1"
    axis = {"tickfont": {"color": ink}, "showgrid": False, "fixedrange": True}
    layout = {
        "margin": {"l": 52, "r": 12, "t": 8, "b": 40},
        "showlegend": False,
        "font": {"color": ink, "size": 12, "family": FONT},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "shapes": [_threshold_line(role, height, width) for role, height in heights.items()],
        "annotations": [_threshold_label(role, height) for role, height in heights.items()],
        "yaxis": {
            **axis,
            "range": [-top, top],
            "tickvals": [-threshold, 0, threshold],
            "ticktext": [odds, "1 : 1", odds],
            "zeroline": True,
            "zerolinecolor": UNKNOWN,
        },
        "xaxis": {
            **axis,
            "range": [0, width],
            "title": {"text": "digits asked", "standoff": 4},
            "zeroline": False,
        },
    }
    return {"data": [line], "layout": layout}


def _threshold_line(role: Role, height: float, width: int) -> Figure:
    line = {"color": COLOUR[role], "dash": "dash", "width": 2}
    return {"type": "line", "x0": 0, "x1": width, "y0": height, "y1": height, "line": line}


def _threshold_label(role: Role, height: float) -> Figure:
    return {
        "text": f"{role.label} is better",
        "font": {"color": COLOUR[role], "size": 13},
        "x": 0,
        "xanchor": "left",
        "y": height,
        "yanchor": "bottom" if height > 0 else "top",
        "showarrow": False,
    }


def describe_evidence(evidence: NDArray[np.float64], level: float) -> str:
    """Describe `evidence_line` in words."""
    last = float(evidence[-1]) if len(evidence) else 0.0
    odds = f"{np.exp(min(abs(last), MOST_LOG_ODDS)):,.0f} : 1"
    ahead = f"{odds} for {'New' if last > 0 else 'Current'}" if last else "for neither model"
    return f"The evidence after {len(evidence):,} digits: {ahead}. It decides at {1 / level:.0f} : 1."
