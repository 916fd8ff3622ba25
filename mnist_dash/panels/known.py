"""What the whole page depends on, taken from one snapshot and this visit."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_dash import rules
from mnist_dash.domain import Release, Role, Snapshot
from mnist_dash.panels.visit import Verb, visit


@dataclass(frozen=True)
class Known:
    """What one run of the whole page started from; when it changes, all of the page is run again."""

    why_not_predict: str
    why_not_compare: str
    current_release: Release | None
    dialog: tuple[Verb, Role] | None

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot) -> Known:
        """What is known from one snapshot and this visit."""
        dialog = visit().dialog
        return cls(
            why_not_predict=rules.why_not_predict(snapshot),
            why_not_compare=rules.why_not_compare(snapshot),
            current_release=snapshot.current.release if snapshot.current else None,
            dialog=(dialog.verb, dialog.role) if dialog else None,
        )
