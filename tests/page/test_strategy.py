"""The strategy's controls: what is in force, what was chosen, and what is sent."""

from __future__ import annotations

import pytest

from mnist_dash.domain import SetSplit, Strategy
from mnist_dash.errors import EngineError
from tests.fakes import FakeEngine, snapshot
from tests.page.conftest import Page

OUTCOMES = {
    0: "All requests go to Current.",
    100: "All requests go to New.",
    35: "35 % of the requests go to New.",
}


@pytest.mark.parametrize(
    ("strategy", "percent", "split"),
    [(Strategy.CURRENT_ONLY, None, 0), (Strategy.NEW_ONLY, None, 100), (Strategy.CANARY, 35, 35)],
)
def test_set_strategy_sends_the_split(
    page: Page, engine: FakeEngine, strategy: Strategy, percent: int | None, split: int
) -> None:
    """Each strategy is one number."""
    page.choose(strategy, percent).click("set-strategy")
    assert engine.changes == [SetSplit(split)]
    assert f"Current {100 - split} %" in page.text
    assert f"New {split} %" in page.text
    assert OUTCOMES[split] in page.text


def test_choosing_alone_sends_nothing(page: Page, engine: FakeEngine) -> None:
    """The page says that the choice is not sent yet, and the button is there for nothing else."""
    assert page.at.button("set-strategy").disabled
    page.choose(Strategy.CANARY, 70)
    assert not page.at.button("set-strategy").disabled
    assert engine.changes == []
    assert "Not sent yet: Canary, 70 % to New." in page.text


@pytest.mark.usefixtures("dash")
@pytest.mark.parametrize(
    ("split", "strategy", "percent"), [(65, Strategy.CANARY, 65), (0, Strategy.CURRENT_ONLY, 20)]
)
def test_a_new_visitor_s_controls_show_the_split_in_force(
    engine: FakeEngine, split: int, strategy: Strategy, percent: int
) -> None:
    """A canary is shown as one after a reload; the first canary starts at 20 %."""
    engine.observed = snapshot(split_desired=split, split_observed=split)
    page = Page()
    assert page.at.radio("strategy").value == strategy
    assert page.at.slider("canary-percent").value == percent
    assert page.at.slider("canary-percent").disabled is (strategy is not Strategy.CANARY)


def test_an_unsent_choice_outlives_another_browser_s_change(page: Page, engine: FakeEngine) -> None:
    """The split in force is shown beside it."""
    page.choose(Strategy.CANARY, 70)
    engine.observed = snapshot(split_desired=0, split_observed=0)
    page.run()
    assert page.at.radio("strategy").value == Strategy.CANARY
    assert page.at.slider("canary-percent").value == 70
    assert "Current 100 %" in page.text


def test_untouched_controls_follow_another_browser(page: Page) -> None:
    """A change by one visitor reaches the badges and the controls of the other."""
    other = Page()
    page.choose(Strategy.NEW_ONLY).click("set-strategy")
    assert "New 100 %" in other.run().text
    assert other.at.radio("strategy").value == Strategy.NEW_ONLY


def test_a_held_split_shows_what_it_waits_for(page: Page, engine: FakeEngine) -> None:
    """The desired split differs from the observed one."""
    engine.held = True
    page.choose(Strategy.CANARY, 50).click("set-strategy")
    assert "Desired: Canary, 50 % to New. Waiting for the gateway." in page.text
    assert "50 % of the requests go to New." not in page.text
    engine.settle()
    assert "Desired:" not in page.run().text
    assert "50 % of the requests go to New." in page.text
    assert "50 % of the requests go to New." not in page.run().text


def test_a_second_click_on_set_strategy_sends_nothing(page: Page, engine: FakeEngine) -> None:
    """The button keeps the focus, so it stays enabled until there is another choice, made and taken back."""
    page.choose(Strategy.NEW_ONLY).click("set-strategy").click("set-strategy")
    assert engine.changes == [SetSplit(100)]
    assert not page.at.button("set-strategy").disabled
    page.choose(Strategy.CURRENT_ONLY).choose(Strategy.NEW_ONLY)
    assert page.at.button("set-strategy").disabled


@pytest.mark.parametrize("strategy", [Strategy.NEW_ONLY, Strategy.CANARY])
def test_a_strategy_without_its_model_is_disabled_with_the_reason(
    page: Page, engine: FakeEngine, strategy: Strategy
) -> None:
    """Traffic cannot go to a model that does not exist."""
    engine.observed = snapshot(new=None, split_desired=0, split_observed=0)
    page.run().choose(strategy)
    assert page.at.button("set-strategy").disabled
    assert "No New model is deployed" in page.text


def test_an_error_after_the_click_is_shown_once_where_it_belongs(page: Page, engine: FakeEngine) -> None:
    """Beside the button rather than in a toast, until the next attempt or the end of the engine's trouble."""
    engine.refusal = EngineError("The API server refused it.", "Try again in a moment.")
    page.choose(Strategy.NEW_ONLY).click("set-strategy")
    assert page.run().text.count("The API server refused it. Try again in a moment.") == 1
    assert not page.at.toast
    engine.observed = snapshot(trouble="The API server does not answer.")
    page.run()
    engine.observed = snapshot()
    assert "refused" not in page.run().text
    engine.refusal = None
    assert "All requests go to New." in page.click("set-strategy").text


def test_a_long_error_fits_beside_the_button(page: Page, engine: FakeEngine) -> None:
    """Its end is in the tooltip."""
    engine.refusal = EngineError("The webhook says no" + " and no" * 30 + ".", "Ask it.")
    page.choose(Strategy.NEW_ONLY).click("set-strategy")
    note = next(caption for caption in page.at.caption if "The webhook" in caption.value)
    assert len(note.value) < 120
    assert "Ask it." in note.help


def test_a_strategy_has_a_preview_that_can_set_it(page: Page, engine: FakeEngine) -> None:
    """In a dialog of its own."""
    engine.in_cluster, engine.difference = True, "-  weight: 20\n+  weight: 35"
    page.run().choose(Strategy.CANARY, 35).click("preview-split")
    assert "+  weight: 35" in page.text
    assert engine.changes == []
    page.click("split-confirm")
    assert engine.changes == [SetSplit(35)]


def test_trouble_of_a_cluster_is_shown_once_and_disables_changes(page: Page, engine: FakeEngine) -> None:
    """The controls refer to it, and come back by themselves."""
    trouble = "The cluster at 10.0.0.1 does not answer."
    engine.in_cluster, engine.observed = True, snapshot(trouble=trouble)
    assert page.run().text.count(trouble) == 1
    controls = ("deploy-current", "remove-new", "set-strategy", "promote")
    page.choose(Strategy.CANARY, 70)
    assert all(page.at.button(key).disabled for key in controls)
    engine.observed = snapshot()
    page.run()
    assert not any(page.at.button(key).disabled for key in controls)


def test_drift_is_shown_in_short(page: Page, engine: FakeEngine) -> None:
    """Three changes, and the number of the others."""
    engine.observed = snapshot(drift=tuple(f"kubectl changed {thing}." for thing in "abcde"))
    page.run()
    for text in ("kubectl changed a.", "kubectl changed c.", "and 2 more changes by others."):
        assert text in page.text
    assert "kubectl changed d." not in page.text
