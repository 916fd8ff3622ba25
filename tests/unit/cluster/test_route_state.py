"""The state on the route, and the steps of a promotion."""

from __future__ import annotations

from itertools import product

import pytest

from mnist_dash.cluster.resources import CAN_UNDO, HISTORY, SPLIT, SPLIT_BEFORE, SWAP
from mnist_dash.cluster.route_state import (
    MAX_HISTORY,
    Finish,
    PendingPromotion,
    RouteState,
    SetSelector,
    SetWeight,
    Step,
    next_step,
    percent,
    read_state,
)
from mnist_dash.domain import HistoryEntry, Release, Role

PROMOTION = PendingPromotion(Release.GREEN, Release.BLUE, split=0, undo=True, by="ann", at=1.5)
UNDO = PendingPromotion(Release.BLUE, Release.GREEN, split=20, undo=False, by="bob", at=2.5)
STATE = RouteState(20, PROMOTION, True, (HistoryEntry(1.25, "ann", "Deploy é"), HistoryEntry(2, "bob", "x")))


@pytest.mark.parametrize("state", [STATE, RouteState(), RouteState(100, can_undo=True, split_before=30)])
def test_a_state_is_read_back_as_it_was_written(state: RouteState) -> None:
    """Without any complaint."""
    assert read_state(state.to_annotations(), "Ingress mnist-canary") == (state, ())


def test_defaults_are_left_out_and_without_a_split_the_weight_counts() -> None:
    """The object may have been created by hand."""
    assert RouteState(split=7).to_annotations() == {SPLIT: "7"}
    assert read_state({}, "HTTPRoute mnist", weight=30) == (RouteState(split=30), ())


def test_the_history_is_bounded() -> None:
    """The oldest entries go, and an object's annotations stay small."""
    state = RouteState()
    for number in range(MAX_HISTORY + 5):
        state = state.remember(HistoryEntry(number, "ann", f"{number}"))
    assert len(state.history) == MAX_HISTORY
    assert state.history[-1].what == f"{MAX_HISTORY + 4}"
    wordy = RouteState(history=(HistoryEntry(1, "a" * 9000, "w" * 9000),) * 90)
    assert sum(map(len, wordy.to_annotations().values())) < 200_000


@pytest.mark.parametrize("text", ["", "x", "20%", "-1", "101", "1.5", "²", "+5", " 5"])
def test_a_damaged_split_is_reported_and_the_weight_counts(text: str) -> None:
    """Annotations hold integers from 0 to 100."""
    state, trouble = read_state({**STATE.to_annotations(), SPLIT: text}, "Ingress mnist-canary", weight=30)
    assert state.split == 30
    assert state.promotion == STATE.promotion
    (sentence,) = trouble
    assert sentence.startswith(f"The annotation {SPLIT} of Ingress mnist-canary cannot be read")
    with pytest.raises(ValueError, match="no integer from 0 to 100"):
        percent(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"current":"green"}',
        '{"current":"green","new":"green","split":0,"undo":true,"by":"a","at":1}',
        '{"current":"blue","new":"green","split":101,"undo":true,"by":"a","at":1}',
        '{"current":"blue","new":"green","split":0,"undo":true,"by":"a","at":NaN}',
        '{"current":"blue","new":"green","split":0,"undo":true,"by":"a","at":1e18}',
    ],
)
def test_a_damaged_promotion_is_dropped_and_reported(text: str) -> None:
    """The rest of the state stays."""
    state, trouble = read_state({**STATE.to_annotations(), SWAP: text}, "Ingress mnist-canary")
    assert state.promotion is None
    assert state.history == STATE.history
    assert len(trouble) == 1
    assert SWAP in trouble[0]


def test_a_damaged_history_is_dropped_and_reported() -> None:
    """The rest of the state stays."""
    for text in ("{", "{}", "3"):
        state, trouble = read_state({**STATE.to_annotations(), HISTORY: text}, "Ingress mnist-canary")
        assert (state.history, state.promotion, len(trouble)) == ((), STATE.promotion, 1)


def test_a_damaged_change_is_left_out_of_the_history() -> None:
    """The other changes stay."""
    text = '[{"at": "x", "by": "a", "what": "b"}, 3, {"at": 1, "by": "a", "what": "b"}, {"at": 1e300}]'
    state, trouble = read_state({HISTORY: text}, "Ingress mnist-canary")
    assert (state.history, trouble) == ((HistoryEntry(1.0, "a", "b"),), ())


def test_only_true_can_be_undone() -> None:
    """Anything else counts as absent."""
    assert not read_state({CAN_UNDO: "yes"}, "Ingress mnist-canary")[0].can_undo


def test_an_undo_without_a_readable_split_before_it_sets_0() -> None:
    """Another version of the dashboard did not write it; a damaged one is reported."""
    assert read_state({CAN_UNDO: "true"}, "Ingress mnist-canary")[0].split_before == 0
    state, trouble = read_state({CAN_UNDO: "true", SPLIT_BEFORE: "most"}, "Ingress mnist-canary")
    assert (state.can_undo, state.split_before, len(trouble)) == (True, 0, 1)


Pointers = dict[Role, Release]
STARTS = [
    ({Role.CURRENT: current, Role.NEW: new}, weight)
    for current, new, weight in product(Release, Release, (0, 20, 100))
]


def _after(step: Step, pointers: Pointers, weight: int) -> tuple[Pointers, int]:
    match step:
        case SetWeight(percent):
            return pointers, percent
        case SetSelector(role, release):
            return {**pointers, role: release}, weight
        case Finish(split):
            return pointers, split


def _steps(pointers: Pointers, weight: int, promotion: PendingPromotion) -> list[tuple[Pointers, int, Step]]:
    """Each step with the state before it, up to the last."""
    taken: list[tuple[Pointers, int, Step]] = []
    while len(taken) < 10:
        step = next_step(pointers, weight, promotion)
        taken.append((pointers, weight, step))
        if isinstance(step, Finish):
            return taken
        pointers, weight = _after(step, pointers, weight)
    raise AssertionError(taken)


@pytest.mark.parametrize("promotion", [PROMOTION, UNDO])
@pytest.mark.parametrize(("pointers", "weight"), STARTS)
def test_a_promotion_ends_in_its_goal_from_any_state(
    pointers: Pointers, weight: int, promotion: PendingPromotion
) -> None:
    """A dashboard that was killed between any two writes leaves such a state; repeating a step is harmless.

    A pointer moves only while its role receives nothing, so no request meets a Service that is changing.
    """
    steps = _steps(pointers, weight, promotion)
    for pointed, before, step in steps:
        once = _after(step, pointed, before)
        assert _after(step, *once) == once
        if isinstance(step, SetSelector):
            assert before == (100 if step.role is Role.CURRENT else 0)
    last, before, step = steps[-1]
    assert last == {Role.CURRENT: promotion.current, Role.NEW: promotion.new}
    assert _after(step, last, before) == (last, promotion.split)


def test_the_steps_of_a_promotion() -> None:
    """All to New, move Current, all to Current, move New, and done."""
    start = {Role.CURRENT: Release.BLUE, Role.NEW: Release.GREEN}
    assert [step for _, _, step in _steps(start, 20, PROMOTION)] == [
        SetWeight(100),
        SetSelector(Role.CURRENT, Release.GREEN),
        SetWeight(0),
        SetSelector(Role.NEW, Release.BLUE),
        Finish(0),
    ]


def test_a_pointer_that_cannot_be_read_is_written_again() -> None:
    """A Service is missing, or selects something else."""
    assert next_step({}, 100, PROMOTION) == SetSelector(Role.CURRENT, Release.GREEN)
    assert next_step({Role.CURRENT: Release.GREEN}, 0, PROMOTION) == SetSelector(Role.NEW, Release.BLUE)
