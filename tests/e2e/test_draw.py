"""The main job in a browser: draw with a mouse, a finger or not at all, and read the answer."""

from __future__ import annotations

import contextlib
import re

import pytest
from playwright.sync_api import Error, Locator, Route, expect

from tests.e2e.browser import LYING, PATIENCE, STROKES, Visitor
from tests.e2e.conftest import Visit

FIRST_PATIENCE = 5000
"""Milliseconds for the effect of a key before it is pressed once more."""
PLOTLY = re.compile(r"/PlotlyChart\..*js$")
ONE_ANSWER = r"(linear|cnn) says {} with (> )?\d+(\.\d)? %"


def test_a_first_visit_leads_to_a_right_answer(visit: Visit) -> None:
    """The bundled models get ready, and classify a drawn seven; the page names the model and the time."""
    visitor = visit()
    visitor.is_ready("current")
    visitor.is_ready("new")
    visitor.reads("card-current", "linear")
    visitor.reads("card-new", "cnn")
    visitor.reads("in-force", re.compile("Current 80 %.*New 20 %"))
    expect(visitor.option("Canary")).to_be_checked()
    visitor.draw(7)
    visitor.press("predict")
    visitor.reads("answer", re.compile(ONE_ANSWER.format(7)))
    visitor.reads("answer", re.compile(r"\d\.\d ms"))
    badge = visitor.part("answer").locator(".row i")
    expect(badge).to_have_text(re.compile("Current|New"))


def test_predict_works_before_plotly_is_loaded(visit: Visit) -> None:
    """A new visitor waits for 4.7 MB of JavaScript neither to draw nor to read an answer; the bars follow."""
    visitor, held = visit(), list[Route]()
    visitor.page.route(PLOTLY, lambda route: held.append(route))
    visitor.page.reload()
    expect(visitor.part("bars").get_by_role("img", name="An example.")).to_be_visible(timeout=PATIENCE)
    visitor.draw(7)
    visitor.press("predict")
    visitor.reads("answer", re.compile(ONE_ANSWER.format(7)))
    expect(visitor.part("bars").locator(".barlayer")).to_have_count(0)
    visitor.page.route(PLOTLY, lambda route: route.continue_())
    for route in held:
        with contextlib.suppress(Error):  # the page before the reload may have asked, too
            route.continue_()
    expect(visitor.part("bars").locator(".barlayer .point")).to_have_count(10, timeout=PATIENCE)


def test_plotly_is_loaded_before_the_first_answer(visit: Visit) -> None:
    """As soon as the page is ready, so that the first bars come as fast as all others."""
    visitor = visit()
    with visitor.page.expect_response(PLOTLY, timeout=PATIENCE):
        visitor.reads("bars", "92.0 %")


def test_an_answers_bars_stand_where_the_examples_were(visitor: Visitor) -> None:
    """The example is HTML and answers are drawn by plotly, but neither box nor digits move."""
    bars = visitor.part("bars")
    visitor.is_still()
    room, places = bars.bounding_box(), centres(bars.locator(".digit"))
    visitor.draw(7)
    visitor.press("predict")
    expect(bars.locator(".barlayer .point")).to_have_count(10, timeout=PATIENCE)
    visitor.is_still()
    assert bars.bounding_box() == room
    assert centres(bars.locator(".xtick text")) == pytest.approx(places, abs=3)


def centres(digits: Locator) -> list[float]:
    """Return the middle of each digit below the bars, in CSS pixels from the left."""
    expect(digits).to_have_count(10, timeout=PATIENCE)
    boxes = [digit.bounding_box() for digit in digits.all()]
    return [box["x"] + box["width"] / 2 for box in boxes if box]


def test_both_models_read_drawn_digits(visitor: Visitor) -> None:
    """Compare asks both about one drawing: they agree on the digit, and each has its ten bars."""
    visitor.switch("compare")
    for digit in STROKES:
        visitor.clear()
        visitor.draw(digit)
        visitor.press("predict")
        visitor.reads("answer", f"Agree: both say {digit}")
        expect(visitor.part("answer").locator(".row i")).to_have_count(2)
        expect(visitor.part("bars").locator(".barlayer .trace")).to_have_count(2, timeout=PATIENCE)
        expect(visitor.part("bars").locator(".barlayer .point")).to_have_count(20)


def test_a_disagreement_is_shown(visitor: Visitor) -> None:
    """The models classify a one on its side differently, and the page names both digits."""
    visitor.switch("compare")
    visitor.draw_strokes(LYING)
    visitor.press("predict")
    visitor.reads("answer", re.compile(r"DISAGREE: linear says (\d), cnn says (?!\1)\d"))


def test_clear_removes_drawing_and_answer(visitor: Visitor) -> None:
    """After Clear the canvas is as blank as before, and the answer is gone."""
    blank = visitor.pixels()
    visitor.draw(3)
    visitor.press("predict")
    visitor.reads("answer", re.compile(ONE_ANSWER.format(3)))
    assert visitor.pixels() != blank
    visitor.clear()
    visitor.reads("answer", "Draw a digit from 0 to 9")
    assert visitor.pixels() == blank


def test_live_predicts_without_a_click(visitor: Visitor) -> None:
    """With Live on, the answer follows the stroke."""
    visitor.switch("live")
    visitor.draw(0)
    visitor.reads("answer", re.compile(ONE_ANSWER.format(0)))


def test_the_keyboard_alone_predicts_and_shifts_traffic(visitor: Visitor) -> None:
    """Tab, Enter, Space and arrows reach Sample, Predict, the strategy, its percentage and its button."""
    keyboard = visitor.page.keyboard
    tab_to(visitor, "sample")
    keyboard.press("Enter")
    visitor.has_drawing()
    tab_to(visitor, "predict", "Shift+Tab")
    keyboard.press("Space")
    visitor.reads("answer", re.compile(ONE_ANSWER.format(r"\d")))
    tab_to(visitor, "strategy")
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    expect(visitor.option("New only")).to_be_checked(timeout=PATIENCE)
    keyboard.press("ArrowRight")
    expect(visitor.slider).to_be_enabled(timeout=PATIENCE)
    tab_to(visitor, "canary-percent")
    press_until(visitor, "End", "strategy-buttons", "Not sent yet: Canary, 99 % to New.")
    tab_to(visitor, "set-strategy")
    press_until(visitor, "Space", "in-force", "New 99 %")
    visitor.set_strategy("Canary", 20)


def press_until(visitor: Visitor, key: str, part: str, words: str) -> None:
    """Press a key whose effect is the same however often it is pressed, until the part has this text.

    A key that meets the moment in which the page is drawn anew may be lost, as a click is.
    """
    for patience in (FIRST_PATIENCE, PATIENCE):
        visitor.page.keyboard.press(key)
        with contextlib.suppress(AssertionError):
            expect(visitor.part(part)).to_contain_text(words, timeout=patience)
            return
    raise AssertionError(f"{key} pressed twice does not lead to {words!r}")


def tab_to(visitor: Visitor, key: str, how: str = "Tab") -> None:
    """Press Tab until the focus is in the part with this key, once the page is at rest.

    A key that is pressed while the page is drawn anew may be lost, as a click is with a mouse.
    """
    at_rest = visitor.page.locator("[data-test-script-state=notRunning]")
    expect(at_rest).to_be_attached(timeout=PATIENCE)
    for _ in range(60):
        visitor.page.keyboard.press(how)
        if visitor.page.evaluate("key => !!document.activeElement.closest(`.st-key-${key}`)", key):
            expect(at_rest).to_be_attached(timeout=PATIENCE)
            return
    raise AssertionError(f"{key} is not reached with {how}")


def test_a_finger_draws_without_scrolling_the_page(visit: Visit) -> None:
    """On a phone, a finger that moves up on the canvas draws a one; beside the canvas it scrolls."""
    phone = visit(390, 844)
    phone.reads("card-current", "Ready")
    left, top = phone.canvas_corner()
    swipe(phone, left + 140, top + 240, top + 40)
    phone.has_drawing()
    assert phone.page.evaluate(SCROLLED) == 0
    phone.press("predict")
    phone.reads("answer", re.compile(ONE_ANSWER.format(1)))
    swipe(phone, left + 140, top + 600, top + 300)
    phone.page.wait_for_function(f"() => {SCROLLED} > 0")


SCROLLED = "document.querySelector('[data-testid=stMain]').scrollTop + window.scrollY"


def swipe(visitor: Visitor, x: float, start: float, end: float, steps: int = 10) -> None:
    """Move one finger up or down."""
    finger = visitor.context.new_cdp_session(visitor.page)
    heights = [start + (end - start) * step / steps for step in range(steps + 1)]
    for number, y in enumerate(heights):
        kind = "touchMove" if number else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
