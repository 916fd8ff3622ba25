"""What the page says in a browser: toasts, errors and what is unsent, each in its place."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import PATIENCE, Visitor
from tests.e2e.conftest import Visit
from tests.e2e.server import Server

COVERED: Final = """words => {
  const toast = [...document.querySelectorAll(".stToast")].find((it) => it.textContent.includes(words));
  if (!toast) return null;
  const main = document.querySelector("[data-testid=stMain]"), covered = [];
  for (let scroll = 0; scroll < main.scrollHeight; scroll += 50) {
    main.scrollTo(0, scroll);
    const box = toast.getBoundingClientRect();
    const header = document.querySelector(".st-key-header").getBoundingClientRect();
    for (const it of document.querySelectorAll("button, canvas, input, [role=slider], [role=tab], a")) {
      const other = it.getBoundingClientRect();
      const top = Math.max(other.top, header.bottom);  // what is below the header is out of sight
      const apart = other.right <= box.left || other.left >= box.right || top >= box.bottom;
      const isSeen = other.bottom > header.bottom && it.checkVisibility();
      if (!apart && isSeen && !toast.contains(it)) covered.push(`${it.cloneNode().outerHTML} at ${scroll}`);
    }
  }
  return { covered };
}"""
"""Waits for a toast, and returns the controls over which it lies, wherever the page is scrolled to."""
COVERED_IN_DIALOG: Final = """words => {
  const toast = [...document.querySelectorAll(".stToast")].find((it) => it.textContent.includes(words));
  const dialog = document.querySelector("[role=dialog]");
  if (!toast || !dialog) return null;
  const box = toast.getBoundingClientRect(), close = toast.querySelector("button").getBoundingClientRect();
  const covered = [...dialog.querySelectorAll("button, input, a")].filter((it) => {
    const other = it.getBoundingClientRect();
    const isBeside = other.right <= box.left || other.left >= box.right;
    return !isBeside && other.top < box.bottom && other.bottom > box.top;
  });
  return {
    covered: covered.map((it) => it.cloneNode().outerHTML),
    isInView: box.top >= 0 && box.left >= 0 && box.right <= innerWidth,
    isAbove: toast.contains(document.elementFromPoint(close.x + close.width / 2, close.y + close.height / 2)),
    close: [close.x + close.width / 2, close.y + close.height / 2],
  };
}"""
"""Waits for a toast, and returns which controls of the dialog that is open it covers."""
IS_PRIMARY: Final = "it => getComputedStyle(it).backgroundColor !== 'rgba(0, 0, 0, 0)'"


def test_set_strategy_is_primary_while_a_choice_is_unsent_and_keeps_the_focus(visitor: Visitor) -> None:
    """So that the keyboard goes on from there."""
    button = visitor.part("set-strategy").get_by_role("button")
    expect(button).to_be_disabled(timeout=PATIENCE)
    visitor.choose("Canary", 37)
    visitor.reads("strategy-buttons", "Not sent yet: Canary, 37 % to New.")
    assert button.evaluate(IS_PRIMARY)
    button.focus()
    visitor.page.keyboard.press("Enter")
    visitor.reads("in-force", "New 37 %")
    expect(visitor.part("strategy-buttons")).not_to_contain_text("Not sent yet", timeout=PATIENCE)
    expect(button).to_be_focused(timeout=PATIENCE)
    assert not button.evaluate(IS_PRIMARY)
    visitor.set_strategy("Canary", 20)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_toast_says_what_is_done_and_covers_no_control(visit: Visit, width: int, height: int) -> None:
    """Wherever the page is scrolled to."""
    visitor = visit(width, height)
    for role in ("current", "new"):
        visitor.is_ready(role)
    percent = 40 if width > 600 else 41
    visitor.choose("Canary", percent)
    visitor.press("set-strategy")
    words = f"{percent} % of the requests go to New."
    found = visitor.page.wait_for_function(COVERED, arg=words, polling=100).json_value()
    assert found == {"covered": []}


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_toast_is_seen_while_a_dialog_is_open_and_covers_none_of_its_controls(
    visit: Visit, dashboard: Server, width: int, height: int
) -> None:
    """Also the toast's own cross leaves the dialog open."""
    visitor = visit(width, height)
    for role in ("current", "new"):
        visitor.is_ready(role)
    (gateway,) = [child for child in dashboard.serving() if "mnist_dash.local.gateway" in child.cmdline()]
    percent = 42 if width > 600 else 43
    visitor.choose("Canary", percent)
    gateway.suspend()  # so that the split is in force only once the dialog is open
    try:
        visitor.press("set-strategy")
        visitor.press("remove-new")
        expect(visitor.part("cancel")).to_be_visible(timeout=PATIENCE)
    finally:
        gateway.resume()
    words = f"{percent} % of the requests go to New."
    found = visitor.page.wait_for_function(COVERED_IN_DIALOG, arg=words, polling=100).json_value()
    assert (found["covered"], found["isInView"], found["isAbove"]) == ([], True, True)
    visitor.page.mouse.click(*found["close"])
    expect(visitor.page.get_by_test_id("stToast")).to_have_count(0, timeout=PATIENCE)
    expect(visitor.dialog).to_be_visible()
    visitor.press("cancel")
    expect(visitor.dialog).to_be_hidden(timeout=PATIENCE)
