"""The line of evidence, as plotly validates it, and its description."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]  # ships no py.typed
import pytest

from mnist_dash.evidence.evidence_chart import describe_evidence, evidence_line


def test_the_line_of_evidence_races_between_two_thresholds() -> None:
    """At the odds of the level; evidence far beyond them leaves the picture."""
    figure = go.Figure(evidence_line(np.array([0.0, 1.0, 3.5]), level=0.05))
    (line,) = figure.data
    assert list(line.y) == [0.0, 0.0, 1.0, 3.5]
    assert [shape.y0 for shape in figure.layout.shapes] == pytest.approx([np.log(20), -np.log(20)])
    assert list(figure.layout.yaxis.ticktext) == ["20 : 1", "1 : 1", "20 : 1"]
    assert figure.layout.yaxis.range[1] > 3.5
    assert evidence_line(np.array([90.0]), level=0.05)["layout"]["yaxis"]["range"][1] < 8


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ([], "after 0 digits: for neither model"),
        ([0.0, np.log(30)], "after 2 digits: 30 : 1 for New"),
        ([0.0, 0.0, -np.log(7)], "after 3 digits: 7 : 1 for Current"),
    ],
)
def test_the_line_of_evidence_is_described(evidence: list[float], words: str) -> None:
    """With the odds that decide."""
    text = describe_evidence(np.array(evidence), level=0.01)
    assert words in text
    assert text.endswith("It decides at 100 : 1.")
