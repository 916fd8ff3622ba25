"""Promotion, its undo, and a promotion that was interrupted."""

from __future__ import annotations

import pytest

from mnist_dash.domain import Change, ChangeContext, Promote, Role, State, Strategy, UndoPromote
from tests.fakes import CNN, LINEAR, FakeEngine, deployment, snapshot
from tests.page.conftest import Page


def test_promote_shows_before_and_after_and_then_swaps(page: Page, engine: FakeEngine) -> None:
    """The dialog names both models before anything changes."""
    page.click("promote")
    assert engine.changes == []
    for text in ("**Now**", "**Afterwards**", LINEAR, CNN, "All traffic then goes to the new Current"):
        assert text in page.text
    page.click("promote-confirm")
    assert engine.changes == [Promote()]
    assert engine.observed.current is not None
    assert engine.observed.current.base == CNN
    assert page.run().at.radio("strategy").value == Strategy.CURRENT_ONLY


def test_a_second_browser_does_not_undo_a_promotion_by_promoting(page: Page, engine: FakeEngine) -> None:
    """Of two browsers with the same dialog open, the second gets an error."""
    page.click("promote")
    engine.apply(Promote(), ChangeContext())
    page.click("promote-confirm")
    assert engine.changes == [Promote()]
    assert "The roles were swapped meanwhile." in page.text


def test_a_promotion_can_be_undone_by_a_button_that_names_its_effect(page: Page, engine: FakeEngine) -> None:
    """The button is there after a promotion only."""
    assert not page.has("undo-promote")
    page.click("promote").click("promote-confirm").run()
    assert page.at.button("undo-promote").label == f"Undo: make {LINEAR} the Current again"
    page.click("undo-promote")
    assert engine.changes == [Promote(), UndoPromote()]
    assert engine.observed == snapshot(split_desired=0, split_observed=0)


@pytest.mark.parametrize(("key", "change"), [("finish-promotion", Promote()), ("take-back", UndoPromote())])
def test_an_interrupted_promotion_is_finished_or_taken_back(
    page: Page, engine: FakeEngine, key: str, change: Change
) -> None:
    """Every other change is disabled until then, with the reason."""
    engine.observed = snapshot(interrupted_promotion="A promotion stopped half-way.")
    page.run()
    assert "A promotion stopped half-way." in page.text
    assert not page.has("promote")
    for other in ("deploy-current", "deploy-new", "remove-new", "set-strategy"):
        assert page.at.button(other).disabled
    assert "Finish the promotion or take it back first." in page.at.button("deploy-new").help
    page.click(key)
    assert engine.changes == [change]
    assert page.run().has("promote")


def test_promote_is_disabled_with_the_reason_while_new_is_not_ready(page: Page, engine: FakeEngine) -> None:
    """A model that cannot answer does not become Current."""
    engine.observed = snapshot(
        new=deployment(Role.NEW, ready=0, state=State.STARTING, cause="It is loading.")
    )
    assert page.run().at.button("promote").disabled
    assert "New has no ready replica. It is loading." in page.text
