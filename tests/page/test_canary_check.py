"""The canary check on the page: from the click to the verdict, and what it leads on to."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mnist_dash.domain import Promote, Role, SetSplit, Snapshot, Strategy, UndoPromote
from mnist_dash.evidence import rollout_run
from mnist_dash.evidence.canary_check import CanaryCheck, CheckOptions, Guard
from mnist_dash.evidence.rollout import Rollout, RolloutStatus
from mnist_dash.panels import lifecycle, session
from mnist_dash.service import Dashboard
from mnist_dash.settings import Settings
from tests.fakes import FakeEngine, LabelledServing, deployment, snapshot
from tests.page.conftest import Canvas, Page

WRONG = {Role.CURRENT: 10}


@pytest.fixture
def models(engine: FakeEngine) -> LabelledServing:
    """The models: Current is wrong about every tenth digit."""
    return LabelledServing(engine, WRONG)


@pytest.fixture
def dash(engine: FakeEngine, models: LabelledServing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """The dashboard that the page opens."""
    monkeypatch.setattr(Settings, "from_env", Settings)
    with Dashboard(engine, models) as dash:
        monkeypatch.setattr(lifecycle, "open_dashboard", lambda _: dash)
        yield dash


def wait_for_end(dash: Dashboard) -> CanaryCheck:
    """Wait until the check ends, and return it."""
    deadline = time.monotonic() + 30
    while not (check := dash.canary_check) or check.is_running:
        assert time.monotonic() < deadline, check
        time.sleep(0.01)
    return check


def test_the_check_is_the_first_tab(page: Page) -> None:
    """It explains itself, and nothing runs until it is started."""
    assert "The check asks both models about the same labelled digits" in page.text
    assert page.at.button("stop-check").disabled
    assert not page.at.button("start-check").disabled


def test_a_check_goes_from_the_click_to_the_verdict(page: Page, dash: Dashboard) -> None:
    """In large type, spoken to a screen reader, with the evidence beside it."""
    page.click("start-check")
    wait_for_end(dash)
    text = page.run().text
    assert '<div class="verdict" role="status"' in text
    assert "New is better Of 7 digits that only one of them got right, New got 7. Decided after" in text
    assert "Ended with the verdict." in text
    assert "cnn version 1 as New against linear version 1 as Current. Level 5 %, margin 2 points" in text
    assert "Split: 20 % set, 20.0 % seen of" in text
    assert "Where they differ" in text
    assert not page.at.button("start-check").disabled


def test_all_browsers_see_the_check_and_may_stop_it(
    page: Page, dash: Dashboard, models: LabelledServing
) -> None:
    """Only one runs at a time; a reload loses nothing."""
    models.wrong = {Role.CURRENT: 30, Role.NEW: 29}
    models.pause = 0.05
    other = Page()
    page.click("start-check")
    assert other.run().at.button("start-check").disabled
    assert "of 2,000 digits" in Page().text
    other.click("stop-check")
    assert wait_for_end(dash).ended == "Stopped."
    assert "Not enough evidence yet" in page.run().text
    assert "Stopped." in page.text


def test_new_that_is_better_can_be_made_the_current(page: Page, dash: Dashboard, engine: FakeEngine) -> None:
    """The button opens the dialog that shows what it does; afterwards the verdict is about other models."""
    page.click("start-check")
    wait_for_end(dash)
    page.run().click("check-promote")
    assert engine.changes == []
    page.click("promote-confirm")
    assert engine.changes == [Promote()]
    assert "Other models are deployed now" in page.run().text
    assert not page.has("check-promote")


def test_former_that_is_better_is_rolled_back_to(page: Page, dash: Dashboard, engine: FakeEngine) -> None:
    """In the words of its card."""
    engine.observed = snapshot(can_undo_promote=True)
    page.click("start-check")
    wait_for_end(dash)
    assert page.run().at.button("check-undo").label == "Roll back to cnn"
    page.click("check-undo")
    assert engine.changes == [UndoPromote()]


def test_a_current_that_is_better_gets_all_requests_back(
    page: Page, dash: Dashboard, engine: FakeEngine, models: LabelledServing
) -> None:
    """By one click; where it has them already, nothing is offered."""
    models.wrong = {Role.NEW: 10}
    page.click("start-check")
    wait_for_end(dash)
    assert "Current is better" in page.run().text
    page.click("check-back")
    assert engine.changes == [SetSplit(0)]
    assert not page.run().has("check-back")


def test_a_red_guard_offers_the_way_back(page: Page, dash: Dashboard, models: LabelledServing) -> None:
    """With the error and its number."""
    models.failing_new = 3
    dash.start_check(CheckOptions(guard=Guard(error_rate=0.0)))
    wait_for_end(dash)
    text = page.run().text
    assert "New fails its guard" in text
    assert "requests to New failed" in text
    assert "New, 3 x: The model broke off." in text
    assert page.has("check-back")


def test_the_options_are_those_of_the_next_check(page: Page, dash: Dashboard) -> None:
    """They outlive a closed tab, and are shown with the check."""
    page.at.radio("check-kind").set_value("A fixed number of digits")
    page.run()
    page.at.number_input("check-digits").set_value(100)
    page.at.number_input("check-margin").set_value(5.0)
    page.run().open("History").open("Canary check")
    page.click("start-check")
    options = wait_for_end(dash).options
    assert (options.digits, options.terms.margin, options.guard) == (100, 0.05, Guard(0.01, None))
    assert "margin 5 points" in page.run().text
    assert "McNemar's exact test, at the planned end" in page.text


def test_a_digit_about_which_they_differ_can_be_put_on_the_canvas(
    page: Page, dash: Dashboard, canvas: Canvas
) -> None:
    """With both answers."""
    assert canvas
    page.click("start-check")
    place = next(row.place for row in wait_for_end(dash).rows if not row.current_right)
    page.run().click(f"try-{place}")
    assert page.at.toggle("compare").value
    assert "New is right" in page.text


def test_the_confusions_are_shown_on_demand(page: Page, dash: Dashboard) -> None:
    """Wrong answers are marked."""
    page.click("start-check")
    wait_for_end(dash)
    assert '<td class="wrong">' not in page.run().text
    assert '<td class="wrong">' in page.unfold("confusions").text


def test_without_two_ready_models_no_check_can_be_started(page: Page, engine: FakeEngine) -> None:
    """The reason is beside the button."""
    engine.observed = Snapshot(taken_at=0.0, current=deployment())
    button = page.run().at.button("start-check")
    assert button.disabled
    assert "Deploy a New model first" in button.help


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a rollout continue at once."""
    monkeypatch.setattr(rollout_run, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(rollout_run, "ROUND_SECONDS", 0.01)


def wait_for_rollout(dash: Dashboard, *states: RolloutStatus) -> Rollout:
    """Wait until the rollout is in one of these states, with nothing left to do, and return it."""
    deadline = time.monotonic() + 30
    while not (rollout := dash.rollout) or rollout.is_driven or rollout.status not in states:
        assert time.monotonic() < deadline, rollout
        time.sleep(0.01)
    return rollout


@pytest.mark.usefixtures("quick")
def test_a_rollout_goes_from_the_click_to_the_promotion(
    page: Page, dash: Dashboard, engine: FakeEngine
) -> None:
    """With the chosen steps as a ladder, and the verdict and the evidence of a check."""
    page.at.text_input("rollout-steps").set_value("10, 50 %")
    page.at.number_input("rollout-requests").set_value(20)
    page.click("start-rollout")
    rollout = wait_for_rollout(dash, RolloutStatus.PROMOTED)
    assert (rollout.plan.steps, rollout.plan.requests) == ((10, 50), 20)
    assert engine.changes == [SetSplit(10), SetSplit(50), Promote()]
    text = page.run().text
    assert '<ol aria-label="Steps of the rollout"><li class="done"><b>10 %</b>done</li>' in text
    assert "Promoted. cnn became the Current." in text
    assert "New is better Of 7 digits that only one of them got right, New got 7." in text
    assert page.at.button("pause-rollout").disabled
    page.click("start-check")
    wait_for_end(dash)
    assert "Steps of the rollout" not in page.run().text


@pytest.mark.usefixtures("quick")
def test_a_rollout_can_be_paused_resumed_skipped_and_aborted_by_all(
    page: Page,
    dash: Dashboard,
    engine: FakeEngine,
    models: LabelledServing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A double click on Skip step skips one; the strategy's card says that a rollout is under way."""
    monkeypatch.setattr(session, "DOUBLE_CLICK_SECONDS", 60.0)
    models.pause = 0.05
    page.at.number_input("rollout-requests").set_value(2000)
    page.click("start-rollout")
    other = Page()
    assert "Automatic rollout. Rolling out, step 1 of 4." in other.text
    for key in ("start-check", "stop-check", "start-rollout", "resume-rollout"):
        assert other.at.button(key).disabled
    other.click("pause-rollout")
    assert dash.rollout
    assert dash.rollout.status is RolloutStatus.PAUSED
    assert "Paused, step 1 of 4. Paused by ada." in page.run().text
    page.click("resume-rollout")
    page.click("skip-step").click("skip-step")
    assert dash.rollout.step == 1
    other.run().click("abort-rollout")
    wait_for_rollout(dash, RolloutStatus.ABORTED)
    assert engine.changes[-1] == SetSplit(0)
    assert "Aborted, step 2 of 4. Aborted by ada. All requests went back to linear." in page.run().text
    assert "Automatic rollout" not in page.text


@pytest.mark.usefixtures("quick")
def test_a_change_by_hand_pauses_a_rollout(page: Page, dash: Dashboard, models: LabelledServing) -> None:
    """The page says so before it is sent and afterwards; then it may be resumed."""
    models.pause = 0.05
    page.at.number_input("rollout-requests").set_value(2000)
    page.click("start-rollout")
    page.choose(Strategy.CANARY, 70)
    assert "Not sent yet: Canary, 70 % to New. It pauses the rollout." in page.text
    page.click("set-strategy")
    wait_for_rollout(dash, RolloutStatus.PAUSED)
    text = page.run().text
    assert "The split was changed during the rollout, from " in text
    assert "to 70 %." in text
    assert not page.at.button("resume-rollout").disabled
    page.click("abort-rollout")
    assert "Aborted by ada." in page.run().text
    assert dash.snapshot().split_desired == 70


@pytest.mark.usefixtures("quick")
def test_a_rollout_that_cannot_decide_asks(page: Page, dash: Dashboard, models: LabelledServing) -> None:
    """With both ways on."""
    models.wrong = {Role.CURRENT: 30, Role.NEW: 29}
    page.click("start-rollout")
    wait_for_rollout(dash, RolloutStatus.UNDECIDED)
    text = page.run().text
    assert "All 2,000 digits were asked, and the evidence does not tell. Decide yourself." in text
    assert page.has("check-promote")
    assert page.has("check-back")


def test_impossible_steps_are_explained(page: Page, engine: FakeEngine) -> None:
    """And nothing changes."""
    page.at.text_input("rollout-steps").set_value("50, 20")
    page.click("start-rollout")
    assert "A rollout cannot have 50, 20 % as its steps." in page.text
    assert engine.changes == []
