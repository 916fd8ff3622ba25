"""Measure the page in a real Chromium: a click on Predict, the start, a second browser.

    python benchmarks/page.py

Needs the extra `test` and a Chromium on the PATH. A click on Predict is timed until answer and bars have been
drawn, and compared with a click on a Streamlit page with one button and a counter. The two alternate, so that
other load of the machine affects both. Takes about 45 s on an idle machine.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.server import serve

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' way to start a dashboard


CLICKS, WARM_UP, STARTS = 15, 3, 2
PATIENCE: Final = 20_000
"""Timeout of every wait, in milliseconds."""
QUIET: Final = 300
"""Milliseconds without a change after which a page counts as drawn; not part of the measured time."""
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
([button, drawn, quiet, patience]) => new Promise((resolve, reject) => {
  const start = performance.now();
  let last = null;
  const seen = new MutationObserver(() => requestAnimationFrame(() => { last = performance.now(); }));
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

    enabled: float
    answered: float
    cold: float
    warm: float


def main() -> None:
    """Run the benchmark and print the results."""
    chromium = shutil.which("chromium")
    if not chromium:
        raise SystemExit("There is no Chromium: no program named chromium is on the PATH.")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        ours, plain, plain_visits = beside_a_plain_page(browser, folder)
        starts = [start(browser, folder / f"start-{number}") for number in range(STARTS)]
        browser.close()
    report(ours, plain, starts, plain_visits)


def beside_a_plain_page(browser: Browser, folder: Path) -> tuple[list[float], list[float], list[float]]:
    """Measure clicks on Predict and on the plain page's button alternately, in milliseconds.

    Also return the seconds until the plain page is ready in browsers with an empty cache: the minimum for any
    Streamlit page.
    """
    script = folder / "plain.py"
    script.write_text(PLAIN)
    with (
        serve(folder / "ours") as dashboard,
        serve(folder / "plain", script=script) as counter,
        context(browser) as visitor,
        page_at(visitor, dashboard.page) as ours,
        page_at(visitor, counter.page) as plain,
    ):
        predict_a_sample(ours)
        counts(plain)
        both = [
            (
                timed_click(ours, ".st-key-predict button", ".st-key-answer, .st-key-bars"),
                timed_click(plain, ".st-key-count-button button", ".st-key-counter"),
            )
            for _ in range(WARM_UP + CLICKS)
        ][WARM_UP:]
        visits = [seconds_to_visit_plain(browser, counter.page) for _ in range(STARTS)]
    return [click for click, _ in both], [click for _, click in both], visits


def seconds_to_visit_plain(browser: Browser, address: str) -> float:
    """Measure the plain page in a new browser until it shows its counter, in seconds."""
    since_visit = stopwatch()
    with context(browser) as visitor, page_at(visitor, address) as page:
        counts(page)
        return since_visit()


def counts(page: Page) -> None:
    """Wait until the plain page shows its counter."""
    expect(page.locator(".st-key-counter")).to_contain_text("Counted 0", timeout=PATIENCE)


def timed_click(page: Page, button: str, drawn: str) -> float:
    """Measure a click until its last change is on the screen, in milliseconds."""
    page.bring_to_front()
    return float(page.evaluate(CLICK_UNTIL_DRAWN, [button, drawn, QUIET, PATIENCE]))


def start(browser: Browser, state: Path) -> Start:
    """Measure one start of the dashboard and two later visits."""
    since_start = stopwatch()
    with serve(state) as dashboard, context(browser) as first, page_at(first, dashboard.page) as page:
        can_predict(page)
        enabled = since_start()
        predict_a_sample(page)
        answered = since_start()
        with context(browser) as second:
            cold = seconds_to_visit(second, dashboard.page)
        warm = seconds_to_visit(first, dashboard.page)
    return Start(enabled, answered, cold, warm)


def seconds_to_visit(visitor: BrowserContext, address: str) -> float:
    """Measure the page from opening it until Predict can be pressed, in seconds."""
    since_visit = stopwatch()
    with page_at(visitor, address) as page:
        can_predict(page)
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
    """Put a test digit on the canvas and wait for its prediction."""
    page.locator(".st-key-sample button:visible").first.click()
    expect(page.get_by_alt_text("The drawing as 28 by 28 grey pixels")).to_be_visible(timeout=PATIENCE)
    page.locator(".st-key-predict button:visible").first.click()
    expect(page.locator(".st-key-answer")).to_contain_text(" says ", timeout=PATIENCE)


def report(ours: list[float], plain: list[float], starts: list[Start], plain_visits: list[float]) -> None:
    """Print the medians."""
    print(f"click until drawn, median of {len(ours)} (and the slowest)")
    print(f"  Predict                            {median(ours):6.0f} ms ({max(ours):.0f})")
    print(f"  Streamlit, one button and counter  {median(plain):6.0f} ms ({max(plain):.0f})")
    print(f"  ratio                              {median(ours) / median(plain):6.2f}")
    print(f"from `streamlit run`, median of {len(starts)}")
    print(f"  to a page on which Predict can be pressed  {median(it.enabled for it in starts):5.2f} s")
    print(f"  to the answer about a sample digit         {median(it.answered for it in starts):5.2f} s")
    print("another page on the same dashboard, until Predict can be pressed")
    print(f"  a second browser, with an empty cache      {median(it.cold for it in starts):5.2f} s")
    print(f"  the same of the page with the counter      {median(plain_visits):5.2f} s")
    print(f"  a second tab, with a warm cache            {median(it.warm for it in starts):5.2f} s")


if __name__ == "__main__":
    main()
