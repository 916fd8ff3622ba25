"""The page's address names a digit and switches, and follows what is shown."""

from __future__ import annotations

import numpy as np
import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Route
from mnist_dash.service import Dashboard
from tests.fakes import FakeEngine, FakeServing, snapshot
from tests.page.conftest import Canvas, Page


def test_an_address_puts_a_digit_on_the_canvas_and_asks_both_models(
    dash: Dashboard, serving: FakeServing
) -> None:
    """Whoever opens it sees what was shared, without a click."""
    assert dash
    page = Page(sample="123", compare="true")
    assert [route for _, route in serving.asked] == [Route.CURRENT, Route.NEW]
    assert all(np.array_equal(image, load_digits().images[123]) for image, _ in serving.asked)
    assert page.at.toggle("compare").value
    assert f"MNIST says {load_digits().labels[123]}" in page.text
    page.wait_out_late_strokes()
    page.run()
    assert len(serving.asked) == 2


def test_an_address_waits_for_a_model(dash: Dashboard, engine: FakeEngine, serving: FakeServing) -> None:
    """The page may be opened while the models are starting."""
    assert dash
    engine.observed = snapshot(current=None, new=None)
    page = Page(sample="123")
    assert serving.asked == []
    page.wait_out_late_strokes()
    engine.observed = snapshot()
    page.run()
    assert len(serving.asked) == 1


def test_the_address_follows_the_sample_until_something_is_drawn_over_it(page: Page, canvas: Canvas) -> None:
    """It always shows the page as it is now, so that it can be copied at any time."""
    page.click("sample")
    place = page.at.session_state["session"].sample.place
    assert page.at.query_params == {"sample": str(place)}
    canvas.draw_stroke()
    page.run()
    assert page.at.query_params == {}


def test_a_drawing_by_hand_has_no_address(page: Page, canvas: Canvas) -> None:
    """Nothing in an address could hold it."""
    canvas.draw_stroke()
    page.click("predict")
    assert page.at.query_params == {}
    page.click("sample").click("clear")
    assert page.at.query_params == {}


@pytest.mark.parametrize("value", ["2000", "-1", "seven", "", "1e3", "9" * 5000, "\N{SUPERSCRIPT TWO}"])
def test_a_wrong_sample_is_ignored_with_a_notice(dash: Dashboard, serving: FakeServing, value: str) -> None:
    """The page is as without it, and says why."""
    assert dash
    page = Page(sample=value)
    assert "names no sample from 0 to 1,999, so the canvas is empty" in page.text
    assert page.at.query_params == {}
    assert serving.asked == []


def test_a_wrong_switch_is_ignored_with_a_notice(dash: Dashboard) -> None:
    """The digit beside it is shown all the same."""
    assert dash
    page = Page(compare="perhaps", sample="7", source="elsewhere")
    assert "no true or false for `compare`, which stays off" in page.text
    assert not page.at.toggle("compare").value
    assert page.at.session_state["session"].sample.place == 7
