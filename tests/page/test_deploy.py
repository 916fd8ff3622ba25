"""The model cards, and the dialogs that deploy, remove, preview and take over."""

from __future__ import annotations

import pytest
import streamlit as st

from mnist_dash.domain import (
    Change,
    ChangeContext,
    Deploy,
    Promote,
    Remove,
    Replacement,
    Role,
    SetSplit,
    State,
    Strategy,
    Suggestion,
    UndoPromote,
)
from mnist_dash.errors import EngineError, ModelError
from tests.fakes import CNN, LINEAR, FakeEngine, check_of, deployment, snapshot
from tests.page.conftest import Page

BUCKET = "gs://models/mnist/cnn"
NO_FOLDER = ModelError("There is no folder /nowhere.", "Check the path.")
CONFLICT = EngineError("The weight belongs to argocd since 14:03.", "Change it there.", can_take_over=True)
DEPLOY_CNN = Deploy(Role.NEW, check_of(CNN), 1)
NEW_ONLY = SetSplit(100)


@pytest.mark.parametrize("state", list(State))
def test_a_card_shows_the_state_with_its_cause_and_next_step(
    page: Page, engine: FakeEngine, state: State
) -> None:
    """And how many replicas are ready."""
    engine.observed = snapshot(
        new=deployment(
            Role.NEW, desired=2, ready=1, state=state, cause="A Pod exited.", next_step="See its log."
        )
    )
    page.run()
    for text in (state.value.capitalize(), "1 of 2 replicas ready", "A Pod exited. See its log."):
        assert text in page.text


def test_a_card_shows_name_version_and_accuracy(page: Page, engine: FakeEngine) -> None:
    """The folder and the release are in a tooltip; an accuracy that is not known is not left out."""
    assert [heading.value.split()[-1] for heading in page.at.subheader[:2]] == ["linear]", "cnn]"]
    for text in ("99.5 % of 2,000 digits", "version 1 · 1 of 1 replicas ready · 92.4 %"):
        assert text in page.text
    tooltips = [text.help for text in page.at.markdown]
    assert f"`{CNN}/model/1/`, release green" in tooltips
    engine.observed = snapshot(new=deployment(Role.NEW, base=BUCKET, accuracy=None))
    assert "1 of 1 replicas ready · unchecked" in page.run().text


def test_during_a_redeploy_the_card_counts_both_models(page: Page, engine: FakeEngine) -> None:
    """And no replicas of one among those of the other."""
    cause = "cnn answers with 8 replicas; linear is starting, 0 of 1."
    replacement = Replacement(LINEAR, desired=1, ready=0)
    new = deployment(Role.NEW, ready=8, desired=1, state=State.UPDATING, cause=cause, replacement=replacement)
    engine.observed = snapshot(new=new)
    page.run()
    assert cause in page.text
    assert "8 of 1" not in page.text + "".join(caption.help for caption in page.at.caption)


def test_deploy_fills_an_empty_role(page: Page, engine: FakeEngine) -> None:
    """The dialog asks for base and replicas, deploys, closes, and shows warnings of the check."""
    engine.observed = snapshot(new=None, split_desired=0, split_observed=0)
    engine.warnings = ("It got only 31 % of the check digits right.",)
    assert page.run().at.button("deploy-new").label == "Deploy New"
    page.click("deploy-new").deploy(CNN, 2)
    assert engine.changes == [Deploy(Role.NEW, check_of(CNN, warnings=engine.warnings), 2)]
    assert "cnn is ready as New: 2 of 2 replicas." in page.text
    assert not page.run().has("deploy-confirm")


def test_redeploy_starts_from_the_deployed_model(page: Page, engine: FakeEngine) -> None:
    """Only what changes has to be typed; the model's name is fixed."""
    engine.observed = snapshot(new=deployment(Role.NEW, desired=3, ready=3))
    assert page.run().at.button("deploy-new").label == "Re-deploy New"
    page.click("deploy-new")
    assert page.at.text_input("deploy-base").value == CNN
    assert page.at.number_input("deploy-replicas").value == 3
    name = page.at.text_input("deploy-name")
    assert (name.value, name.disabled) == ("model", True)
    page.click("deploy-confirm")
    assert engine.changes == [Deploy(Role.NEW, check_of(CNN), 3)]


def test_each_role_s_dialog_starts_from_its_own_model(page: Page) -> None:
    """A base typed for one role does not appear in the other's dialog."""
    page.click("deploy-new").fill("/somewhere/else").run()
    page.at.session_state["session"].close()
    page.run().click("deploy-current")
    assert page.at.text_input("deploy-base").value == LINEAR


def test_a_suggestion_fills_in_the_base(page: Page) -> None:
    """The bundled models need no typing."""
    page.click("deploy-new").click("suggest-0")
    assert page.at.text_input("deploy-base").value == LINEAR


def test_an_unfit_model_keeps_the_dialog_and_its_fields(page: Page, engine: FakeEngine) -> None:
    """Problem and next step are in the dialog, nothing has changed, and a corrected base deploys."""
    engine.unfit["/nowhere"] = NO_FOLDER
    page.click("deploy-new").deploy("/nowhere", 4)
    assert str(NO_FOLDER) in page.text
    assert page.at.text_input("deploy-base").value == "/nowhere"
    assert page.at.number_input("deploy-replicas").value == 4
    assert engine.changes == []
    page.deploy(CNN, 1)
    assert engine.changes == [DEPLOY_CNN]
    assert str(NO_FOLDER) not in page.text


def test_the_base_that_was_meant_is_one_click_away(page: Page, engine: FakeEngine) -> None:
    """It fills the field; the problem is over, and nothing has been deployed."""
    engine.unfit["/cnm"] = ModelError("There is no folder /cnm.", f"Did you mean {CNN}?", suggestions=(CNN,))
    page.click("deploy-new").deploy("/cnm").click("use-0")
    assert page.at.text_input("deploy-base").value == CNN
    assert "There is no folder" not in page.text
    assert engine.changes == []
    page.click("deploy-confirm")
    assert engine.changes == [DEPLOY_CNN]


def test_what_lies_in_a_folder_is_shown_when_asked(page: Page, engine: FakeEngine) -> None:
    """A mistyped path does not show a room what is on the disk."""
    several = LINEAR, CNN
    engine.unfit["/a"] = ModelError("There is no folder /a.", "Check the path.", content="/ holds private.")
    engine.unfit["/b"] = ModelError("/b is too high.", "Give one of the 2 in it.", suggestions=several)
    page.click("deploy-new").deploy("/a")
    assert "private" not in page.text
    assert "/ holds private." in page.click("show-content").text
    assert "private" not in page.deploy("/b").text
    assert not page.has("use-0")
    page.click("show-content").click("use-1")
    assert page.at.text_input("deploy-base").value == CNN


def test_a_deployment_by_somebody_else_is_replaced_only_knowingly(page: Page, engine: FakeEngine) -> None:
    """It happened while the dialog was open; another click after the reason was read deploys."""
    page.click("deploy-new").fill(CNN, 2)
    engine.apply(Deploy(Role.NEW, check_of(LINEAR), 3), ChangeContext())
    page.click("deploy-confirm")
    assert "Somebody else deployed to New meanwhile. Check what is deployed now." in page.text
    assert len(engine.changes) == 1
    page.click("confirm-anyway")
    assert engine.changes[1:] == [Deploy(Role.NEW, check_of(CNN), 2)]
    assert not page.run().has("deploy-confirm")


@pytest.mark.parametrize("key", ["deploy-new", "remove-new", "promote"])
def test_every_dialog_can_be_cancelled(page: Page, engine: FakeEngine, key: str) -> None:
    """Nothing has changed then."""
    assert page.click(key).has("cancel")
    page.click("cancel")
    assert not page.run().has("cancel")
    assert engine.changes == []


def test_on_a_cluster_the_dialog_offers_the_models_in_the_buckets(page: Page, engine: FakeEngine) -> None:
    """They are listed once, after the form is there; choosing a model fills in the base."""
    engine.in_cluster, engine.offered = True, (Suggestion("cnn", BUCKET),)
    page.run().click("deploy-new")
    assert page.at.text_input("deploy-base").placeholder == "gs://bucket/path"
    engine.offered = ()
    page.at.selectbox("suggestion").select_index(0)
    page.run()
    assert page.at.text_input("deploy-base").value == BUCKET


def test_an_unverified_model_is_deployed_after_a_second_confirmation(page: Page, engine: FakeEngine) -> None:
    """It may be fit; the first click shows the reason and deploys nothing."""
    engine.in_cluster, engine.unverified = True, {BUCKET: "Access is refused. Ask for the role Viewer."}
    page.run().click("deploy-new").deploy(BUCKET)
    assert "could not be checked from here. Access is refused. Ask for the role Viewer." in page.text
    assert engine.changes == []
    page.click("deploy-unchecked")
    (change,) = engine.changes
    assert isinstance(change, Deploy)
    assert change.check.base == BUCKET
    assert engine.checked == [BUCKET]
    assert "is ready as New: 1 of 1 replicas." in page.text


def test_deploying_unchecked_applies_to_one_base_only(page: Page, engine: FakeEngine) -> None:
    """Another base typed meanwhile is checked, and asked about again."""
    engine.unverified = {BUCKET: "Access is refused.", "gs://other": "It does not answer."}
    page.click("deploy-new").deploy(BUCKET).fill("gs://other").click("deploy-unchecked")
    assert "It does not answer." in page.text
    assert engine.changes == []


def test_an_unverified_model_is_checked_again_on_the_next_click(page: Page, engine: FakeEngine) -> None:
    """The access may have been granted meanwhile."""
    engine.unverified = {BUCKET: "Access is refused."}
    page.click("deploy-new").deploy(BUCKET)
    engine.unverified = {}
    page.click("deploy-confirm")
    assert engine.changes == [Deploy(Role.NEW, check_of(BUCKET), 1)]


@pytest.mark.parametrize(
    ("role", "effect"),
    [(Role.NEW, "all traffic goes to Current"), (Role.CURRENT, "all predictions fail")],
)
def test_remove_shows_its_effect_before_it_acts(
    page: Page, engine: FakeEngine, role: Role, effect: str
) -> None:
    """A single click removes nothing, and neither does Cancel."""
    page.click(f"remove-{role}").click("cancel")
    assert not page.run().has("remove-confirm")
    page.click(f"remove-{role}")
    assert effect in page.text
    assert engine.changes == []
    page.click("remove-confirm")
    assert engine.changes == [Remove(role)]
    assert not page.run().has("remove-confirm")


def test_an_engine_s_error_keeps_the_dialog_with_its_reason(page: Page, engine: FakeEngine) -> None:
    """An error that is no conflict has no button to take over."""
    page.click("remove-new")
    engine.refusal = EngineError("Another change is under way.", "Wait until it is done.")
    page.click("remove-confirm")
    assert "Another change is under way. Wait until it is done." in page.text
    assert page.has("remove-confirm")
    assert not page.has("take-over")


def test_a_preview_of_a_deployment_checks_the_model_once(page: Page, engine: FakeEngine) -> None:
    """The deployment itself does not check it again; an unfit model has no preview, but a reason."""
    engine.in_cluster, engine.difference = True, "-  replicas: 1\n+  replicas: 2"
    engine.unfit["/nowhere"] = NO_FOLDER
    page.run().click("deploy-new").fill("/nowhere").click("deploy-difference")
    assert str(NO_FOLDER) in page.text
    assert engine.previewed == []
    page.fill(CNN, 2).click("deploy-difference")
    assert "+  replicas: 2" in page.text
    assert "Deploy cnn version 1 as New with 2 replicas" in page.text
    assert engine.changes == []
    page.click("deploy-confirm")
    assert engine.changes == [Deploy(Role.NEW, check_of(CNN), 2)]
    assert engine.checked == ["/nowhere", CNN]


@pytest.mark.parametrize(("key", "change"), [("remove-new", Remove(Role.NEW)), ("promote", Promote())])
def test_a_preview_is_made_when_it_is_unfolded(
    page: Page, engine: FakeEngine, key: str, change: Change
) -> None:
    """And once for as long as it is open."""
    engine.in_cluster, engine.difference = True, "-  a\n+  b"
    page.run().click(key)
    assert engine.previewed == []
    page.unfold("difference").run()
    assert engine.previewed == [change]
    assert "+  b" in page.text


def test_a_failed_preview_shows_the_reason_and_an_empty_one_says_so(page: Page, engine: FakeEngine) -> None:
    """The dialog stays usable."""
    engine.in_cluster = True
    page.run().click("remove-new")
    assert "Nothing changes." in page.unfold("difference").text
    page.click("cancel")
    engine.refusal = EngineError("The cluster does not answer.", "Try again.")
    page.click("remove-new")
    assert "The cluster does not answer. Try again." in page.unfold("difference").text


def test_the_local_engine_has_no_previews(page: Page) -> None:
    """There is no cluster whose objects could differ."""
    assert not page.has("preview-split")
    assert not page.click("deploy-new").has("deploy-difference")


@pytest.mark.parametrize(
    ("key", "confirm", "change"),
    [
        ("deploy-new", "deploy-confirm", DEPLOY_CNN),
        ("remove-new", "remove-confirm", Remove(Role.NEW)),
        ("promote", "promote-confirm", Promote()),
    ],
)
def test_a_conflict_can_be_taken_over_in_the_dialog(
    page: Page, engine: FakeEngine, key: str, confirm: str, change: Change
) -> None:
    """By a button of its own, after the page has named the owner."""
    engine.refusal = CONFLICT
    page.click(key).click(confirm)
    assert str(CONFLICT) in page.text
    assert engine.changes == []
    page.click("take-over")
    assert (engine.changes, engine.contexts) == ([change], [ChangeContext("", take_over=True)])
    assert not page.run().has("take-over")


@pytest.mark.parametrize(("key", "change"), [("set-strategy", NEW_ONLY), ("undo-promote", UndoPromote())])
def test_a_conflict_without_a_dialog_can_be_taken_over_in_place(
    page: Page, engine: FakeEngine, key: str, change: Change
) -> None:
    """Or left as it is."""
    engine.observed = snapshot(can_undo_promote=True)
    engine.refusal = CONFLICT
    page.run().choose(Strategy.NEW_ONLY).click(key)
    assert str(CONFLICT) in page.text
    page.click("leave-it")
    assert not page.has("take-over")
    page.click(key).click("take-over")
    assert (engine.changes, engine.contexts) == ([change], [ChangeContext("", take_over=True)])
    assert not page.run().has("take-over")


@pytest.mark.usefixtures("dash")
@pytest.mark.parametrize(
    ("claims", "by"),
    [
        ({}, ""),
        ({"is_logged_in": False}, ""),
        ({"is_logged_in": True, "email": "ada@example.com", "name": "Ada"}, "ada@example.com"),
        ({"is_logged_in": True, "name": "Ada"}, "Ada"),
    ],
)
def test_changes_are_made_on_behalf_of_the_signed_in_user(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, claims: dict[str, object], by: str
) -> None:
    """Without a sign-in, the engine names the user itself."""
    monkeypatch.setattr(st, "user", claims)
    Page().choose(Strategy.NEW_ONLY).click("set-strategy").click("remove-new").click("remove-confirm")
    assert engine.contexts == [ChangeContext(by)] * 2
