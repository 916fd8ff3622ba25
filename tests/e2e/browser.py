"""A browser on the page, with a visitor's actions: draw, press, choose, read."""

from __future__ import annotations

import re
from typing import Final, Literal

from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, expect

from mnist_dash.domain import Gateway
from mnist_dash.serving.client import ServingClient

SECONDS: Final = 1000
PATIENCE: Final = 20 * SECONDS
"""The timeout of every wait, in ms, for a busy machine."""
Theme = Literal["light", "dark"]
Stroke = list[tuple[int, int]]
Strokes = list[Stroke]
STROKES: Final[dict[int, Strokes]] = {
    0: [
        [(140, 40), (95, 70), (80, 140), (95, 210), (140, 240), (185, 210), (200, 140), (185, 70), (140, 40)]
    ],
    1: [[(140, 40), (140, 240)]],
    3: [
        [
            (90, 60),
            (140, 40),
            (185, 65),
            (180, 105),
            (135, 135),
            (185, 160),
            (190, 205),
            (140, 240),
            (85, 220),
        ]
    ],
    7: [[(80, 55), (200, 55), (165, 140), (130, 240)]],
}
"""Digits as strokes on the canvas of 280 by 280 CSS pixels."""
LYING: Final[Strokes] = [[(40, 140), (240, 140)]]
"""A line from left to right: a four to the linear model, a two to the CNN."""
DRAWN, BLANK = "The drawing as 28 by 28 grey pixels", "Empty picture"

STILL = """() => {
  const boxes = [...document.querySelectorAll("[data-testid=stElementContainer]")].map((it) => {
    const box = it.getBoundingClientRect();
    return [box.x, box.y, box.width, box.height].map(Math.round).join();
  }).join(";");
  const same = window.boxesBefore === boxes;
  window.boxesBefore = boxes;
  return same && document.querySelector("[data-test-script-state=notRunning]") !== null;
}"""
"""Whether no element has moved since the last call, and no script runs."""


class Visitor:
    """A browser context of its own on the page at `address`; `errors` are those of its console."""

    def __init__(
        self,
        browser: Browser,
        address: str,
        width: int = 1280,
        height: int = 800,
        theme: Theme = "light",
        zone: str | None = None,
    ) -> None:
        phone = width < 600
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=phone,
            is_mobile=phone,
            color_scheme=theme,
            timezone_id=zone,
        )
        self.context.set_default_timeout(PATIENCE)
        self.start_over(address)

    def start_over(self, address: str) -> None:
        """Continue in a new tab, which has nothing of the one before, except for the browser's cache."""
        for tab in self.context.pages:
            tab.close()
        self.errors: list[str] = []
        self.page = self.context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", self._fail)
        self.page.goto(address)

    def close(self) -> None:
        """Close the browser context."""
        self.context.close()

    def part(self, key: str) -> Locator:
        """Return the part of the page with this key."""
        return self.page.locator(f".st-key-{key}")

    def press(self, key: str) -> None:
        """Click on the button with this key."""
        self.part(key).locator("button:visible").first.click()

    def switch(self, key: str) -> None:
        """Click on the switch with this key."""
        self.part(key).locator("label").first.click()

    def draw(self, digit: int) -> None:
        """Draw a digit with the mouse, and wait until the page has it."""
        self.draw_strokes(STROKES[digit])

    def draw_strokes(self, strokes: Strokes) -> None:
        """Draw strokes with the mouse, and wait until the page has them."""
        for stroke in strokes:
            self.start_stroke(stroke)
            self.page.mouse.up()
        self.has_drawing()

    def start_stroke(self, stroke: Stroke) -> None:
        """Draw one stroke with the mouse, and keep its button down."""
        left, top = self.canvas_corner()
        (x, y), *rest = stroke
        self.page.mouse.move(left + x, top + y)
        self.page.mouse.down()
        for x, y in rest:
            self.page.mouse.move(left + x, top + y, steps=4)

    def has_drawing(self) -> None:
        """Wait until the page shows the model's picture of a drawing."""
        expect(self.page.get_by_alt_text(DRAWN)).to_be_visible(timeout=PATIENCE)

    def canvas_corner(self) -> tuple[float, float]:
        """Return the top left corner of the canvas in the window, in CSS pixels."""
        box = self.canvas.bounding_box()
        assert box
        return box["x"], box["y"]

    @property
    def canvas(self) -> Locator:
        """The surface that takes the strokes."""
        return self.part("paper").locator("canvas.upper-canvas")

    def pixels(self) -> str:
        """Return the picture on the canvas as a data URL."""
        return str(self.part("paper").locator("canvas.dc-canvas").first.evaluate("it => it.toDataURL()"))

    def clear(self) -> None:
        """Take a blank sheet."""
        self.press("clear")
        expect(self.page.get_by_alt_text(BLANK)).to_be_visible(timeout=PATIENCE)

    def reads(self, key: str, words: str | re.Pattern[str]) -> None:
        """Wait until the part with this key has this text."""
        expect(self.part(key)).to_contain_text(words, timeout=PATIENCE)

    def shows(self, words: str | re.Pattern[str]) -> None:
        """Wait until the page has this text."""
        expect(self.page.get_by_text(words)).to_be_visible(timeout=PATIENCE)

    def is_still(self) -> None:
        """Wait until nothing moves, and the script has ended."""
        self.page.wait_for_function(STILL, polling=120)

    def is_ready(self, role: str, replicas: int = 1) -> None:
        """Wait until a role has all of its replicas."""
        self.reads(f"card-{role}", f"{replicas} of {replicas} replicas ready")
        self.reads(f"card-{role}", "Ready")

    @property
    def slider(self) -> Locator:
        """The handle that sets the percentage."""
        return self.part("canary-percent").get_by_role("slider")

    def option(self, strategy: str) -> Locator:
        """Return the radio button of a strategy."""
        return self.part("strategy").get_by_role("radio", name=strategy)

    def choose(self, strategy: str, percent: int | None = None) -> None:
        """Choose a strategy, and with the arrow keys a percentage, without sending it."""
        self.part("strategy").locator("label").filter(has_text=strategy).last.click()
        expect(self.option(strategy)).to_be_checked(timeout=PATIENCE)
        if percent is not None:
            expect(self.slider).to_be_enabled(timeout=PATIENCE)
            self.slider.focus()
            steps = percent - self.percent()
            for _ in range(abs(steps)):
                self.page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")
            self.shows_percent(percent)

    def percent(self) -> int:
        """Return the percentage of the slider."""
        return int(self.slider.input_value())

    def shows_percent(self, percent: int) -> None:
        """Wait until the slider has this percentage."""
        expect(self.slider).to_have_value(str(percent), timeout=PATIENCE)

    def set_strategy(self, strategy: str, percent: int | None = None) -> None:
        """Set a strategy and wait until it is in force; it may be already."""
        self.choose(strategy, percent)
        share = {"Current only": 0, "New only": 100}.get(strategy, percent)
        if f"New {share} %" not in self.part("in-force").inner_text():
            self.press("set-strategy")
        self.reads("in-force", f"New {share} %")

    def open_deploy(self, role: str) -> None:
        """Open the dialog that deploys."""
        self.press(f"deploy-{role}")
        expect(self.part("deploy-base").locator("input")).to_be_visible(timeout=PATIENCE)

    def fill(self, base: str | None = None, replicas: int | None = None) -> None:
        """Fill in the dialog that deploys."""
        if base is not None:
            self.part("deploy-base").locator("input").fill(base)
        if replicas is not None:
            self.part("deploy-replicas").locator("input").fill(str(replicas))

    def confirm_deploy(self) -> None:
        """Confirm, and wait until the dialog is gone."""
        self.press("deploy-confirm")
        expect(self.page.get_by_role("dialog")).to_be_hidden(timeout=PATIENCE)

    def deploy(self, role: str, base: str, replicas: int = 1) -> None:
        """Deploy a model base through the dialog, without waiting for it."""
        self.open_deploy(role)
        self.fill(base, replicas)
        self.confirm_deploy()

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    def open_tab(self, name: str) -> None:
        """Show one of the tabs below."""
        self.page.get_by_role("tab", name=name).click()

    def open_object(self, kind: str, name: str) -> Locator:
        """Unfold an object in the Objects tab and return it; `name` may be the beginning of its name."""
        box = self.page.locator(f"[class*='st-key-object-{kind}-{name}']").first
        box.locator("summary").click()
        return box

    def gateway(self) -> ServingClient:
        """Return a client of the gateway whose address the page shows."""
        return ServingClient(Gateway(self.part("header").locator("code").inner_text()))

    def complaints(self) -> list[str]:
        """Return the errors in the console and on the page."""
        shown = self.page.locator("[data-testid=stException]").all_inner_texts()
        return self.errors + shown + self.page.get_by_text("This part of the page failed").all_inner_texts()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _fail(self, error: Error) -> None:
        # Fabric.js sometimes renders a canvas after it was removed from the page.
        if "reading 'clearRect'" not in str(error):
            self.errors.append(str(error))
