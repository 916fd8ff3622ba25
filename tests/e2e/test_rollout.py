"""Rolling out in a browser: the strategy, a re-deploy under load, a deploy that fails, promote and undo."""

from __future__ import annotations

from contextlib import closing

import pytest
from playwright.sync_api import expect

from mnist_dash.dataset import load_digits
from tests.e2e.browser import PATIENCE, Visitor
from tests.load import ask, constant_load, within_five_deviations

CALLS = 200
IMAGE = load_digits().images[0]
PAUSE = 0.02
"""Seconds between two requests of constant load, which leave the cores to what is being tested."""


def test_the_gateway_divides_as_the_page_says(visitor: Visitor) -> None:
    """Other clients of the gateway observe the percentage set on the page, within chance."""
    visitor.set_strategy("Canary", 30)
    with closing(visitor.gateway()) as gateway:
        calls = ask(gateway, IMAGE, CALLS)
    assert within_five_deviations(calls.roles["new"], CALLS, 30)


@pytest.mark.parametrize(("strategy", "role"), [("New only", "new"), ("Current only", "current")])
def test_only_means_only(visitor: Visitor, strategy: str, role: str) -> None:
    """One model answers each of 200 calls."""
    visitor.set_strategy(strategy)
    with closing(visitor.gateway()) as gateway:
        assert ask(gateway, IMAGE, CALLS).roles == {role: CALLS}


def test_a_redeploy_loses_no_request(visitor: Visitor) -> None:
    """Under constant load, New gets two replicas through the dialog, and the split stays."""
    visitor.set_strategy("Canary", 32)
    with closing(visitor.gateway()) as gateway, constant_load(gateway, IMAGE, pause=PAUSE) as calls:
        visitor.open_deploy("new")
        visitor.fill(replicas=2)
        visitor.confirm_deploy()
        visitor.is_ready("new", replicas=2)
    assert calls.failures == []
    assert set(calls.roles) == {"current", "new"}
    visitor.reads("in-force", "New 32 %")


def test_promote_and_undo_swap_the_models(visitor: Visitor) -> None:
    """After the dialog the CNN is Current and answers as such, until undo."""
    visitor.press("promote")
    dialog = visitor.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Afterwards", timeout=PATIENCE)
    visitor.press("promote-confirm")
    visitor.reads("card-current", "cnn")
    visitor.reads("card-new", "linear")
    visitor.reads("in-force", "Current 100 %")
    expect(dialog).to_be_hidden(timeout=PATIENCE)
    visitor.draw(3)
    visitor.press("predict")
    visitor.reads("answer", "cnn says 3")
    visitor.press("undo-promote")
    visitor.reads("card-current", "linear")
    visitor.reads("card-new", "cnn")
    visitor.press("predict")
    visitor.reads("answer", "linear says 3")
