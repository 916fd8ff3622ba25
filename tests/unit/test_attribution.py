"""Which model a prediction is attributed to, where it does not name it: never by a guess."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash.attribution import attribute_by_answers, attribute_by_snapshot, is_same_model
from mnist_dash.domain import Deployment, Prediction, Release, Role, Route, Snapshot, State
from tests.fakes import deployment, snapshot

UNSURE = np.array([0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03])
SURE = np.array([1 - 9e-9] + [1e-9] * 9)
SURER = np.array([1 - 9e-12] + [1e-12] * 9)
ON_GREEN = deployment(Role.CURRENT, release=Release.GREEN)
SWAPPED = snapshot(current=ON_GREEN, new=deployment(Role.NEW, release=Release.BLUE))
HALFWAY = snapshot(current=ON_GREEN)
"""A promotion under way: both roles are on the green release."""
STARTING = deployment(Role.NEW, ready=0, state=State.STARTING)


def answer(
    probabilities: NDArray[np.float64] = UNSURE, release: Release | None = None, version: int | None = None
) -> Prediction:
    """A prediction that does not name its role."""
    return Prediction(probabilities, None, release, version, "", 1.0)


def compared(
    prediction: Prediction,
    current: NDArray[np.float64],
    new: NDArray[np.float64],
    after: Snapshot | None = None,
) -> Prediction:
    """The prediction after a comparison with the answers of both models."""
    return attribute_by_answers(prediction, answer(current), answer(new), snapshot(), after or snapshot())


@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize(
    ("observed", "release", "role"),
    [
        (snapshot(), Release.BLUE, Role.CURRENT),
        (snapshot(), Release.GREEN, Role.NEW),
        (snapshot(new=None), Release.GREEN, None),
    ],
    ids=["current", "new", "removed"],
)
def test_the_release_determines_the_role(
    observed: Snapshot, release: Release, role: Role | None, route: Route
) -> None:
    """On any route, since a controller may ignore the header; a removed release has no role."""
    assert attribute_by_snapshot(answer(release=release), observed, route).role is role


@pytest.mark.parametrize(
    ("route", "role"), [(Route.SPLIT, None), (Route.CURRENT, Role.CURRENT), (Route.NEW, Role.NEW)]
)
def test_while_both_roles_are_on_one_release_only_the_route_determines_the_role(
    route: Route, role: Role | None
) -> None:
    """That is so in the middle of a promotion."""
    assert attribute_by_snapshot(answer(release=Release.GREEN), HALFWAY, route).role is role


def test_a_forced_route_determines_role_release_and_version() -> None:
    """As far as the answer does not name them itself."""
    observed = snapshot(new=deployment(Role.NEW, version=7))
    found = attribute_by_snapshot(answer(), observed, Route.NEW)
    assert (found.role, found.release, found.version) == (Role.NEW, Release.GREEN, 7)
    assert attribute_by_snapshot(answer(version=3), snapshot(), Route.CURRENT).version == 3


@pytest.mark.parametrize(
    ("new", "changes", "route", "role"),
    [
        (None, {}, Route.SPLIT, Role.CURRENT),
        (STARTING, {}, Route.SPLIT, Role.CURRENT),
        (STARTING, {"split_observed": 20}, Route.SPLIT, None),
        (None, {"trouble": "The cluster does not answer."}, Route.SPLIT, None),
        (STARTING, {}, Route.NEW, None),
        (deployment(Role.NEW), {}, Route.SPLIT, None),
    ],
    ids=["no New", "New starting", "New has a share", "snapshot is old", "forced to New", "both ready"],
)
def test_without_a_release_the_only_possible_role_counts(
    new: Deployment | None, changes: dict[str, object], route: Route, role: Role | None
) -> None:
    """New may become ready, or get a share, before the snapshot shows it."""
    observed = snapshot(**{"new": new, "split_observed": 0} | changes)
    assert attribute_by_snapshot(answer(), observed, route).role is role


@pytest.mark.parametrize(("probabilities", "role"), [(SURE, Role.CURRENT), (SURER, Role.NEW)])
def test_the_model_with_the_same_answer_gave_it(probabilities: NDArray[np.float64], role: Role) -> None:
    """Even where both models are so sure that the page shows 100 % for either."""
    found = compared(answer(probabilities), SURE, SURER)
    assert (found.role, found.shared) == (role, False)
    assert found.release is (Release.BLUE if role is Role.CURRENT else Release.GREEN)


def test_replicas_of_one_model_may_round_differently() -> None:
    """Their processors do."""
    other_processor = UNSURE * (1 + 1e-4 * np.linspace(-1, 1, 10))
    assert compared(answer(other_processor), UNSURE, SURE).role is Role.CURRENT


@pytest.mark.parametrize(
    ("probabilities", "new"),
    [
        (np.full(10, 0.1), np.full(10, 0.1)),
        (np.eye(10)[0], np.eye(10)[0]),
        (UNSURE, UNSURE * (1 + 0.03 * np.linspace(-1, 1, 10))),
    ],
    ids=["even", "with zeros", "nearly equal"],
)
def test_an_answer_that_both_models_give_is_shared(
    probabilities: NDArray[np.float64], new: NDArray[np.float64]
) -> None:
    """Also if they differ by little more than rounding."""
    found = compared(answer(probabilities), probabilities, new)
    assert (found.role, found.shared) == (None, True)


@pytest.mark.parametrize(
    ("prediction", "current", "after"),
    [
        (answer(), SURE, snapshot()),
        (answer(), UNSURE, SWAPPED),
        (answer(), UNSURE, HALFWAY),
        (answer(release=Release.GREEN), UNSURE, snapshot()),
    ],
    ids=["of neither", "roles swapped", "roles moving", "release contradicts"],
)
def test_answers_that_decide_nothing_leave_the_prediction_as_it_is(
    prediction: Prediction, current: NDArray[np.float64], after: Snapshot
) -> None:
    """A former version may answer during a rollout, or a promotion may come between the requests."""
    assert compared(prediction, current, SURER, after) is prediction


def test_two_answers_of_one_model_are_recognised() -> None:
    """By their probabilities."""
    assert is_same_model(answer(SURE), answer(SURE * (1 + 1e-6)))
    assert not is_same_model(answer(SURE), answer(SURER))
