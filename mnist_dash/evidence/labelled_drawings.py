"""Visitors' drawings as values: a prediction of the history, labelled drawings, and how both models did."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mnist_dash.domain import FIELD, Image, Role
from mnist_dash.evidence import statistics
from mnist_dash.evidence.verdict import Counts, Terms, Verdict, judge

MENTIONED_ODDS: Final = 1.5
"""Evidence below these odds to 1 is no news."""


@dataclass(frozen=True, eq=False)
class RecordedPrediction:
    """One answer to a visitor, as the History shows it."""

    number: int
    """Consecutive: the newest one has the highest."""
    image: Image
    at: float
    """Seconds since the epoch."""
    role: Role | None
    """None if it is unknown which model answered."""
    model: str
    """The name of that model; empty if it is unknown."""
    digit: int
    confidence: float
    milliseconds: float
    truth: int | None
    """MNIST's label or the visitor's; None if there is none."""


@dataclass(frozen=True)
class LabelledDrawing:
    """A drawing of which a visitor has said the digit; what models say is None until both have answered."""

    at: float
    """When it was labelled, in seconds since the epoch."""
    truth: int
    answered_by: Role | None
    """Whom the split had chosen; None if it was not asked, or if that is unknown."""
    current: int | None
    new: int | None
    current_base: str | None
    current_version: int | None
    new_base: str | None
    new_version: int | None


@dataclass(frozen=True, eq=False)
class LabelledDrawings:
    """All labelled drawings; the arrays have an entry for each row."""

    images: NDArray[np.uint8]
    """(n, 28, 28), white ink on black, as the models got them."""
    labels: NDArray[np.int64]
    """(n,), 0 to 9."""
    current_probabilities: NDArray[np.float64]
    """(n, 10); NaN where there is no answer, as in the next."""
    new_probabilities: NDArray[np.float64]
    rows: tuple[LabelledDrawing, ...]
    """`pandas.DataFrame(rows)` has a column for each field."""

    def __len__(self) -> int:
        return len(self.rows)

    def save(self, path: str | Path) -> None:
        """Write a file for retraining: `.csv` by its name, or else `.npz`."""
        text = self.to_csv().encode() if Path(path).suffix == ".csv" else self.to_npz()
        Path(path).write_bytes(text)

    def to_npz(self) -> bytes:
        """Return a file of numpy's: `images`, `labels`, both probabilities, and a column for each field."""
        columns: dict[str, Any] = {
            column.name: self._column(column.name)
            for column in fields(LabelledDrawing)
            if column.name != "truth"
        }
        file = io.BytesIO()
        np.savez_compressed(
            file,
            images=self.images,
            labels=self.labels,
            current_probabilities=self.current_probabilities,
            new_probabilities=self.new_probabilities,
            **columns,
        )
        return file.getvalue()

    def _column(self, name: str) -> NDArray[np.generic]:
        """Return a field of all rows as an array without objects: an unknown text is empty, a number -1."""
        unknown = "" if name.endswith(("_base", "_by")) else -1
        values = [getattr(row, name) for row in self.rows]
        return np.array([unknown if value is None else value for value in values])

    def to_csv(self) -> str:
        """Return a line for each drawing below a header: its fields and its 784 pixels, 0 to 255."""
        text = io.StringIO()
        pixels = [f"pixel{number}" for number in range(FIELD * FIELD)]
        writer = csv.writer(text)
        writer.writerow([*(column.name for column in fields(LabelledDrawing)), *pixels])
        for row, image in zip(self.rows, self.images, strict=True):
            writer.writerow([*asdict(row).values(), *image.ravel().tolist()])
        return text.getvalue()


@dataclass(frozen=True)
class DrawingTally:
    """How Current and New did on the labelled drawings that both have answered."""

    drawings: int = 0
    current_right: int = 0
    new_right: int = 0
    new_only: int = 0
    """Drawings that only New got right."""
    current_only: int = 0

    def __add__(self, other: DrawingTally) -> DrawingTally:
        return DrawingTally(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @property
    def verdict(self) -> Verdict:
        """What that says about the two models, by the terms that a check has by default."""
        return judge(Counts(self.drawings, self.new_only, self.current_only), Terms())

    @property
    def odds(self) -> str:
        """What that says in short: `4.4 : 1 for New.`"""
        return f"{self.verdict.outcome}." if self.verdict.is_decided else self._ahead or "No evidence yet."

    @property
    def meaning(self) -> str:
        """The same in full sentences."""
        return str(self.verdict) if self.verdict.is_decided else f"{self._ahead} {self.verdict}".strip()

    @property
    def _ahead(self) -> str:
        """How much speaks for the model that is ahead; empty if hardly anything does."""
        evidence = math.exp(statistics.log_e_value_equal(self.new_only, self.current_only))
        if evidence < MENTIONED_ODDS:
            return ""
        return f"{evidence:.1f} : 1 for {'New' if self.new_only > self.current_only else 'Current'}."

    def __str__(self) -> str:
        if not self.drawings:
            return ""
        drawings = "drawing" if self.drawings == 1 else f"{self.drawings:,} drawings"
        return f"On your {drawings}: New {self.new_right:,}, Current {self.current_right:,}."
