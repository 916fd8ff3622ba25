"""Measure the page in a real Chromium: clicks on Predict and with Compare, the start, a second browser.

    python benchmarks/page.py

Needs the extra `test` and a Chromium on the PATH. Each figure is compared with the same of a Streamlit page
with one button and a counter, and the two pages alternate, so that other load of the machine affects both. A
click is timed until all it changes has been drawn. Takes about two minutes on an idle machine.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' way to start a dashboard

from mnist_dash.panels.session import STROKE_SECONDS
from tests.e2e.server import Server, serve

CLICKS, WARM_UP, STARTS = 15, 3, 3
PATIENCE: Final = 20_000
"""Timeout of every wait, in milliseconds."""
QUIET: Final = 300
"""Milliseconds without a change after which a page counts as drawn; not part of the measured time."""
POLLED: Final = ".st-key-traffic"
"""What changes by itself within what is watched; a chart is made anew, and so its box, not it, is watched."""
PLAIN: Final = """\
import streamlit as st

state = st.session_state
state.setdefault("count", 0)
if st.button("Count", key="count-button"):
    state.count += 1
with st.container(key="counter"):
    st.write(f"Counted {state.count}")
"""
CLICK_UNTIL_DRAWN: Final = """\
([button, drawn, polled, quiet, patience]) => new Promise((resolve, reject) => {
  const start = performance.now();
  let last = null;
  const seen = new MutationObserver((changes) => {
    if (changes.some((it) => !(it.target.closest ? it.target : it.target.parentElement)?.closest(polled)))
      requestAnimationFrame(() => { last = performance.now(); });
  });
  for (const part of document.querySelectorAll(drawn))
    seen.observe(part, { attributes: true, characterData: true, childList: true, subtree: true });
  const look = () => {
    const now = performance.now();
    if (last !== null && now - last > quiet) { seen.disconnect(); resolve(last - start); }
    else if (now - start > patience) { seen.disconnect(); reject(`nothing of ${drawn} has changed`); }
    else setTimeout(look, 20);
  };
  [...document.querySelectorAll(button)].find(it => it.checkVisibility()).click();
  look();
})"""


@dataclass(frozen=True)
class Start:
    """Seconds since `streamlit run`, and for later browsers since they opened the page."""

    ready: float
    answered: float
    cold: float
    cold_answered: float
    warm: float


def main() -> None:
    """Run the benchmark and print the results."""
    chromium = shutil.which("chromium")
    if not chromium:
        raise SystemExit("There is no Chromium: no program named chromium is on the PATH.")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        script = folder / "plain.py"
        script.write_text(PLAIN)
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        with serve(folder / "ours") as dashboard, serve(folder / "plain", script=script) as counter:
            predict, compare = time_clicks(browser, dashboard, counter)
        starts = []
        for number in range(STARTS):
            ours = start(browser, folder / f"start-{number}")
            starts.append((ours, start_plain(browser, folder / f"plain-{number}", script)))
        browser.close()
    report_clicks("Predict", predict)
    report_clicks("Predict with Compare", compare)
    report_starts(*zip(*starts, strict=True))


def time_clicks(
    browser: Browser, dashboard: Server, counter: Server
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Measure clicks on Predict, without and with Compare, each followed by one on the plain page's button.

    Returns pairs of milliseconds.
    """
    with (
        context(browser) as visitor,
        page_at(visitor, dashboard.page) as ours,
        page_at(visitor, counter.page) as plain,
    ):

        def time_both() -> list[tuple[float, float]]:
            pairs = []
            for number in range(WARM_UP + CLICKS):
                draw_stroke(ours, number)
                predict = timed_click(ours, ".st-key-predict button", ".st-key-answering")
                count = timed_click(plain, ".st-key-count-button button", ".st-key-counter")
                pairs.append((predict, count))
            return pairs[WARM_UP:]

        predict_a_sample(ours)
        counts(plain)
        predict = time_both()
        ours.locator(".st-key-compare label").first.click()
        expect(ours.locator(".st-key-answer .verdict")).to_be_visible(timeout=PATIENCE)
        return predict, time_both()


def start_plain(browser: Browser, state: Path, script: Path) -> Start:
    """Measure one start of the plain page and two later visits."""
    since_start = stopwatch()
    with serve(state, script=script) as counter, context(browser) as first:
        with page_at(first, counter.page) as page:
            counts(page)
            ready = since_start()
        with context(browser) as second:
            cold = seconds_to_visit(second, counter.page, counts)
        warm = seconds_to_visit(first, counter.page, counts)
    return Start(ready, ready, cold, cold, warm)


def counts(page: Page) -> None:
    """Wait until the plain page shows its counter."""
    expect(page.locator(".st-key-counter")).to_contain_text("Counted 0", timeout=PATIENCE)


def draw_stroke(page: Page, number: int) -> None:
    """Add a stroke to the drawing, another one for each number, and wait until the page has it."""
    page.bring_to_front()
    page.wait_for_timeout(STROKE_SECONDS * 1000)  # one that follows an answer at once is answered, too
    box = page.locator(".st-key-paper canvas.upper-canvas").bounding_box()
    assert box
    x, y = box["x"] + 60 + 8 * number, box["y"] + 60 + 40 * (number % 5)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 10, y, steps=4)
    page.mouse.up()
    expect(page.locator(".st-key-answering .note")).to_contain_text("has changed", timeout=PATIENCE)


def timed_click(page: Page, button: str, drawn: str) -> float:
    """Measure a click until its last change is on the screen, in milliseconds."""
    page.bring_to_front()
    return float(page.evaluate(CLICK_UNTIL_DRAWN, [button, drawn, POLLED, QUIET, PATIENCE]))


def start(browser: Browser, state: Path) -> Start:
    """Measure one start of the dashboard and two later visits."""
    since_start = stopwatch()
    with serve(state) as dashboard, context(browser) as first:
        with page_at(first, dashboard.page) as page:
            can_predict(page)
            ready = since_start()
            predict_a_sample(page)
            answered = since_start()
        since_visit = stopwatch()
        with context(browser) as second, page_at(second, dashboard.page) as page:
            can_predict(page)
            cold = since_visit()
            predict_a_sample(page)
            cold_answered = since_visit()
        warm = seconds_to_visit(first, dashboard.page, can_predict)
    return Start(ready, answered, cold, cold_answered, warm)


def seconds_to_visit(visitor: BrowserContext, address: str, is_ready: Callable[[Page], None]) -> float:
    """Measure a page from opening it until it is ready, in seconds."""
    since_visit = stopwatch()
    with page_at(visitor, address) as page:
        is_ready(page)
        return since_visit()


def stopwatch() -> Callable[[], float]:
    """Return a function that returns the seconds since this call."""
    begin = time.perf_counter()
    return lambda: time.perf_counter() - begin


@contextmanager
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Open a browser context with an empty cache."""
    visitor = browser.new_context()
    try:
        yield visitor
    finally:
        visitor.close()


@contextmanager
def page_at(visitor: BrowserContext, address: str) -> Iterator[Page]:
    """Open a URL in a new tab."""
    page = visitor.new_page()
    try:
        page.goto(address)
        yield page
    finally:
        page.close()


def can_predict(page: Page) -> None:
    """Wait until Predict can be pressed and both models are shown as ready."""
    expect(page.locator(".st-key-predict button:visible").first).to_be_enabled(timeout=PATIENCE)
    for role in ("current", "new"):
        expect(page.locator(f".st-key-card-{role}")).to_contain_text("Ready", timeout=PATIENCE)


def predict_a_sample(page: Page) -> None:
    """Put a test digit on the canvas, and wait until its answer and its bars are drawn."""
    page.locator(".st-key-sample button:visible").first.click()
    expect(page.locator(".st-key-answer")).to_contain_text(" says ", timeout=PATIENCE)
    expect(page.locator(".st-key-bars .barlayer .point")).to_have_count(10, timeout=PATIENCE)


def report_clicks(button: str, pairs: list[tuple[float, float]]) -> None:
    """Print the medians of clicks and of the plain page's, and their ratio."""
    ours, plain = zip(*pairs, strict=True)
    print(f"click on {button} until all is drawn, median of {len(pairs)} (and the slowest)")
    print(f"  MNIST Dash                         {median(ours):6.0f} ms ({max(ours):.0f})")
    print(f"  Streamlit, one button and counter  {median(plain):6.0f} ms ({max(plain):.0f})")
    print(f"  ratio                              {median(ours) / median(plain):6.2f}")


def report_starts(ours: Sequence[Start], plain: Sequence[Start]) -> None:
    """Print the medians of starts and visits, and their ratios."""
    print(f"seconds, median of {len(ours)}                         MNIST Dash  plain  ratio")
    for words, name in (
        ("from `streamlit run` until Predict works", "ready"),
        ("from `streamlit run` until a sample's answer", "answered"),
        ("second browser with an empty cache, Predict works", "cold"),
        ("second browser with an empty cache, answer", "cold_answered"),
        ("second tab with a warm cache, Predict works", "warm"),
    ):
        mine, other = (median(getattr(it, name) for it in starts) for starts in (ours, plain))
        print(f"  {words:50} {mine:6.2f} {other:6.2f} {mine / other:6.2f}")


if __name__ == "__main__":
    main()
