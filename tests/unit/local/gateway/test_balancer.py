"""Who is there to answer."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from mnist_dash.domain import Release, Role
from mnist_dash.local.gateway.balancer import (
    AVOIDED_SECONDS,
    RoutingGeneration,
    Upstream,
    UpstreamPool,
    attempts,
)
from mnist_dash.local.gateway.protocol import Backend, Event, EventName, RoutingTable, RoutingUpdate

A, B, C = (Backend(f"blue-{n}", Release.BLUE, f"http://127.0.0.1:{n}") for n in (1, 2, 3))


@pytest.fixture
def events() -> list[Event]:
    """What was announced."""
    return []


@pytest.fixture
def roster(events: list[Event]) -> UpstreamPool:
    """A roster before its first order."""
    return UpstreamPool(events.append)


def ordered(
    roster: UpstreamPool, number: int, *members: Backend, new: tuple[Backend, ...] = ()
) -> RoutingGeneration:
    """The seating after an order for these members of Current."""
    roster.apply(RoutingUpdate(number, RoutingTable(0, members, new)))
    assert roster.seating
    return roster.seating


def drained(events: list[Event]) -> list[int | None]:
    """The numbers of the orders that were reported as drained."""
    return [event.id for event in events if event.event is EventName.DRAINED]


def best(*seats: Upstream, now: float = 0.0) -> Upstream:
    """The seat that is tried first."""
    return next(attempts(seats, clock=lambda: now))


def test_the_least_busy_replica_is_asked() -> None:
    """Whoever was asked last."""
    one, two = Upstream(A), Upstream(B)
    with one.taken(), two.taken(), two.taken():
        assert best(one, two) is one


def test_equally_busy_replicas_take_turns() -> None:
    """All of them, in the same order again and again."""
    seats = Upstream(A), Upstream(B), Upstream(C)
    asked = []
    for _ in range(9):
        with best(*seats).taken() as member:
            asked.append(member)
    assert asked[:3] == asked[3:6] == asked[6:]
    assert set(asked[:3]) == {A, B, C}


def test_a_request_that_fails_is_no_longer_counted() -> None:
    """The next ones are spread as if it had not been."""
    seat = Upstream(A)
    with pytest.raises(ValueError, match="broken"), seat.taken():
        raise ValueError("broken")
    assert seat.in_flight == 0


def test_each_replica_is_tried_once() -> None:
    """Then there is nobody left to try."""
    seats = {Upstream(A), Upstream(B), Upstream(C)}
    assert set(attempts(seats)) == seats
    assert len(list(attempts(seats))) == 3


def test_an_avoided_replica_is_asked_last() -> None:
    """Even if the others are busier, but before nobody is."""
    one, two = Upstream(A), Upstream(B)
    one.avoid(0.0)
    with two.taken():
        assert best(one, two) is two
    assert best(one) is one


def test_a_replica_is_not_avoided_for_long() -> None:
    """It may have come up in the meantime."""
    one, two = Upstream(A), Upstream(B)
    one.avoid(0.0)
    with two.taken():
        assert best(one, two, now=AVOIDED_SECONDS) is one


def test_a_new_order_ends_the_avoiding(roster: UpstreamPool) -> None:
    """Who orders it knows better."""
    (seat,) = ordered(roster, 1, A).seats[Role.CURRENT]
    seat.avoid(0.0)
    ordered(roster, 2, A)
    with Upstream(B).taken():
        assert not seat.rank(0.0)[0]


def test_a_replica_keeps_its_count_from_order_to_order(roster: UpstreamPool) -> None:
    """Also when it changes its role, or has both."""
    (seat,) = ordered(roster, 1, A).seats[Role.CURRENT]
    seats = ordered(roster, 2, B, new=(A,)).seats
    assert seats[Role.NEW] == (seat,)
    seats = ordered(roster, 3, A, new=(A,)).seats
    assert seats[Role.NEW] == seats[Role.CURRENT] == (seat,)


def test_a_replica_that_is_new_in_both_roles_has_one_count(roster: UpstreamPool) -> None:
    """It is one process."""
    seats = ordered(roster, 1, A, new=(A,)).seats
    assert seats[Role.NEW] == seats[Role.CURRENT]


def test_a_replica_on_another_port_starts_from_nothing(roster: UpstreamPool) -> None:
    """The name alone does not make it the same."""
    (seat,) = ordered(roster, 1, A).seats[Role.CURRENT]
    moved = Backend(A.replica, A.release, "http://127.0.0.1:9")
    (other,) = ordered(roster, 2, moved).seats[Role.CURRENT]
    assert other is not seat


def test_an_order_with_nothing_in_flight_is_drained_at_once(
    roster: UpstreamPool, events: list[Event]
) -> None:
    """After it is applied."""
    ordered(roster, 7, A)
    assert events == [Event(EventName.APPLIED, id=7), Event(EventName.DRAINED, id=7)]


def test_an_order_is_drained_when_the_requests_before_it_have_ended(
    roster: UpstreamPool, events: list[Event]
) -> None:
    """All of them, and none that came after it."""
    before = ordered(roster, 1, A)
    with roster.decided(before):
        with roster.decided(before):
            after = ordered(roster, 2, B)
        assert drained(events) == [1]
        later = ExitStack()
        later.enter_context(roster.decided(after))
    assert drained(events) == [1, 2]
    later.close()


def test_orders_are_drained_in_their_order(roster: UpstreamPool, events: list[Event]) -> None:
    """A later one waits for the requests of every earlier one."""
    first = ordered(roster, 1, A)
    slow, slower = ExitStack(), ExitStack()
    slower.enter_context(roster.decided(first))
    second = ordered(roster, 2, B)
    slow.enter_context(roster.decided(second))
    ordered(roster, 3, C)
    slow.close()
    assert drained(events) == [1]
    slower.close()
    assert drained(events) == [1, 2, 3]
