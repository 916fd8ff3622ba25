"""What the whole page depends on, taken from one snapshot and this visit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from mnist_dash import rules
from mnist_dash.domain import Release, Role, Snapshot
from mnist_dash.panels.visit import Verb, visit

TROUBLE: Final = "What is wrong is told under Roll out. The page goes on by itself when it is over."


@dataclass(frozen=True)
class Known:
    """What one run of the whole page started from; when it changes, all of the page is run again."""

    why_not_predict: str
    why_not_compare: str
    current_release: Release | None
    bases: tuple[tuple[Role, str], ...]
    dialog: tuple[Verb, Role] | None

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot, *, in_cluster: bool) -> Known:
        """What is known from one snapshot and this visit.

        Predictions do not go through a cluster's API server: what was ready may answer while that is away.
        """
        dialog = visit().dialog
        answering = in_cluster and snapshot.current is not None
        asked = replace(snapshot, trouble="") if answering else snapshot
        return cls(
            why_not_predict=TROUBLE if asked.trouble else rules.why_not_predict(asked),
            why_not_compare=TROUBLE if asked.trouble else rules.why_not_compare(asked),
            current_release=snapshot.current.release if snapshot.current else None,
            bases=tuple((model.role, model.base) for model in (snapshot.current, snapshot.new) if model),
            dialog=(dialog.verb, dialog.role) if dialog else None,
        )
