"""The supervisor with fake children: their events go in, the routing updates come out."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from mnist_dash.domain import Release, Role
from mnist_dash.local.desired_state import DesiredState
from mnist_dash.local.processes import ChildEvent
from mnist_dash.local.protocol import Applied, Drained, Ending, Listening, VersionFailed, VersionServed
from mnist_dash.local.supervisor import (
    DRAIN_WAIT,
    GATEWAY_GENERATION,
    KILL_WAIT,
    START_WAIT,
    STEADY,
    Supervisor,
)
from mnist_dash.subprocesses import Exited
from tests.clock import Clock
from tests.unit.local.fakes import FakeChild, FakeChildren

CRASHED = Exited("It went wrong.")
KILLED = Exited("It was killed by signal SIGKILL.")


class FakeListener:
    """Has the descriptor of a listening socket."""

    def fileno(self) -> int:
        return 7


class Stage:
    """A supervisor of fake children with its desired state, and the gateway up."""

    def __init__(self) -> None:
        self.children, self.clock = FakeChildren(), Clock()
        listener = cast(socket.socket, FakeListener())
        self.supervisor = Supervisor(listener, self.on_event, start=self.children, clock=self.clock)
        self.desired = DesiredState()
        self.step()
        self.gateway.report(Listening(port=1))
        self.acknowledge()

    def on_event(self, child: Any, event: ChildEvent) -> None:
        self.supervisor.handle(child, event)
        self.step()

    def step(self, change: Callable[[DesiredState], DesiredState] = lambda desired: desired) -> None:
        self.desired = self.supervisor.step(change(self.desired))

    def deploy(self, role: Role, base: str, replicas: int = 1) -> None:
        self.step(lambda desired: desired.deploy(role, base, replicas))

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.step()

    def ready(self, *children: FakeChild) -> None:
        for child in children:
            child.report(Listening(port=4000 + self.children.all.index(child), version=1))

    def acknowledge(self) -> None:
        self.gateway.report(Applied(self.gateway.sent[-1].id))
        self.gateway.report(Drained(self.gateway.sent[-1].id))

    @property
    def gateway(self) -> FakeChild:
        return self.children.gateway

    @property
    def blue(self) -> list[FakeChild]:
        return self.children.replicas("blue")

    @property
    def green(self) -> list[FakeChild]:
        return self.children.replicas("green")

    @property
    def routing(self) -> tuple[list[str], list[str], int]:
        """The replicas of Current and of New, and the split, in the last routing update."""
        table = self.gateway.sent[-1].table
        return [b.replica for b in table.current], [b.replica for b in table.new], table.split

    @property
    def current_reason(self) -> str:
        """Why a replica of Current ended last."""
        spec = self.desired.spec(Role.CURRENT)
        assert spec
        return self.supervisor.restarts_of(spec.generation).reason


@pytest.fixture
def stage() -> Stage:
    """A supervisor with nothing deployed."""
    return Stage()


@pytest.fixture
def both(stage: Stage) -> Stage:
    """Current (blue-1) and New (green-2) ready, split 20."""
    stage.deploy(Role.CURRENT, "/a")
    stage.deploy(Role.NEW, "/b")
    stage.step(lambda desired: replace(desired, split=20))
    stage.ready(*stage.blue, *stage.green)
    stage.acknowledge()
    return stage


def test_a_restart_is_expected_to_take_as_long_as_the_last_start() -> None:
    """After the back-off; nothing is expected after a start that failed."""
    stage = Stage()
    stage.deploy(Role.CURRENT, "/models/a")
    stage.later(3)
    (first,) = stage.blue
    stage.ready(first)
    generation = stage.desired.generation
    first.report(KILLED)
    assert stage.supervisor.seconds_until_ready(generation) == 3
    stage.later(1)
    assert stage.supervisor.seconds_until_ready(generation) == 2
    stage.ready(stage.blue[-1])
    stage.blue[-1].report(KILLED)  # the second end in a row: the next start is half a second later
    assert stage.supervisor.seconds_until_ready(generation) == 0.5 + 1
    stage.later(0.5)
    stage.blue[-1].report(CRASHED)
    assert stage.supervisor.seconds_until_ready(generation) is None


def test_the_split_is_held_at_zero_until_new_is_ready(stage: Stage) -> None:
    """No share of the requests goes to a model without a replica."""
    stage.deploy(Role.CURRENT, "/a")
    stage.step(lambda desired: replace(desired.deploy(Role.NEW, "/b", 1), split=20))
    stage.ready(*stage.blue)
    assert stage.routing == (["blue-1"], [], 0)
    stage.ready(*stage.green)
    assert stage.routing == (["blue-1"], ["green-2"], 20)


def test_promote_is_one_routing_update_and_restarts_nothing(both: Stage) -> None:
    """The same replicas change roles."""
    children, updates = len(both.children.all), len(both.gateway.sent)
    both.step(DesiredState.promote)
    assert both.routing == (["green-2"], ["blue-1"], 0)
    assert (len(both.children.all), len(both.gateway.sent)) == (children, updates + 1)


def test_a_dead_replica_leaves_the_table_and_is_replaced_at_once(both: Stage) -> None:
    """The event of its end changes the table, not a later check."""
    both.green[0].report(KILLED)
    assert both.routing == (["blue-1"], [], 0)
    both.ready(both.green[1])
    assert both.routing == (["blue-1"], [both.green[1].name], 20)


def test_a_replica_that_is_asked_to_end_from_outside_leaves_the_table_before_it_ends(both: Stage) -> None:
    """It takes requests for a moment longer, and its replacement starts meanwhile."""
    both.green[0].report(Ending())
    assert both.routing == (["blue-1"], [], 0)
    assert len(both.green) == 2
    both.green[0].report(Exited("It ended with exit code 0."))
    assert len(both.green) == 2


def test_old_replicas_are_ended_only_after_their_requests_are_answered(both: Stage) -> None:
    """Ready, routing update, drained, terminated: in this order."""
    both.deploy(Role.NEW, "/c")
    old, new = both.green
    assert both.routing[1] == [old.name]
    both.ready(new)
    assert both.routing[1] == [new.name]
    both.gateway.report(Applied(both.gateway.sent[-1].id))
    assert old.calls == []
    both.acknowledge()
    assert old.calls == ["terminate"]


def test_an_old_replica_with_endless_requests_is_ended(both: Stage) -> None:
    """After the drain wait it is terminated, after the kill wait it is killed."""
    both.deploy(Role.NEW, "/c")
    old, new = both.green
    both.ready(new)
    both.later(DRAIN_WAIT + 1)
    assert old.calls == ["terminate"]
    both.later(KILL_WAIT + 1)
    assert old.calls == ["terminate", "kill"]


def test_a_failed_redeploy_keeps_the_old_model_and_reports_the_reason(both: Stage) -> None:
    """After three failed starts the former specification is desired again, and nothing was restarted."""
    both.deploy(Role.NEW, "/c")
    for attempt in (1, 2, 3):
        both.green[attempt].report(CRASHED)
        both.later(2)
    spec = both.desired.spec(Role.NEW)
    assert both.routing[1] == ["green-2"]
    assert spec
    assert spec.base == "/b"
    assert "The re-deploy of c failed: It went wrong." in both.supervisor.failed_redeploys[Release.GREEN]
    assert len(both.green) == 4


def test_replicas_that_die_together_are_no_crash_loop(stage: Stage) -> None:
    """All eight are replaced at once."""
    stage.deploy(Role.CURRENT, "/a", 8)
    stage.ready(*stage.blue)
    for child in stage.blue:
        child.report(KILLED)
    assert len(stage.blue) == 16


def test_a_process_that_cannot_be_started_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files are no reason to stop supervising; the system's message is the reason shown."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(stage.supervisor, "_start", refuse)
        stage.deploy(Role.CURRENT, "/a")
    assert "Too many open files" in stage.current_reason
    stage.later(1)
    assert len(stage.blue) == 1


def test_a_superseded_redeploy_never_gets_requests(both: Stage) -> None:
    """A second deploy before the first is ready replaces it."""
    both.deploy(Role.NEW, "/c")
    both.deploy(Role.NEW, "/d")
    old, second, third = both.green
    assert second.calls == ["terminate"]
    both.ready(second)
    assert both.routing[1] == [old.name]
    both.ready(third)
    assert both.routing[1] == [third.name]


def test_a_former_replica_that_dies_during_a_redeploy_is_replaced(both: Stage) -> None:
    """It answers until the new one does, however long that takes."""
    both.deploy(Role.NEW, "/c")
    both.green[0].report(KILLED)
    replacement = both.green[-1]
    assert "/b" in replacement.argv
    both.ready(replacement)
    assert both.routing[1] == [replacement.name]


def test_the_problem_of_a_newer_version_is_kept_until_a_version_takes_over(both: Stage) -> None:
    """The card shows it as a warning, and then the new version."""
    both.green[0].report(VersionFailed("2 is broken."))
    assert both.supervisor.replicas["green-2"].problem == "2 is broken."
    both.green[0].report(VersionServed(3))
    assert both.supervisor.replicas["green-2"].problem == ""
    assert both.supervisor.replicas["green-2"].version == 3


def test_a_crash_loop_is_slowed_down(stage: Stage) -> None:
    """The second replacement waits half a second, the third waits one."""
    stage.deploy(Role.CURRENT, "/a")
    stage.blue[-1].report(CRASHED)
    started = [len(stage.blue)]
    for _ in range(2):
        stage.blue[-1].report(CRASHED)
        for _ in range(2):
            started.append(len(stage.blue))
            stage.later(0.6)
    assert started == [2, 2, 3, 3, 3]
    assert len(stage.blue) == 4


def test_a_replica_that_was_steady_is_no_crash_loop(stage: Stage) -> None:
    """Its end counts as the first."""
    stage.deploy(Role.CURRENT, "/a")
    for _ in range(4):
        stage.ready(stage.blue[-1])
        stage.later(STEADY + 1)
        stage.blue[-1].report(KILLED)
    assert len(stage.blue) == 5


def test_a_replica_that_does_not_get_ready_is_ended_with_the_reason(stage: Stage) -> None:
    """The signal that ends it is not the reason."""
    stage.deploy(Role.CURRENT, "/a")
    stage.later(START_WAIT + 1)
    assert stage.blue[0].calls == ["kill"]
    stage.blue[0].report(KILLED)
    assert "not ready after 60 s" in stage.current_reason


def test_a_gateway_that_dies_is_replaced_and_gets_the_whole_table(both: Stage) -> None:
    """The listening socket stays with the engine, so the new gateway has the same port."""
    dead = both.gateway
    dead.report(KILLED)
    assert both.gateway is not dead
    assert both.gateway.pass_fds == dead.pass_fds == [7]
    assert both.supervisor.restarts_of(GATEWAY_GENERATION).reason == KILLED.reason
    both.gateway.report(Listening(port=1))
    assert both.routing == (["blue-1"], ["green-2"], 20)
    assert both.gateway.sent[-1].id > dead.sent[-1].id
    dead.report(KILLED)
    assert both.supervisor.gateway, "a late event of the former gateway changes nothing"


def test_a_routing_update_is_sent_once_and_is_pending_until_it_is_applied(both: Stage) -> None:
    """The snapshot shows the split that the gateway applies."""
    both.step(lambda desired: replace(desired, split=50))
    both.later(60)
    gateway = both.supervisor.gateway
    assert gateway
    assert gateway.applied
    assert (gateway.is_up_to_date, gateway.applied.table.split) == (False, 20)
    both.acknowledge()
    assert (gateway.is_up_to_date, gateway.applied.table.split) == (True, 50)
    assert [update.table.split for update in both.gateway.sent[-2:]] == [20, 50]


def test_removing_a_model_drains_it(both: Stage) -> None:
    """Its replicas leave the table first."""
    both.step(lambda desired: desired.remove(Role.NEW))
    assert both.routing == (["blue-1"], [], 0)
    assert both.green[0].calls == []
    both.acknowledge()
    assert both.green[0].calls == ["terminate"]


def test_a_starting_replica_that_is_no_longer_desired_is_ended(stage: Stage) -> None:
    """It never was in the table, so there is nothing to drain."""
    stage.deploy(Role.CURRENT, "/a")
    stage.step(lambda desired: desired.remove(Role.CURRENT))
    assert stage.blue[0].calls == ["terminate"]


def test_closing_ends_every_child(both: Stage) -> None:
    """By the end of their stdin."""
    both.supervisor.close()
    assert [child.calls for child in both.children.all] == [["close stdin"]] * 3
