"""History and logs in a real browser: the times are the viewer's, and the newest lines are in view."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import psutil
import pytest
from playwright.sync_api import Locator, expect

from mnist_dash.domain import HistoryEntry, Role
from mnist_dash.local.desired_state import BUNDLED, DesiredState, StateFile
from mnist_dash.panels.history import time_of_day
from tests.e2e.browser import PATIENCE, SECONDS, Visitor
from tests.e2e.conftest import Visit
from tests.e2e.server import Server, serve

ZONE: Final = "Australia/Adelaide"
"""Half an hour off all whole hours."""
ENTRIES: Final = 30
ENDS_IN_VIEW: Final = """() => {
  let box = document.querySelector(".st-key-log-gateway");
  while (box && box.scrollHeight <= box.clientHeight + 1) box = box.parentElement;
  return box && box.closest(".stExpander")
    && box.scrollTop > 0 && box.scrollTop + box.clientHeight >= box.scrollHeight - 2;
}"""


@pytest.fixture(scope="module")
def new_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model base of New, which a test may break."""
    return shutil.copytree(BUNDLED / "cnn", tmp_path_factory.mktemp("models") / "cnn")


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory, new_base: Path) -> Iterator[Server]:
    """A dashboard with many earlier changes in its state file, and one at a time that does not exist."""
    state = tmp_path_factory.mktemp("dashboard") / "state"
    desired = DesiredState().deploy(Role.CURRENT, str(BUNDLED / "linear"), 1)
    desired = desired.deploy(Role.NEW, str(new_base), 1)
    for number in range(ENTRIES):
        desired = desired.remember(HistoryEntry(1_700_000_000.0 + number, "ada", f"Change {number}"))
    with closing(StateFile(state)) as file:
        file.save(desired)
        document = json.loads(file.path.read_text())
        document["history"].append({"at": 1e18, "by": "ada", "what": "Change in a far future"})
        file.path.write_text(json.dumps(document))
    with serve(state) as server:
        yield server


def kill_server(dashboard: Server, base: Path) -> None:
    """Kill the model server of a base, as the system does when memory runs out."""
    (server,) = [child for child in dashboard.serving() if str(base) in child.cmdline()]
    server.kill()
    psutil.wait_procs([server], timeout=PATIENCE / SECONDS)


def rows_of(visitor: Visitor) -> Locator:
    """Return the rows of the table, without its head."""
    return visitor.part("history").get_by_role("row").filter(has=visitor.page.get_by_role("cell"))


def test_a_killed_replica_is_in_the_timeline_in_the_viewers_zone(visit: Visit, dashboard: Server) -> None:
    """Its end, and what replaced it; the newest first."""
    visitor = visit(zone=ZONE)
    for role in ("current", "new"):
        visitor.reads(f"card-{role}", "Ready")
    visitor.open_tab("History")
    expect(rows_of(visitor).filter(has_text="Ready").first).to_be_visible(timeout=PATIENCE)
    killed_at = time.time()
    kill_server(dashboard, BUNDLED / "linear")
    replaced = rows_of(visitor).filter(has_text="Replica replaced").filter(has_text="linear")
    expect(replaced).to_be_visible(timeout=PATIENCE)
    texts = rows_of(visitor).all_inner_texts()
    newest_first = [
        next(number for number, text in enumerate(texts) if words in text and "linear" in text)
        for words in ("Replica replaced", "Replica ended", "Ready")
    ]
    assert newest_first == sorted(newest_first)
    zone, now = ZoneInfo(ZONE), time.time()
    expected = {time_of_day(at, now, zone) for at in range(int(killed_at) - 1, int(now) + 2)}
    assert any(texts[newest_first[0]].strip().startswith(shown) for shown in expected)
    visitor.reads("history-pages", f"Times are {ZONE}.")


def test_the_timeline_has_pages_of_20_and_a_filter(visit: Visit) -> None:
    """A change whose time does not exist is left out, and breaks nothing."""
    visitor = visit()
    visitor.open_tab("History")
    visitor.part("history-filter").get_by_text("Changes").click()
    visitor.reads("history-pages", f"1 to 20 of {ENTRIES}, newest first.")
    expect(rows_of(visitor)).to_have_count(20, timeout=PATIENCE)
    expect(rows_of(visitor).first).to_contain_text(f"Change {ENTRIES - 1}")
    visitor.press("history-older")
    visitor.reads("history-pages", f"21 to {ENTRIES} of {ENTRIES}, newest first.")
    expect(rows_of(visitor)).to_have_count(ENTRIES - 20, timeout=PATIENCE)
    expect(rows_of(visitor).last).to_contain_text("Change 0")
    expect(visitor.part("history-older").get_by_role("button")).to_be_disabled(timeout=PATIENCE)
    visitor.press("history-newer")
    visitor.reads("history-pages", f"1 to 20 of {ENTRIES}, newest first.")
    visitor.part("history-filter").get_by_text("Events").click()
    expect(rows_of(visitor).filter(has_text=re.compile(r"Change \d"))).to_have_count(0, timeout=PATIENCE)
    expect(rows_of(visitor).filter(has_text="Ready").first).to_be_visible(timeout=PATIENCE)


def test_a_crash_looping_server_is_listed_with_its_last_words(
    visit: Visit, dashboard: Server, new_base: Path
) -> None:
    """Its log has the viewer's times, and a long log is scrolled to its newest line."""
    visitor = visit(390, 844, zone=ZONE)
    visitor.reads("card-new", "Ready")
    graph = new_base / "model" / "1" / "saved_model.pb"
    content = graph.read_bytes()
    graph.write_bytes(b"no graph")
    try:
        kill_server(dashboard, new_base)
        visitor.open_tab("Objects")
        looping = visitor.page.locator("[class*='st-key-object-']").filter(has_text="crash-looping").first
        expect(looping).to_be_visible(timeout=PATIENCE)
        last_words = re.compile(rf"^\d\d:\d\d:\d\d {re.escape(str(graph))} is not a SavedModel")
        log = looping.locator("[class*='st-key-log-'] code")
        for _ in range(10):  # the next try takes its place, ever later
            looping.locator("summary").click()
            with suppress(AssertionError):
                expect(log).to_have_text(last_words, timeout=5 * SECONDS)
                break
        else:
            pytest.fail("No crash-looping server has last words.")
    finally:
        graph.write_bytes(content)
    # The next try may be half a minute away.
    expect(visitor.part("card-new")).to_contain_text("1 of 1 replicas ready", timeout=4 * PATIENCE)
    visitor.part("object-Gateway-gateway").locator("summary").click()
    log = visitor.part("log-gateway")
    expect(log).to_contain_text("Routing 1:", timeout=PATIENCE)
    assert "Routing " in log.inner_text().splitlines()[-1]
    visitor.page.wait_for_function(ENDS_IN_VIEW)
