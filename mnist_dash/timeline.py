"""What happened, as entries of the history: their store, and the comparison of successive observations."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mnist_dash.domain import Deployment, EventKind, HistoryEntry, Release, Role, Snapshot, State, name_split
from mnist_dash.rollout_status import SPLIT_HELD

KEPT: Final = 500
MAX_TEXT: Final = 1000
"""Characters of one text of a saved change: all annotations of an object must stay below 256 KiB."""
MERGE_SECONDS: Final = {EventKind.LOST: 10.0, EventKind.REFUSED: 10.0, EventKind.ENDED: 360.0}
"""Within which an event of the same kind is counted with the last one; a crash loop waits up to 5 minutes."""


@dataclass(frozen=True)
class ReplicaRun:
    """One run of a model server, from its start to its end."""

    id: str
    name: str
    """The replica's name in Objects."""
    release: Release
    is_ready: bool = False
    end: str = ""
    """Why it ended by itself, as a sentence; empty while it runs, and if the engine ended it."""
    ended_at: float = 0.0
    """Seconds since the epoch; 0 if it is not known."""


def save_changes(entries: Iterable[HistoryEntry]) -> list[dict[str, Any]]:
    """Return changes as JSON documents, with texts of bounded length."""
    return [{"at": it.at, "by": it.by[:MAX_TEXT], "what": it.what[:MAX_TEXT]} for it in entries]


def load_changes(documents: Any) -> tuple[HistoryEntry, ...]:
    """Return the changes that `save_changes` saved; those that others have damaged are left out."""
    entries = map(_load_change, documents if isinstance(documents, list) else ())
    return tuple(filter(None, entries))


def _load_change(document: Any) -> HistoryEntry | None:
    try:
        at, by, what = document["at"], document["by"], document["what"]
        for days in (-1, 1):  # so that it is a time in the viewer's zone, too
            datetime.fromtimestamp(at, UTC) + timedelta(days)
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError):
        return None
    return HistoryEntry(float(at), by, what) if isinstance(by, str) and isinstance(what, str) else None


class EventLog:
    """The last events; safe to use from any thread. Events that repeat within a burst become one entry."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._entries: deque[HistoryEntry] = deque(maxlen=kept)

    def add(self, entry: HistoryEntry) -> None:
        """Append an event, or count it with the same event shortly before."""
        with self._lock:
            if last := next(filter(lambda other: _is_repeated(other, entry), reversed(self._entries)), None):
                self._entries.remove(last)
                entry = replace(entry, count=last.count + entry.count, since=last.since or last.at)
            self._entries.append(entry)

    def entries(self) -> tuple[HistoryEntry, ...]:
        """Return all events, newest first."""
        with self._lock:
            return newest_first(reversed(self._entries))


def newest_first(*groups: Iterable[HistoryEntry]) -> tuple[HistoryEntry, ...]:
    """Merge groups that are newest first."""
    entries = [entry for group in groups for entry in group]
    return tuple(sorted(entries, key=lambda entry: entry.at, reverse=True))


def _is_repeated(last: HistoryEntry, entry: HistoryEntry) -> bool:
    same_text = entry.kind is EventKind.LOST or (last.what, last.by) == (entry.what, entry.by)
    same_subject = (last.kind, last.role, last.model) == (entry.kind, entry.role, entry.model)
    return same_text and same_subject and entry.at - last.at <= MERGE_SECONDS.get(entry.kind, -1.0)


class EventRecorder:
    """Compares successive observations of an engine, and adds what happened in between to an `EventLog`.

    Not thread-safe: the engine calls it where it publishes a snapshot.
    """

    def __init__(self, log: EventLog, clock: Callable[[], float] = time.time) -> None:
        self._log = log
        self._clock = clock
        self._before: Snapshot | None = None
        self._observed_at = 0.0
        self._runs: dict[str, ReplicaRun] = {}
        self._lost: dict[Release, list[str]] = {}
        """The names of the replicas that ended and are not replaced yet."""
        self._versions: dict[Release, tuple[str, int]] = {}
        self._split: int | None = None
        """The split that was last found in force; None while it is held."""

    def observe(self, snapshot: Snapshot, runs: Iterable[ReplicaRun]) -> None:
        """Add the events since the last observation; the first has only ends of replicas as events."""
        before, self._before = self._before, snapshot
        since, self._observed_at = self._observed_at, self._clock()
        runs = tuple(runs)
        for run in runs:
            self._compare_run(self._runs.get(run.id), run, snapshot, since)
        self._runs = {run.id: run for run in runs}
        for model in filter(None, (snapshot.current, snapshot.new)):
            self._compare_model(before, model)
        self._compare_split(before, snapshot)

    def _add(self, kind: EventKind, what: str, model: Deployment | None = None, at: float = 0.0) -> None:
        about = (model.role, model.name) if model else (None, "")
        self._log.add(HistoryEntry(at or self._clock(), "", what, kind, *about))

    def _compare_run(
        self, before: ReplicaRun | None, run: ReplicaRun, snapshot: Snapshot, since: float
    ) -> None:
        model = _of_release(snapshot, run.release)
        if model is None:
            return
        lost = self._lost.setdefault(run.release, [])
        if run.end and not (before and before.end):
            # A cluster's times are whole seconds of another clock: an end must not precede what led to it.
            at = min(max(run.ended_at, since), self._observed_at) if run.ended_at else 0.0
            self._add(EventKind.ENDED, run.end, model, at)
            lost.append(run.name)
        elif run.is_ready and not (before and before.is_ready) and lost and since:
            name = lost.pop(0)
            what = f"{run.name} is ready again." if name == run.name else f"{run.name} replaces {name}."
            self._add(EventKind.REPLACED, what, model)

    def _compare_model(self, before: Snapshot | None, model: Deployment) -> None:
        former = _of_release(before, model.release) if before else None
        version = (model.base, model.version) if model.version is not None else None
        is_version_new = version is not None and version != self._versions.get(model.release)
        if version and version[1] is not None:
            self._versions[model.release] = (version[0], version[1])
        if before is None:
            return
        if model.state is State.READY and _was_awaited(former, model):
            copies = "1 replica" if model.desired == 1 else f"{model.desired} replicas"
            self._add(
                EventKind.READY, f"Version {model.version}, {copies}." if version else f"{copies}.", model
            )
            self._lost.pop(model.release, None)
        elif is_version_new:
            self._add(EventKind.VERSION, f"Version {model.version}.", model)
        if model.state is State.FAILED and not (former and former.state is State.FAILED):
            self._add(EventKind.FAILED, model.cause, model)

    def _compare_split(self, before: Snapshot | None, snapshot: Snapshot) -> None:
        observed, desired = snapshot.split_observed, snapshot.split_desired
        is_held = snapshot.waiting_for == SPLIT_HELD
        if before is None:
            self._split = observed
        elif is_held and before.waiting_for != SPLIT_HELD:
            what = f"{name_split(desired, snapshot)}: {snapshot.role_title(Role.NEW)} has no ready replica."
            self._add(EventKind.HELD, what, snapshot.new)
            self._split = None
        elif not is_held and observed == desired != self._split:
            self._add(EventKind.SPLIT, f"{name_split(observed, snapshot)}.")
            self._split = observed


def _of_release(snapshot: Snapshot, release: Release) -> Deployment | None:
    models = filter(None, (snapshot.current, snapshot.new))
    return next((model for model in models if model.release is release), None)


def _was_awaited(former: Deployment | None, model: Deployment) -> bool:
    """Whether a model that is ready now was being deployed, or could not start, before."""
    if former is None or former.state in (State.STARTING, State.UPDATING):
        return True
    return former.state is State.FAILED and former.ready < model.ready
