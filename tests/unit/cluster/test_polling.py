"""How often the cluster is looked at."""

from __future__ import annotations

import pytest

from mnist_dash.cluster.polling import PollInterval
from tests.clock import Clock


@pytest.mark.parametrize(
    ("what", "seconds"),
    [
        ({"promoting": True, "driving": True, "moving": True}, 0.2),
        ({"promoting": False, "driving": True, "moving": True}, 1.0),
        ({"promoting": False, "driving": False, "moving": True}, 1.0),
        ({"promoting": False, "driving": False, "moving": False}, 5.0),
    ],
)
def test_what_moves_is_looked_at_more_often(what: dict[str, bool], seconds: float) -> None:
    """As long as somebody is there."""
    assert PollInterval(clock=Clock()).seconds(**what) == seconds


@pytest.mark.parametrize("moving", [True, False])
def test_nobody_looks_without_viewers(moving: bool) -> None:
    """Not even at what moves, if the cluster moves it by itself."""
    clock = Clock()
    pace = PollInterval(clock=clock)
    clock.now = 60.0
    assert pace.seconds(promoting=False, driving=False, moving=moving) is None


def test_what_the_dashboard_has_to_carry_on_is_carried_on_without_viewers() -> None:
    """A split that waits for New, a promotion."""
    clock = Clock()
    pace = PollInterval(clock=clock)
    clock.now = 60.0
    assert pace.seconds(promoting=False, driving=True, moving=True) == 5.0
    assert pace.seconds(promoting=True, driving=False, moving=True) == 0.2


def test_the_first_viewer_after_a_while_is_told_from_the_others() -> None:
    """Only that one has to wake anybody."""
    clock = Clock()
    pace = PollInterval(clock=clock)
    assert not pace.viewed()
    clock.now = 60.0
    assert pace.viewed()
    assert not pace.viewed()


def test_after_failures_it_looks_less_and_less_often_but_does_not_give_up() -> None:
    """A cluster that is back is seen within seconds."""
    pace = PollInterval(clock=Clock())
    waits = []
    for failures in range(1, 6):
        pace.failures = failures
        waits.append(pace.seconds(promoting=True, driving=True, moving=True))
    assert waits == [1.0, 2.0, 5.0, 5.0, 5.0]
