"""A model or a cluster that takes long: what the page shows meanwhile, and that it can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import wait
from threading import Event
from typing import Any

import pytest

from mnist_dash.domain import Promote, SetSplit, Snapshot, State, Strategy, UndoPromote
from mnist_dash.errors import EngineError, ServingError
from mnist_dash.panels import answer, background
from tests.fakes import FakeEngine, FakeServing, deployment, snapshot
from tests.page.conftest import Canvas, Page

GATEWAY_LOST = ServingError("The gateway cannot be reached: no answer in time.", "Try again.")


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object, str], Event]]:
    """Returns a function that makes a method wait for the event that it returns; the page does not wait."""
    monkeypatch.setattr(background, "AT_ONCE_SECONDS", 0.0)
    events: list[Event] = []

    def hold(thing: object, name: str) -> Event:
        call, event = getattr(thing, name), Event()
        events.append(event)

        def call_later(*args: Any, **kwargs: Any) -> Any:
            event.wait()
            return call(*args, **kwargs)

        monkeypatch.setattr(thing, name, call_later)
        return event

    yield hold
    for event in events:
        event.set()


def receive_answer(page: Page) -> Page:
    """Wait until the models have answered, and let the page see it, as its poll does in a browser."""
    wait([page.at.session_state["session"].answer.outcome.result])
    return page.run()


def receive_result(page: Page) -> Page:
    """Wait until the engine has accepted or refused a change, and let the page see it."""
    wait([page.at.session_state["session"].sent.result])
    return page.run()


@pytest.mark.parametrize(
    ("split", "compare", "names"),
    [(0, False, "linear"), (100, False, "cnn"), (20, False, "linear or cnn"), (0, True, "linear or cnn")],
)
def test_a_late_answer_names_who_may_owe_it_and_what_comes_next(
    page: Page,
    engine: FakeEngine,
    serving: FakeServing,
    canvas: Canvas,
    hold: Callable[[object, str], Event],
    monkeypatch: pytest.MonkeyPatch,
    split: int,
    compare: bool,
    names: str,
) -> None:
    """A spinner at first, after 2 s an explanation, and then the answer in its place."""
    engine.observed = snapshot(split_desired=split, split_observed=split)
    canvas.draw_stroke()
    if compare:
        page.switch("compare")
    event = hold(serving, "predict")
    page.click("predict")
    assert page.at.info[-1].icon == "spinner"
    assert f"Waiting for {names}." in page.text
    monkeypatch.setattr(answer, "EXPLAINED_AFTER", (0,))
    page.run()
    assert f"No answer for 0 s from {names} Waiting up to 15 s. Predict asks again" in page.text
    event.set()
    assert "No answer for" not in receive_answer(page).text
    assert "say 7" in page.text.replace("says", "say")
    assert len(serving.asked) == 1 + compare


def test_a_late_error_takes_the_place_of_the_spinner(
    page: Page, serving: FakeServing, canvas: Canvas, hold: Callable[[object, str], Event]
) -> None:
    """With its next step, as an error that comes at once."""
    canvas.draw_stroke()
    serving.error = GATEWAY_LOST
    event = hold(serving, "predict")
    assert "Waiting for" in page.click("predict").text
    event.set()
    text = receive_answer(page).text
    assert str(GATEWAY_LOST) in text
    assert "Waiting for" not in text


def test_clear_gives_up_an_answer_that_does_not_come(
    page: Page, serving: FakeServing, canvas: Canvas, hold: Callable[[object, str], Event]
) -> None:
    """The answer is about a drawing that is gone, so it is not shown when it comes after all."""
    canvas.draw_stroke()
    event = hold(serving, "predict")
    page.click("predict")
    late = page.at.session_state["session"].answer.outcome.result
    assert "Waiting for" not in page.click("clear").text
    event.set()
    wait([late])
    assert "says 7" not in page.run().text


def test_predict_asks_again_while_an_answer_does_not_come(
    page: Page, serving: FakeServing, canvas: Canvas, hold: Callable[[object, str], Event]
) -> None:
    """The later answer counts: in a canary another model may give it. Live alone asks only once."""
    canvas.draw_stroke()
    event = hold(serving, "predict")
    page.switch("live").run()
    first = page.at.session_state["session"].answer.outcome.result
    page.click("predict").run()
    later = page.at.session_state["session"].answer.outcome.result
    assert later is not first
    event.set()
    wait([first])
    assert "says 7" in receive_answer(page).text
    assert len(serving.asked) == 2


def test_a_slow_change_shows_a_spinner_and_takes_no_other(
    page: Page, engine: FakeEngine, hold: Callable[[object, str], Event]
) -> None:
    """Its button spins at once; the others say why they are disabled. Predict works meanwhile."""
    page.choose(Strategy.NEW_ONLY)
    event = hold(engine, "apply")
    page.click("set-strategy")
    assert page.at.button("set-strategy").icon == "spinner"
    assert "Sending the change." in page.text
    assert "Not sent yet" not in page.text
    for key in ("deploy-new", "remove-new", "promote"):
        assert page.at.button(key).disabled
        assert page.at.button(key).help == "Sending the change."
    assert not page.at.button("predict").disabled
    page.click("set-strategy")
    event.set()
    assert "Sending the change." not in receive_result(page).text
    assert page.at.button("set-strategy").icon != "spinner"
    assert engine.changes == [SetSplit(100)]
    assert "All requests go to New." in page.text


def test_a_slow_refusal_is_shown_beside_its_button(
    page: Page, engine: FakeEngine, hold: Callable[[object, str], Event]
) -> None:
    """And the choice counts as unsent again."""
    engine.refusal = EngineError("The API server refused it.", "Try again in a moment.")
    page.choose(Strategy.NEW_ONLY)
    event = hold(engine, "apply")
    assert "refused" not in page.click("set-strategy").text
    event.set()
    assert receive_result(page).text.count("The API server refused it. Try again in a moment.") == 1
    assert not page.at.button("set-strategy").disabled


@pytest.mark.parametrize(
    ("observed", "key", "change"),
    [
        (snapshot(can_undo_promote=True), "undo-promote", UndoPromote()),
        (snapshot(current=deployment(ready=0, state=State.FAILED)), "promote-now", Promote()),
        (snapshot(interrupted_promotion="It stopped half-way."), "finish-promotion", Promote()),
        (snapshot(interrupted_promotion="It stopped half-way."), "take-back", UndoPromote()),
    ],
)
def test_each_button_that_changes_something_shows_that_it_is_sent(
    page: Page,
    engine: FakeEngine,
    hold: Callable[[object, str], Event],
    observed: Snapshot,
    key: str,
    change: Promote | UndoPromote,
) -> None:
    """At once, and until the engine has answered."""
    engine.observed = observed
    page.run()
    event = hold(engine, "apply")
    page.click(key)
    assert page.at.button(key).icon == "spinner"
    assert page.at.button(key).disabled
    event.set()
    receive_result(page)
    assert engine.changes == [change]
