"""The supervisor, played through with fake children: events go in, who gets requests comes out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from mnist_dash.domain import Release, Role
from mnist_dash.local.desired_state import DesiredState
from mnist_dash.local.plan import Phase
from mnist_dash.local.supervisor import ACK_WAIT, DRAIN_WAIT, HEARTBEAT, KILL_WAIT, START_WAIT, Supervisor
from tests.unit.local.fakes import FakeChild, FakeChildren, FakeClock


class Stage:
    """A fleet of fake children with what is desired of it."""

    def __init__(self, listener: socket.socket) -> None:
        self.children, self.clock = FakeChildren(), FakeClock()
        self.fleet = Supervisor(listener, self.on_event, start=self.children, clock=self.clock)
        self.desired = DesiredState()

    def on_event(self, child: Any, event: dict[str, Any]) -> None:
        self.fleet.handle(child, event)
        self.step()

    def step(self, change: Callable[[DesiredState], DesiredState] = lambda desired: desired) -> None:
        self.desired = self.fleet.step(change(self.desired))

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.step()

    def ready(self, child: FakeChild, version: int = 1) -> None:
        child.say(event="listening", port=4000 + self.children.all.index(child), version=version)

    def acknowledge(self) -> None:
        number = self.children.gateway.sent[-1]["id"]
        self.children.gateway.say(event="applied", id=number)
        self.children.gateway.say(event="drained", id=number)

    @property
    def members(self) -> dict[str, Any]:
        """Who gets requests according to the table sent last."""
        table = self.children.gateway.sent[-1]
        names = {role: [m["replica"] for m in table[role]] for role in ("current", "new")}
        return {**names, "split": table["split"]}


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage on a real listening socket, with the gateway up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stage = Stage(listener)
        stage.step()
        stage.children.gateway.say(event="listening", port=1)
        stage.acknowledge()
        yield stage


@pytest.fixture
def both(stage: Stage) -> Stage:
    """Current (blue-1) and New (green-2) ready, split 20."""
    stage.step(lambda w: replace(w.deploy(Role.CURRENT, "/a", 1).deploy(Role.NEW, "/b", 1), split=20))
    for child in stage.children.all[1:]:
        stage.ready(child)
    stage.acknowledge()
    return stage


def test_the_split_is_held_at_zero_until_new_is_ready(stage: Stage) -> None:
    """A weight without anybody to serve it would be a promise nobody keeps."""
    stage.step(lambda w: replace(w.deploy(Role.CURRENT, "/a", 1).deploy(Role.NEW, "/b", 1), split=20))
    blue, green = stage.children.replicas("blue")[0], stage.children.replicas("green")[0]
    stage.ready(blue)
    assert stage.members == {"current": ["blue-1"], "new": [], "split": 0}
    stage.ready(green)
    assert stage.members == {"current": ["blue-1"], "new": ["green-2"], "split": 20}


def test_promote_is_one_table_and_restarts_nothing(both: Stage) -> None:
    """The same replicas change roles."""
    before = len(both.children.all)
    both.step(lambda w: w.swap(can_undo=True))
    assert both.members == {"current": ["green-2"], "new": ["blue-1"], "split": 0}
    assert len(both.children.all) == before


def test_a_dead_replica_leaves_the_table_and_is_replaced_at_once(both: Stage) -> None:
    """The table changes with the event of its end, not at some later check."""
    both.children.replicas("green")[0].say(event="exit", code=-9)
    assert both.members == {"current": ["blue-1"], "new": [], "split": 0}
    replacement = both.children.replicas("green")[1]
    both.ready(replacement)
    assert both.members["new"] == [replacement.name]
    assert both.members["split"] == 20


def test_a_replica_that_is_told_to_end_from_outside_leaves_the_table_before_it_ends(both: Stage) -> None:
    """It goes on taking requests for a moment, and its replacement starts meanwhile."""
    both.children.replicas("green")[0].say(event="ending")
    assert both.members == {"current": ["blue-1"], "new": [], "split": 0}
    assert len(both.children.replicas("green")) == 2
    both.children.replicas("green")[0].say(event="exit", code=0)
    assert len(both.children.replicas("green")) == 2


def test_old_replicas_are_ended_only_after_their_requests_are_answered(both: Stage) -> None:
    """Ready, table changed, drained, then told to end: in this order."""
    both.step(lambda w: w.deploy(Role.NEW, "/c", 1))
    old, new = both.children.replicas("green")
    assert both.members["new"] == [old.name]
    both.ready(new)
    assert both.members["new"] == [new.name]
    assert old.told == []
    both.children.gateway.say(event="applied", id=both.children.gateway.sent[-1]["id"])
    assert old.told == []
    both.acknowledge()
    assert old.told == ["terminate"]


def test_requests_that_never_end_do_not_keep_an_old_replica_for_ever(both: Stage) -> None:
    """After the drain wait it is asked to end, after the kill wait it is ended."""
    both.step(lambda w: w.deploy(Role.NEW, "/c", 1))
    old, new = both.children.replicas("green")
    both.ready(new)
    both.children.gateway.say(event="applied", id=both.children.gateway.sent[-1]["id"])
    both.later(DRAIN_WAIT + 1)
    assert old.told == ["terminate"]
    both.later(KILL_WAIT + 1)
    assert old.told == ["terminate", "kill"]


def test_a_failed_redeploy_keeps_the_old_model_and_says_why(both: Stage) -> None:
    """After three starts that failed the former specification is desired again, and nothing was restarted."""
    both.step(lambda w: w.deploy(Role.NEW, "/c", 1))
    for attempt in (1, 2, 3):
        both.children.replicas("green")[attempt].say(event="exit", code=1)
        both.later(2)
    assert both.members["new"] == ["green-2"]
    assert both.desired.spec(Role.NEW).base == "/b"  # type: ignore[union-attr]  # it is deployed
    assert "/c failed: It went wrong." in both.fleet.failed_redeploys[Release.GREEN]
    assert len(both.children.replicas("green")) == 4


def test_replicas_that_die_together_are_no_crash_loop(stage: Stage) -> None:
    """All eight are replaced at once."""
    stage.step(lambda w: w.deploy(Role.CURRENT, "/a", 8))
    first = stage.children.replicas("blue")
    for child in first:
        stage.ready(child)
    for child in first:
        child.say(event="exit", code=-9)
    assert len(stage.children.replicas("blue")) == 16


def test_a_process_that_cannot_be_started_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files are no reason to stop supervising; the system's words are the cause."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(stage.fleet, "_start", refuse)
        stage.step(lambda w: w.deploy(Role.CURRENT, "/a", 1))
    assert "Too many open files" in stage.fleet.ends_of(stage.desired.spec(Role.CURRENT)).words
    stage.later(1)
    assert len(stage.children.replicas("blue")) == 1


def test_a_superseded_redeploy_never_gets_requests(both: Stage) -> None:
    """Whoever deploys again before the first attempt is ready has changed their mind."""
    both.step(lambda w: w.deploy(Role.NEW, "/c", 1))
    both.step(lambda w: w.deploy(Role.NEW, "/d", 1))
    old, second, third = both.children.replicas("green")
    assert second.told == ["terminate"]
    both.ready(second)
    assert both.members["new"] == [old.name]
    both.ready(third)
    assert both.members["new"] == [third.name]


def test_a_former_replica_that_dies_during_a_redeploy_is_replaced(both: Stage) -> None:
    """It answers until the new one does, however long that takes."""
    both.step(lambda w: w.deploy(Role.NEW, "/c", 1))
    both.children.replicas("green")[0].say(event="exit", code=-9)
    replacement = both.children.replicas("green")[-1]
    assert "/b" in replacement.argv
    both.ready(replacement)
    assert both.members["new"] == [replacement.name]


def test_a_gateway_that_says_nothing_is_asked_and_then_ended(both: Stage) -> None:
    """Its table is sent again as a heartbeat; silence means that it hangs."""
    orders = len(both.children.gateway.sent)
    both.later(HEARTBEAT + 1)
    assert len(both.children.gateway.sent) == orders + 1
    assert both.fleet.gateway.up_to_date, "a heartbeat is no change to wait for"
    both.later(ACK_WAIT + 1)
    assert both.children.gateway.told == ["kill"]


def test_what_is_wrong_with_a_newer_version_is_kept_until_one_takes_over(both: Stage) -> None:
    """The card shows it as a warning."""
    replica = both.children.replicas("green")[0]
    replica.say(event="trouble", problem="2 is broken.")
    assert both.fleet.replicas["green-2"].trouble == "2 is broken."
    replica.say(event="version", version=2)
    assert both.fleet.replicas["green-2"].trouble == ""


def test_a_crash_loop_is_slowed_down(stage: Stage) -> None:
    """The second replacement waits half a second, the third one second."""
    stage.step(lambda w: w.deploy(Role.CURRENT, "/a", 1))

    def started() -> int:
        return len(stage.children.replicas("blue"))

    stage.children.replicas("blue")[-1].say(event="exit", code=1)
    assert started() == 2
    stage.children.replicas("blue")[-1].say(event="exit", code=1)
    assert started() == 2
    stage.later(0.6)
    assert started() == 3
    stage.children.replicas("blue")[-1].say(event="exit", code=1)
    stage.later(0.6)
    assert started() == 3
    stage.later(0.6)
    assert started() == 4


def test_a_replica_that_never_gets_ready_is_ended_with_the_reason(stage: Stage) -> None:
    """Its silence is its last word."""
    stage.step(lambda w: w.deploy(Role.CURRENT, "/a", 1))
    child = stage.children.replicas("blue")[0]
    stage.later(START_WAIT + 1)
    assert child.told == ["kill"]
    child.say(event="exit", code=-9)
    assert "not loaded the model after 60 s" in stage.fleet.ends_of(stage.desired.spec(Role.CURRENT)).words


def test_a_gateway_that_dies_is_replaced_and_told_everything_again(both: Stage) -> None:
    """The listening socket stays with the engine, so the new one gets the same port."""
    dead = both.children.gateway
    dead.say(event="exit", code=-9)
    gateway = both.children.gateway
    assert gateway is not dead
    assert gateway.pass_fds == dead.pass_fds
    gateway.say(event="listening", port=1)
    assert both.members == {"current": ["blue-1"], "new": ["green-2"], "split": 20}


def test_a_gateway_that_hangs_is_ended(both: Stage) -> None:
    """A table that is not taken over within the wait means that nobody reads."""
    both.step(lambda w: replace(w, split=50))
    both.later(ACK_WAIT + 1)
    assert both.children.gateway.told == ["kill"]


def test_a_gateway_that_replaces_a_deaf_one_gets_its_time(both: Stage) -> None:
    """The silence of its predecessor is not its own."""
    both.step(lambda w: replace(w, split=50))
    both.later(ACK_WAIT + 1)
    both.children.gateway.say(event="exit", code=-9)
    both.children.gateway.say(event="listening", port=1)
    both.later(1)
    assert both.children.gateway.told == []
    both.acknowledge()
    assert both.fleet.gateway.applied_split == 50


def test_an_event_of_a_former_gateway_changes_nothing(both: Stage) -> None:
    """Late lines of a dead process are not the new one's."""
    dead = both.children.gateway
    dead.say(event="exit", code=-9)
    dead.say(event="listening", port=1)
    assert not both.fleet.gateway.listening


def test_removing_a_model_drains_it(both: Stage) -> None:
    """Its replicas leave the table first."""
    both.step(lambda w: w.remove(Role.NEW))
    assert both.members == {"current": ["blue-1"], "new": [], "split": 0}
    both.acknowledge()
    assert both.children.replicas("green")[0].told == ["terminate"]


def test_a_starting_replica_that_is_no_longer_wanted_is_ended(stage: Stage) -> None:
    """It never was in the table, so there is nothing to drain."""
    stage.step(lambda w: w.deploy(Role.CURRENT, "/a", 1))
    stage.step(lambda w: w.remove(Role.CURRENT))
    assert stage.children.replicas("blue")[0].told == ["terminate"]


def test_a_new_version_in_the_folder_is_noted(both: Stage) -> None:
    """The replica says so by itself."""
    both.children.replicas("green")[0].say(event="version", version=2)
    assert both.fleet.replicas["green-2"].version == 2


def test_closing_ends_every_child(both: Stage) -> None:
    """By the end of their input."""
    both.fleet.close()
    assert [child.told for child in both.children.all] == [["end input"]] * 3


def test_an_unknown_event_is_ignored(both: Stage) -> None:
    """A newer child may say more than an older engine knows."""
    both.children.replicas("green")[0].say(event="gossip")
    both.children.gateway.say(event="refused", problem="?")
    assert both.fleet.replicas["green-2"].phase is Phase.READY
