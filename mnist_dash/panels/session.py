"""What one visitor's page remembers between two runs of the script, besides its widgets."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import numpy as np
import streamlit as st

from mnist_dash.domain import (
    Change,
    Comparison,
    Finding,
    Image,
    ModelCheck,
    Prediction,
    Release,
    Role,
    Snapshot,
    Suggestion,
)
from mnist_dash.errors import EngineError, MnistDashError

STROKE_SECONDS = 1.0
"""How long after a click on Predict a stroke still belongs to it: the canvas sends a stroke 0.2 s late."""
AWAITED_SECONDS = 5.0
"""The same where the drawing was empty: what was asked about must still be on its way."""


class Verb(StrEnum):
    """What is asked about in a dialog before it is done."""

    DEPLOY = "deploy"
    REMOVE = "remove"
    PROMOTE = "promote"
    SPLIT = "split"


@dataclass(frozen=True)
class Difference:
    """What a change would change in the cluster, or why that cannot be told."""

    change: Change
    seen: Snapshot
    """What was observed when it was asked for; its time does not matter."""
    said: str | MnistDashError


@dataclass(frozen=True)
class Refusal:
    """A change that was refused because somebody else owns what it writes: it can be taken over."""

    change: Change
    problem: EngineError
    done: str
    """What to tell once it is done all the same."""


@dataclass
class Dialog:
    """The dialog that is open."""

    verb: Verb
    role: Role
    percent: int = 0
    """The split that is asked about, where it is one."""
    release: Release | None = None
    """The release that played the role when it was opened."""
    confirmed: bool = False
    """Whether its button was pressed, so that the next run carries it out."""
    take_over: bool = False
    """Whether it was the button that takes over what somebody else owns."""
    unchecked: bool = False
    """Whether the visitor goes on with a model that could not be looked at."""
    problem: MnistDashError | None = None
    suggestions: tuple[Suggestion, ...] | None = None
    """The model bases to offer; None until they are known."""
    check: tuple[str, ModelCheck] | None = None
    """The base that was typed last, and what was found there."""
    asks_difference: bool = False
    difference: Difference | None = None


@dataclass(frozen=True, eq=False)
class LastAnswer:
    """What was said about one picture; the picture is None where there was no digit in the drawing."""

    picture: Image | None
    said: Prediction | Comparison | MnistDashError
    current_release: Release | None = None
    """Who was Current when it was given: after a promotion its roles would be wrong."""
    bases: tuple[tuple[Role, str], ...] = ()
    """What was deployed in each role then."""

    def is_about(self, picture: Image | None) -> bool:
        """Whether it was given to this very picture."""
        if picture is None or self.picture is None:
            return picture is self.picture
        return np.array_equal(picture, self.picture)


@dataclass
class Session:
    """One browser tab's state; what is deployed is never kept here, but read from the dashboard."""

    sheet: int = 0
    """Counts the sheets of paper: a new one clears the canvas."""
    sample: Image | None = None
    """The bundled digit that lies on the sheet."""
    answer: LastAnswer | None = None
    asked_at: float = field(default=-AWAITED_SECONDS)
    dialog: Dialog | None = None
    refusal: Refusal | None = None
    """A change without a dialog that was refused, and could take over what stands in its way."""
    split_shown: int | None = None
    """The split that the strategy's controls were last set to by the page rather than by the visitor."""

    findings: tuple[Finding, ...] = ()
    """What was found when this visitor last had the route tested."""

    told: list[tuple[str, bool]] = field(default_factory=list)
    """What is to be told in passing, and whether it went well; a callback cannot show it by itself."""

    drawn: tuple[Snapshot, str] | None = None
    """What the page shows, to tell whether it is still so; nothing is ever read from here."""

    def tell(self, words: str, well: bool = True) -> None:
        """Have the next run tell something in passing."""
        self.told.append((words, well))

    def new_sheet(self, sample: Image | None = None) -> None:
        """Put a new sheet on the canvas: blank, or with a digit on it."""
        self.sheet += 1
        self.sample = sample
        self.answer = None
        self.asked_at = -AWAITED_SECONDS

    def just_asked(self, seconds: float = STROKE_SECONDS) -> bool:
        """Whether Predict was pressed so recently that the last stroke may still be on its way."""
        return time.monotonic() - self.asked_at < seconds

    def open(self, verb: Verb, role: Role, percent: int = 0) -> None:
        """Open a dialog; the next run of the whole page shows it. What was refused before is left."""
        self.dialog, self.refusal = Dialog(verb, role, percent), None

    def close(self) -> None:
        """Close the dialog that is open, if any."""
        self.dialog = None

    def confirm(self, *, take_over: bool = False, unchecked: bool = False) -> None:
        """Note that the dialog's button was pressed, or one that goes on in spite of a problem."""
        if self.dialog:
            self.dialog.confirmed = True
            self.dialog.take_over, self.dialog.unchecked = take_over, unchecked


def session() -> Session:
    """This visitor's state, the one key of `st.session_state` that is not a widget's."""
    return cast(Session, st.session_state.setdefault("visit", Session()))
