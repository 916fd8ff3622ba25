"""The page, run by Streamlit's AppTest on an engine in memory: each verb, and how each failure is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from mnist_dash.domain import (
    Change,
    ChangeContext,
    EngineObject,
    Finding,
    Gateway,
    HistoryEntry,
    Prediction,
    Promote,
    Remove,
    Role,
    Route,
    Snapshot,
    State,
    Strategy,
    Suggestion,
)
from mnist_dash.errors import EngineError, ModelError, ServingError, SettingsError
from mnist_dash.panels import drawing, lifecycle, objects
from mnist_dash.panels.session import Session
from mnist_dash.service import Dashboard
from mnist_dash.settings import Settings
from tests import fakes
from tests.fakes import CNN, LINEAR, FakeEngine, FakeServing, deployment, snapshot, sure_of

APP = str(Path(__file__).parents[2] / "app.py")
CANVAS_SHAPE = (280, 280, 4)


class Page:
    """One visitor's browser tab: widgets are found by key, and every run must be without an exception."""

    def __init__(self) -> None:
        self.at = AppTest.from_file(APP, default_timeout=20)
        self.run()

    def run(self) -> Page:
        """Run the whole script once more."""
        self.at.run()
        assert not self.at.exception
        return self

    def click(self, key: str) -> Page:
        """Press a button."""
        self.at.button(key).click()
        return self.run()

    def switch(self, key: str) -> Page:
        """Switch a toggle on."""
        self.at.toggle(key).set_value(True)
        return self.run()

    def choose(self, strategy: Strategy, percent: int | None = None) -> Page:
        """Choose a strategy without sending it."""
        self.at.radio("strategy").set_value(strategy)
        self.run()
        if percent is not None:
            self.at.slider("canary-percent").set_value(percent)
            self.run()
        return self

    @property
    def text(self) -> str:
        """All that can be read on the page."""
        at = self.at
        alerts = [f"{one.proto.title} {one.value}" for one in (*at.error, *at.warning, *at.info)]
        spoken = [one.value for one in (*at.markdown, *at.caption, *at.subheader, *at.toast, *at.code)]
        spoken += [one.proto.body for one in at.get("html")]
        metrics = [f"{one.label} {one.value}" for one in at.metric]
        return "\n".join([*alerts, *spoken, *metrics])

    def has(self, key: str) -> bool:
        """Whether there is a button with this key."""
        return any(button.key == key for button in self.at.button)


@pytest.fixture(autouse=True)
def no_shared_dashboard() -> Iterator[None]:
    """The cache lives as long as the process, and so would one test's dashboard in the next."""
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def engine() -> FakeEngine:
    """The engine of the page under test."""
    return FakeEngine()


@pytest.fixture
def serving(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> FakeServing:
    """What answers; with it the page opens a dashboard on the fakes."""
    dash, serving = fakes.dashboard(engine)
    monkeypatch.setattr(Settings, "from_env", Settings)
    monkeypatch.setattr(lifecycle, "open_dashboard", lambda _: dash)
    return serving


@pytest.fixture
def page(serving: FakeServing) -> Page:
    """A visitor who has just come."""
    assert serving
    return Page()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Paper:
    """What is drawn on the canvas, since only a browser can draw."""
    paper = Paper()
    monkeypatch.setattr(drawing, "canvas", paper.seen)
    return paper


class Paper:
    """Stands in for the canvas in the browser."""

    def __init__(self) -> None:
        self.pixels: NDArray[np.uint8] | None = None
        self.sheet = 0

    def draw_one(self, left: int = 130) -> None:
        """Draw a vertical stroke."""
        self.pixels = np.zeros(CANVAS_SHAPE, np.uint8)
        self.pixels[..., 3] = 255
        self.pixels[50:230, left : left + 20, :3] = 255

    def seen(self, visit: Session) -> NDArray[np.uint8] | None:
        """The pixels; a new sheet is blank, or bears the sample."""
        if visit.sheet != self.sheet:
            self.sheet, self.pixels = visit.sheet, None
            if visit.sample is not None:
                grey = np.kron(visit.sample, np.ones((10, 10)))
                self.pixels = (grey * 255).astype(np.uint8)
        return self.pixels


# Predict


def test_predict_shows_digit_probability_model_version_and_time(page: Page, drawn: Paper) -> None:
    """One click answers what a data scientist wants to know of one request."""
    drawn.draw_one()
    page.click("predict")
    assert "Current says 7 with 91.0 %" in page.text
    assert page.at.metric[0].value == "7"
    for words in ("version 1", "blue-1", "3.2 ms"):
        assert words in page.text


def test_an_answer_names_the_model_that_gave_it(page: Page, drawn: Paper) -> None:
    """By its base, since a role is another model's after a promotion."""
    drawn.draw_one()
    page.click("predict")
    assert f"`{LINEAR}`  \nversion 1" in page.text


def test_an_answer_that_both_models_give_is_nobody_s(
    page: Page, serving: FakeServing, drawn: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the gateway does not say who answered, nobody guesses."""
    shared_answer = Prediction(sure_of(7), None, None, None, "", 3.2, shared=True)
    monkeypatch.setattr(serving, "predict", lambda *_: shared_answer)
    monkeypatch.setattr(Dashboard, "_attributed", lambda _, said, *__: said)
    drawn.draw_one()
    page.click("predict")
    assert "Both say 7 with 91.0 %" in page.text
    assert "Both models give this very answer." in page.text
    assert "Unknown model" not in page.text


def test_predict_goes_the_way_of_the_strategy(page: Page, serving: FakeServing, drawn: Paper) -> None:
    """The page's own requests are divided like everybody else's."""
    drawn.draw_one()
    for _ in range(5):
        page.click("predict")
    assert [route for _, route in serving.asked] == [Route.SPLIT] * 5
    assert "New says 7 with 99.0 %" in page.text


@pytest.mark.parametrize(("split", "who"), [(0, "Current"), (100, "New")])
def test_a_split_of_0_or_100_has_one_model_answer(
    page: Page, engine: FakeEngine, drawn: Paper, split: int, who: str
) -> None:
    """The ends of the range are strategies of their own."""
    engine.now = snapshot(split_desired=split, split_observed=split)
    drawn.draw_one()
    page.run().click("predict")
    assert f"{who} says 7" in page.text
    assert page.at.radio("strategy").value == Strategy.from_split(split)


def test_an_empty_canvas_asks_for_a_digit(page: Page, serving: FakeServing) -> None:
    """Nothing is sent for a canvas on which nothing was drawn; this is the real canvas component."""
    page.click("predict")
    assert "The drawing is empty. Draw a digit first." in page.text
    assert serving.asked == []


def test_a_dot_is_told_not_to_be_a_digit(page: Page, drawn: Paper, serving: FakeServing) -> None:
    """What the preparation refuses is told in its words."""
    drawn.pixels = np.zeros(CANVAS_SHAPE, np.uint8)
    drawn.pixels[100:110, 100:110] = 255
    page.click("predict")
    assert "only a dot" in page.text
    assert serving.asked == []


def test_the_complaint_goes_once_there_is_a_digit(page: Page, drawn: Paper) -> None:
    """An old complaint beside a new drawing would be wrong."""
    page.click("predict")
    drawn.draw_one()
    page.at.session_state["visit"].asked_at = -10.0
    assert "The drawing is empty" not in page.run().text


def test_a_stroke_that_arrives_after_the_click_is_asked_about(
    page: Page, drawn: Paper, serving: FakeServing
) -> None:
    """The canvas sends a stroke 0.2 s late, and a quick hand presses Predict before that."""
    page.click("predict")
    drawn.draw_one()
    page.run()
    assert len(serving.asked) == 1
    assert "says 7" in page.text


def test_a_stroke_is_awaited_for_longer_where_the_drawing_was_empty(page: Page, drawn: Paper) -> None:
    """Whoever presses Predict has drawn something, however late a busy machine brings it."""
    page.click("predict")
    assert "Draw a digit first" in page.text
    page.at.session_state["visit"].asked_at -= 3
    drawn.draw_one()
    assert "says 7" in page.run().text


def test_without_live_a_stroke_is_not_asked_about(page: Page, drawn: Paper, serving: FakeServing) -> None:
    """Drawing alone sends nothing."""
    drawn.draw_one()
    page.run()
    assert serving.asked == []


def test_live_asks_about_each_new_drawing_once(page: Page, drawn: Paper, serving: FakeServing) -> None:
    """Reruns that bring no stroke ask nothing."""
    page.switch("live")
    drawn.draw_one()
    page.run().run()
    assert len(serving.asked) == 1
    drawn.draw_one()
    assert drawn.pixels is not None
    drawn.pixels[100:120, 60:200, :3] = 255
    page.run()
    assert len(serving.asked) == 2


def test_an_answer_to_an_earlier_drawing_says_so(page: Page, drawn: Paper) -> None:
    """Nobody takes an old answer for one about what is on the canvas now."""
    drawn.draw_one()
    page.click("predict")
    page.at.session_state["visit"].asked_at = -10.0
    assert drawn.pixels is not None
    drawn.pixels[100:120, 60:200, :3] = 255
    assert "The drawing has changed since this answer" in page.run().text


def test_clear_empties_canvas_and_answer(page: Page, drawn: Paper) -> None:
    """A new sheet begins anew."""
    drawn.draw_one()
    page.click("predict").click("clear")
    assert drawn.pixels is None
    assert "says 7" not in page.text


def test_a_sample_can_be_predicted_without_drawing(page: Page, drawn: Paper, serving: FakeServing) -> None:
    """Those who cannot draw put one of MNIST's digits on the canvas."""
    page.click("sample").click("predict")
    (picture, _), *_ = serving.asked
    assert drawn.pixels is not None
    assert picture.max() > 0.5
    assert "says 7" in page.text


def test_a_sample_needs_no_word_from_the_canvas(
    page: Page, serving: FakeServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Sample is pressed before the canvas has loaded, the canvas never sends what it began with."""
    monkeypatch.setattr(drawing, "canvas", lambda _: None)
    page.click("sample").click("predict")
    assert len(serving.asked) == 1
    assert "says 7" in page.text


@pytest.mark.parametrize("compare", [False, True])
def test_a_failed_prediction_is_told_with_its_next_step(
    page: Page, drawn: Paper, serving: FakeServing, compare: bool
) -> None:
    """A serving error is an answer too."""
    serving.error = ServingError("The gateway cannot be reached.", "See under Objects whether it runs.")
    drawn.draw_one()
    if compare:
        page.switch("compare")
    page.click("predict")
    assert "The gateway cannot be reached. See under Objects whether it runs." in page.text


# Compare


def test_compare_asks_both_models_about_one_drawing(page: Page, drawn: Paper, serving: FakeServing) -> None:
    """Both routes are forced, whatever the strategy is."""
    drawn.draw_one()
    page.switch("compare").click("predict")
    assert {route for _, route in serving.asked} == {Route.CURRENT, Route.NEW}
    assert np.array_equal(serving.asked[0][0], serving.asked[1][0])
    assert "Agree: both say 7" in page.text


def test_compare_says_in_words_that_the_models_disagree(
    page: Page, drawn: Paper, serving: FakeServing
) -> None:
    """Two digits are named with their models."""
    serving.says = {Role.CURRENT: sure_of(1), Role.NEW: sure_of(7)}
    drawn.draw_one()
    page.switch("compare").click("predict")
    assert "Disagree: Current says 1, New says 7" in page.text


def test_switching_compare_on_asks_the_other_model_too(
    page: Page, drawn: Paper, serving: FakeServing
) -> None:
    """An answer that is there already becomes a comparison without another click."""
    drawn.draw_one()
    page.click("predict").switch("compare")
    assert len(serving.asked) == 3
    assert "both say 7" in page.text


def test_compare_is_off_with_the_reason_where_there_is_no_new_model(page: Page, engine: FakeEngine) -> None:
    """What cannot work says why."""
    engine.now = snapshot(new=None, split_desired=0, split_observed=0)
    toggle = page.run().at.toggle("compare")
    assert toggle.disabled
    assert "No New model is deployed" in toggle.proto.help


# Deploy and remove


def test_deploy_puts_a_model_in_an_empty_place(page: Page, engine: FakeEngine) -> None:
    """The dialog asks for base and replicas, deploys, and closes."""
    engine.now = snapshot(new=None, split_desired=0, split_observed=0)
    page.run()
    assert page.at.button("deploy-new").label == "Deploy"
    page.click("deploy-new")
    page.at.text_input("deploy-base").set_value(CNN)
    page.at.number_input("deploy-replicas").set_value(2)
    page.click("deploy-confirm")
    assert engine.calls == [("deploy", Role.NEW, CNN, 2)]
    assert "New: version 1 is being deployed." in page.text
    assert not page.run().has("deploy-confirm")


def test_redeploy_starts_from_what_is_deployed(page: Page, engine: FakeEngine) -> None:
    """Only what is to be changed needs to be typed."""
    engine.now = snapshot(new=deployment(Role.NEW, desired=3, ready=3))
    page.run()
    assert page.at.button("deploy-new").label == "Re-deploy"
    page.click("deploy-new")
    assert page.at.text_input("deploy-base").value == CNN
    assert page.at.number_input("deploy-replicas").value == 3
    page.click("deploy-confirm")
    assert engine.calls == [("deploy", Role.NEW, CNN, 3)]


def test_each_role_s_dialog_starts_from_its_own_model(page: Page) -> None:
    """What was typed for one role does not turn up in the other's dialog."""
    page.click("deploy-new")
    page.at.text_input("deploy-base").set_value("/somewhere/else")
    page.run()
    page.at.session_state["visit"].close()
    page.run().click("deploy-current")
    assert page.at.text_input("deploy-base").value == LINEAR


def test_a_suggestion_fills_in_the_base(page: Page) -> None:
    """The bundled models need no typing."""
    page.click("deploy-new").click("suggest-0")
    assert page.at.text_input("deploy-base").value == LINEAR


def test_the_dialog_shows_the_fixed_model_name(page: Page) -> None:
    """The name is `model`, and cannot be changed."""
    name = page.click("deploy-new").at.text_input("deploy-name")
    assert (name.value, name.disabled) == ("model", True)
    assert "<base>/model/<version>/" in page.text


def test_an_unfit_model_keeps_the_dialog_with_what_was_typed(page: Page, engine: FakeEngine) -> None:
    """Problem and next step stand in the dialog, and nothing has changed."""
    engine.unfit["/nowhere"] = ModelError("There is no folder /nowhere.", "Check the path.")
    page.click("deploy-new")
    page.at.text_input("deploy-base").set_value("/nowhere")
    page.at.number_input("deploy-replicas").set_value(4)
    page.click("deploy-confirm")
    assert "There is no folder /nowhere. Check the path." in page.text
    assert page.at.text_input("deploy-base").value == "/nowhere"
    assert page.at.number_input("deploy-replicas").value == 4
    assert engine.calls == []


def test_a_mended_mistake_deploys(page: Page, engine: FakeEngine) -> None:
    """The dialog that told of a mistake goes on to work."""
    engine.unfit["/nowhere"] = ModelError("There is no folder /nowhere.", "Check the path.")
    page.click("deploy-new")
    page.at.text_input("deploy-base").set_value("/nowhere")
    page.click("deploy-confirm")
    page.at.text_input("deploy-base").set_value(CNN)
    page.click("deploy-confirm")
    assert engine.calls == [("deploy", Role.NEW, CNN, 1)]
    assert "There is no folder" not in page.text


def test_warnings_of_the_check_are_told(page: Page, engine: FakeEngine) -> None:
    """A poor quick check is no refusal, but it is said."""
    engine.warnings = ("It got only 31 % of the check digits right.",)
    page.click("deploy-new").click("deploy-confirm")
    assert "It got only 31 % of the check digits right." in page.text


BUCKET = "gs://models/mnist/cnn"


def test_on_a_cluster_the_dialog_offers_what_is_in_the_buckets(page: Page, engine: FakeEngine) -> None:
    """They are looked for once, after the form is there; one that is chosen fills in the base."""
    engine.in_cluster, engine.offered = True, (Suggestion("cnn", BUCKET),)
    page.run().click("deploy-new")
    field = page.at.text_input("deploy-base")
    assert field.placeholder == "gs://bucket/path"
    engine.offered = ()
    page.at.selectbox("suggestion").select_index(0)
    page.run()
    assert page.at.text_input("deploy-base").value == BUCKET


def test_a_model_that_cannot_be_looked_at_is_deployed_after_a_second_word(
    page: Page, engine: FakeEngine
) -> None:
    """It may well be fit; the reason is told, and nothing is deployed unchecked by the first click."""
    engine.in_cluster, engine.unverified = True, {BUCKET: "Access is refused. Ask for the role Viewer."}
    page.run().click("deploy-new")
    page.at.text_input("deploy-base").set_value(BUCKET)
    page.click("deploy-confirm")
    assert "could not be looked at from here. Access is refused. Ask for the role Viewer." in page.text
    assert engine.calls == []
    page.click("deploy-unchecked")
    assert engine.calls == [("deploy", Role.NEW, BUCKET, 1)]
    assert engine.checked == [BUCKET]
    assert "New: the highest version is being deployed." in page.text


def test_deploying_unchecked_is_said_of_one_base_only(page: Page, engine: FakeEngine) -> None:
    """Another base that was typed meanwhile is checked, and asked about again."""
    engine.unverified = {BUCKET: "Access is refused.", "gs://other": "It does not answer."}
    page.click("deploy-new")
    page.at.text_input("deploy-base").set_value(BUCKET)
    page.click("deploy-confirm")
    page.at.text_input("deploy-base").set_value("gs://other")
    page.click("deploy-unchecked")
    assert "It does not answer." in page.text
    assert engine.calls == []


def test_a_model_that_was_out_of_sight_is_looked_at_again(page: Page, engine: FakeEngine) -> None:
    """The access may have been granted meanwhile."""
    engine.unverified = {BUCKET: "Access is refused."}
    page.click("deploy-new")
    page.at.text_input("deploy-base").set_value(BUCKET)
    page.click("deploy-confirm")
    engine.unverified = {}
    page.click("deploy-confirm")
    assert engine.calls == [("deploy", Role.NEW, BUCKET, 1)]


def test_a_card_of_an_unchecked_model_says_so(page: Page, engine: FakeEngine) -> None:
    """Rather than leaving the accuracy out."""
    engine.now = snapshot(new=deployment(Role.NEW, base=BUCKET, accuracy=None))
    assert "1 of 1 replicas ready · green · unchecked" in page.run().text


# What changes in the cluster


def test_a_deployment_shows_what_it_would_change_and_checks_once(page: Page, engine: FakeEngine) -> None:
    """The model is checked for it, and not again for the deployment itself."""
    engine.in_cluster, engine.difference = True, "-  replicas: 1\n+  replicas: 2"
    page.run().click("deploy-new")
    page.at.number_input("deploy-replicas").set_value(2)
    page.click("deploy-difference")
    assert "+  replicas: 2" in page.text
    assert f"Deploy {CNN} version 1 as New with 2 replicas" in page.text
    assert engine.calls == []
    page.click("deploy-confirm")
    assert engine.calls == [("deploy", Role.NEW, CNN, 2)]
    assert engine.checked == [CNN]


def test_an_unfit_model_has_no_difference_but_a_reason(page: Page, engine: FakeEngine) -> None:
    """The same words as for the deployment."""
    engine.in_cluster = True
    engine.unfit[CNN] = ModelError("It is no model.", "Export it again.")
    page.run().click("deploy-new").click("deploy-difference")
    assert "It is no model. Export it again." in page.text
    assert engine.previewed == []


@pytest.mark.parametrize(("key", "change"), [("remove-new", Remove(Role.NEW)), ("promote", Promote())])
def test_a_difference_is_asked_for_only_when_it_is_opened(
    page: Page, engine: FakeEngine, key: str, change: Change
) -> None:
    """And once for as long as it is open."""
    engine.in_cluster, engine.difference = True, "-  a\n+  b"
    page.run().click(key)
    assert engine.previewed == []
    page.at.session_state["difference"] = True
    page.run().run()
    assert engine.previewed == [change]
    assert "+  b" in page.text


def test_a_difference_that_cannot_be_told_says_why(page: Page, engine: FakeEngine) -> None:
    """An error is an answer too, and an empty difference a word."""
    engine.in_cluster = True
    page.run().click("remove-new")
    page.at.session_state["difference"] = True
    assert "Nothing changes." in page.run().text
    page.click("cancel")
    engine.refusal = EngineError("The cluster does not answer.", "Try again.")
    page.click("remove-new")
    page.at.session_state["difference"] = True
    assert "The cluster does not answer. Try again." in page.run().text


def test_a_strategy_can_be_looked_at_before_it_is_set(page: Page, engine: FakeEngine) -> None:
    """In a dialog of its own, which can set it."""
    engine.in_cluster, engine.difference = True, "-  weight: 20\n+  weight: 35"
    page.run().choose(Strategy.CANARY, 35).click("preview-split")
    assert "+  weight: 35" in page.text
    assert engine.calls == []
    page.click("split-confirm")
    assert engine.calls == [("set_split", 35)]


def test_the_local_engine_has_nothing_to_preview(page: Page) -> None:
    """There is no cluster whose objects could differ."""
    assert not page.has("preview-split")
    assert not page.click("deploy-new").has("deploy-difference")


# Taking over


OWNED = EngineError("The weight belongs to argocd since 14:03.", "Change it there.", can_take_over=True)


@pytest.mark.parametrize(
    ("key", "confirm", "call"),
    [
        ("deploy-new", "deploy-confirm", ("deploy", Role.NEW, CNN, 1)),
        ("remove-new", "remove-confirm", ("remove", Role.NEW)),
        ("promote", "promote-confirm", ("promote",)),
    ],
)
def test_what_somebody_else_owns_is_taken_over_from_the_dialog(
    page: Page, engine: FakeEngine, key: str, confirm: str, call: tuple[object, ...]
) -> None:
    """Only after the sentence that says whose it is, by a button of its own."""
    engine.refusal = OWNED
    page.click(key).click(confirm)
    assert "The weight belongs to argocd since 14:03. Change it there." in page.text
    assert engine.calls == []
    page.click("take-over")
    assert engine.calls == [call]
    assert engine.acted == [ChangeContext("", take_over=True)]
    assert not page.run().has("take-over")


def test_a_strategy_that_somebody_else_owns_is_taken_over_in_place(page: Page, engine: FakeEngine) -> None:
    """Or left as it is."""
    engine.refusal = OWNED
    page.choose(Strategy.NEW_ONLY).click("set-strategy")
    assert "The weight belongs to argocd since 14:03." in page.text
    page.click("leave-it")
    assert not page.has("take-over")
    page.click("set-strategy").click("take-over")
    assert engine.calls == [("set_split", 100)]
    assert engine.acted == [ChangeContext("", take_over=True)]
    assert not page.run().has("take-over")


def test_an_undo_that_somebody_else_stands_in_is_taken_over_in_place(page: Page, engine: FakeEngine) -> None:
    """As for the strategy."""
    engine.now = snapshot(can_undo_promote=True)
    engine.refusal = OWNED
    page.run().click("undo-promote").click("take-over")
    assert engine.calls == [("undo_promote",)]


def test_a_refusal_that_cannot_be_taken_over_has_no_such_button(page: Page, engine: FakeEngine) -> None:
    """There is nothing to take."""
    engine.refusal = EngineError("Another change is under way.")
    assert not page.click("remove-new").click("remove-confirm").has("take-over")


# Who


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize(
    ("claims", "by"),
    [
        ({}, ""),
        ({"is_logged_in": False}, ""),
        ({"is_logged_in": True, "email": "ada@example.com", "name": "Ada"}, "ada@example.com"),
        ({"is_logged_in": True, "name": "Ada"}, "Ada"),
    ],
)
def test_changes_are_made_on_behalf_of_whoever_signed_in(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, claims: dict[str, object], by: str
) -> None:
    """Where nobody has to sign in, the engine says who it was."""
    monkeypatch.setattr(st, "user", claims)
    Page().choose(Strategy.NEW_ONLY).click("set-strategy").click("remove-new").click("remove-confirm")
    assert engine.acted == [ChangeContext(by)] * 2


@pytest.mark.parametrize(
    ("role", "effect"),
    [(Role.NEW, "All traffic then goes to Current."), (Role.CURRENT, "Nobody is answered")],
)
def test_remove_tells_its_effect_before_it_acts(
    page: Page, engine: FakeEngine, role: Role, effect: str
) -> None:
    """Nothing is removed by a single click."""
    page.click(f"remove-{role}")
    assert effect in page.text
    assert engine.calls == []
    page.click("remove-confirm")
    assert engine.calls == [("remove", role)]
    assert not page.run().has("remove-confirm")


def test_cancel_changes_nothing(page: Page, engine: FakeEngine) -> None:
    """A dialog can be left."""
    page.click("remove-new").click("cancel")
    assert not page.run().has("remove-confirm")
    assert engine.calls == []


def test_a_refusal_keeps_the_dialog_with_its_reason(page: Page, engine: FakeEngine) -> None:
    """An engine that refuses is heard."""
    page.click("remove-new")
    engine.refusal = EngineError("Another change is under way.", "Wait until it is done.")
    page.click("remove-confirm")
    assert "Another change is under way. Wait until it is done." in page.text
    assert page.has("remove-confirm")


# Strategy


@pytest.mark.parametrize(
    ("strategy", "percent", "split"),
    [(Strategy.CURRENT_ONLY, None, 0), (Strategy.NEW_ONLY, None, 100), (Strategy.CANARY, 35, 35)],
)
def test_set_strategy_sends_the_split(
    page: Page, engine: FakeEngine, strategy: Strategy, percent: int | None, split: int
) -> None:
    """Each strategy is one number."""
    page.choose(strategy, percent).click("set-strategy")
    assert engine.calls == [("set_split", split)]
    assert f"Current {100 - split} %" in page.text
    assert f"New {split} %" in page.text


def test_choosing_alone_sends_nothing(page: Page, engine: FakeEngine) -> None:
    """Only the button changes the traffic, and the page says that it waits for it."""
    page.choose(Strategy.CANARY, 70)
    assert engine.calls == []
    assert "Not sent yet: Canary, 70 % to New." in page.text


@pytest.mark.usefixtures("serving")
def test_a_fresh_visitor_starts_from_what_is_in_force(engine: FakeEngine) -> None:
    """After a reload the controls show the engine's truth, a Canary as a Canary with its percentage."""
    engine.now = snapshot(split_desired=65, split_observed=65)
    fresh = Page()
    assert fresh.at.radio("strategy").value == Strategy.CANARY
    assert fresh.at.slider("canary-percent").value == 65


@pytest.mark.usefixtures("serving")
def test_the_slider_starts_at_20_where_no_canary_runs(engine: FakeEngine) -> None:
    """The default of the first canary."""
    engine.now = snapshot(split_desired=0, split_observed=0)
    fresh = Page()
    assert fresh.at.radio("strategy").value == Strategy.CURRENT_ONLY
    assert fresh.at.slider("canary-percent").value == 20
    assert fresh.at.slider("canary-percent").disabled


def test_an_unsent_choice_outlives_another_browser_s_change(page: Page, engine: FakeEngine) -> None:
    """What is in force is shown beside what was chosen."""
    page.choose(Strategy.CANARY, 70)
    engine.now = snapshot(split_desired=0, split_observed=0)
    page.run()
    assert page.at.radio("strategy").value == Strategy.CANARY
    assert page.at.slider("canary-percent").value == 70
    assert "Current 100 %" in page.text


def test_controls_that_were_not_touched_follow_another_browser(page: Page, engine: FakeEngine) -> None:
    """A visitor who has chosen nothing sees the new strategy in the controls, too."""
    engine.now = snapshot(split_desired=100, split_observed=100)
    assert page.run().at.radio("strategy").value == Strategy.NEW_ONLY


def test_a_held_split_says_what_it_waits_for(page: Page, engine: FakeEngine) -> None:
    """Wanted and observed are different things."""
    engine.held = True
    page.choose(Strategy.CANARY, 50).click("set-strategy")
    assert "Wanted: Canary, 50 % to New. The gateway has not taken it up yet." in page.text
    engine.settle()
    assert "Wanted:" not in page.run().text


@pytest.mark.parametrize("strategy", [Strategy.NEW_ONLY, Strategy.CANARY])
def test_a_strategy_without_its_model_is_off_with_the_reason(
    page: Page, engine: FakeEngine, strategy: Strategy
) -> None:
    """Traffic cannot go to a model that is not there."""
    engine.now = snapshot(new=None, split_desired=0, split_observed=0)
    page.run().choose(strategy)
    assert page.at.button("set-strategy").disabled
    assert "No New model is deployed" in page.text


def test_a_refused_strategy_is_told(page: Page, engine: FakeEngine) -> None:
    """A refusal after the click reaches the visitor, too."""
    engine.refusal = EngineError("The gateway is being restarted.", "Try again in a moment.")
    page.choose(Strategy.NEW_ONLY).click("set-strategy")
    assert "The gateway is being restarted. Try again in a moment." in page.text


# Promote and undo


def test_promote_shows_before_and_after_and_then_swaps(page: Page, engine: FakeEngine) -> None:
    """Who is what before and after is on the card; the click comes after it."""
    page.click("promote")
    assert engine.calls == []
    for words in ("**Now**", "**Afterwards**", LINEAR, CNN, "All traffic then goes to the new Current."):
        assert words in page.text
    page.click("promote-confirm")
    assert engine.calls == [("promote",)]
    assert engine.now.current is not None
    assert engine.now.current.base == CNN
    assert page.run().at.radio("strategy").value == Strategy.CURRENT_ONLY


def test_a_promotion_that_somebody_else_made_first_is_not_taken_back(page: Page, engine: FakeEngine) -> None:
    """Two browsers with the same dialog open promote once; the second is told."""
    page.click("promote")
    engine.apply(Promote(), ChangeContext())
    page.click("promote-confirm")
    assert engine.calls == [("promote",)]
    assert "The roles were swapped meanwhile." in page.text


def test_a_promotion_can_be_undone_by_a_button_that_names_its_effect(page: Page, engine: FakeEngine) -> None:
    """The button is there after a promotion only."""
    assert not page.has("undo-promote")
    page.click("promote").click("promote-confirm").run()
    assert page.at.button("undo-promote").label == f"Undo: make {LINEAR} the Current again"
    page.click("undo-promote")
    assert engine.calls == [("promote",), ("undo_promote",)]
    assert engine.now == snapshot(split_desired=0, split_observed=0)


@pytest.mark.parametrize(
    ("key", "call"), [("finish-promotion", ("promote",)), ("take-back", ("undo_promote",))]
)
def test_an_interrupted_promotion_is_finished_or_taken_back(
    page: Page, engine: FakeEngine, key: str, call: tuple[object, ...]
) -> None:
    """Nothing else can be done before, and every other button says so."""
    engine.now = snapshot(interrupted_promotion="A promotion stopped half-way.")
    page.run()
    assert "A promotion stopped half-way." in page.text
    assert not page.has("promote")
    for other in ("deploy-current", "deploy-new", "remove-new", "set-strategy"):
        assert page.at.button(other).disabled
    assert "Finish the promotion or take it back first." in page.at.button("deploy-new").help
    page.click(key)
    assert engine.calls == [call]
    assert page.run().has("promote")


def test_promote_is_off_with_the_reason_while_new_is_not_ready(page: Page, engine: FakeEngine) -> None:
    """A model that answers nobody is not made the Current."""
    starting = deployment(Role.NEW, ready=0, state=State.STARTING, cause="It is loading.")
    engine.now = snapshot(new=starting)
    button = page.run().at.button("promote")
    assert button.disabled
    assert "New has no ready replica yet. It is loading." in page.text


def test_an_answer_goes_when_the_roles_are_swapped(page: Page, drawn: Paper) -> None:
    """It named a model by a role that another model has now."""
    drawn.draw_one()
    page.click("predict")
    page.at.session_state["visit"].asked_at = -10.0
    page.click("promote").click("promote-confirm")
    assert "Current says 7" not in page.run().text


# States


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_told_in_words_with_its_cause(page: Page, engine: FakeEngine, state: State) -> None:
    """State, replicas, cause and next step are on the card."""
    model = deployment(
        Role.NEW, desired=2, ready=1, state=state, cause="One exited.", next_step="See its log."
    )
    engine.now = snapshot(new=model)
    page.run()
    for words in (state.value.capitalize(), "1 of 2 replicas ready", "One exited. See its log."):
        assert words in page.text


def test_a_card_shows_base_version_and_accuracy(page: Page) -> None:
    """What is deployed is named, and how good it is."""
    for words in (
        f"`{CNN}` version 1",
        "99.5 % of 200 check digits",
        f"`{LINEAR}` version 1",
        "92.5 % of 200 check digits",
    ):
        assert words in page.text


NOTHING = Snapshot(taken_at=0.0)


def test_an_empty_engine_says_what_to_do_first(page: Page, engine: FakeEngine) -> None:
    """With nothing deployed, everything but Deploy is off and says why."""
    engine.now = NOTHING
    page.run()
    assert page.at.button("predict").disabled
    assert "Deploy a Current model first." in page.text
    for key in ("remove-current", "remove-new", "promote"):
        assert page.at.button(key).disabled


def test_trouble_of_the_engine_is_told_and_goes_by_itself(page: Page, engine: FakeEngine) -> None:
    """The page needs no reload when the engine is well again."""
    engine.now = snapshot(trouble="The gateway is being restarted.")
    page.run()
    assert "The gateway is being restarted." in page.text
    assert page.at.button("predict").disabled
    engine.now = snapshot()
    page.run()
    assert "The gateway is being restarted." not in page.text
    assert not page.at.button("predict").disabled


def test_a_cluster_that_is_out_of_reach_is_told_once_and_takes_no_changes(
    page: Page, engine: FakeEngine
) -> None:
    """The sentence is long; the controls refer to it, and come back by themselves."""
    engine.in_cluster = True
    engine.now = snapshot(trouble="The cluster at 10.0.0.1 does not answer.")
    page.run()
    assert page.text.count("The cluster at 10.0.0.1 does not answer.") == 1
    controls = ("deploy-current", "remove-new", "set-strategy", "promote")
    for key in controls:
        assert page.at.button(key).disabled
    engine.now = snapshot()
    page.run()
    assert not any(page.at.button(key).disabled for key in controls)


def test_a_cluster_out_of_reach_does_not_keep_its_models_from_answering(
    page: Page, engine: FakeEngine
) -> None:
    """Predictions do not go through the API server; where nothing was ever seen, nobody is asked."""
    engine.in_cluster = True
    engine.now = snapshot(trouble="The cluster at 10.0.0.1 does not answer.")
    page.run()
    assert not page.at.button("predict").disabled
    engine.now = snapshot(current=None, new=None, trouble="The cluster at 10.0.0.1 does not answer.")
    page.run()
    assert page.at.button("predict").disabled


def test_what_others_changed_is_told_shortly(page: Page, engine: FakeEngine) -> None:
    """Three of them, and how many more."""
    engine.now = snapshot(drift=tuple(f"kubectl changed {thing}." for thing in "abcde"))
    page.run()
    for words in ("kubectl changed a.", "kubectl changed c.", "and 2 more changes from outside."):
        assert words in page.text
    assert "kubectl changed d." not in page.text


def test_notices_of_the_start_are_shown(page: Page, engine: FakeEngine) -> None:
    """Another port than the usual one must be known."""
    engine.now = snapshot(notices=("Port 8080 is taken: the gateway uses 8081.",))
    assert "Port 8080 is taken: the gateway uses 8081." in page.run().text


def test_two_browsers_see_the_same(page: Page) -> None:
    """What one visitor changes, the other one sees."""
    other = Page()
    page.choose(Strategy.NEW_ONLY).click("set-strategy")
    other.run()
    assert "New 100 %" in other.text
    assert other.at.radio("strategy").value == Strategy.NEW_ONLY


# Below


def test_call_it_names_the_gateway_and_where_to_connect(page: Page, engine: FakeEngine) -> None:
    """The commands run as they are, where the host's name does not resolve too."""
    engine.gateway = Gateway("http://mnist.example", "10.0.0.1:8080")
    page.at.session_state["below"] = "Call it"
    page.run()
    curl = page.at.code[0].value
    assert "curl -si http://mnist.example/v1/models/model:predict --connect-to ::10.0.0.1:8080 -d" in curl
    assert "X-Mnist-Route" not in curl


def test_in_a_cluster_calls_are_counted_by_their_answers(page: Page, engine: FakeEngine) -> None:
    """Nobody there says who answered."""
    engine.in_cluster = True
    page.at.session_state["below"] = "Call it"
    page.run()
    assert "x-served-by" not in page.at.code[1].value
    assert "counted by their answers" in page.text


def test_the_route_is_tested_and_what_was_found_stays(page: Page, engine: FakeEngine) -> None:
    """Until the next time, with what to do about it."""
    engine.findings = (
        Finding(True, "5 of 5 requests reached Current."),
        Finding(False, "The *header* is ignored.", "Use another controller."),
    )
    page.at.session_state["below"] = "Call it"
    page.run()
    assert "reached Current" not in page.text
    page.click("test-route").run()
    assert ":green[:material/check_circle:] **Right.** 5 of 5 requests reached Current." in page.text
    assert r"**Wrong.** The \*header\* is ignored." in page.text
    assert "Use another controller." in page.text
    assert {probe.route for probe in engine.probed} == set(Route)
    engine.findings = (Finding(True, "All is well."),)
    page.click("test-route")
    assert "All is well." in page.text
    assert "another controller" not in page.text


def test_a_test_of_the_route_that_cannot_be_made_is_told(
    page: Page, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words, and nothing of the last one stays."""

    def fail(_: object) -> None:
        raise EngineError("The dashboard has been closed.", "Start it again.")

    monkeypatch.setattr(engine, "diagnose_route", fail)
    page.at.session_state["below"] = "Call it"
    page.run().click("test-route")
    assert "The dashboard has been closed. Start it again." in page.text


@pytest.mark.parametrize(("route", "header"), [(Route.CURRENT, "never"), (Route.NEW, "always")])
def test_call_it_can_force_the_route(page: Page, route: Route, header: str) -> None:
    """Each role can be asked by a header under every strategy."""
    page.at.session_state["below"] = "Call it"
    page.run()
    page.at.radio("call-route").set_value(route)
    page.run()
    assert f"-H 'X-Mnist-Route: {header}'" in page.at.code[0].value
    assert f"'X-Mnist-Route': '{header}'" in page.at.code[2].value


def test_the_history_is_the_first_thing_below(page: Page, engine: FakeEngine) -> None:
    """Who did what, newest first."""
    assert "Nothing has been changed yet." in page.text
    engine.done = (HistoryEntry(time.time(), "ada@example.com", "Make New the Current"),)
    page.run()
    (table,) = page.at.table
    assert list(table.value.columns) == ["When", "Who", "What"]
    when, *rest = table.value.iloc[0]
    assert rest == ["ada@example.com", "Make New the Current"]
    assert "(just now)" in when


def test_objects_can_be_narrowed_down_to_a_role(page: Page) -> None:
    """What belongs to no role is left out then."""
    page.at.session_state["below"] = "Objects"
    page.at.session_state["objects-role"] = Role.NEW
    assert [one.label.split("**")[1] for one in page.run().at.expander] == ["green-1"]


POD = EngineObject(
    "Pod", "mnist-green-1", Role.NEW, "Running", {}, "loaded", ("Pulled the image.",), "kind: Pod"
)


@pytest.mark.parametrize(
    ("chosen", "shown"), [("Log", "loaded"), ("Events", "- Pulled the image."), ("YAML", "kind: Pod")]
)
def test_an_object_offers_its_log_its_events_and_its_yaml(
    page: Page, engine: FakeEngine, chosen: str, shown: str
) -> None:
    """One of them at a time, so that it stays short."""
    engine.running = (POD,)
    page.at.session_state["below"] = "Objects"
    page.at.session_state["object-Pod-mnist-green-1"] = True
    page.run()
    page.at.session_state["text-Pod-mnist-green-1"] = chosen
    page.run()
    others = {"loaded", "- Pulled the image.", "kind: Pod"} - {shown}
    assert shown in page.text
    assert not any(other in page.text for other in others)


@pytest.mark.parametrize(("applied", "offered"), [("", 0), ("kind: Service", 1)])
def test_all_that_was_applied_can_be_downloaded(
    page: Page, engine: FakeEngine, applied: str, offered: int
) -> None:
    """As one file for GitOps; the local engine has none."""
    engine.applied = applied
    page.at.session_state["below"] = "Objects"
    assert len(page.run().at.get("download_button")) == offered


@pytest.mark.parametrize(
    ("desired", "found"),
    [("", 3), ("replica", 2), ("GREEN-1", 1), ("9001", 1), ("replica warmed", 1), ("nonsense", 0)],
)
def test_objects_are_found_by_any_of_their_words(engine: FakeEngine, desired: str, found: int) -> None:
    """Name, kind, state, details and log are searched, in any case and order."""
    assert len([one for one in engine.objects() if objects.matches(one, desired)]) == found


def test_the_objects_tab_shows_details_and_log_of_each(page: Page) -> None:
    """What runs, on which port, and what it wrote last."""
    page.at.session_state["object-replica-green-1"] = True
    page.at.session_state["below"] = "Objects"
    page.run()
    assert [one.label for one in page.at.expander] == [
        "gateway **gateway** running",
        "replica **blue-1** ready :violet-badge[:material/circle: Current]",
        "replica **green-1** ready :orange-badge[:material/change_history: New]",
    ]
    for words in ("port `9002` · pid `102`", "warmed up"):
        assert words in page.text


# Settings and start


def opens(monkeypatch: pytest.MonkeyPatch, outcome: Exception | Dashboard) -> None:
    """Let the next `open_dashboard` end so."""

    def open_dashboard(_: Settings) -> Dashboard:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(Settings, "from_env", Settings)
    monkeypatch.setattr(lifecycle, "open_dashboard", open_dashboard)


def test_a_wrong_setting_is_told_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the page was started, the same sentence is on it."""
    opens(monkeypatch, SettingsError("--gateway-port: 'x' is not a port number from 0 to 65535."))
    page = Page()
    assert "--gateway-port: 'x' is not a port number from 0 to 65535." in page.text
    assert not page.has("predict")


def test_a_wrong_setting_ends_the_program_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything starts, in the terminal."""
    opens(monkeypatch, SettingsError("--engine: 'cloud' is not local or kubernetes."))
    with pytest.raises(SystemExit) as ended:
        lifecycle.start()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "--engine: 'cloud' is not local or kubernetes.\n"


def test_an_engine_that_cannot_start_does_not_end_the_program(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may start later; the terminal says why it did not."""
    opens(monkeypatch, EngineError("The gateway did not start.", "Is another program using its port?"))
    lifecycle.start()
    assert "The gateway did not start. Is another program using its port?" in caplog.text


def test_the_dashboard_is_closed_when_the_server_ends(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    """Nothing survives the server."""
    opens(monkeypatch, fakes.dashboard(engine)[0])
    lifecycle.start()

    async def serve() -> None:
        async with lifecycle.lifespan(st.App(APP)):
            assert not engine.closed

    asyncio.run(serve())
    assert engine.closed


def test_an_engine_that_cannot_start_is_told_until_it_can(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    """The page goes on trying, and then works without a reload."""
    opens(monkeypatch, EngineError("The gateway did not start.", "Is another program using its port?"))
    page = Page()
    assert "The gateway did not start. Is another program using its port?" in page.text
    assert "tries again" in page.text
    opens(monkeypatch, fakes.dashboard(engine)[0])
    assert page.run().has("predict")
