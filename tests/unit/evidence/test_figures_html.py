"""The figures of a canary check as HTML."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mnist_dash.evidence.figures_html import describe_evidence, draw_evidence


def test_the_line_of_evidence_races_between_two_thresholds() -> None:
    """At the odds of the level, in steps; evidence far beyond them leaves the picture."""
    drawn = draw_evidence(np.array([0.0, 1.0, 1.0, -3.5]), level=0.05)
    assert drawn.count("20 : 1") == 2 + 1  # the thresholds, and the description
    (corners,) = re.findall(r"polygon\((.*?)\)", drawn)
    assert corners.startswith("0.00% 50.00%, 2.00% 50.00%, 2.00% 36.65%, 4.00% 36.65%, 4.00% ")
    assert corners.endswith(", 4.00% 50.00%")
    assert "New is better" in drawn
    assert re.findall(r"2.00% -[0-9.]+%", draw_evidence(np.array([0.0, 90.0]), level=0.05))


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
