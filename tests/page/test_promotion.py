"""Promotion, its undo, and a promotion that was interrupted."""

from __future__ import annotations

import re
import time

import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import (
    Change,
    ChangeContext,
    Deployment,
    Promote,
    Role,
    Route,
    Snapshot,
    State,
    Strategy,
    UndoPromote,
)
from mnist_dash.errors import ServingError
from mnist_dash.service import Dashboard
from tests.fakes import CNN, LINEAR, FakeEngine, FakeServing, deployment, snapshot, sure_of
from tests.page.conftest import Page


def test_promote_shows_before_and_after_and_then_swaps(page: Page, engine: FakeEngine) -> None:
    """The dialog names both models before anything changes."""
    page.click("promote")
    assert engine.changes == []
    for text in (
        "**Now**",
        "**Afterwards**",
        "**linear** version 1",
        "**cnn** version 1",
        "All traffic then",
    ):
        assert text in page.text
    page.click("promote-confirm")
    assert engine.changes == [Promote()]
    assert engine.observed.current is not None
    assert engine.observed.current.base == CNN
    assert page.run().at.radio("strategy").value == Strategy.CURRENT_ONLY


def review(page: Page) -> str:
    """Return the text of the table and the remarks in the dialog, without markup."""
    table = "".join(html.proto.body for html in page.at.get("html") if "Agreement" in html.proto.body)
    remarks = [text.value for text in page.at.markdown if ":material/" in text.value]
    return " ".join([*re.sub(r"<[^>]*>", " ", table).split(), *remarks])


def wait_for_search(dash: Dashboard) -> None:
    """Wait until the search for disagreements is over."""
    deadline = time.monotonic() + 30
    while not dash.review_promotion(retry=False).disagreements.is_finished:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_dialog_shows_what_is_known_of_both_models(
    page: Page, dash: Dashboard, serving: FakeServing
) -> None:
    """Their accuracies, how often they agree, and their answers so far, at whatever split."""
    serving.answers = {Role.CURRENT: sure_of(7), Role.NEW: sure_of(3)}
    for truth in (7, 7, 3, 3):
        dash.predict(load_digits().images[truth], Route.CURRENT, truth=truth)
    dash.predict(load_digits().images[3], Route.NEW, truth=3)
    page.click("promote")
    wait_for_search(dash)
    text = review(page.run())
    for part in (
        "● linear Current ▲ cnn New",
        "Accuracy 92.4 % of 2,000 digits 99.5 % of 2,000 digits",
        "Agreement 0.0 % of 2,000 digits",
        "Answers 4 50.0 % right 0 errors 1 100 % right 0 errors",
        ":material/check: New is more accurate by 7.1 points.",
        ":material/check: New answered 1 request, none failed.",
    ):
        assert part in text


def test_the_dialog_warns_of_a_worse_new(page: Page, engine: FakeEngine) -> None:
    """One that is less accurate, or whose requests failed; what nobody knows is a warning, too."""
    engine.observed = snapshot(new=deployment(Role.NEW, accuracy=0.9))
    page.click("promote")
    assert ":red[:material/warning: **New is less accurate by 2.4 points.**]" in review(page)
    assert ":red[:material/warning: **New has answered no request yet.**]" in review(page)
    engine.observed = snapshot(new=deployment(Role.NEW, accuracy=None))
    assert "- unchecked" in review(page.run())
    assert "**New is unchecked: its accuracy is unknown.**" in review(page)


def test_the_dialog_counts_failed_requests(page: Page, dash: Dashboard, serving: FakeServing) -> None:
    """Those of New are a warning; those of an unknown model are counted apart."""
    for role in (Role.NEW, None):
        serving.error = ServingError("The model broke off (502).")
        serving.error.role = role
        with pytest.raises(ServingError):
            dash.predict(load_digits().images[0])
    page.click("promote")
    assert "Answers 1 error, unknown model 0 0 errors 0 1 error" in review(page)
    assert "**New's only request failed.**" in review(page)


def test_a_failed_search_for_disagreements_is_not_repeated_by_the_dialog(
    page: Page, dash: Dashboard, serving: FakeServing
) -> None:
    """It says so, and the next dialog tries again."""
    serving.error = ServingError("No model is ready.")
    page.click("promote")
    wait_for_search(dash)
    assert "Agreement - unknown: a model did not answer" in review(page.run())
    asked = len(serving.asked)
    page.run()
    assert len(serving.asked) == asked
    serving.error = None
    page.click("cancel").click("promote")
    wait_for_search(dash)
    assert "Agreement 100 % of 2,000 digits" in review(page.run())


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
    assert page.at.button("undo-promote").label == "Roll back to linear"
    assert "Former" in page.text
    assert page.at.button("promote").disabled
    assert page.at.button("deploy-new").label == "Deploy New"
    page.click("undo-promote")
    assert engine.changes == [Promote(), UndoPromote()]
    assert engine.observed == snapshot()


def test_after_a_promotion_the_whole_page_says_former(page: Page, engine: FakeEngine) -> None:
    """Strategy, its controls and notes, and the calls, as on the card."""
    engine.observed = snapshot(can_undo_promote=True, split_desired=0, split_observed=0)
    page.choose(Strategy.NEW_ONLY)
    assert page.at.radio("strategy").options == ["Current only", "Former only", "Canary"]
    assert page.at.slider("canary-percent").label == "Percent of the requests that Former receives"
    assert "Not sent yet: Former only." in page.text
    page.open("Call it")
    assert page.at.radio("call-route").options[-1] == "Always Former"
    assert "All requests go to Former." in page.click("set-strategy").text


def test_undoing_in_two_browsers_is_one_undo(page: Page, engine: FakeEngine) -> None:
    """The second click changes nothing and reports nothing."""
    page.click("promote").click("promote-confirm").run()
    engine.apply(UndoPromote(), ChangeContext())
    page.click("undo-promote")
    assert engine.changes == [Promote(), UndoPromote()]
    assert not page.at.toast
    assert engine.observed == snapshot()


def test_a_deployment_on_former_makes_it_new_again(page: Page, engine: FakeEngine) -> None:
    """Nothing is left to roll back to."""
    engine.observed = snapshot(can_undo_promote=True)
    page.run().click("deploy-new").deploy(CNN, 2)
    page.run()
    assert not page.has("undo-promote")
    assert "Former" not in page.text
    assert page.at.button("deploy-new").label == "Re-deploy New"


@pytest.mark.parametrize("current", [None, deployment(ready=0, state=State.FAILED, cause="It ended.")])
def test_with_current_gone_nobody_answers_and_a_click_helps(
    page: Page, engine: FakeEngine, current: Deployment | None
) -> None:
    """No split is shown as in force, and New becomes Current without a question."""
    engine.observed = snapshot(current=current)
    page.run()
    assert "In force: :red-badge[:material/error: Nobody answers]" in page.text
    assert "Current 80 %" not in page.text
    assert "Nobody answers: " in page.text
    assert page.at.button("promote-now").label == "Make New the Current"
    page.click("promote-now")
    assert engine.changes == [Promote()]
    assert "Nobody answers" not in page.run().text


def test_with_current_gone_and_new_not_ready_there_is_no_promise(page: Page, engine: FakeEngine) -> None:
    """The note stays, and the button is disabled."""
    engine.observed = snapshot(current=None, new=deployment(Role.NEW, ready=0, state=State.STARTING))
    assert page.run().at.button("promote").disabled
    assert not page.has("promote-now")
    assert "Nobody answers: there is no Current model." in page.text


@pytest.mark.parametrize(
    "observed",
    [
        snapshot(),
        snapshot(current=None, new=None),
        snapshot(current=None),
        snapshot(can_undo_promote=True),
        snapshot(new=deployment(Role.NEW, base=LINEAR)),
        snapshot(interrupted_promotion="A promotion stopped half-way."),
    ],
)
def test_every_button_has_a_name_of_its_own(page: Page, engine: FakeEngine, observed: Snapshot) -> None:
    """A screen reader's list of buttons has no two that sound alike."""
    engine.observed = observed
    labels = [button.label for button in page.run().at.button]
    assert len(labels) > 5
    assert sorted(set(labels)) == sorted(labels)


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
