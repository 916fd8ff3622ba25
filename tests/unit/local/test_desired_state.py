"""The desired state, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_dash.domain import HistoryEntry, Release, Role
from mnist_dash.local.desired_state import BUNDLED, DesiredState, Spec, StateFile

FIRST_MOMENT, LAST_MOMENT = -62_135_596_800, 253_402_300_799
"""Of the years 1 and 9999 in UTC: in some zones they are in a year that does not exist."""
BOTH = replace(DesiredState().deploy(Role.CURRENT, "/a", 1).deploy(Role.NEW, "/b", 2), split=20)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[StateFile]:
    """The state file of a first start."""
    with closing(StateFile(tmp_path / "state" / "folder")) as file:
        yield file


def test_the_first_current_is_blue_and_new_is_green() -> None:
    """Each deploy gets a generation of its own."""
    assert BOTH.specs == {Release.BLUE: Spec("/a", 1, 1), Release.GREEN: Spec("/b", 2, 2)}


def test_promoting_swaps_pointers_and_sends_all_traffic_to_current() -> None:
    """No spec changes, so nothing restarts."""
    promoted = BOTH.promote()
    assert promoted.spec(Role.CURRENT) == Spec("/b", 2, 2)
    assert promoted.spec(Role.NEW) == Spec("/a", 1, 1)
    assert (promoted.split, promoted.can_undo) == (0, True)
    assert promoted.specs == BOTH.specs


def test_an_undo_restores_what_was_before_the_promotion() -> None:
    """The split included; a Current that was not there cannot come back."""
    assert BOTH.promote().undo_promote() == BOTH
    alone = BOTH.remove(Role.CURRENT).promote()
    assert (alone.can_undo, alone.split_before, alone.spec(Role.NEW)) == (False, 0, None)


def test_redeploying_keeps_the_split_and_a_fallback() -> None:
    """The former generation stays the fallback until the new one has taken over."""
    again = BOTH.deploy(Role.NEW, "/c", 3)
    assert again.split == 20
    assert again.fallbacks == {Release.GREEN: Spec("/b", 2, 2)}
    assert again.fall_back(Release.GREEN).specs == BOTH.specs
    assert again.taken_over(Release.GREEN).fallbacks == {}


def test_redeploying_twice_keeps_the_generation_that_served_as_fallback() -> None:
    """A generation that never took over is no fallback."""
    assert BOTH.deploy(Role.NEW, "/c", 3).deploy(Role.NEW, "/d", 1).fallbacks[Release.GREEN].base == "/b"


def test_removing_new_sets_the_split_to_zero_and_removing_current_does_not() -> None:
    """A split has no meaning without New."""
    assert BOTH.remove(Role.NEW).split == 0
    assert BOTH.remove(Role.CURRENT).split == 20
    assert BOTH.remove(Role.NEW).spec(Role.NEW) is None


@pytest.mark.parametrize("change", [lambda s: s.deploy(Role.NEW, "/c", 1), lambda s: s.remove(Role.CURRENT)])
def test_a_change_of_the_models_ends_the_undo(change) -> None:  # type: ignore[no-untyped-def]
    """After it, an undo would not restore the state before the promotion."""
    changed = change(BOTH.promote())
    assert (changed.can_undo, changed.split_before) == (False, 0)


@pytest.mark.parametrize("desired", [DesiredState(), BOTH, BOTH.promote(), BOTH.deploy(Role.NEW, "/c", 8)])
def test_a_saved_state_is_loaded_again(file: StateFile, desired: DesiredState) -> None:
    """Everything survives, the fallback of a re-deploy that was under way too."""
    file.save(desired)
    assert file.load() == desired
    assert file.notices == []


def test_the_history_keeps_the_last_fifty_changes(file: StateFile) -> None:
    """It survives a restart, newest last."""
    desired = BOTH
    for number in range(60):
        desired = desired.remember(HistoryEntry(float(number), "ada", f"Change {number}"))
    file.save(desired)
    loaded = file.load()
    assert loaded is not None
    assert [entry.what for entry in loaded.history] == [f"Change {number}" for number in range(10, 60)]


def test_a_damaged_change_is_left_out_of_the_history(file: StateFile) -> None:
    """The other changes and the state stay."""
    good = {"at": 1.0, "by": "ada", "what": "x"}
    damaged = [{"at": 1.0}, {**good, "at": "noon"}, {**good, "by": None}, 3, None]
    damaged += [{**good, "at": at} for at in (1e18, 1e300, -1e18, LAST_MOMENT, FIRST_MOMENT)]
    for history in ([*damaged, good], 3, None):
        file.path.write_text(json.dumps({**GOOD, "history": history}))
        loaded = file.load()
        assert loaded is not None
        assert loaded.history == ((HistoryEntry(1.0, "ada", "x"),) if isinstance(history, list) else ())
        assert file.notices == []


def test_a_state_without_a_history_is_loaded(file: StateFile) -> None:
    """An update of the dashboard loses no deployment."""
    file.path.write_text(json.dumps(GOOD))
    assert file.load() == DesiredState()
    assert file.notices == []


def test_a_promotion_saved_without_the_split_before_it_is_undone_with_split_0(file: StateFile) -> None:
    """An earlier version of the dashboard did not save it."""
    specs = {"blue": {"base": "/a", "replicas": 1, "generation": 1}}
    file.path.write_text(json.dumps({**GOOD, "specs": specs, "current": "green", "can_undo": True}))
    loaded = file.load()
    assert loaded is not None
    assert loaded.can_undo
    assert (loaded.undo_promote().current, loaded.undo_promote().split) == (Release.BLUE, 0)


def test_a_split_without_a_new_model_is_loaded_as_0(file: StateFile) -> None:
    """A split has no meaning without New."""
    file.path.write_text(json.dumps({**GOOD, "split": 20}))
    assert file.load() == DesiredState()


def test_a_first_start_has_no_state_and_no_notice(file: StateFile) -> None:
    """The folder is made, with parents."""
    assert file.load() is None
    assert file.notices == []


GOOD = {"format": 1, "current": "blue", "specs": {}, "fallbacks": {}, "split": 0, "can_undo": False}
NOT_STATES = [
    {},
    {**GOOD, "format": 99},
    {**GOOD, "current": "red"},
    {**GOOD, "split": 101},
    {**GOOD, "split": "20"},
    {**GOOD, "split_before": 101},
    {**GOOD, "split_before": None},
    {**GOOD, "specs": {"blue": {"base": "/a"}}},
    {**GOOD, "specs": {"blue": {"base": 1, "replicas": 1, "generation": 1}}},
    {**GOOD, "specs": {"blue": {"base": "/a", "replicas": 9, "generation": 1}}},
]


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '"text"', "\x00\x01", *map(json.dumps, NOT_STATES)]
)
def test_a_damaged_file_is_set_aside_with_a_notice(file: StateFile, damage: str) -> None:
    """The damaged file is kept."""
    file.path.write_text(damage)
    assert file.load() is None
    assert "damaged" in file.notices[0]
    assert file.path.with_name("state.damaged.json").read_text() == damage


def test_a_second_dashboard_leaves_the_first_ones_state_alone(file: StateFile) -> None:
    """It starts afresh with a notice, and writes nothing."""
    file.save(BOTH)
    second = StateFile(file.path.parent)
    assert second.load() is None
    assert "Another dashboard" in second.notices[0]
    second.save(DesiredState())
    assert file.load() == BOTH


def test_the_folder_is_free_again_after_closing(file: StateFile) -> None:
    """Closing twice does no harm."""
    file.close()
    file.close()
    with closing(StateFile(file.path.parent)) as second:
        assert second.notices == []


def test_a_folder_that_cannot_be_made_is_a_notice_and_no_crash(tmp_path: Path) -> None:
    """The reason is the system's own."""
    (tmp_path / "file").write_text("")
    file = StateFile(tmp_path / "file" / "below")
    assert "cannot be used (Not a directory)" in file.notices[0]
    file.save(BOTH)
    assert file.load() is None


def test_bundled_models_are_saved_by_name(file: StateFile) -> None:
    """The package may be in another place at the next start."""
    desired = DesiredState().deploy(Role.CURRENT, str(BUNDLED / "cnn"), 1)
    file.save(desired)
    assert "bundled:cnn" in file.path.read_text()
    assert file.load() == desired
