"""The words for models and roles, and what a snapshot says of itself."""

from __future__ import annotations

import pytest

from mnist_dash.domain import (
    Deploy,
    Promote,
    Remove,
    Role,
    SetSplit,
    Snapshot,
    State,
    UndoPromote,
    describe,
    distinct_names,
)
from tests.fakes import LINEAR, check_of, deployment, snapshot


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("/models/linear", "/models/cnn/", ("linear", "cnn")),
        ("/mon/linear", "/tue/linear", ("mon/linear", "tue/linear")),
        ("gs://a/x/linear", "gs://b/x/linear", ("a/x/linear", "b/x/linear")),
        ("/linear", "/models/linear", ("linear", "models/linear")),
        ("/models/linear", "/models/linear", ("linear", "linear")),
        ("", "/models/cnn", ("", "cnn")),
    ],
)
def test_models_of_one_name_are_told_apart_by_their_folders(
    first: str, second: str, names: tuple[str, str]
) -> None:
    """With no more folders than that takes."""
    assert distinct_names(first, second) == names


@pytest.mark.parametrize(
    ("base", "version", "names"),
    [
        ("/models/cnn", 1, ["linear", "cnn"]),
        ("/other/linear", 1, ["models/linear", "other/linear"]),
        (LINEAR, 2, ["linear version 1", "linear version 2"]),
        (LINEAR, 1, ["linear (Current)", "linear (New)"]),
    ],
)
def test_the_two_roles_models_never_have_one_name(base: str, version: int, names: list[str]) -> None:
    """The folder tells them apart, or the version, or at last the role."""
    both = snapshot(new=deployment(Role.NEW, base=base, version=version))
    assert [both.name_of(role) for role in Role] == names


def test_after_a_promotion_the_former_current_is_called_former() -> None:
    """Until something is deployed as New; a role without a model has the role's title."""
    assert [snapshot().role_title(role) for role in Role] == ["Current", "New"]
    promoted = snapshot(can_undo_promote=True)
    assert [promoted.role_title(role) for role in Role] == ["Current", "Former"]
    assert snapshot(new=None).name_of(Role.NEW) == "New"


def test_requests_are_answered_while_current_has_a_ready_replica() -> None:
    """Whatever the split."""
    assert snapshot().is_answered
    assert not snapshot(current=None).is_answered
    assert not snapshot(current=deployment(ready=0, state=State.FAILED)).is_answered


@pytest.mark.parametrize(
    ("before", "change", "words"),
    [
        (None, Deploy(Role.NEW, check_of(LINEAR), 1), "Deploy linear version 1 as New with 1 replica"),
        (None, Deploy(Role.NEW, check_of("/a", version=None), 2), "Deploy a as New with 2 replicas"),
        (None, UndoPromote(), "Take the promotion back"),
        (snapshot(), Remove(Role.NEW), "Remove New"),
        (snapshot(), Promote(), "Make New the Current"),
        (snapshot(can_undo_promote=True), Remove(Role.NEW), "Remove Former"),
        (snapshot(can_undo_promote=True), SetSplit(20), "Set strategy: Canary 20 %"),
        (snapshot(), SetSplit(100), "Set strategy: New only"),
        (snapshot(can_undo_promote=True), SetSplit(100), "Set strategy: Former only"),
        (snapshot(can_undo_promote=True), UndoPromote(), "Roll back to cnn"),
    ],
)
def test_a_change_is_described_in_the_words_of_its_button(
    before: Snapshot | None, change: Deploy | Remove | SetSplit | Promote | UndoPromote, words: str
) -> None:
    """With the names that the models had before it."""
    assert describe(change, before) == words
