"""The page at every width: nothing covered or clipped, the whole canvas draws, and nothing moves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from mnist_dash.local.desired_state import BUNDLED
from tests.e2e.browser import LYING, PATIENCE, Visitor
from tests.e2e.conftest import Visit
from tests.e2e.server import Server, suspended_starts

WIDTHS: Final = (320, 390, 640, 641, 768, 900, 1024, 1150, 1200, 1280, 1920)
TALL: Final = 3000
"""So that the whole page is in the window."""
HINT: Final = "Draw a digit here"
CORNERS: Final = ((3, 3), (277, 3), (3, 277), (277, 277))
DAMAGED: Final = """() => {
  const UNREAD = "[data-testid=stIconMaterial], [data-testid=stSkipToContent], style, [aria-hidden=true]";
  const CONTROLS = "button, input[type=text], input[type=number], canvas.upper-canvas, img, [role=slider]";
  const found = [];
  const shown = (it) => it.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const parent = (it) => it.assignedSlot ?? it.parentElement ?? it.getRootNode().host ?? null;
  const hit = (x, y) => {
    let it = document.elementFromPoint(x, y);
    while (it?.shadowRoot?.elementFromPoint(x, y)) {
      const inner = it.shadowRoot.elementFromPoint(x, y);
      if (inner === it) break;
      it = inner;
    }
    return it;
  };
  const holds = (outer, it) => { while (it && it !== outer) it = parent(it); return it === outer; };
  const clip = (it, box) => {
    for (let up = parent(it); up && !up.matches("[data-testid=stMain], body"); up = parent(up)) {
      const style = getComputedStyle(up), edge = up.getBoundingClientRect();
      const free = (how) => how === "visible" || up.closest("[data-testid=stCode]");
      if (!free(style.overflowX) && (box.left < edge.left - 1.5 || box.right > edge.right + 1.5)) return up;
      if (!free(style.overflowY) && (box.top < edge.top - 1.5 || box.bottom > edge.bottom + 1.5)) return up;
    }
  };
  const check = (it, box, name) => {
    if (box.width < 2 || box.height < 2) return;
    const at = ` at ${Math.round(box.left)},${Math.round(box.top)}`;
    if (box.left < -1 || box.right > innerWidth + 1) found.push(`${name} is outside of the window${at}`);
    const clipping = clip(it, box);
    if (clipping) found.push(`${name} is clipped by ${clipping.cloneNode().outerHTML}${at}`);
    if (getComputedStyle(it).pointerEvents === "none") return;
    const x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
    const top = hit(x, y);
    if (!top || holds(it, top) || holds(top, it) || it.closest("svg")?.contains(top)) return;
    if (it.closest("[class*=st-key-differing-]")?.contains(top)) return;  // its button may cover a picture
    found.push(`${name} is covered by ${top.cloneNode().outerHTML}${at}`);
  };
  const visit = (root) => {
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      if (node.shadowRoot) visit(node.shadowRoot);
      const it = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
      if (!it || !shown(it) || it.closest(UNREAD)) continue;
      if (document.querySelector("[role=dialog]") && !it.closest("[role=dialog]")) continue;
      if (node.nodeType === Node.TEXT_NODE) {
        if (!node.data.trim()) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const box of range.getClientRects()) check(it, box, `"${node.data.trim().slice(0, 40)}"`);
      } else if (it.matches(CONTROLS)) {
        check(it, it.getBoundingClientRect(), `<${it.localName}> ${it.textContent || it.ariaLabel || ""}`);
      }
    }
  };
  visit(document.body);
  const main = document.querySelector("[data-testid=stMain]");
  if (main.scrollWidth > main.clientWidth + 1) found.push("the page scrolls sideways");
  return found;
}"""
"""Returns what is covered, clipped or outside of the window, shadow roots included."""


@pytest.fixture(scope="module")
def shared_visitor(browser: Browser, dashboard: Server) -> Iterator[Visitor]:
    """One browser context for the file: a new one would load all of the page's JavaScript again."""
    visitor = Visitor(browser, dashboard.page)
    yield visitor
    visitor.close()


@pytest.fixture
def visitor(shared_visitor: Visitor, dashboard: Server) -> Iterator[Visitor]:
    """A visitor who has just come, when both models are ready and everything is drawn; none may complain."""
    shared_visitor.start_over(dashboard.page)
    shared_visitor.canvas.wait_for(timeout=3 * PATIENCE)
    for role in ("current", "new"):
        shared_visitor.is_ready(role)
    yield shared_visitor
    assert shared_visitor.complaints() == []


def is_intact_at_every_width(visitor: Visitor) -> None:
    """Assert that at each width nothing is covered, clipped or outside of the window."""
    damaged = {}
    expect(visitor.page.get_by_test_id("stToast")).to_have_count(0, timeout=PATIENCE)
    for width in WIDTHS:
        visitor.page.set_viewport_size({"width": width, "height": TALL})
        visitor.is_still()
        if found := visitor.page.evaluate(DAMAGED):
            damaged[width] = found
    assert damaged == {}


def test_an_answer_is_intact_at_every_width(visitor: Visitor) -> None:
    """One model's answer, with its chart, between canvas and roll-out; and its label, with the tally."""
    visitor.draw(7)
    visitor.press("predict")
    visitor.reads("answer", "says 7")
    visitor.part("label").get_by_role("radio", name="7").click()
    visitor.reads("label", "On your drawing: New 1, Current 1.")
    is_intact_at_every_width(visitor)


def test_a_comparison_is_intact_at_every_width(visitor: Visitor) -> None:
    """Both models disagree, which takes the most room."""
    visitor.switch("compare")
    visitor.draw_strokes(LYING)
    visitor.press("predict")
    visitor.reads("answer", "DISAGREE")
    is_intact_at_every_width(visitor)


@pytest.mark.parametrize("button", ["deploy-new", "remove-new", "promote"])
def test_a_dialog_is_intact_at_every_width(visitor: Visitor, button: str) -> None:
    """The dialogs that deploy, remove and promote."""
    visitor.press(button)
    expect(visitor.dialog).to_be_visible(timeout=PATIENCE)
    is_intact_at_every_width(visitor)


def test_a_rollout_is_intact_at_every_width(visitor: Visitor) -> None:
    """Paused at a step, with its ladder, its buttons and the evidence; then it is aborted."""
    visitor.press("rollout-options")
    visitor.press("start-rollout")
    visitor.reads("rollout", "New has answered")
    visitor.press("pause-rollout")
    visitor.reads("rollout", "Paused, step 1 of 4.")
    expect(visitor.part("start-rollout")).to_be_hidden(timeout=PATIENCE)
    visitor.page.get_by_test_id("stMain").evaluate("it => it.scrollTo(0, 0)")
    is_intact_at_every_width(visitor)
    visitor.press("abort-rollout")
    visitor.reads("rollout", "All requests went back to linear.")


def test_a_redeploy_and_a_failure_are_intact_and_move_nothing(
    visitor: Visitor, dashboard: Server, tmp_path: Path
) -> None:
    """A re-deploy keeps the card as high as it is; a server that cannot start again has its reason shown."""
    base = tmp_path / "renamed-cnn"
    shutil.copytree(BUNDLED / "cnn", base)
    place = top_of(visitor, "strategy-card")
    with suspended_starts(dashboard) as suspended:
        visitor.deploy("new", str(base))
        suspended.result()
        visitor.reads("card-new", "Updating")
        assert top_of(visitor, "strategy-card") == place
        is_intact_at_every_width(visitor)
    visitor.page.set_viewport_size({"width": 1280, "height": 800})
    visitor.reads("card-new", base.name)
    visitor.is_ready("new")
    shutil.rmtree(base)
    for process in dashboard.serving():
        if str(base) in " ".join(process.cmdline()):
            process.kill()
    visitor.reads("card-new", "Failed")
    is_intact_at_every_width(visitor)
    visitor.page.set_viewport_size({"width": 1280, "height": 800})
    visitor.deploy("new", str(BUNDLED / "cnn"))
    visitor.is_ready("new")


def top_of(visitor: Visitor, key: str) -> float:
    """Return the distance of a part from the top of the window, in CSS pixels."""
    box = visitor.part(key).bounding_box()
    assert box
    return box["y"]


def test_predict_and_promote_are_above_the_fold(visitor: Visitor) -> None:
    """At 1280 by 720, the main job needs no scrolling, nor does its last step."""
    visitor.page.set_viewport_size({"width": 1280, "height": 720})
    visitor.is_still()
    for key in ("predict", "undo-stroke", "model-input", "bars", "promote"):
        box = visitor.part(key).bounding_box()
        assert box
        assert box["y"] + box["height"] <= 720, key


def test_a_mouse_draws_in_every_corner(visitor: Visitor) -> None:
    """Also at the top right, where the canvas's toolbar would be; a stroke takes the hint away."""
    visitor.shows(HINT)
    left, top = visitor.canvas_corner()
    for corner in CORNERS:
        (x, y), *rest = path_from(corner, left, top)
        visitor.page.mouse.move(x, y)
        visitor.page.mouse.down()
        for point in rest:
            visitor.page.mouse.move(*point)
        visitor.page.mouse.up()
    draws_all_corners(visitor)


def test_a_finger_draws_in_every_corner(visit: Visit) -> None:
    """On a phone, and a tap where the toolbar's Reset would be does not wipe the drawing."""
    phone = visit(390, 844)
    phone.canvas.wait_for(timeout=3 * PATIENCE)
    left, top = phone.canvas_corner()
    for corner in CORNERS:
        swipe(phone, path_from(corner, left, top))
    swipe(phone, [(left + 262, top + 16)])
    draws_all_corners(phone)


def path_from(corner: tuple[int, int], left: float, top: float) -> list[tuple[float, float]]:
    """Return points of the window on the way from a corner of the canvas to its centre."""
    x, y = corner
    return [(left + x + (140 - x) * step / 8, top + y + (140 - y) * step / 8) for step in range(9)]


def draws_all_corners(visitor: Visitor) -> None:
    """Assert that there is ink in all four corners, and no hint over it."""
    visitor.has_drawing()
    assert [visitor.canvas.evaluate(PIXEL, list(corner)) for corner in CORNERS] == [255] * 4
    expect(visitor.page.get_by_text(HINT)).to_be_hidden(timeout=PATIENCE)


PIXEL = """(it, [x, y]) => {
  const lower = it.parentElement.querySelector("canvas.lower-canvas, canvas.dc-canvas");
  return lower.getContext("2d").getImageData(x, y, 1, 1).data[0];
}"""
"""Returns the red of one pixel of the drawing, 0 to 255."""


def swipe(visitor: Visitor, path: list[tuple[float, float]]) -> None:
    """Move one finger along a path; a path of one point is a tap."""
    finger = visitor.context.new_cdp_session(visitor.page)
    for number, (x, y) in enumerate(path):
        kind = "touchMove" if number else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_undo_takes_back_the_last_stroke(visitor: Visitor) -> None:
    """By its button and by Ctrl+Z, one stroke each, and Ctrl+Y repeats one; typed text is not affected."""
    button = visitor.part("undo-stroke").get_by_role("button")
    expect(button).to_be_disabled(timeout=PATIENCE)
    blank = visitor.pixels()
    visitor.draw_strokes(LYING)
    first = visitor.pixels()
    visitor.draw(1)
    both = visitor.pixels()
    button.click()
    expect_pixels(visitor, first)
    visitor.page.keyboard.press("Control+y")
    expect_pixels(visitor, both)
    visitor.page.keyboard.press("Control+z")
    expect_pixels(visitor, first)
    visitor.page.keyboard.press("Control+z")
    expect_pixels(visitor, blank)
    expect(button).to_be_disabled(timeout=PATIENCE)
    visitor.shows(HINT)
    expect(visitor.page.get_by_alt_text("Empty picture")).to_be_visible(timeout=PATIENCE)


def expect_pixels(visitor: Visitor, pixels: str) -> None:
    """Wait until the canvas has this picture."""
    visitor.page.wait_for_function(
        "([it, pixels]) => it.toDataURL() === pixels",
        arg=[visitor.part("paper").locator("canvas.dc-canvas").first.element_handle(), pixels],
    )


DIALOGS: Final = {
    "deploy-current": "Re-deploy Current",
    "remove-current": "Remove Current?",
    "deploy-new": "Re-deploy New",
    "remove-new": "Remove New?",
    "promote": "Make New the Current?",
}
"""Each button that opens a dialog, and the dialog's title."""


@pytest.mark.parametrize("pause", [100, 350, 600])
def test_a_second_click_changes_nothing(visitor: Visitor, pause: int) -> None:
    """Each button, clicked twice at one place, leaves what one click leaves: nothing moves under it."""
    percent = 80 + pause // 100
    visitor.draw(7)
    click_twice(visitor, "predict", pause)
    visitor.reads("answer", "says 7")
    visitor.choose("Canary", percent)
    click_twice(visitor, "set-strategy", pause)
    visitor.reads("in-force", f"New {percent} %")
    for key, title in DIALOGS.items():
        click_twice(visitor, key, pause)
        expect(visitor.dialog).to_contain_text(title, timeout=PATIENCE)
        visitor.dialog.get_by_role("button", name="Close").click()
        expect(visitor.dialog).to_be_hidden(timeout=PATIENCE)
    visitor.reads("in-force", f"New {percent} %")
    visitor.shows_percent(percent)
    visitor.has_drawing()
    click_twice(visitor, "clear", pause)
    expect(visitor.page.get_by_alt_text("Empty picture")).to_be_visible(timeout=PATIENCE)
    expect(visitor.page.get_by_role("switch", checked=True)).to_have_count(0)


def click_twice(visitor: Visitor, key: str, pause: int) -> None:
    """Click twice at the place where the button is now, `pause` ms apart, and wait until nothing moves."""
    visitor.is_still()
    box = visitor.part(key).get_by_role("button").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.page.mouse.click(x, y)
    visitor.page.wait_for_timeout(pause)
    visitor.page.mouse.click(x, y)
    visitor.is_still()
