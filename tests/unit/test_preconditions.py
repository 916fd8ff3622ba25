"""Why a change or a prediction cannot work, before it is tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

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
from mnist_dash.preconditions import (
    differing_input,
    why_not,
    why_not_compare,
    why_not_predict,
    why_not_promote,
    why_not_remove,
    why_not_strategy,
    why_not_undo_promote,
)

CURRENT = Deployment(Role.CURRENT, Release.BLUE, "/a", desired=1, ready=1, state=State.READY)
NEW = replace(CURRENT, role=Role.NEW, release=Release.GREEN)
STARTING = replace(NEW, ready=0, state=State.STARTING, cause="Loading the model.")
EMPTY = Snapshot(taken_at=0)
BOTH = replace(EMPTY, current=CURRENT, new=NEW)


def test_with_both_models_ready_there_is_no_obstacle() -> None:
    """A promotion can be undone once there was one."""
    for route in Route:
        assert why_not_predict(BOTH, route) == ""
    for strategy in Strategy:
        assert why_not_strategy(BOTH, strategy) == ""
    for role in Role:
        assert why_not_remove(BOTH, role) == ""
    assert why_not_promote(BOTH) == ""
    assert why_not_compare(BOTH) == ""
    assert why_not_undo_promote(replace(BOTH, can_undo_promote=True)) == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (why_not_predict(EMPTY), "Deploy a Current model first"),
        (why_not_predict(replace(EMPTY, new=NEW), Route.NEW), "Deploy a Current model first"),
        (
            why_not_predict(replace(EMPTY, current=replace(CURRENT, ready=0))),
            "no ready replica",
        ),
        (why_not_predict(replace(BOTH, new=None), Route.NEW), "Deploy a New model first"),
        (why_not_predict(replace(BOTH, new=STARTING), Route.NEW), "Loading the model."),
        (
            why_not_predict(replace(BOTH, trouble="The gateway is starting.")),
            "The gateway is starting.",
        ),
        (why_not_compare(replace(BOTH, new=None)), "Deploy a New model first"),
        (
            why_not_strategy(replace(BOTH, new=None), Strategy.CANARY),
            "Deploy a New model first",
        ),
        (
            why_not_strategy(replace(BOTH, current=None), Strategy.NEW_ONLY),
            "Deploy a Current model first",
        ),
        (why_not_promote(replace(BOTH, new=None)), "Deploy a New model first"),
        (why_not_promote(replace(BOTH, new=STARTING)), "Loading the model."),
        (why_not_promote(replace(BOTH, new=replace(NEW, state=State.UPDATING))), "re-deployed"),
        (why_not_undo_promote(BOTH), "no promotion to take back"),
        (
            why_not_undo_promote(replace(BOTH, new=STARTING, can_undo_promote=True)),
            "no ready replica",
        ),
        (why_not_remove(EMPTY, Role.NEW), "No New model is deployed"),
    ],
)
def test_each_reason_is_given(reason: str, words: str) -> None:
    """With the next step."""
    assert words in reason


INTERRUPTED = replace(BOTH, interrupted_promotion="A promotion stopped half-way.")
CHECK = ModelCheck("/a", 1, (-1, 28, 28, 1), 0.9)


@pytest.mark.parametrize("change", [Deploy(Role.NEW, CHECK, 1), Remove(Role.NEW), SetSplit(0)])
def test_nothing_else_can_change_during_a_promotion(change: Change) -> None:
    """The roles' pointers are half-way."""
    assert why_not(BOTH, change) == ""
    assert why_not(INTERRUPTED, change).startswith("A promotion stopped half-way. Finish it")


@pytest.mark.parametrize("change", [Promote(), UndoPromote()])
def test_an_interrupted_promotion_can_be_finished_and_taken_back(change: Change) -> None:
    """Whatever the state of New."""
    assert why_not(replace(INTERRUPTED, new=STARTING), change) == ""
    assert why_not(replace(BOTH, new=STARTING), change) != ""


@pytest.mark.parametrize(
    ("change", "words"),
    [(Remove(Role.NEW), "No New model is deployed"), (SetSplit(20), "Deploy a Current model first")],
)
def test_a_change_is_refused_by_its_own_rule(change: Change, words: str) -> None:
    """Page and service use the same rules."""
    assert words in why_not(EMPTY, change)


def test_current_only_can_always_be_set() -> None:
    """It is the way to roll back."""
    assert why_not_strategy(EMPTY, Strategy.CURRENT_ONLY) == ""


def test_a_split_may_be_set_before_new_is_ready() -> None:
    """It is held at 0 until then, and Current answers."""
    starting = replace(BOTH, new=STARTING)
    assert why_not_strategy(starting, Strategy.CANARY) == ""
    assert why_not_predict(starting) == ""


@pytest.mark.parametrize(
    ("current", "new", "words"),
    [
        ((-1, 28, 28, 1), (-1, 784), "It takes (784,), Current (28, 28, 1)"),
        ((-1, 784), (1, 784), ""),
        ((), (-1, 784), ""),
        ((-1, 784), (), ""),
    ],
)
def test_different_inputs_of_the_models_are_described(
    current: tuple[int, ...], new: tuple[int, ...], words: str
) -> None:
    """The batch size does not matter, and an unknown shape is ignored."""
    assert differing_input(current, new).startswith(words)
    assert bool(differing_input(current, new)) is bool(words)
