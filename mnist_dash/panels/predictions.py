"""The predictions of the History as HTML: each with its picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from mnist_dash import charts
from mnist_dash.charts import percent
from mnist_dash.evidence.labelled_drawings import RecordedPrediction
from mnist_dash.preprocessing import to_data_url

STYLE: Final = f"""{charts.DOT_STYLE}<style>
.predictions {{
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(260px, 100%), 1fr)); gap: 8px;
}}
.predictions > div {{ display: flex; gap: 12px; font-size: 14px; line-height: 1.4; overflow-wrap: anywhere; }}
.predictions img {{ width: 56px; height: 56px; image-rendering: pixelated; border-radius: 4px; }}
.predictions i.dot {{ display: inline-block; width: 14px; vertical-align: -2px; }}
.predictions small {{ display: block; font-size: 13px; opacity: 0.7; }}
</style>"""


def draw(predictions: Sequence[RecordedPrediction], describe_time: Callable[[float], str]) -> str:
    """Return the predictions in rows, as many in a row as there is room for."""
    cards = "".join(_draw_card(prediction, describe_time(prediction.at)) for prediction in predictions)
    return f'<div class="predictions">{cards}</div>'


def _draw_card(prediction: RecordedPrediction, at: str) -> str:
    is_right = None if prediction.truth is None else prediction.digit == prediction.truth
    truth = {True: ", right", False: f", but it was {prediction.truth}", None: ""}[is_right]
    dot = charts.classify_dot(prediction.role, is_right=is_right)
    model = escape(prediction.model or "Unknown model")
    return (
        f'<div><img src="{to_data_url(prediction.image)}" alt="The digit that was asked about">'
        f"<div><b>{prediction.digit}</b> with {percent(prediction.confidence)}{truth}"
        f'<small><i class="dot {dot}"></i> {model}, {prediction.milliseconds:.1f} ms</small>'
        f"<small>{escape(at)}</small></div></div>"
    )
