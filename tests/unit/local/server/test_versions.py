"""Which version answers."""

from __future__ import annotations

from mnist_dash.local.server.predictor import Predictor
from mnist_dash.local.server.versions import Versions, VersionState, VersionStatus
from tests.unit.local.server.fake_model import FakeModel


def one(version: int) -> Predictor:
    """A version that may serve."""
    return Predictor(FakeModel(version))


def test_the_served_version_is_found_as_the_latest_and_by_its_number() -> None:
    """Any other number finds nothing."""
    versions, two = Versions(), one(2)
    versions.serve(two)

    assert [versions.find(wanted) for wanted in (None, 2, 1)] == [two, two, None]


def test_nothing_is_found_while_nothing_is_served() -> None:
    """Neither the latest nor a number."""
    assert (Versions().find(None), Versions().find(1)) == (None, None)


def test_statuses_come_with_the_highest_first() -> None:
    """Who answers, who did, who will, and who could not."""
    versions = Versions()
    versions.serve(one(9))
    versions.serve(one(10))
    versions.loading(11)
    versions.failed(8, "broken")

    assert versions.statuses() == [
        VersionStatus(11, VersionState.LOADING),
        VersionStatus(10, VersionState.AVAILABLE),
        VersionStatus(9, VersionState.END),
        VersionStatus(8, VersionState.END, "broken"),
    ]


def test_a_version_that_comes_back_is_available_again() -> None:
    """One status for each version, the last."""
    versions = Versions()
    for number in (1, 2, 1):
        versions.serve(one(number))

    assert [(s.version, s.state) for s in versions.statuses()] == [
        (2, VersionState.END),
        (1, VersionState.AVAILABLE),
    ]


def test_serving_nothing_ends_the_last_version() -> None:
    """It is reported, and answers no more."""
    versions = Versions()
    versions.serve(one(1))
    versions.serve(None)

    assert versions.served is None
    assert versions.statuses() == [VersionStatus(1, VersionState.END)]


def test_a_version_that_is_loaded_no_more_is_forgotten_unless_it_failed() -> None:
    """It may have gone before it was there."""
    versions = Versions()
    versions.loading(1)
    versions.failed(2, "broken")
    for number in (1, 2, 3):
        versions.forget_loading(number)

    assert versions.statuses() == [VersionStatus(2, VersionState.END, "broken")]
