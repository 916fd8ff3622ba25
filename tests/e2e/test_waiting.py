"""A hanging model and a slow cluster: the page says so at once, moves nothing, and stays usable."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import PATIENCE, Visitor
from tests.e2e.server import APP, Server, serve

SLOW_CLUSTER = f"""
import time
from pathlib import Path

from mnist_dash.panels import lifecycle
from tests import fakes


class SlowEngine(fakes.FakeEngine):
    def apply(self, change, context):
        while not Path({{released!r}}).exists():
            time.sleep(0.05)
        super().apply(change, context)


lifecycle.open_dashboard = lambda _: fakes.dashboard(SlowEngine(in_cluster=True))[0]
exec(compile(Path({str(APP)!r}).read_text(), {str(APP)!r}, "exec"))
"""
"""The page on an engine whose API server answers once the file `released` exists."""


@contextlib.contextmanager
def suspended(server: Server, model: str) -> Iterator[None]:
    """Let the servers of a model hang until the block ends, unless the supervisor replaces them before."""
    hanging = [process for process in server.serving() if any(model in word for word in process.cmdline())]
    assert hanging
    for process in hanging:
        process.suspend()
    try:
        yield
    finally:
        for process in hanging:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def places(visitor: Visitor, *keys: str) -> list[object]:
    """Return where parts of the page are, in CSS pixels."""
    return [visitor.part(key).first.bounding_box() for key in keys]


def predict_until_answered(visitor: Visitor) -> None:
    """Press Predict again when a replica that is being replaced has lost the request."""
    for _ in range(6):
        visitor.press("predict")
        with contextlib.suppress(AssertionError):
            expect(visitor.part("answer")).to_contain_text("says 7", timeout=PATIENCE / 4)
            return
    raise AssertionError("Predict has led to no answer.")


def test_a_hanging_model_is_named_and_the_page_stays_usable(visitor: Visitor, dashboard: Server) -> None:
    """Nothing moves, Clear gives up, and Predict works as soon as the model does."""
    visitor.set_strategy("Current only")
    visitor.draw(7)
    keys = ("bars", "predict", "traffic", "strategy-card")
    before = places(visitor, *keys)
    with suspended(dashboard, "linear"):
        visitor.press("predict")
        expect(visitor.part("answer").get_by_test_id("stAlertDynamicIcon")).to_be_visible(timeout=PATIENCE)
        visitor.reads("answer", re.compile(r"No answer for \d+ s from linear"))
        assert places(visitor, *keys) == before
        visitor.clear()
        visitor.reads("answer", "Draw a digit from 0 to 9")
        visitor.draw(7)
    predict_until_answered(visitor)


def test_compare_waits_for_a_hanging_model_too(visitor: Visitor, dashboard: Server) -> None:
    """It may be either of both."""
    visitor.switch("compare")
    visitor.draw(7)
    with suspended(dashboard, "cnn"):
        visitor.press("predict")
        visitor.reads("answer", re.compile(r"No answer for \d+ s from linear or cnn"))
        visitor.switch("compare")


def test_a_change_on_a_slow_cluster_shows_a_spinner_and_moves_nothing(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its button keeps the focus, and takes no second click."""
    released, script = tmp_path / "released", tmp_path / "slow_cluster.py"
    script.write_text(SLOW_CLUSTER.format(released=str(released)))
    monkeypatch.setenv("PYTHONPATH", str(APP.parent))
    with serve(tmp_path / "state", script=script) as server:
        visitor = Visitor(browser, server.page)
        visitor.choose("New only")
        visitor.reads("strategy-buttons", "Not sent yet: New only.")
        keys = ("set-strategy", "card-current", "strategy-card", "promote")
        before = places(visitor, *keys)
        spinner = visitor.part("set-strategy").get_by_test_id("stSpinnerIcon")
        visitor.press("set-strategy")
        expect(spinner).to_be_visible(timeout=PATIENCE)
        visitor.reads("strategy-buttons", "Sending the change.")
        assert places(visitor, *keys) == before
        expect(visitor.part("set-strategy").get_by_role("button")).to_be_focused(timeout=PATIENCE)
        expect(visitor.part("promote").get_by_role("button")).to_be_disabled(timeout=PATIENCE)
        visitor.draw(7)
        visitor.press("predict")
        visitor.reads("answer", "says 7")
        released.touch()
        visitor.reads("in-force", "New 100 %")
        expect(spinner).to_be_hidden(timeout=PATIENCE)
        assert places(visitor, *keys) == before
        assert visitor.complaints() == []
        visitor.close()
