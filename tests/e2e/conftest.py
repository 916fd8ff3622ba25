"""A real Chromium, and dashboards for it to look at."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.browser import Visitor
from tests.e2e.server import Server, serve

Visit = Callable[..., Visitor]
FAILED = pytest.StashKey[bool]()
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="package")  # not "session": while Playwright runs, no other test could run asyncio
def browser() -> Iterator[Browser]:
    """The Chromium that is installed."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("There is no Chromium: no program named chromium is on the PATH.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard that the tests of one file share; each sets what it starts from."""
    with serve(tmp_path_factory.mktemp("dashboard") / "state") as server:
        yield server


@pytest.fixture
def visit(
    browser: Browser, dashboard: Server, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Visit]:
    """Opens the page in a browser context of its own; afterwards none may have complained."""
    visitors: list[Visitor] = []

    def open_page(width: int = 1280, height: int = 800, query: str = "", zone: str | None = None) -> Visitor:
        visitors.append(Visitor(browser, f"{dashboard.page}/?{query}", width, height, zone=zone))
        return visitors[-1]

    yield open_page
    if request.node.stash.get(FAILED, False):
        for number, visitor in enumerate(visitors):
            visitor.page.screenshot(path=tmp_path / f"failed-{number}.png")
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints()]
    for visitor in visitors:
        visitor.close()
    assert complaints == []


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    """One visitor of the page, when both models are ready."""
    visitor = visit()
    for role in ("current", "new"):
        visitor.reads(f"card-{role}", "Ready")
    return visitor


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test failed, so that its browsers leave a picture."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report
