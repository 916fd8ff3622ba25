"""How often the cluster is polled."""

from __future__ import annotations

import pytest

from mnist_dash.cluster.polling import PollInterval
from tests.clock import Clock


@pytest.mark.parametrize(
    ("progress", "seconds"),
    [
        ({"promoting": True, "driving": True, "moving": True}, 0.2),
        ({"promoting": False, "driving": True, "moving": True}, 1.0),
        ({"promoting": False, "driving": False, "moving": True}, 1.0),
        ({"promoting": False, "driving": False, "moving": False}, 5.0),
    ],
)
def test_a_moving_cluster_is_polled_more_often(progress: dict[str, bool], seconds: float) -> None:
    """As long as there is a viewer."""
    assert PollInterval(clock=Clock()).seconds(**progress) == seconds


@pytest.mark.parametrize("moving", [True, False])
def test_there_are_no_polls_without_viewers(moving: bool) -> None:
    """Not even of a moving cluster, if it moves by itself."""
    clock = Clock()
    interval = PollInterval(clock=clock)
    clock.now = 60.0
    assert interval.seconds(promoting=False, driving=False, moving=moving) is None


def test_writes_of_the_dashboard_are_driven_without_viewers() -> None:
    """A split that waits for New, a promotion."""
    clock = Clock()
    interval = PollInterval(clock=clock)
    clock.now = 60.0
    assert interval.seconds(promoting=False, driving=True, moving=True) == 5.0
    assert interval.seconds(promoting=True, driving=False, moving=True) == 0.2


def test_only_the_first_viewer_after_a_while_wakes_the_poller() -> None:
    """The others find it awake."""
    clock = Clock()
    interval = PollInterval(clock=clock)
    assert not interval.note_viewer()
    clock.now = 60.0
    assert interval.note_viewer()
    assert not interval.note_viewer()


def test_after_failures_it_polls_less_and_less_often_but_does_not_give_up() -> None:
    """A cluster that is back is seen within seconds."""
    interval = PollInterval(clock=Clock())
    waits = []
    for failures in range(1, 6):
        interval.failures = failures
        waits.append(interval.seconds(promoting=True, driving=True, moving=True))
    assert waits == [1.0, 2.0, 5.0, 5.0, 5.0]
