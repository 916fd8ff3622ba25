"""State of one browser tab between two runs of the script, besides its widgets."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mnist_dash.domain import (
    Change,
    Comparison,
    Finding,
    Image,
    ModelCheck,
    Prediction,
    Promote,
    Remove,
    Role,
    SetSplit,
    Snapshot,
    Suggestion,
)
from mnist_dash.errors import MnistDashError

DOUBLE_CLICK_SECONDS = 1.0
"""Between the two halves of a double click, at most; the server may be slow to take the second."""
STROKE_SECONDS = 1.0
"""How long after a click on Predict a stroke still belongs to it: the canvas sends a stroke 0.2 s late."""
FIRST_STROKE_SECONDS = 5.0
"""The same for an empty drawing: the stroke that Predict was pressed for must still be on its way."""
Outcome: TypeAlias = Prediction | Comparison | MnistDashError


@dataclass(frozen=True, eq=False)
class Awaited:
    """An answer that is still to come."""

    result: Future[Prediction | Comparison]
    compare: bool
    """Whether both models were asked."""
    asked_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, eq=False)
class SentChange:
    """A change that the engine has been given and has neither accepted nor refused yet."""

    change: Change
    before: Snapshot
    """What was observed before it."""
    result: Future[bool]


@dataclass
class Dialog:
    """The dialog that is open."""

    role: Role
    change: Remove | SetSplit | Promote | None = None
    """The change to confirm; None in the dialog that deploys, whose form makes the change."""
    expected: str = ""
    """The `Snapshot.etag` of the role when the dialog was opened, or that the visitor has accepted since."""
    is_under_review: bool = False
    """Whether the figures about a promotion have been shown."""
    confirmed: bool = False
    """Whether its button was pressed, so that the next run applies the change."""
    take_over: bool = False
    allow_unverified: bool = False
    problem: MnistDashError | None = None
    suggestions: tuple[Suggestion, ...] | None = None
    """The model bases to offer; None until they are listed."""
    shows_content: bool = False
    """Whether to show what lies in the folder that the problem is about."""
    check: tuple[str, ModelCheck] | None = None
    """The last base that was checked, as typed, and its check."""
    wants_preview: bool = False
    preview: tuple[object, str | MnistDashError] | None = None
    """The basis of the last preview, and its difference or the error instead of it."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One of MNIST's digits."""

    place: int
    """Its place among the bundled digits."""
    image: Image
    label: int
    drawn: Image
    """The image as it is prepared when it comes back from the canvas: nearly the same."""


@dataclass(frozen=True, eq=False)
class KeptDrawing:
    """A drawing from before a reload."""

    image: Image
    source: str
    """The picture on the canvas as a data URL."""
    has_far_dot: bool = False
    """Whether a dot is left out of the image."""


@dataclass(frozen=True, eq=False)
class LastAnswer:
    """The outcome for one picture; the picture is None where the drawing held no digit."""

    picture: Image | None
    outcome: Outcome | Awaited
    snapshot: Snapshot
    """What was deployed when it was given: after a promotion its roles would be wrong."""
    truth: int | None = None
    """The label of the picture, if it is one of MNIST's digits."""
    was_down: bool = False
    """Whether a model was observed not to be ready since an error."""

    def is_about(self, picture: Image | None) -> bool:
        """Whether it was given to this very picture."""
        if picture is None or self.picture is None:
            return picture is self.picture
        return np.array_equal(picture, self.picture)


@dataclass
class Session:
    """One browser tab's state; deployments and strategy are never kept here, but read from the dashboard."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    sheet: int = 0
    """Counts the sheets of paper: a new one clears the canvas."""
    sample: Sample | None = None
    """The bundled digit on the sheet; strokes may have been added to it."""
    picture: Image | None = None
    """The digit on the canvas as the models get it."""
    has_far_dot: bool = False
    """Whether a dot on the canvas is left out of that digit."""
    kept: KeptDrawing | None = None
    """The drawing from before a reload that is on the sheet."""
    pixels: NDArray[np.uint8] | None = None
    """What the canvas returned last."""
    old_pixels: NDArray[np.uint8] | None = None
    """What it returned of the sheet before, as it does until the browser has the new one."""
    address_notices: tuple[str, ...] | None = None
    """What the address says that is ignored; None until it is read."""
    asks_at_once: bool = False
    """Whether the digit of the address still waits for an answer."""
    note_on_samples: str = ""
    """Why there is no digit about which the models differ."""
    answer: LastAnswer | None = None
    asked_at: float = field(default=-FIRST_STROKE_SECONDS)
    """When Predict was pressed last, by the monotonic clock."""
    clicked_at: dict[str, float] = field(default_factory=dict)
    """When buttons that mind a double click were clicked last, by the monotonic clock."""
    rollout_started_at: float = 0.0
    """When a rollout was started from here, by the monotonic clock, until the popover is closed."""
    wants_compare: bool = False
    """Whether the next run of the page is to switch Compare on."""
    check_choices: dict[str, object] = field(default_factory=dict)
    """What was chosen for the next canary check, by widget."""
    dialog: Dialog | None = None
    sent: SentChange | None = None
    refusal: tuple[Change, MnistDashError] | None = None
    """The last change without a dialog, if it was refused."""
    pending: list[tuple[Change, Snapshot]] = field(default_factory=list)
    """This visitor's changes until they are done, each with what was deployed before it."""
    split_sent: int | None = None
    """The split that was sent last, until another one is chosen."""
    split_shown: int | None = None
    """The split that the page last set the strategy's controls to; a visitor's choice differs from it."""
    split_shown_at: float = 0.0
    """When that split was first set, by the monotonic clock."""
    split_is_restored: bool = False
    """Whether the controls were set to the choice from before a reload, and have not been shown since."""
    history_from: float | None = None
    """The time, or the prediction's number, at which the page of the history begins; None for the newest."""
    asks_to_clear: bool = False
    """Whether to ask if all labelled drawings are to be deleted."""
    findings: tuple[Finding, ...] = ()
    """The result of this visitor's last route test."""
    errors: list[str] = field(default_factory=list)
    """Errors without a place of their own, for the next run: a callback cannot show them."""
    shown: tuple[object, ...] | None = None
    """What the page was drawn from, to notice a change; never a source of what to draw."""

    def start_sheet(self, sample: Sample | None = None, kept: KeptDrawing | None = None) -> None:
        """Put a new sheet on the canvas: blank, or with a digit or a drawing on it."""
        self.sheet += 1
        self.sample, self.kept = sample, kept
        self.old_pixels = self.pixels
        self.asks_at_once = False
        self.note_on_samples = ""
        self.answer = None
        self.asked_at = -FIRST_STROKE_SECONDS

    def has_just_asked(self, seconds: float = STROKE_SECONDS) -> bool:
        """Whether Predict was pressed so recently that the last stroke may still be on its way."""
        return time.monotonic() - self.asked_at < seconds

    def is_double_click(self, key: str) -> bool:
        """Note a click on a button; return whether it is the second half of a double click."""
        now = time.monotonic()
        before, self.clicked_at[key] = self.clicked_at.get(key, -DOUBLE_CLICK_SECONDS), now
        return now - before < DOUBLE_CLICK_SECONDS

    def open(self, role: Role, change: Remove | SetSplit | Promote | None = None) -> None:
        """Open the dialog that confirms a change, or that deploys; a run of the whole page shows it."""
        self.dialog, self.refusal = Dialog(role, change), None

    def close(self) -> None:
        """Close the dialog that is open, if any."""
        self.dialog = None

    def confirm(self, *, take_over: bool = False, allow_unverified: bool = False, expected: str = "") -> None:
        """Record a click on the dialog's button, or on one that overrides a problem."""
        if self.dialog:
            self.dialog.confirmed = True
            self.dialog.take_over, self.dialog.allow_unverified = take_over, allow_unverified
            self.dialog.expected = expected or self.dialog.expected


def session() -> Session:
    """Return this tab's state, the one key of `st.session_state` that is not a widget's."""
    return cast(Session, st.session_state.setdefault("session", Session()))


def signed_in_user() -> str:
    """Return the visitor's e-mail address or name; empty where nobody has to sign in."""
    claims = st.user if st.user.get("is_logged_in") else {}
    return str(claims.get("email") or claims.get("name") or "")
