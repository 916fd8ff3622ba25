"""The data of the figures, and their colours in both themes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]  # ships no py.typed
import pytest

from mnist_dash import charts
from mnist_dash.domain import Comparison, Prediction, Release, Role
from mnist_dash.panels import theme as page_theme
from tests.fakes import sure_of


def prediction_of(digit: int, share: float = 0.91, role: Role | None = Role.CURRENT) -> Prediction:
    """Return an answer that puts `share` on one digit."""
    return Prediction(sure_of(digit, share), role, Release.BLUE, 1, "blue-1", 3.2)


def bars(prediction: Prediction) -> go.Figure:
    """Return the figure of one answer as plotly validates it."""
    return go.Figure(charts.bars(prediction))


def paired_bars(comparison: Comparison) -> go.Figure:
    """Return the figure of two answers as plotly validates it."""
    return go.Figure(charts.paired_bars(comparison))


def test_there_is_one_bar_for_each_digit_as_high_as_its_probability() -> None:
    """The bars are the prediction's probabilities, unscaled."""
    (trace,) = bars(prediction_of(7)).data
    assert list(trace.x) == list(range(10))
    assert list(trace.y) == pytest.approx(list(sure_of(7)))


def test_the_winner_is_marked_by_more_than_its_colour() -> None:
    """Its label and its tick are bold and bear a mark, and no other's are."""
    figure = bars(prediction_of(3))
    assert [text.startswith("<b>") for text in figure.data[0].text] == [digit == 3 for digit in range(10)]
    assert ["▲" in tick for tick in figure.layout.xaxis.ticktext] == [digit == 3 for digit in range(10)]


def test_bars_below_one_percent_have_no_label() -> None:
    """Ten labels of nearly nothing would hide the one that counts."""
    (trace,) = bars(prediction_of(3, 0.999)).data
    assert [text for text in trace.text if text] == ["<b>99.9 %</b>"]


@pytest.mark.parametrize(("role", "colour"), [*charts.COLOUR.items(), (None, charts.UNKNOWN)])
def test_bars_have_the_colour_of_the_role_that_answered(role: Role | None, colour: str) -> None:
    """The chart does not guess which model answered."""
    assert bars(prediction_of(7, role=role)).data[0].marker.color == colour


def test_paired_bars_distinguish_the_models_by_hatching() -> None:
    """Current comes first and is solid, New is hatched; where they disagree, two digits are marked."""
    figure = paired_bars(Comparison(prediction_of(1), prediction_of(7)))
    current, new, _ = figure.data
    assert (current.name, new.name) == ("Current", "New")
    assert list(current.x) == pytest.approx(list(sure_of(1)))
    assert list(new.x) == pytest.approx(list(sure_of(7)))
    assert (current.marker.pattern.shape, new.marker.pattern.shape) == ("", "/")
    assert [n for n, tick in enumerate(figure.layout.yaxis.ticktext) if "▶" in tick] == [1, 7]


def test_labels_are_horizontal_and_no_line_crosses_them() -> None:
    """There is no grid, and pairs of bars lie, with their labels beside them."""
    pairs, single = paired_bars(Comparison(prediction_of(1), prediction_of(7))), prediction_of(7)
    assert {trace.orientation for trace in pairs.data[:2]} == {"h"}
    assert {trace.textangle for trace in bars(single).data} == {0}
    for figure in (pairs, bars(single)):
        assert (figure.layout.xaxis.showgrid, figure.layout.yaxis.showgrid) == (False, False)


def test_a_pair_is_labelled_behind_its_longer_bar() -> None:
    """A bar of a pair is lower than its label, which would touch the other bar."""
    pair = Comparison(prediction_of(7, 0.6), prediction_of(7, 0.999))
    current, new, labels = paired_bars(pair).data
    assert (current.text, new.text) == (None, None)
    assert (labels.x[7], labels.y[7], labels.text[7].strip()) == (0.999, 7, "<b>60.0 %</b> · <b>99.9 %</b>")
    assert labels.text[3].strip() == "4 % · < 1 %"


def test_pairs_below_one_percent_have_no_label() -> None:
    """Ten labels of nearly nothing would hide those that count."""
    pair = Comparison(prediction_of(7, 0.999), prediction_of(7, 0.999))
    assert [digit for digit, text in enumerate(paired_bars(pair).data[2].text) if text] == [7]


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100 %"), (0.99999, "> 99.9 %"), (0.9732, "97.3 %"), (0.005, "0.5 %"), (0.0, "0.0 %")],
)
def test_only_certainty_is_called_a_hundred_percent(share: float, words: str) -> None:
    """Rounding never makes an answer surer than it is."""
    assert charts.percent(share) == words


def test_the_description_names_the_likeliest_digit_first() -> None:
    """A screen reader says what matters, without the digits below one percent."""
    probabilities = np.zeros(10)
    probabilities[[7, 1, 4]] = [0.96, 0.035, 0.005]
    words = charts.describe_prediction(Prediction(probabilities, Role.NEW, None, None, "", 1.0))
    assert words == "Probabilities of the digits. 7: 96.0 %, 1: 3.5 %."


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" by WCAG 2.2."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours by WCAG 2.2, 1 to 21."""
    darker, lighter = sorted([luminance(first), luminance(second)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("role", list(Role))
def test_the_roles_colours_can_be_read_in_both_themes(theme: str, role: Role) -> None:
    """WCAG AA: 3 to 1 for bars, 4.5 to 1 for text, on the page and on the badge of the bars' colour."""
    config = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())
    colours, name = config["theme"][theme], page_theme.COLOUR_NAME[role]
    assert page_theme.INK[theme] == colours["textColor"]
    assert charts.COLOUR[role] == colours[f"{name}Color"]
    assert contrast(charts.COLOUR[role], colours["backgroundColor"]) >= 3
    assert contrast(colours[f"{name}TextColor"], colours["backgroundColor"]) >= 4.5
    assert contrast(colours[f"{name}TextColor"], colours[f"{name}BackgroundColor"]) >= 4.5
