"""The desired state, and the file that keeps it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_dash.domain import HistoryEntry, Release, Role
from mnist_dash.local.desired_state import BUNDLED, DesiredState, Spec, StateFile

BOTH = replace(DesiredState().deploy(Role.CURRENT, "/a", 1).deploy(Role.NEW, "/b", 2), split=20)


def test_the_first_current_is_blue_and_new_is_green() -> None:
    """Each deploy gets a generation of its own."""
    assert BOTH.specs == {Release.BLUE: Spec("/a", 1, 1), Release.GREEN: Spec("/b", 2, 2)}


def test_promoting_swaps_pointers_and_sends_all_traffic_to_current() -> None:
    """No spec changes, so nothing restarts."""
    promoted = BOTH.swap(can_undo=True)
    assert promoted.spec(Role.CURRENT) == Spec("/b", 2, 2)
    assert promoted.spec(Role.NEW) == Spec("/a", 1, 1)
    assert (promoted.split, promoted.can_undo) == (0, True)
    assert promoted.specs == BOTH.specs


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
    assert not change(BOTH.swap(can_undo=True)).can_undo


@pytest.mark.parametrize(
    "desired", [DesiredState(), BOTH, BOTH.swap(can_undo=True), BOTH.deploy(Role.NEW, "/c", 8)]
)
def test_a_saved_state_is_loaded_again(tmp_path: Path, desired: DesiredState) -> None:
    """Everything survives, the fallback of a re-deploy that was under way too."""
    file = StateFile(tmp_path)
    file.save(desired)
    assert file.load() == desired
    assert file.notices == []
    file.close()


def test_the_history_keeps_the_last_fifty_changes(tmp_path: Path) -> None:
    """It survives a restart, newest last."""
    desired = BOTH
    for number in range(60):
        desired = desired.remember(HistoryEntry(float(number), "ada", f"Change {number}"))
    file = StateFile(tmp_path)
    file.save(desired)
    loaded = file.load()
    assert loaded is not None
    assert [entry.what for entry in loaded.history] == [f"Change {number}" for number in range(10, 60)]
    file.close()


def test_a_state_without_a_history_is_loaded(tmp_path: Path) -> None:
    """An update of the dashboard loses no deployment."""
    (tmp_path / "state.json").write_text(json.dumps(GOOD))
    file = StateFile(tmp_path)
    assert file.load() == DesiredState()
    assert file.notices == []
    file.close()


def test_a_first_start_has_no_state_and_no_notice(tmp_path: Path) -> None:
    """The folder is made, with parents."""
    file = StateFile(tmp_path / "deep" / "down")
    assert file.load() is None
    assert file.notices == []
    file.close()


GOOD = {
    "format": 1,
    "current": "blue",
    "specs": {},
    "fallbacks": {},
    "split": 0,
    "can_undo": False,
    "generation": 0,
}
NOT_STATES = [
    {},
    {**GOOD, "format": 99},
    {**GOOD, "current": "red"},
    {**GOOD, "split": 101},
    {**GOOD, "split": "20"},
]
NOT_ENTRIES = [{"at": "noon", "by": "ada", "what": "x"}, {"at": 1.0, "by": None, "what": "x"}, {"at": 1.0}]
NOT_SPECS = [
    {"base": "/a"},
    {"base": 1, "replicas": 1, "generation": 1},
    {"base": "/a", "replicas": 9, "generation": 1},
]


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", '"text"', "\x00\x01"]
    + [json.dumps(document) for document in NOT_STATES]
    + [json.dumps({**GOOD, "history": [entry]}) for entry in NOT_ENTRIES]
    + [json.dumps({**GOOD, "specs": {"blue": spec}}) for spec in NOT_SPECS],
)
def test_a_damaged_file_is_set_aside_with_a_notice(tmp_path: Path, damage: str) -> None:
    """The damaged file is kept."""
    (tmp_path / "state.json").write_text(damage)
    file = StateFile(tmp_path)
    assert file.load() is None
    assert "damaged" in file.notices[0]
    assert (tmp_path / "state.damaged.json").read_text() == damage
    file.close()


def test_a_second_dashboard_leaves_the_first_ones_state_alone(tmp_path: Path) -> None:
    """It starts afresh with a notice, and writes nothing."""
    first = StateFile(tmp_path)
    first.save(BOTH)
    second = StateFile(tmp_path)
    assert second.load() is None
    assert "Another dashboard" in second.notices[0]
    second.save(DesiredState())
    assert first.load() == BOTH
    second.close()
    first.close()


def test_the_folder_is_free_again_after_closing(tmp_path: Path) -> None:
    """Closing twice does no harm."""
    first = StateFile(tmp_path)
    first.close()
    first.close()
    second = StateFile(tmp_path)
    assert second.notices == []
    second.close()


def test_a_folder_that_cannot_be_made_is_a_notice_and_no_crash(tmp_path: Path) -> None:
    """The reason is the system's own."""
    (tmp_path / "file").write_text("")
    file = StateFile(tmp_path / "file" / "below")
    assert "cannot be used (Not a directory)" in file.notices[0]
    file.save(BOTH)
    assert file.load() is None


def test_bundled_models_are_saved_by_name(tmp_path: Path) -> None:
    """The package may be in another place at the next start."""
    desired = DesiredState().deploy(Role.CURRENT, str(BUNDLED / "cnn"), 1)
    file = StateFile(tmp_path)
    file.save(desired)
    assert "bundled:cnn" in file.path.read_text()
    assert file.load() == desired
    file.close()
