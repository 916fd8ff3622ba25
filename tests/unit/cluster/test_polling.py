"""How often the cluster is polled."""

from __future__ import annotations

import pytest

from mnist_dash.cluster.polling import PollInterval
from tests.clock import Clock


@pytest.mark.parametrize(
    ("age", "promoting", "driving", "moving", "seconds"),
    [
        (0, True, True, True, 0.2),
        (0, False, True, True, 1.0),
        (0, False, False, True, 1.0),
        (0, False, False, False, 5.0),
        (60, False, False, False, None),
        (60, False, False, True, None),
        (60, False, True, True, 5.0),
        (60, True, False, True, 0.2),
    ],
)
def test_a_moving_cluster_is_polled_more_often_and_without_viewers_only_for_writes(
    age: float, promoting: bool, driving: bool, moving: bool, seconds: float | None
) -> None:
    """`age` is how long ago, in seconds, there was a viewer."""
    clock = Clock()
    interval = PollInterval(clock=clock)
    clock.now = age
    assert interval.seconds(promoting=promoting, driving=driving, moving=moving) == seconds


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
