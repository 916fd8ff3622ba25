"""The interface `Engine`, which `local/engine.py` and `cluster/engine.py` implement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mnist_dash.domain import (
    Change,
    ChangeContext,
    EngineObject,
    Finding,
    Gateway,
    HistoryEntry,
    ModelCheck,
    Probe,
    Snapshot,
    Suggestion,
)
from mnist_dash.storage.location import Progress


class Engine(Protocol):
    """Where the models run. Changes are accepted at once, and `snapshot` shows their progress.

    Every method may be called from any thread.
    """

    @property
    def gateway(self) -> Gateway:
        """The gateway's address."""

    @property
    def user(self) -> str:
        """The user that the engine runs as; empty while it is not known."""

    @property
    def in_cluster(self) -> bool:
        """Whether the models run in a cluster, where changes can be previewed and others make changes too."""

    def check(self, base: str, progress: Progress | None = None, /) -> ModelCheck:
        """Check a SavedModel without changing anything; raises ModelError if it is unfit.

        `progress` is called with the bytes fetched so far and in total, where the model has to be fetched.
        """

    def apply(self, change: Change, context: ChangeContext) -> None:
        """Accept a change; raises EngineError, before anything has changed, if it cannot be applied.

        So it is if the role is not as the context expects (`preconditions.check_expected`). What changes
        nothing is not recorded either: the present split is ignored, and a deployment of what is deployed and
        ready raises EngineError.

        Deploying to a role that has a model replaces it without a pause. Removing New sets the split to 0. A
        split is held at 0 until New has a ready replica. A promotion swaps the roles' pointers and sets the
        split to 0; its undo swaps them back and restores the split. Nothing restarts. An undo that has been
        made meanwhile is ignored.
        """

    def preview(self, change: Change, /) -> str:
        """Return a change as a unified diff of YAML; empty on the local engine."""

    def snapshot(self) -> Snapshot:
        """Return the latest observation; never waits for the network."""

    def objects(self) -> tuple[EngineObject, ...]:
        """Return everything that runs, with its last log lines."""

    def manifests(self) -> str:
        """Return all applied objects as one YAML file; empty on the local engine."""

    def history(self) -> tuple[HistoryEntry, ...]:
        """Return the changes that were asked for, newest first."""

    def events(self) -> tuple[HistoryEntry, ...]:
        """Return what happened to the models, newest first, as far as it is known."""

    def diagnose_route(self, probes: Sequence[Probe]) -> tuple[Finding, ...]:
        """Return what the answers to probes say about the gateway, and faults of the applied objects."""

    def note(self) -> str:
        """Return the note that `keep_note` left, as last observed; empty if there is none."""

    def keep_note(self, text: str, expected: str, /) -> bool:
        """Keep a short text for all dashboards, over restarts; returns False if the note is not as expected.

        The engine knows nothing of its content. Raises EngineError if it cannot be kept.
        """

    def suggestions(self) -> tuple[Suggestion, ...]:
        """List model bases to offer for a deployment."""

    def close(self) -> None:
        """Release everything; may be called twice."""
