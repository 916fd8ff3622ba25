"""Labels of drawings on the page: ten buttons, the tally, the files, and the predictions in the History."""

from __future__ import annotations

import time

import numpy as np
import pytest
from streamlit.testing.v1.element_tree import ButtonGroup

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Role
from mnist_dash.evidence.canary_check import CheckOptions, DigitSource
from mnist_dash.service import Dashboard
from tests.fakes import FakeEngine, FakeServing, snapshot, sure_of
from tests.page.conftest import Canvas, Page

ASKED = "Which digit was it?"


def buttons(page: Page) -> list[ButtonGroup[int]]:
    """Return the ten buttons, if they are on the page."""
    return [it for it in page.at.get("button_group") if isinstance(it, ButtonGroup) and it.label == ASKED]


def choose(page: Page, digit: int | None) -> Page:
    """Say which digit it was, or take it back."""
    (group,) = buttons(page)
    group.set_value(digit)
    return page.run()


@pytest.fixture
def drawn(page: Page, canvas: Canvas, serving: FakeServing) -> Page:
    """A page with the answer to a drawing, about which New is right if it was a seven."""
    serving.answers = {Role.CURRENT: sure_of(1), Role.NEW: sure_of(7)}
    canvas.draw_stroke()
    return page.click("predict")


def test_the_page_asks_once_there_is_an_answer(page: Page, canvas: Canvas) -> None:
    """The question is only about a drawing by hand that has just been answered."""
    assert ASKED not in page.text
    assert buttons(page) == []
    canvas.draw_stroke()
    assert ASKED not in page.run().text
    assert ASKED in page.click("predict").text
    page.wait_out_late_strokes()
    canvas.add_stroke()
    assert ASKED not in page.run().text


def test_nothing_is_asked_about_a_sample(page: Page, canvas: Canvas) -> None:
    """MNIST has its label."""
    assert canvas
    page.click("sample")
    assert "MNIST says" in page.text
    assert ASKED not in page.text
    assert buttons(page) == []


def test_a_label_makes_the_tally_for_all_browsers(drawn: Page, dash: Dashboard) -> None:
    """Both models are asked about the drawing, whichever the strategy has asked."""
    other = Page()
    choose(drawn, 7)
    (row,) = dash.drawings().rows
    assert (row.truth, row.current, row.new, row.answered_by) == (7, 1, 7, Role.CURRENT)
    for page in (drawn, other.run()):
        assert "On your drawing: New 1, Current 0. No evidence yet." in page.text


def test_a_label_can_be_corrected_and_taken_back(drawn: Page, canvas: Canvas, dash: Dashboard) -> None:
    """It belongs to the drawing: another one has none, and the same one has it again."""
    choose(drawn, 7)
    choose(drawn, 1)
    assert "On your drawing: New 0, Current 1." in drawn.text
    drawn.wait_out_late_strokes()
    canvas.add_stroke()
    assert buttons(drawn.run())[0].value is None
    canvas.draw_stroke()
    assert buttons(drawn.run())[0].value == 1
    choose(drawn, None)
    assert dash.count_drawings() == 0
    assert "On your drawing" not in drawn.text


def test_a_label_that_cannot_be_kept_is_said(drawn: Page, dash: Dashboard) -> None:
    """In a toast and below the buttons; the next prediction works."""
    dash._drawings._db.execute("PRAGMA query_only = 1")
    choose(drawn, 7)
    assert buttons(drawn)[0].value is None
    assert "Drawings are not kept: attempt to write a readonly database." in drawn.text
    assert "linear says 1" in drawn.click("predict").text


def test_clear_asks_first(drawn: Page, dash: Dashboard) -> None:
    """And can be left; the files have nothing to hold before the first label."""
    assert [button.proto.disabled for button in drawn.at.get("download_button")] == [True, True]
    choose(drawn, 7)
    assert [button.proto.disabled for button in drawn.at.get("download_button")] == [False, False]
    assert "1 labelled drawing**" in drawn.text
    drawn.click("clear-drawings")
    assert "Delete 1 labelled drawing, and all predictions" in drawn.text
    drawn.click("clear-cancel").click("clear-drawings")
    assert dash.count_drawings() == 1
    drawn.click("clear-confirm")
    assert dash.count_drawings() == 0
    assert "0 labelled drawings**" in drawn.text
    assert buttons(drawn.run())[0].value is None
    assert drawn.has("clear-drawings")


def test_a_check_asks_about_the_drawings_and_shows_them(drawn: Page, dash: Dashboard) -> None:
    """Chosen among the options; a click on one puts that drawing on the canvas."""
    choose(drawn, 7)
    drawn.at.radio("check-source").set_value(DigitSource.DRAWINGS)
    drawn.run().click("start-check")
    deadline = time.monotonic() + 30
    while not (check := dash.canary_check) or check.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    text = drawn.run().text
    assert "The only digit was asked." in text
    assert "A digit of which a visitor says 7" in text
    assert "the order of the labelled drawings is always the same" in text
    picture = drawn.at.session_state["session"].picture
    drawn.click("clear").click("try-0")
    np.testing.assert_array_equal(drawn.at.session_state["session"].picture, picture)
    assert drawn.at.toggle("compare").value
    assert "linear says 1, cnn says 7" in drawn.text
    assert buttons(drawn)[0].value == 7


def test_a_check_without_drawings_is_refused(page: Page) -> None:
    """With what to do."""
    page.at.radio("check-source").set_value(DigitSource.DRAWINGS)
    assert "There is no labelled drawing yet." in page.run().click("start-check").text


def test_a_check_that_ended_is_in_the_history(page: Page, dash: Dashboard) -> None:
    """Who, what and the verdict."""
    dash.on_behalf_of("ann").start_check(CheckOptions(digits=50))
    deadline = time.monotonic() + 30
    while not dash.timeline():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (table,) = page.open("History").at.table
    (entry,) = table.value["What"]
    assert "**Canary check**" in entry
    assert "cnn version 1 as New against linear version 1 as Current, 50 digits." in entry
    assert entry.endswith(":gray[by ann]")


def test_the_history_shows_predictions_with_pictures_20_at_a_time(
    page: Page, dash: Dashboard, engine: FakeEngine
) -> None:
    """New ones join the newest page, and move no other."""
    engine.observed = snapshot(split_desired=0, split_observed=0)
    page.open("History").at.session_state["history-filter"] = "Predictions"
    assert "Nobody has asked a model yet." in page.run().text
    images = load_digits().images
    for place in range(45):
        dash.predict(images[place], truth=7 if place == 44 else None)
    text = page.run().text
    assert text.count("The digit that was asked about") == 20
    assert "1 to 20 of 45, newest first." in text
    assert "<b>7</b> with 91.0 %, right" in text
    assert "linear, 3.2 ms" in text
    assert "21 to 40 of 45" in page.click("history-older").text
    dash.predict(images[45], truth=3)
    assert "22 to 41 of 46" in page.run().text
    assert "42 to 46 of 46" in page.click("history-older").text
    assert page.at.button("history-older").disabled
    assert "22 to 41" in page.click("history-newer").text
    assert "2 to 21" in page.click("history-newer").text
    assert "7</b> with 91.0 %, but it was 3" in page.click("history-newer").text
    assert page.at.button("history-newer").disabled
