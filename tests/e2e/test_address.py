"""An address can be shared: it names a digit and the switches, and follows what is shown."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from mnist_dash.dataset import load_digits
from tests.e2e.browser import LYING, PATIENCE, Visitor
from tests.e2e.conftest import Visit


def address_of(visitor: Visitor) -> dict[str, list[str]]:
    """Return what the browser's address says."""
    return parse_qs(urlsplit(visitor.page.url).query)


def test_a_shared_address_shows_digit_switches_and_answer_also_after_a_reload(
    visitor: Visitor, visit: Visit
) -> None:
    """Copied from one browser and opened in another."""
    visitor.switch("compare")
    visitor.press("sample")
    visitor.reads("answer", re.compile("agree: ", re.IGNORECASE))
    visitor.page.wait_for_url(re.compile(r"sample=\d+"))
    place = int(address_of(visitor)["sample"][0])
    truth = f"MNIST says {load_digits().labels[place]}"
    visitor.shows(re.compile(truth))
    other = visit(query=urlsplit(visitor.page.url).query)
    for _ in range(2):
        other.reads("answer", re.compile("agree: ", re.IGNORECASE))
        other.shows(re.compile(truth))
        expect(other.page.get_by_role("switch", name="Compare")).to_be_checked(timeout=PATIENCE)
        assert address_of(other) == {"sample": [str(place)], "compare": ["true"]}
        other.page.reload()


def test_a_stroke_takes_the_digit_out_of_the_address(visit: Visit) -> None:
    """What is drawn by hand is nowhere but on this page."""
    visitor = visit(query="sample=5&live=true")
    visitor.reads("answer", re.compile(r"\d ms"))
    visitor.draw_strokes(LYING)
    visitor.page.wait_for_url(lambda address: "sample" not in address)
    assert address_of(visitor) == {"live": ["true"]}


def test_what_an_address_has_wrong_is_ignored_with_a_notice(visit: Visit) -> None:
    """The page works as if it had been opened without."""
    visitor = visit(query="sample=2000&compare=perhaps")
    visitor.page.get_by_role("button", name="2 notices").click(timeout=PATIENCE)
    visitor.shows(re.compile("names no sample from 0 to 1,999"))
    visitor.shows(re.compile("no true or false for compare"))
    visitor.page.keyboard.press("Escape")
    visitor.page.wait_for_url(lambda address: "?" not in address)
    visitor.draw(7)
    visitor.press("predict")
    visitor.reads("answer", re.compile("says 7"))
