"""Which model gets a request, and which of its replicas."""

from __future__ import annotations

import itertools
import random
from contextlib import ExitStack

import pytest

from mnist_dash.domain import Release, Role
from mnist_dash.local.gateway.balancer import (
    AVOIDED_SECONDS,
    RoutingGeneration,
    Upstream,
    UpstreamPool,
    attempts,
    decide,
)
from mnist_dash.local.protocol import Applied, Backend, Drained, RoutingTable, RoutingUpdate

A, B, C = (Backend(f"blue-{n}", Release.BLUE, f"http://127.0.0.1:{n}") for n in (1, 2, 3))
OTHER_VALUES = ["", "Always", "NEVER", "always, never", "always, always", "always ", "new", "100"]
DRAWS = 20_000


class Rolled(random.Random):
    """Dice that show a given number, or must not be thrown at all."""

    def __init__(self, number: int | None = None) -> None:
        super().__init__()
        self._number = number

    def randint(self, a: int, b: int) -> int:
        """The number."""
        assert (a, b) == (1, 100)
        assert self._number is not None, "the dice were thrown"
        return self._number


def decided(
    split: int, header: str = "", dice: random.Random | None = None, *, current: bool = True, new: bool = True
) -> Role | None:
    """The decision with both models ready, no header, and dice that must not be thrown."""
    table = RoutingTable(split, (A,) if current else (), (B,) if new else ())
    return decide(table, header, dice or Rolled())


@pytest.mark.parametrize("split", [0, 50, 100])
@pytest.mark.parametrize("header", ["always", "never", *OTHER_VALUES])
def test_a_model_without_replicas_leaves_the_requests_to_current_alone(header: str, split: int) -> None:
    """Without Current there is no answer, without New every request goes to Current, whatever the header."""
    assert decided(split, header, current=False) is None
    assert decided(split, header, current=False, new=False) is None
    assert decided(split, header, new=False) is Role.CURRENT


@pytest.mark.parametrize("split", [0, 50, 100])
@pytest.mark.parametrize(("header", "role"), [("always", Role.NEW), ("never", Role.CURRENT)])
def test_the_header_decides_before_the_split(header: str, role: Role, split: int) -> None:
    """A forced request has its model under every strategy, without a draw."""
    assert decided(split, header) is role


@pytest.mark.parametrize("header", OTHER_VALUES)
@pytest.mark.parametrize(
    ("split", "number", "role"),
    [
        (0, 1, Role.CURRENT),
        (1, 1, Role.NEW),
        (1, 2, Role.CURRENT),
        (20, 20, Role.NEW),
        (20, 21, Role.CURRENT),
        (99, 100, Role.CURRENT),
        (100, 100, Role.NEW),
    ],
)
def test_any_other_header_leaves_it_to_the_split(header: str, split: int, number: int, role: Role) -> None:
    """New gets the request if a number from 1 to 100 is no greater than the split."""
    assert decided(split, header, Rolled(number)) is role


@pytest.mark.parametrize("split", [0, 1, 20, 50, 99, 100])
def test_new_gets_its_share_by_independent_draws(split: int) -> None:
    """Within five standard deviations of the binomial distribution, after a request to New too."""
    dice = random.Random(split)
    roles = [decided(split, dice=dice) for _ in range(DRAWS)]
    after_new = [second for first, second in itertools.pairwise(roles) if first is Role.NEW]
    share = split / 100
    for draws in (roles, after_new):
        deviation = abs(draws.count(Role.NEW) - len(draws) * share)
        assert deviation <= 5 * (len(draws) * share * (1 - share)) ** 0.5


def best(*upstreams: Upstream, now: float = 0.0) -> Upstream:
    """The upstream that is tried first."""
    return next(attempts(upstreams, clock=lambda: now))


def test_the_least_busy_replica_is_tried_first() -> None:
    """Whichever was tried last."""
    idle, busy = Upstream(A), Upstream(B)
    with idle.serving(), busy.serving(), busy.serving():
        assert best(idle, busy) is idle


def test_equally_busy_replicas_take_turns() -> None:
    """All of them, in the same order again and again."""
    upstreams = Upstream(A), Upstream(B), Upstream(C)
    tried = []
    for _ in range(9):
        with best(*upstreams).serving() as backend:
            tried.append(backend)
    assert tried[:3] == tried[3:6] == tried[6:]
    assert set(tried[:3]) == {A, B, C}


def test_a_request_that_fails_is_no_longer_counted() -> None:
    """Later requests are spread as if it had not been."""
    upstream = Upstream(A)
    with pytest.raises(ValueError, match="broken"), upstream.serving():
        raise ValueError("broken")
    assert upstream.in_flight == 0


def test_each_replica_is_tried_once() -> None:
    """Then there is none left to try."""
    upstreams = [Upstream(A), Upstream(B), Upstream(C)]
    assert sorted(u.backend.replica for u in attempts(upstreams)) == ["blue-1", "blue-2", "blue-3"]


def test_an_avoided_replica_is_tried_last_for_a_while() -> None:
    """Even if the others are busier, but before none is; it may have come up in the meantime."""
    avoided, busy = Upstream(A), Upstream(B)
    avoided.avoid(0.0)
    assert best(avoided) is avoided
    with busy.serving():
        assert best(avoided, busy) is busy
        assert best(avoided, busy, now=AVOIDED_SECONDS) is avoided


@pytest.fixture
def events() -> list[Applied | Drained]:
    """The reported events."""
    return []


@pytest.fixture
def pool(events: list[Applied | Drained]) -> UpstreamPool:
    """A pool before its first update."""
    return UpstreamPool(events.append)


def routed(
    pool: UpstreamPool, number: int, *current: Backend, new: tuple[Backend, ...] = ()
) -> RoutingGeneration:
    """The routing after an update."""
    pool.apply(RoutingUpdate(number, RoutingTable(0, current, new)))
    return pool.routing


def test_an_update_ends_the_avoiding(pool: UpstreamPool) -> None:
    """The supervisor knows better."""
    (upstream,) = routed(pool, 1, A).upstreams[Role.CURRENT]
    upstream.avoid(0.0)
    routed(pool, 2, A)
    assert not upstream.rank(0.0)[0]


def test_a_replica_keeps_its_count_from_update_to_update(pool: UpstreamPool) -> None:
    """Also when it changes its role, or has both; on another port it is another process."""
    (upstream,) = routed(pool, 1, A).upstreams[Role.CURRENT]
    assert routed(pool, 2, B, new=(A,)).upstreams[Role.NEW] == (upstream,)
    both = routed(pool, 3, A, new=(A,)).upstreams
    assert both[Role.NEW] == both[Role.CURRENT] == (upstream,)
    moved = Backend(A.replica, A.release, "http://127.0.0.1:9")
    assert routed(pool, 4, moved).upstreams[Role.CURRENT] != (upstream,)


def test_a_replica_that_is_new_in_both_roles_has_one_count(pool: UpstreamPool) -> None:
    """It is one process."""
    upstreams = routed(pool, 1, A, new=(A,)).upstreams
    assert upstreams[Role.NEW] == upstreams[Role.CURRENT]


def test_an_update_with_nothing_in_flight_is_drained_at_once(
    pool: UpstreamPool, events: list[Applied | Drained]
) -> None:
    """After it is applied."""
    routed(pool, 7, A)
    routed(pool, 8, B)
    assert events == [Applied(7), Drained(7), Applied(8), Drained(8)]


def test_an_update_is_drained_when_the_requests_before_it_have_ended(
    pool: UpstreamPool, events: list[Applied | Drained]
) -> None:
    """All of them, and none that came after it."""
    before = routed(pool, 1, A)
    later = ExitStack()
    with pool.decided(before):
        with pool.decided(before):
            later.enter_context(pool.decided(routed(pool, 2, B)))
        assert Drained(2) not in events
    assert Drained(2) in events
    later.close()


def test_updates_are_drained_in_their_order(pool: UpstreamPool, events: list[Applied | Drained]) -> None:
    """A later one waits for the requests of every earlier one."""
    slow, slower = ExitStack(), ExitStack()
    slower.enter_context(pool.decided(routed(pool, 1, A)))
    slow.enter_context(pool.decided(routed(pool, 2, B)))
    routed(pool, 3, C)
    events.clear()
    slow.close()
    assert events == []
    slower.close()
    assert events == [Drained(2), Drained(3)]
