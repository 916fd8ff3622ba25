"""A reload keeps what a visitor has done, and a page without its dashboard says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import PATIENCE, Visitor
from tests.e2e.conftest import Visit
from tests.e2e.server import Server, serve

PAPER = """[...document.querySelectorAll(".st-key-paper *")].map((it) => it.shadowRoot)
  .map((it) => it?.querySelector("canvas.dc-canvas")).find((it) => it)?.toDataURL()"""
SHOWS, SHOWS_OTHER = f"(pixels) => {PAPER} === pixels", f"(pixels) => ({PAPER} ?? pixels) !== pixels"
"""Whether the canvas has this picture, or another one."""
STOPPED = "The dashboard has stopped"


def test_a_reload_keeps_drawing_switches_and_an_unsent_split(visitor: Visitor) -> None:
    """The kept drawing can be predicted, and drawn upon."""
    visitor.set_strategy("Canary", 20)
    visitor.draw(7)
    visitor.switch("compare")
    expect(visitor.part("compare").get_by_role("switch")).to_be_checked(timeout=PATIENCE)
    visitor.choose("Canary", 37)
    visitor.reads("strategy-buttons", "Not sent yet: Canary, 37 % to New.")
    visitor.page.reload()
    visitor.has_drawing()
    visitor.shows_percent(37)
    visitor.reads("strategy-buttons", "Not sent yet: Canary, 37 % to New.")
    visitor.reads("in-force", "New 20 %")
    expect(visitor.part("compare").get_by_role("switch")).to_be_checked(timeout=PATIENCE)
    visitor.press("predict")
    visitor.reads("answer", "both say 7")


def test_undo_takes_back_strokes_and_then_the_drawing_from_before_a_reload(visitor: Visitor) -> None:
    """The canvas itself does not count it as a stroke."""
    blank = visitor.pixels()
    visitor.draw(7)
    visitor.page.reload()
    visitor.has_drawing()
    button = visitor.part("undo-stroke").get_by_role("button")
    expect(button).to_be_enabled(timeout=PATIENCE)
    visitor.page.wait_for_function(SHOWS_OTHER, arg=blank)
    kept = visitor.pixels()
    visitor.draw(1)
    assert visitor.pixels() != kept
    button.click()
    visitor.page.wait_for_function(SHOWS, arg=kept)
    button.click()
    expect(visitor.page.get_by_alt_text("Empty picture")).to_be_visible(timeout=PATIENCE)
    visitor.page.wait_for_function(SHOWS, arg=blank)
    expect(button).to_be_disabled(timeout=PATIENCE)


def test_a_cleared_sheet_stays_blank(visitor: Visitor) -> None:
    """Only what was on it at the end is kept."""
    visitor.draw(7)
    visitor.clear()
    visitor.page.reload()
    visitor.reads("card-new", "Ready")
    expect(visitor.page.get_by_alt_text("Empty picture")).to_be_visible(timeout=PATIENCE)


def test_two_tabs_of_one_browser_keep_drawings_of_their_own(visit: Visit) -> None:
    """A tab that is opened beside one with a drawing is blank."""
    first = visit()
    first.reads("card-new", "Ready")
    first.draw(7)
    first.page.reload()
    first.has_drawing()
    other = first.context.new_page()
    other.goto(first.page.url)
    expect(other.get_by_text("Draw a digit from 0 to 9")).to_be_visible(timeout=PATIENCE)
    expect(other.get_by_alt_text("Empty picture")).to_be_visible(timeout=PATIENCE)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A dashboard that a test may stop."""
    with serve(tmp_path / "state") as server:
        yield server


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_a_page_without_its_dashboard_says_how_to_start_it_and_goes_on_then(
    browser: Browser, server: Server, how: signal.Signals
) -> None:
    """With the drawing, by itself, as soon as it runs again."""
    visitor = Visitor(browser, server.page)
    try:
        visitor.reads("card-current", "Ready")
        visitor.draw(7)
        notice = visitor.page.get_by_role("alert").filter(has_text=STOPPED)
        expect(notice).to_be_hidden(timeout=PATIENCE)
        server.end(how)
        expect(notice).to_be_visible(timeout=PATIENCE)
        expect(notice).to_contain_text("streamlit run app.py")
        server.start()
        server.wait_until_up()
        expect(notice).to_be_hidden(timeout=3 * PATIENCE)
        visitor.reads("card-current", "Ready")
        visitor.has_drawing()
        visitor.press("predict")
        visitor.reads("answer", "says 7")
    finally:
        visitor.close()
