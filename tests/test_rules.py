"""What cannot work is named before it is tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_dash import rules
from mnist_dash.domain import Deployment, Release, Role, Route, Snapshot, State, Strategy

CURRENT = Deployment(Role.CURRENT, Release.BLUE, "/a", wanted=1, ready=1, state=State.READY)
NEW = replace(CURRENT, role=Role.NEW, release=Release.GREEN)
YOUNG = replace(NEW, ready=0, state=State.STARTING, cause="Loading the model.")
EMPTY = Snapshot(taken_at=0)
BOTH = replace(EMPTY, current=CURRENT, new=NEW)


def test_with_both_models_ready_nothing_stands_in_the_way() -> None:
    """But there is no promotion to take back yet."""
    for route in Route:
        assert rules.why_not_predict(BOTH, route) == ""
    for strategy in Strategy:
        assert rules.why_not_strategy(BOTH, strategy) == ""
    for role in Role:
        assert rules.why_not_remove(BOTH, role) == ""
    assert rules.why_not_promote(BOTH) == ""
    assert rules.why_not_compare(BOTH) == ""
    assert rules.why_not_undo_promote(replace(BOTH, can_undo_promote=True)) == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (rules.why_not_predict(EMPTY), "Deploy a Current model first"),
        (rules.why_not_predict(replace(EMPTY, new=NEW), Route.NEW), "Deploy a Current model first"),
        (rules.why_not_predict(replace(EMPTY, current=replace(CURRENT, ready=0))), "no ready replica"),
        (rules.why_not_predict(replace(BOTH, new=None), Route.NEW), "Deploy a New model first"),
        (rules.why_not_predict(replace(BOTH, new=YOUNG), Route.NEW), "Loading the model."),
        (
            rules.why_not_predict(replace(BOTH, trouble="The gateway is starting.")),
            "The gateway is starting.",
        ),
        (rules.why_not_compare(replace(BOTH, new=None)), "Deploy a New model first"),
        (rules.why_not_strategy(replace(BOTH, new=None), Strategy.CANARY), "Deploy a New model first"),
        (
            rules.why_not_strategy(replace(BOTH, current=None), Strategy.NEW_ONLY),
            "Deploy a Current model first",
        ),
        (rules.why_not_promote(replace(BOTH, new=None)), "Deploy a New model first"),
        (rules.why_not_promote(replace(BOTH, new=YOUNG)), "Loading the model."),
        (rules.why_not_promote(replace(BOTH, new=replace(NEW, state=State.UPDATING))), "re-deployed"),
        (rules.why_not_undo_promote(BOTH), "no promotion to take back"),
        (rules.why_not_undo_promote(replace(BOTH, new=YOUNG, can_undo_promote=True)), "no ready replica"),
        (rules.why_not_remove(EMPTY, Role.NEW), "No New model is deployed"),
    ],
)
def test_each_obstacle_is_named(reason: str, words: str) -> None:
    """With what to do first."""
    assert words in reason


def test_current_only_can_always_be_set() -> None:
    """It is the way to safety."""
    assert rules.why_not_strategy(EMPTY, Strategy.CURRENT_ONLY) == ""


def test_a_split_may_be_set_before_new_is_ready() -> None:
    """It is held at 0 until then, and a prediction on the split is answered by Current."""
    young = replace(BOTH, new=YOUNG)
    assert rules.why_not_strategy(young, Strategy.CANARY) == ""
    assert rules.why_not_predict(young) == ""
