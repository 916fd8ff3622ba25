"""What a change has come to, as a toast says it once the snapshot shows it."""

from __future__ import annotations

import pytest

from mnist_dash.domain import (
    Change,
    Deploy,
    Promote,
    Release,
    Remove,
    Role,
    SetSplit,
    Snapshot,
    State,
    UndoPromote,
)
from mnist_dash.panels.outcomes import describe_outcome
from tests.fakes import CNN, check_of, deployment, snapshot

DEPLOY = Deploy(Role.NEW, check_of(CNN), 3)
UNDER_WAY, GIVEN_UP = None, ""


def new(**changes: object) -> Snapshot:
    """Return a snapshot in which New has these properties."""
    return snapshot(new=deployment(Role.NEW, **{"desired": 3, "ready": 3, **changes}))


@pytest.mark.parametrize(
    ("change", "observed", "outcome"),
    [
        (SetSplit(20), snapshot(), "20 % of the requests go to New."),
        (SetSplit(0), snapshot(split_desired=0, split_observed=0), "All requests go to Current."),
        (SetSplit(100), snapshot(split_desired=100, split_observed=100), "All requests go to New."),
        (SetSplit(20), snapshot(split_observed=0), UNDER_WAY),
        (SetSplit(20), snapshot(split_desired=50), GIVEN_UP),
        (DEPLOY, new(), "cnn is ready as New: 3 of 3 replicas."),
        (DEPLOY, new(state=State.UPDATING, ready=1), UNDER_WAY),
        (DEPLOY, new(state=State.STARTING, ready=0), UNDER_WAY),
        (DEPLOY, new(state=State.FAILED), GIVEN_UP),
        (DEPLOY, new(base="/models/other"), GIVEN_UP),
        (DEPLOY, snapshot(new=None), GIVEN_UP),
        (Remove(Role.NEW), snapshot(new=None), "New is removed."),
        (Remove(Role.NEW), snapshot(new=None, waiting_for="The replicas are ending."), UNDER_WAY),
        (Remove(Role.NEW), snapshot(), GIVEN_UP),
        (Promote(), snapshot(), "linear is the Current."),
        (UndoPromote(), snapshot(), "linear is the Current again."),
        (Promote(), snapshot(waiting_for="Swapping the roles."), UNDER_WAY),
        (Promote(), snapshot(interrupted_promotion="It stopped half-way."), GIVEN_UP),
    ],
)
def test_an_outcome_is_described_once_it_is_observed(
    change: Change, observed: Snapshot, outcome: str | None
) -> None:
    """Neither before, nor if it failed or another change has come after it."""
    before = snapshot(new=deployment(Role.NEW, release=Release.BLUE))
    assert describe_outcome(change, before, observed) == outcome


def test_a_promotion_is_under_way_until_the_release_is_current() -> None:
    """The release that was New when it was asked for."""
    assert describe_outcome(Promote(), snapshot(), snapshot()) is UNDER_WAY


def test_after_a_promotion_the_words_are_those_of_the_buttons() -> None:
    """The former model is Former, until it is removed or another one is deployed there."""
    before = snapshot(can_undo_promote=True)
    assert describe_outcome(SetSplit(20), before, before) == "20 % of the requests go to Former."
    assert describe_outcome(Remove(Role.NEW), before, snapshot(new=None)) == "Former is removed."
