"""Traffic and samples in a browser: the switch that all browsers share, and digits with a known answer."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from mnist_dash.panels.session import DOUBLE_CLICK_SECONDS
from tests.e2e.browser import PATIENCE, SECONDS, Visitor
from tests.e2e.conftest import Visit


def dots(visitor: Visitor) -> Locator:
    """Return the dots of the answers."""
    return visitor.part("traffic").locator(".dots i:not(.empty)")


def test_traffic_runs_for_all_browsers_until_one_stops_it(visit: Visit) -> None:
    """Each shows a dot for each answer, of either model."""
    first, other = visit(), visit(390, 844)
    first.reads("card-new", "Ready")
    first.set_strategy("Canary", 50)
    first.press("send-traffic")
    for visitor in (first, other):
        visitor.reads("send-traffic", "Stop traffic")
        expect(dots(visitor).nth(20)).to_be_visible(timeout=PATIENCE)
        for role in ("current", "new"):
            expect(visitor.part("traffic").locator(f".dots i.{role}").first).to_be_visible(timeout=PATIENCE)
        visitor.reads("traffic", re.compile("at this split: 0 errors. 5 per second for 10 min"))
    other.press("send-traffic")
    first.reads("send-traffic", "Send traffic")
    first.draw(3)
    first.press("predict")
    mine = first.part("traffic").locator(".dots i.mine")
    expect(mine).to_have_count(1, timeout=PATIENCE)
    total = dots(first).count()  # drawn after the last answer to the traffic
    first.press("predict")
    expect(mine).to_have_count(2, timeout=PATIENCE)
    assert dots(first).count() == min(total + 1, 100)


def test_the_dialog_that_promotes_keeps_its_height_while_figures_arrive(visitor: Visitor) -> None:
    """Of the search for disagreements and of the traffic, on a phone too."""
    for width in (1280, 390):
        visitor.page.set_viewport_size({"width": width, "height": 844})
        before = open_promotion(visitor, "Accuracy")
        assert open_promotion(visitor, r"Agreement[\d\s.]+ %of 2,000 digits(?! so far)") == before
        visitor.press("send-traffic")
        assert open_promotion(visitor, r"New answered \d+ requests, none failed") == before
        visitor.page.wait_for_timeout(DOUBLE_CLICK_SECONDS * SECONDS)  # sooner, it is a double click
        visitor.press("send-traffic")
        visitor.reads("send-traffic", "Send traffic")


def open_promotion(visitor: Visitor, words: str) -> float:
    """Return the height of the figures in the dialog that promotes, once they read so; close the dialog."""
    visitor.press("promote")
    visitor.reads("review", re.compile(words))
    box = visitor.part("review").bounding_box()
    visitor.press("cancel")
    expect(visitor.dialog).to_be_hidden(timeout=PATIENCE)
    assert box is not None
    return box["height"]


def test_a_sample_is_judged_at_once(visitor: Visitor) -> None:
    """Although another drawing is on the canvas; a stroke over it ends what MNIST says about it."""
    visitor.draw(3)
    visitor.press("sample")
    visitor.shows(re.compile(r"MNIST says \d: (Current|New) is (right|wrong)\."))
    expect(visitor.page.get_by_text("The drawing has changed")).to_be_hidden()
    visitor.start_stroke([(10, 20), (270, 30)])
    visitor.page.mouse.up()
    expect(visitor.page.get_by_text("MNIST says")).to_be_hidden(timeout=PATIENCE)


def test_where_they_differ_shows_both_answers_and_the_right_one(visitor: Visitor) -> None:
    """Compare is switched on for it."""
    visitor.press("differing")
    visitor.reads("answer", re.compile("disagree", re.IGNORECASE))
    visitor.shows(re.compile(r"MNIST says \d: (Current is right|New is right|both are wrong)\."))
    expect(visitor.part("compare").get_by_role("switch")).to_be_checked(timeout=PATIENCE)
