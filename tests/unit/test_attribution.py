"""Which model answered, where the answer does not say: known or left open, never guessed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash import attribution
from mnist_dash.domain import Deployment, Prediction, Release, Role, Route, Snapshot, State
from tests.fakes import deployment, snapshot

UNSURE = np.array([0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03])
SURE = np.array([1 - 9e-9] + [1e-9] * 9)
SURER = np.array([1 - 9e-12] + [1e-12] * 9)


def said(
    probabilities: NDArray[np.float64] = UNSURE,
    release: Release | None = None,
    role: Role | None = None,
    version: int | None = None,
) -> Prediction:
    """An answer."""
    return Prediction(probabilities, role, release, version, "", 1.0)


def matched(
    answer: Prediction,
    current: NDArray[np.float64],
    new: NDArray[np.float64],
    before: Snapshot | None = None,
    after: Snapshot | None = None,
) -> Prediction:
    """What comparing with both models' answers finds."""
    seen = snapshot()
    return attribution.attribute_by_answers(answer, said(current), said(new), before or seen, after or seen)


SWAPPED = snapshot(
    current=deployment(Role.CURRENT, release=Release.GREEN), new=deployment(Role.NEW, release=Release.BLUE)
)
HALFWAY = snapshot(current=deployment(Role.CURRENT, release=Release.GREEN))
"""A promotion under way: both roles are on the green release."""


@pytest.mark.parametrize(("release", "role"), [(Release.BLUE, Role.CURRENT), (Release.GREEN, Role.NEW)])
def test_the_release_tells_the_role(release: Release, role: Role) -> None:
    """Whatever route was asked for, since a controller may ignore the header."""
    for route in Route:
        assert attribution.attribute_by_snapshot(said(release=release), snapshot(), route).role is role


def test_a_release_that_has_no_role_any_more_tells_nothing() -> None:
    """It was removed meanwhile."""
    assert (
        attribution.attribute_by_snapshot(said(release=Release.GREEN), snapshot(new=None), Route.SPLIT).role
        is None
    )


@pytest.mark.parametrize(
    ("route", "role"), [(Route.SPLIT, None), (Route.CURRENT, Role.CURRENT), (Route.NEW, Role.NEW)]
)
def test_while_both_roles_are_on_one_release_only_the_route_tells(route: Route, role: Role | None) -> None:
    """That is so in the middle of a promotion."""
    assert attribution.attribute_by_snapshot(said(release=Release.GREEN), HALFWAY, route).role is role


def test_a_forced_route_tells_the_role_its_release_and_version() -> None:
    """As far as the answer does not say them itself."""
    answer = attribution.attribute_by_snapshot(
        said(), snapshot(new=deployment(Role.NEW, version=7)), Route.NEW
    )
    assert (answer.role, answer.release, answer.version) == (Role.NEW, Release.GREEN, 7)
    assert attribution.attribute_by_snapshot(said(version=3), snapshot(), Route.CURRENT).version == 3


@pytest.mark.parametrize(
    "new", [None, deployment(Role.NEW, ready=0, state=State.STARTING)], ids=["none", "starting"]
)
def test_without_a_new_that_is_ready_all_comes_from_current(new: Deployment | None) -> None:
    """As long as nothing is sent to it."""
    seen = snapshot(new=new, split_observed=0)
    assert attribution.attribute_by_snapshot(said(), seen, Route.SPLIT).role is Role.CURRENT
    assert (
        attribution.attribute_by_snapshot(said(), snapshot(new=new, split_observed=20), Route.SPLIT).role
        is None
    )


def test_a_snapshot_that_may_be_old_tells_nothing_about_the_split() -> None:
    """While the cluster cannot be seen, somebody else may have deployed a New."""
    seen = snapshot(new=None, split_observed=0, trouble="The cluster does not answer.")
    assert attribution.attribute_by_snapshot(said(), seen, Route.SPLIT).role is None


def test_a_new_that_the_snapshot_has_not_ready_may_have_answered_all_the_same() -> None:
    """It may have become ready since."""
    starting = deployment(Role.NEW, ready=0, state=State.STARTING)
    assert (
        attribution.attribute_by_snapshot(said(), snapshot(new=starting, split_observed=0), Route.NEW).role
        is None
    )


def test_with_both_ready_the_split_tells_nothing() -> None:
    """Even where the split is 0: the controller may not have taken it up."""
    assert attribution.attribute_by_snapshot(said(), snapshot(split_observed=0), Route.SPLIT).role is None


@pytest.mark.parametrize(("answer", "role"), [(SURE, Role.CURRENT), (SURER, Role.NEW)])
def test_who_gives_the_same_answer_gave_it(answer: NDArray[np.float64], role: Role) -> None:
    """Even where both models are so sure that the page shows 100 % for either."""
    found = matched(said(answer), SURE, SURER)
    assert (found.role, found.shared) == (role, False)
    assert found.release is (Release.BLUE if role is Role.CURRENT else Release.GREEN)


def test_unlike_processors_round_unlike() -> None:
    """The replicas of one model differ in the last digits."""
    other_processor = UNSURE * (1 + 1e-4 * np.linspace(-1, 1, 10))
    assert matched(said(other_processor), UNSURE, SURE).role is Role.CURRENT


@pytest.mark.parametrize("blank", [np.full(10, 0.1), np.eye(10)[0]], ids=["even", "hard"])
def test_one_answer_of_both_is_shared(blank: NDArray[np.float64]) -> None:
    """Nobody is named then; zeros among the probabilities are no obstacle."""
    found = matched(said(blank), blank, blank)
    assert (found.role, found.shared) == (None, True)


def test_models_that_hardly_differ_are_not_told_apart() -> None:
    """The one may be a replica of the other, as far as rounding goes."""
    nearly = UNSURE * (1 + 0.03 * np.linspace(-1, 1, 10))
    found = matched(said(), UNSURE, nearly)
    assert (found.role, found.shared) == (None, True)


def test_an_answer_of_neither_is_nobodys() -> None:
    """A replica of the version before may still answer during a rollout."""
    found = matched(said(), SURE, SURER)
    assert (found.role, found.shared) == (None, False)


def test_roles_that_moved_between_the_requests_tell_nothing() -> None:
    """A promotion came between."""
    answer = said()
    assert matched(answer, UNSURE, SURE, before=snapshot(), after=SWAPPED) is answer
    assert matched(answer, UNSURE, SURE, before=snapshot(), after=HALFWAY) is answer


def test_a_match_that_the_release_contradicts_tells_nothing() -> None:
    """The answer says that green gave it, and Current is blue."""
    assert matched(said(release=Release.GREEN), UNSURE, SURE).role is None


def test_two_answers_are_the_same_if_one_model_gave_them() -> None:
    """For whoever compares by himself."""
    assert attribution.is_same_model(said(SURE), said(SURE * (1 + 1e-6)))
    assert not attribution.is_same_model(said(SURE), said(SURER))
