"""A reload and a second browser show the same deployments and strategy."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.browser import PATIENCE, STROKES, Visitor
from tests.e2e.conftest import Visit
from tests.e2e.server import Server, suspended_starts


def shows_canary(visitor: Visitor, percent: int) -> None:
    """Wait until badge, radio button and slider show the percentage."""
    visitor.reads("in-force", f"New {percent} %")
    expect(visitor.option("Canary")).to_be_checked(timeout=PATIENCE)
    visitor.shows_percent(percent)


def test_a_reload_shows_the_canary_again(visitor: Visitor) -> None:
    """The percentage is the engine's, not the page's."""
    visitor.set_strategy("Canary", 30)
    visitor.page.reload()
    shows_canary(visitor, 30)


def test_a_reload_during_a_redeploy_loses_nothing(visitor: Visitor, dashboard: Server) -> None:
    """The deployment does not need the browser that started it, and the canary stays."""
    visitor.set_strategy("Canary", 25)
    with suspended_starts(dashboard) as suspended:
        visitor.open_deploy("new")
        visitor.fill(replicas=4)
        visitor.confirm_deploy()
        suspended.result()
        visitor.reads("card-new", "Updating")
        visitor.page.reload()
        shows_canary(visitor, 25)
        visitor.reads("card-new", "Updating")
    visitor.is_ready("new", replicas=4)
    shows_canary(visitor, 25)


def test_a_second_browser_follows_undisturbed(visit: Visit) -> None:
    """The other browser shows the new strategy by itself, and keeps its drawing and its unsent choice."""
    first, other = visit(), visit()
    first.reads("card-new", "Ready")
    first.set_strategy("Canary", 20)
    other.reads("in-force", "New 20 %")
    other.draw(3)
    other.choose("Canary", 23)
    other.reads("strategy-buttons", "Not sent yet: Canary, 23 % to New.")
    drawn = other.pixels()
    first.set_strategy("Current only")
    other.reads("in-force", "Current 100 %")
    other.reads("strategy-buttons", "Not sent yet: Canary, 23 % to New.")
    other.shows_percent(23)
    assert other.pixels() == drawn


def test_a_stroke_outlives_a_change_made_elsewhere(visit: Visit) -> None:
    """A change that arrives while the mouse button is down does not interrupt the stroke."""
    first, other = visit(), visit()
    first.reads("card-new", "Ready")
    first.set_strategy("Canary", 20)
    other.reads("in-force", "New 20 %")
    other.start_stroke(STROKES[7][0])
    first.set_strategy("Canary", 21)
    other.reads("in-force", "New 21 %")
    other.page.mouse.up()
    other.has_drawing()
    other.press("predict")
    other.reads("answer", "says 7")
