"""What cannot work is named before it is tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_dash import preconditions
from mnist_dash.domain import (
    Change,
    Deploy,
    Deployment,
    ModelCheck,
    Promote,
    Release,
    Remove,
    Role,
    Route,
    SetSplit,
    Snapshot,
    State,
    Strategy,
    UndoPromote,
)

CURRENT = Deployment(Role.CURRENT, Release.BLUE, "/a", desired=1, ready=1, state=State.READY)
NEW = replace(CURRENT, role=Role.NEW, release=Release.GREEN)
YOUNG = replace(NEW, ready=0, state=State.STARTING, cause="Loading the model.")
EMPTY = Snapshot(taken_at=0)
BOTH = replace(EMPTY, current=CURRENT, new=NEW)


def test_with_both_models_ready_nothing_stands_in_the_way() -> None:
    """But there is no promotion to take back yet."""
    for route in Route:
        assert preconditions.why_not_predict(BOTH, route) == ""
    for strategy in Strategy:
        assert preconditions.why_not_strategy(BOTH, strategy) == ""
    for role in Role:
        assert preconditions.why_not_remove(BOTH, role) == ""
    assert preconditions.why_not_promote(BOTH) == ""
    assert preconditions.why_not_compare(BOTH) == ""
    assert preconditions.why_not_undo_promote(replace(BOTH, can_undo_promote=True)) == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (preconditions.why_not_predict(EMPTY), "Deploy a Current model first"),
        (preconditions.why_not_predict(replace(EMPTY, new=NEW), Route.NEW), "Deploy a Current model first"),
        (
            preconditions.why_not_predict(replace(EMPTY, current=replace(CURRENT, ready=0))),
            "no ready replica",
        ),
        (preconditions.why_not_predict(replace(BOTH, new=None), Route.NEW), "Deploy a New model first"),
        (preconditions.why_not_predict(replace(BOTH, new=YOUNG), Route.NEW), "Loading the model."),
        (
            preconditions.why_not_predict(replace(BOTH, trouble="The gateway is starting.")),
            "The gateway is starting.",
        ),
        (preconditions.why_not_compare(replace(BOTH, new=None)), "Deploy a New model first"),
        (
            preconditions.why_not_strategy(replace(BOTH, new=None), Strategy.CANARY),
            "Deploy a New model first",
        ),
        (
            preconditions.why_not_strategy(replace(BOTH, current=None), Strategy.NEW_ONLY),
            "Deploy a Current model first",
        ),
        (preconditions.why_not_promote(replace(BOTH, new=None)), "Deploy a New model first"),
        (preconditions.why_not_promote(replace(BOTH, new=YOUNG)), "Loading the model."),
        (preconditions.why_not_promote(replace(BOTH, new=replace(NEW, state=State.UPDATING))), "re-deployed"),
        (preconditions.why_not_undo_promote(BOTH), "no promotion to take back"),
        (
            preconditions.why_not_undo_promote(replace(BOTH, new=YOUNG, can_undo_promote=True)),
            "no ready replica",
        ),
        (preconditions.why_not_remove(EMPTY, Role.NEW), "No New model is deployed"),
    ],
)
def test_each_obstacle_is_named(reason: str, words: str) -> None:
    """With what to do first."""
    assert words in reason


HALF = replace(BOTH, interrupted_promotion="A promotion stopped half-way.")
CHECK = ModelCheck("/a", 1, (-1, 28, 28, 1), 0.9)


@pytest.mark.parametrize("change", [Deploy(Role.NEW, CHECK, 1), Remove(Role.NEW), SetSplit(0)])
def test_nothing_is_changed_amid_a_promotion(change: Change) -> None:
    """The roles' pointers are on their way."""
    assert preconditions.why_not(BOTH, change) == ""
    assert preconditions.why_not(HALF, change).startswith("A promotion stopped half-way. Finish it")


@pytest.mark.parametrize("change", [Promote(), UndoPromote()])
def test_an_interrupted_promotion_can_be_finished_and_taken_back(change: Change) -> None:
    """Whatever New is doing meanwhile."""
    assert preconditions.why_not(replace(HALF, new=YOUNG), change) == ""
    assert preconditions.why_not(replace(BOTH, new=YOUNG), change) != ""


@pytest.mark.parametrize(
    ("change", "words"),
    [(Remove(Role.NEW), "No New model is deployed"), (SetSplit(20), "Deploy a Current model first")],
)
def test_a_change_is_refused_as_its_own_rule_says(change: Change, words: str) -> None:
    """The page and the service ask the same."""
    assert words in preconditions.why_not(EMPTY, change)


def test_current_only_can_always_be_set() -> None:
    """It is the way to safety."""
    assert preconditions.why_not_strategy(EMPTY, Strategy.CURRENT_ONLY) == ""


def test_a_split_may_be_set_before_new_is_ready() -> None:
    """It is held at 0 until then, and a prediction on the split is answered by Current."""
    young = replace(BOTH, new=YOUNG)
    assert preconditions.why_not_strategy(young, Strategy.CANARY) == ""
    assert preconditions.why_not_predict(young) == ""


@pytest.mark.parametrize(
    ("current", "new", "words"),
    [
        ((-1, 28, 28, 1), (-1, 784), "It takes (784,), Current (28, 28, 1)"),
        ((-1, 784), (1, 784), ""),
        ((), (-1, 784), ""),
        ((-1, 784), (), ""),
    ],
)
def test_models_of_different_input_are_told(
    current: tuple[int, ...], new: tuple[int, ...], words: str
) -> None:
    """The size of the batch does not matter, and what is not known is not told."""
    assert preconditions.differing_input(current, new).startswith(words)
    assert bool(preconditions.differing_input(current, new)) is bool(words)
