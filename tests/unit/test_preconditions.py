"""Why a change or a prediction cannot work, before it is tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_dash.domain import (
    Change,
    Deploy,
    Promote,
    Release,
    Remove,
    Role,
    Route,
    SetSplit,
    Snapshot,
    State,
    UndoPromote,
)
from mnist_dash.errors import EngineError
from mnist_dash.preconditions import (
    differing_input,
    is_done,
    is_needed,
    why_not,
    why_not_predict,
)
from tests.fakes import CNN, check_of, deployment, snapshot

EMPTY = Snapshot(taken_at=0)
BOTH = snapshot()
NO_CURRENT, NO_NEW = snapshot(current=None), snapshot(new=None)
STARTING = snapshot(
    new=deployment(Role.NEW, ready=0, state=State.STARTING, cause="Loading the model."), can_undo_promote=True
)
INTERRUPTED = snapshot(interrupted_promotion="A promotion stopped half-way.")


def test_with_both_models_ready_there_is_no_obstacle() -> None:
    """A promotion can be undone once there was one."""
    assert {why_not_predict(BOTH, route) for route in Route} == {""}
    changes: list[Change] = [SetSplit(20), SetSplit(100), *map(Remove, Role), Promote(), UndoPromote()]
    assert {why_not(replace(BOTH, can_undo_promote=True), change) for change in changes} == {""}


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (why_not_predict(EMPTY), "Deploy a Current model first"),
        (why_not_predict(NO_CURRENT, Route.NEW), "Deploy a Current model first"),
        (why_not_predict(snapshot(current=deployment(ready=0))), "no ready replica"),
        (why_not_predict(NO_NEW, Route.NEW), "Deploy a New model first"),
        (why_not_predict(STARTING, Route.NEW), "Former has no ready replica. Loading the model."),
        (why_not_predict(snapshot(trouble="The gateway is starting.")), "The gateway is starting."),
        (why_not(NO_NEW, SetSplit(20)), "Deploy a New model first"),
        (why_not(NO_CURRENT, SetSplit(100)), "Deploy a Current model first"),
        (why_not(NO_NEW, Promote()), "Deploy a New model first"),
        (why_not(STARTING, Promote()), "Loading the model."),
        (why_not(snapshot(new=deployment(Role.NEW, state=State.UPDATING)), Promote()), "re-deployed"),
        (why_not(BOTH, UndoPromote()), "no promotion to take back"),
        (why_not(STARTING, UndoPromote()), "no ready replica"),
        (why_not(EMPTY, Remove(Role.NEW)), "No New model is deployed"),
    ],
)
def test_each_reason_is_given(reason: str, words: str) -> None:
    """With the next step."""
    assert words in reason


def test_an_undo_is_done_once_its_model_is_current_or_on_the_way_there() -> None:
    """No other change is: a promotion could have another reason."""
    blue, green = (BOTH.etag(role) for role in Role)
    promoting = replace(BOTH, can_undo_promote=True, becoming_current=Release.GREEN)
    assert is_done(BOTH, UndoPromote(), blue)
    assert is_done(promoting, UndoPromote(), green)
    assert not is_done(replace(BOTH, can_undo_promote=True), UndoPromote(), green)
    assert not is_done(promoting, UndoPromote(), blue)
    assert not is_done(BOTH, UndoPromote(), "")
    assert not is_done(INTERRUPTED, UndoPromote(), blue)
    assert not is_done(BOTH, Promote(), blue)


@pytest.mark.parametrize("change", [Deploy(Role.NEW, check_of("/a"), 1), Remove(Role.NEW), SetSplit(0)])
def test_nothing_else_can_change_during_a_promotion(change: Change) -> None:
    """The roles' pointers are half-way."""
    assert why_not(BOTH, change) == ""
    assert why_not(INTERRUPTED, change).startswith("A promotion stopped half-way. Finish it")


def test_what_is_in_force_is_not_needed() -> None:
    """The split that is set, and a ready model with as many replicas whose check says the same."""
    check = check_of(CNN, accuracy=0.995)
    assert not is_needed(BOTH, SetSplit(20))
    with pytest.raises(EngineError, match="cnn version 1 is deployed as New already, with 1 replica"):
        is_needed(BOTH, Deploy(Role.NEW, check, 1))


@pytest.mark.parametrize(
    ("observed", "change"),
    [
        (BOTH, SetSplit(21)),
        (snapshot(drift=("kubectl changed the weight.",)), SetSplit(20)),
        (BOTH, Deploy(Role.NEW, check_of(CNN, accuracy=0.995), 2)),
        (BOTH, Deploy(Role.NEW, check_of(CNN, accuracy=0.995, version=2), 1)),
        (BOTH, Deploy(Role.NEW, check_of(CNN, accuracy=0.9), 1)),
        (BOTH, Deploy(Role.CURRENT, check_of(CNN, accuracy=0.995), 1)),
        (snapshot(can_undo_promote=True), Deploy(Role.NEW, check_of(CNN, accuracy=0.995), 1)),
        (NO_NEW, Deploy(Role.NEW, check_of(CNN, accuracy=0.995), 1)),
        (
            snapshot(new=deployment(Role.NEW, state=State.FAILED)),
            Deploy(Role.NEW, check_of(CNN, accuracy=0.995), 1),
        ),
    ],
)
def test_all_else_is_needed(observed: Snapshot, change: Change) -> None:
    """Also what takes back others' changes, what makes Former New again, and another try after a failure."""
    assert is_needed(observed, change)


@pytest.mark.parametrize("change", [Promote(), UndoPromote()])
def test_an_interrupted_promotion_can_be_finished_and_taken_back(change: Change) -> None:
    """Whatever the state of New."""
    assert why_not(replace(INTERRUPTED, new=STARTING.new), change) == ""
    assert why_not(STARTING, change) != ""


def test_current_only_can_always_be_set_and_a_split_before_new_is_ready() -> None:
    """The one is the way to roll back; the other is held at 0 until then, and Current answers."""
    assert why_not(EMPTY, SetSplit(0)) == ""
    assert why_not(STARTING, SetSplit(20)) == ""
    assert why_not_predict(STARTING) == ""


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
