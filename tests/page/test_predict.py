"""Drawing, Predict, Live and Compare: which model is asked, and how its answer is shown."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.disagreements import Disagreements
from mnist_dash.domain import Prediction, Role, Route, Snapshot, State, Strategy
from mnist_dash.errors import ServingError
from mnist_dash.panels import drawing, samples
from mnist_dash.preprocessing import has_far_dot
from mnist_dash.service import Dashboard
from mnist_dash.serving.recording_client import RecordingClient
from tests.fakes import LINEAR, FakeEngine, FakeServing, deployment, snapshot, sure_of
from tests.page.conftest import CANVAS_SHAPE, Canvas, Page


def test_predict_shows_digit_probability_model_replica_and_time(page: Page, canvas: Canvas) -> None:
    """One click shows all about one request; the model's folder and the replica are in a tooltip."""
    canvas.draw_stroke()
    page.click("predict")
    assert "linear says 7 with 91.0 %" in page.text
    assert "<b>7</b>" in page.text
    assert "version 1<br>3.2 ms" in page.text
    assert f'title="{LINEAR}, replica blue-1"' in page.text


def test_an_answer_that_both_models_give_names_neither(
    page: Page, serving: FakeServing, canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the gateway does not name the model, the page does not guess."""
    shared_answer = Prediction(sure_of(7), None, None, None, "", 3.2, shared=True)
    monkeypatch.setattr(serving, "predict", lambda *_: shared_answer)
    monkeypatch.setattr(RecordingClient, "_attribute", lambda _, prediction, *__: prediction)
    canvas.draw_stroke()
    page.click("predict")
    assert "Both say 7 with 91.0 %" in page.text
    assert "Unknown model" not in page.text


@pytest.mark.parametrize(("split", "role"), [(0, "linear"), (20, "cnn"), (100, "cnn")])
def test_predict_follows_the_strategy(
    page: Page, engine: FakeEngine, serving: FakeServing, canvas: Canvas, split: int, role: str
) -> None:
    """The page's own requests are split like every client's: at 20 %, the fifth goes to New."""
    engine.observed = snapshot(split_desired=split, split_observed=split)
    canvas.draw_stroke()
    for _ in range(5):
        page.run().click("predict")
    assert [route for _, route in serving.asked] == [Route.SPLIT] * 5
    assert f"{role} says 7" in page.text
    assert page.at.radio("strategy").value == Strategy.from_split(split)


def test_an_empty_canvas_sends_nothing(page: Page, serving: FakeServing) -> None:
    """On the real canvas component, before any stroke."""
    page.click("predict")
    assert "The drawing is empty. Draw a digit first." in page.text
    assert serving.asked == []


def test_a_dot_sends_nothing(page: Page, canvas: Canvas, serving: FakeServing) -> None:
    """The page shows the error of the preprocessing."""
    canvas.pixels = np.zeros(CANVAS_SHAPE, np.uint8)
    canvas.pixels[100:110, 100:110] = 255
    page.click("predict")
    assert "only a dot" in page.text
    assert serving.asked == []


def test_a_dot_that_is_left_out_is_said_beside_the_picture_of_the_digit(page: Page, canvas: Canvas) -> None:
    """In place of the usual caption, and for this drawing only."""
    canvas.draw_stroke()
    assert samples.MODEL_INPUT in page.run().text
    assert canvas.pixels is not None
    canvas.pixels[240:250, 260:270, :3] = 255
    assert samples.DOT_LEFT_OUT in page.run().text
    page.click("clear")
    assert samples.DOT_LEFT_OUT not in page.text


def test_a_dot_of_one_of_mnists_own_digits_is_not_left_out(
    page: Page, canvas: Canvas, serving: FakeServing
) -> None:
    """The model gets the digit as it is in MNIST."""
    place = 1001
    drawing.put_sample(page.at.session_state["session"], place)
    page.run()
    assert canvas.pixels is not None
    assert has_far_dot(canvas.pixels)
    assert samples.DOT_LEFT_OUT not in page.text
    page.click("predict")
    np.testing.assert_array_equal(serving.asked[-1][0], load_digits().images[place])


def test_the_error_of_an_empty_canvas_goes_once_there_is_a_digit(page: Page, canvas: Canvas) -> None:
    """An old error beside a new drawing would be wrong."""
    page.click("predict")
    canvas.draw_stroke()
    page.wait_out_late_strokes()
    assert "The drawing is empty" not in page.run().text


@pytest.mark.parametrize("late_by", [0, 3])
def test_predict_includes_a_stroke_that_arrives_late(
    page: Page, canvas: Canvas, serving: FakeServing, late_by: float
) -> None:
    """The canvas sends a stroke 0.2 s late, and on a busy machine the first one even later."""
    page.click("predict")
    page.at.session_state["session"].asked_at -= late_by
    canvas.draw_stroke()
    page.run()
    assert len(serving.asked) == 1
    assert "says 7" in page.text


def test_live_asks_about_each_new_drawing_once(page: Page, canvas: Canvas, serving: FakeServing) -> None:
    """Without it a stroke sends nothing, and neither do reruns without a new stroke."""
    canvas.draw_stroke()
    page.run()
    assert serving.asked == []
    page.switch("live").run()
    assert len(serving.asked) == 1
    canvas.draw_stroke()
    canvas.add_stroke()
    page.run()
    assert len(serving.asked) == 2


def test_an_answer_to_an_earlier_drawing_is_marked(page: Page, canvas: Canvas) -> None:
    """It is not to be mistaken for one about the drawing on the canvas."""
    canvas.draw_stroke()
    page.click("predict").wait_out_late_strokes()
    canvas.add_stroke()
    assert "The drawing has changed since this answer" in page.run().text


def test_clear_removes_drawing_and_answer(page: Page, canvas: Canvas) -> None:
    """A new sheet starts over."""
    canvas.draw_stroke()
    page.click("predict").click("clear")
    assert canvas.pixels is None
    assert "says 7" not in page.text


def test_a_sample_is_predicted_at_once(page: Page, canvas: Canvas, serving: FakeServing) -> None:
    """Sample puts one of MNIST's digits on the canvas, and no further click is needed."""
    canvas.draw_stroke()
    page.run().click("sample")
    ((picture, _),) = serving.asked
    assert picture.max() > 0.5
    assert "says 7" in page.text
    page.run()
    assert len(serving.asked) == 1


def test_a_sample_is_predicted_before_the_canvas_has_sent_it(
    page: Page, serving: FakeServing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At first the canvas has nothing to send, and later it still has the drawing before."""
    monkeypatch.setattr(drawing, "canvas", lambda _: None)
    page.click("sample")
    before = np.full(CANVAS_SHAPE, 255, np.uint8)
    monkeypatch.setattr(drawing, "canvas", lambda _: before)
    page.run().click("sample")
    state = page.at.session_state["session"]
    assert [image is state.sample.image for image, _ in serving.asked][-1]


@pytest.mark.parametrize("truth", [7, 4])
def test_a_sample_shows_whether_the_answer_is_right(
    page: Page, canvas: Canvas, monkeypatch: pytest.MonkeyPatch, truth: int
) -> None:
    """The label is known; once something is drawn over it, it is not."""
    monkeypatch.setattr(random, "randrange", lambda _: truth)
    page.click("sample")
    assert canvas.pixels is not None
    assert f"MNIST says {truth}: Current is {'right' if truth == 7 else 'wrong'}." in page.text
    page.wait_out_late_strokes()
    canvas.pixels = canvas.pixels.copy()
    canvas.pixels[:40, :] = 255
    page.run()
    assert "MNIST says" not in page.text
    assert "The drawing has changed" in page.text


def test_where_they_differ_puts_a_telling_digit_on_the_canvas(
    page: Page, canvas: Canvas, serving: FakeServing, dash: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both models are asked about it, and the page says which is right."""
    serving.answers = {Role.CURRENT: sure_of(1), Role.NEW: sure_of(4)}
    monkeypatch.setattr(dash, "find_disagreements", lambda _: Disagreements((4,), 100, 2000))
    page.click("differing")
    assert page.at.toggle("compare").value
    assert "linear says 1, cnn says 4" in page.text
    assert "MNIST says 4: New is right." in page.text
    assert canvas.pixels is not None


@pytest.mark.parametrize(
    ("search", "text"),
    [
        (Disagreements((), 2000, 2000), "The models agree on all 2,000 digits."),
        (Disagreements((), 300, 2000), "The models agree on the first 300 digits."),
        (Disagreements((), 0, 2000, "New did not answer."), "New did not answer."),
    ],
)
def test_where_they_differ_says_why_there_is_nothing_to_show(
    page: Page,
    canvas: Canvas,
    dash: Dashboard,
    monkeypatch: pytest.MonkeyPatch,
    search: Disagreements,
    text: str,
) -> None:
    """The drawing stays."""
    canvas.draw_stroke()
    monkeypatch.setattr(dash, "find_disagreements", lambda _: search)
    page.click("differing")
    assert text in page.text
    assert canvas.pixels is not None


@pytest.mark.parametrize("compare", [False, True])
def test_a_failed_prediction_shows_its_next_step(
    page: Page, canvas: Canvas, serving: FakeServing, compare: bool
) -> None:
    """In place of the answer."""
    serving.error = ServingError("The gateway cannot be reached.", "See under Objects whether it runs.")
    canvas.draw_stroke()
    if compare:
        page.switch("compare")
    page.click("predict")
    assert "The gateway cannot be reached. See under Objects whether it runs." in page.text


@pytest.mark.parametrize(
    ("current", "text"), [(7, "Agree: both say 7"), (1, "DISAGREE: linear says 1, cnn says 7")]
)
def test_compare_asks_both_models_about_one_drawing(
    page: Page, canvas: Canvas, serving: FakeServing, current: int, text: str
) -> None:
    """Both routes are forced, whatever the strategy is."""
    serving.answers = {Role.CURRENT: sure_of(current), Role.NEW: sure_of(7)}
    canvas.draw_stroke()
    page.switch("compare").click("predict")
    assert {route for _, route in serving.asked} == {Route.CURRENT, Route.NEW}
    assert np.array_equal(serving.asked[0][0], serving.asked[1][0])
    assert text in page.text


def test_switching_compare_on_turns_an_answer_into_a_comparison(
    page: Page, canvas: Canvas, serving: FakeServing
) -> None:
    """Without another click."""
    canvas.draw_stroke()
    page.click("predict").switch("compare")
    assert len(serving.asked) == 3
    assert "both say 7" in page.text


def test_compare_is_disabled_with_the_reason_without_a_new_model(page: Page, engine: FakeEngine) -> None:
    """The reason is its tooltip."""
    engine.observed = snapshot(new=None, split_desired=0, split_observed=0)
    toggle = page.run().at.toggle("compare")
    assert toggle.disabled
    assert "No New model is deployed" in toggle.proto.help


def test_an_answer_goes_when_the_roles_are_swapped(page: Page, canvas: Canvas) -> None:
    """It names a role that another model has now."""
    canvas.draw_stroke()
    page.click("predict").wait_out_late_strokes()
    page.click("promote").click("promote-confirm")
    assert "linear says 7" not in page.run().text


def test_with_nothing_deployed_the_page_says_what_to_do_first(page: Page, engine: FakeEngine) -> None:
    """All but Deploy is disabled."""
    engine.observed = Snapshot(taken_at=0.0)
    page.run()
    assert "Deploy a Current model first." in page.text
    for key in ("predict", "remove-current", "remove-new", "promote"):
        assert page.at.button(key).disabled


def test_trouble_of_the_local_engine_is_shown_until_it_is_over(page: Page, engine: FakeEngine) -> None:
    """Without a reload; changes are accepted meanwhile."""
    engine.observed = snapshot(trouble="The gateway is being restarted.")
    page.run().choose(Strategy.NEW_ONLY)
    assert "The gateway is being restarted." in page.text
    assert page.at.button("predict").disabled
    assert not page.at.button("set-strategy").disabled
    engine.observed = snapshot()
    page.run()
    assert "The gateway is being restarted." not in page.text
    assert not page.at.button("predict").disabled


def test_models_answer_while_the_api_server_is_out_of_reach(page: Page, engine: FakeEngine) -> None:
    """Predictions do not go through it; but where no model was ever observed, there is none to ask."""
    engine.in_cluster = True
    engine.observed = snapshot(trouble="The cluster at 10.0.0.1 does not answer.")
    assert not page.run().at.button("predict").disabled
    engine.observed = snapshot(current=None, new=None, trouble="The cluster at 10.0.0.1 does not answer.")
    assert page.run().at.button("predict").disabled


def test_a_first_visitor_sees_an_example(page: Page, canvas: Canvas) -> None:
    """In place of empty bars, until something is drawn."""
    assert "Below is an example" in page.text
    canvas.draw_stroke()
    assert "Below is an example" not in page.run().text


def test_a_failed_prediction_is_forgotten_on_recovery(
    page: Page, engine: FakeEngine, serving: FakeServing, canvas: Canvas
) -> None:
    """The reason is on the card alone while the model restarts, and gone with it, without a click."""
    canvas.draw_stroke()
    page.run()
    serving.error = ServingError("The model broke off (502).", "Try again.", is_transient=True)
    assert "The model broke off (502)." in page.click("predict").text
    cause = "Current is restarting: it was killed by signal SIGKILL. Ready again in about 2 s."
    engine.observed = snapshot(current=deployment(ready=0, state=State.DEGRADED, cause=cause))
    page.run()
    assert page.text.count(cause) == 1
    assert "The model broke off (502)." not in page.text
    assert "No model can answer now" in page.text
    engine.observed = snapshot()
    page.wait_out_late_strokes()
    page.run()
    assert "broke off" not in page.text
    assert "restarting" not in page.text
