"""Events from successive observations, and how the log keeps them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_dash.domain import EventKind, HistoryEntry, Release, Role, Snapshot, State
from mnist_dash.rollout_status import SPLIT_HELD
from mnist_dash.timeline import EventLog, EventRecorder, ReplicaRun, newest_first
from tests.clock import Clock
from tests.fakes import deployment, snapshot

NEW = ReplicaRun("1", "green-1", Release.GREEN, is_ready=True)
KILLED = replace(NEW, is_ready=False, end="It was killed by signal SIGKILL.", ended_at=1.5)
NEXT = ReplicaRun("2", "green-2", Release.GREEN)


class Observer:
    """A recorder that has made its first observation: both models ready, Canary 20 %."""

    def __init__(self, first: Snapshot | None = None) -> None:
        self.log, self.clock = EventLog(), Clock()
        self.clock.now = 1.0
        self.recorder = EventRecorder(self.log, self.clock)
        self.recorder.observe(first or snapshot(), [NEW])

    def see(self, state: Snapshot, *runs: ReplicaRun) -> list[tuple[EventKind, str, str]]:
        """Observe once more, and return the kind, model and text of each new event, oldest first."""
        before = len(self.log.entries())
        self.clock.now += 1
        self.recorder.observe(state, runs or [NEW])
        new = self.log.entries()[: len(self.log.entries()) - before]
        return [(entry.kind, entry.model, entry.what) for entry in reversed(new)]


@pytest.fixture
def observer() -> Observer:
    """One that has seen both models ready."""
    return Observer()


def test_what_was_so_from_the_start_is_no_event(observer: Observer) -> None:
    """Nor is what stays as it is."""
    assert observer.log.entries() == ()
    assert observer.see(snapshot(taken_at=9.0)) == []


def test_a_killed_replica_is_reported_with_its_reason_and_its_replacement(observer: Observer) -> None:
    """The model is not called ready a second time."""
    degraded = snapshot(new=deployment(Role.NEW, state=State.DEGRADED, ready=0, version=None))
    (ended,) = observer.see(degraded, KILLED, NEXT)
    assert ended == (EventKind.ENDED, "cnn", "It was killed by signal SIGKILL.")
    assert observer.log.entries()[0].at == 1.5
    ready = replace(NEXT, is_ready=True)
    assert observer.see(snapshot(), KILLED, ready) == [
        (EventKind.REPLACED, "cnn", "green-2 replaces green-1.")
    ]
    assert observer.see(snapshot(), KILLED, ready) == []


@pytest.mark.parametrize(("told", "shown"), [(0.0, 2.0), (0.5, 1.0), (1.5, 1.5), (99.0, 2.0)])
def test_an_end_is_between_the_two_observations_around_it(
    observer: Observer, told: float, shown: float
) -> None:
    """Kubernetes tells whole seconds of another clock, or nothing."""
    observer.see(snapshot(), replace(KILLED, ended_at=told))
    assert observer.log.entries()[0].at == shown


def test_an_end_before_the_first_observation_is_an_event_with_its_time() -> None:
    """A cluster remembers how its containers ended."""
    log = EventLog()
    EventRecorder(log).observe(snapshot(), [KILLED, replace(NEXT, is_ready=True)])
    (entry,) = log.entries()
    assert (entry.kind, entry.at, entry.role) == (EventKind.ENDED, 1.5, Role.NEW)


@pytest.mark.parametrize("before", [State.STARTING, State.UPDATING])
def test_a_deployment_that_becomes_ready_says_its_version_and_replicas(before: State) -> None:
    """In one entry, and the split that was held for it follows."""
    model = deployment(Role.NEW, state=before, ready=0, version=None, desired=3)
    waiting = snapshot(new=model, split_observed=0, waiting_for=SPLIT_HELD)
    observer = Observer(snapshot(new=None, split_desired=0, split_observed=0))
    assert observer.see(waiting) == [(EventKind.HELD, "cnn", "Canary 20 %: New has no ready replica.")]
    done = replace(model, state=State.READY, ready=3, version=2)
    assert observer.see(snapshot(new=done)) == [
        (EventKind.READY, "cnn", "Version 2, 3 replicas."),
        (EventKind.SPLIT, "", "Canary 20 %."),
    ]


def test_after_a_promotion_the_words_are_those_of_the_controls(observer: Observer) -> None:
    """The former model is Former there."""
    starting = deployment(Role.NEW, ready=0, state=State.DEGRADED)
    held = snapshot(new=starting, split_observed=0, waiting_for=SPLIT_HELD, can_undo_promote=True)
    assert observer.see(held) == [(EventKind.HELD, "cnn", "Canary 20 %: Former has no ready replica.")]
    all_to_former = snapshot(split_desired=100, split_observed=100, can_undo_promote=True)
    assert observer.see(all_to_former) == [(EventKind.SPLIT, "", "Former only.")]


def test_another_version_in_the_folder_is_reported_once(observer: Observer) -> None:
    """A restart, during which no version is known, does not load it anew."""
    second, none = (
        snapshot(new=deployment(Role.NEW, version=2)),
        snapshot(new=deployment(Role.NEW, version=None)),
    )
    assert observer.see(second) == [(EventKind.VERSION, "cnn", "Version 2.")]
    assert observer.see(none) == []
    assert observer.see(second) == []


def test_a_failure_is_reported_with_its_cause(observer: Observer) -> None:
    """Once, not with every observation of it."""
    failed = snapshot(new=deployment(Role.NEW, state=State.FAILED, ready=0, cause="It cannot start."))
    assert observer.see(failed) == [(EventKind.FAILED, "cnn", "It cannot start.")]
    assert observer.see(failed) == []


def test_a_promotion_is_no_event_of_the_models_but_of_the_split(observer: Observer) -> None:
    """They answer as before, in other roles."""
    swapped = snapshot(
        current=replace(deployment(Role.NEW), role=Role.CURRENT),
        new=replace(deployment(Role.CURRENT), role=Role.NEW),
        split_desired=0,
        split_observed=0,
    )
    assert observer.see(swapped) == [(EventKind.SPLIT, "", "Current only.")]


def lost(at: float, what: str = "No answer.") -> HistoryEntry:
    """A lost request."""
    return HistoryEntry(at, "", what, EventKind.LOST)


def test_requests_lost_in_a_burst_are_one_entry() -> None:
    """With the last reason; a minute later another burst begins."""
    log = EventLog()
    for entry in (lost(1.0), lost(2.0, "HTTP 503."), lost(70.0)):
        log.add(entry)
    later, burst = log.entries()
    assert (burst.at, burst.since, burst.count, burst.what) == (2.0, 1.0, 2, "HTTP 503.")
    assert (later.count, later.since) == (1, 0.0)


def test_the_same_end_in_a_crash_loop_is_counted() -> None:
    """Another reason or another model is another entry."""
    log = EventLog()
    entry = HistoryEntry(0.0, "", "It ended with exit code 1.", EventKind.ENDED, Role.NEW, "cnn")
    for at in (0.0, 30.0, 300.0):
        log.add(replace(entry, at=at))
        log.add(HistoryEntry(at, "ann", "Remove New"))
    log.add(replace(entry, at=301.0, what="It was killed."))
    assert [(e.what, e.count) for e in log.entries() if e.kind is EventKind.ENDED] == [
        ("It was killed.", 1),
        ("It ended with exit code 1.", 3),
    ]


def test_the_oldest_events_make_room() -> None:
    """The log is bounded."""
    log = EventLog(kept=3)
    for at in range(5):
        log.add(HistoryEntry(at, "ann", f"{at}"))
    assert [entry.what for entry in log.entries()] == ["4", "3", "2"]
    assert newest_first(log.entries(), [HistoryEntry(3.5, "bob", "x")])[1].by == "bob"
