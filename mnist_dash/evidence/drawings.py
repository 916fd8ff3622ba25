"""Visitors' drawings in SQLite: the last predictions, and those of which somebody has said the digit."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from mnist_dash.dataset import Digits
from mnist_dash.domain import DIGITS, FIELD, Image, Prediction, Role, Route, Snapshot
from mnist_dash.evidence.drawing_file import COUNTS, NOBODY, connect, is_damage, set_aside
from mnist_dash.evidence.labelled_drawings import (
    DrawingTally,
    LabelledDrawing,
    LabelledDrawings,
    RecordedPrediction,
)
from mnist_dash.served_models import ServedModel

KEPT: Final = 100_000
"""The predictions that are kept; labelled drawings are kept until somebody clears them."""
ENDS: Final = "SELECT (SELECT min(id) FROM predictions), (SELECT max(id) FROM predictions)"
PAGE: Final = """
SELECT p.id, p.image, p.at, p.role, p.model, p.digit, p.confidence, p.milliseconds, ifnull(p.truth, d.truth)
FROM predictions p LEFT JOIN drawings d ON d.digest = p.digest
WHERE p.id <= ? ORDER BY p.id DESC LIMIT ?"""
TALLY: Final = f"""SELECT {COUNTS} FROM pairs
WHERE current_base = ? AND current_version = ? AND new_base = ? AND new_version = ?"""
UNANSWERED: Final = f"SELECT image FROM drawings WHERE pair = {NOBODY} ORDER BY id DESC LIMIT ?"
LABELLED: Final = """
SELECT d.image, d.truth, d.at, d.answered_by, d.current, d.new, d.current_probabilities, d.new_probabilities,
  p.current_base, p.current_version, p.new_base, p.new_version
FROM drawings d JOIN pairs p ON p.id = d.pair ORDER BY d.id"""
Result = TypeVar("Result")


class DrawingStore:
    """The drawings in a file, which several dashboards may share; safe to use from any thread.

    Its errors never reach whoever draws. Without a path, or with one that cannot be used, drawings are kept
    in memory until the dashboard ends.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.notices: tuple[str, ...] = ()
        """What happened to the file, a sentence each."""
        self.problem = ""
        """Why the last one was not kept, as a sentence; empty if it was."""
        self._db = self._open()

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            self._db.close()

    def add_prediction(
        self, image: Image, route: Route, prediction: Prediction, model: str, truth: int | None
    ) -> None:
        """Record an answer about a drawing, (28, 28) in [0, 1]; `truth` is the label of one of MNIST's."""
        pixels, digest = _pack(image)

        def add(db: sqlite3.Connection) -> None:
            answer = prediction.digit, prediction.confidence, prediction.milliseconds
            values = digest, pixels, time.time(), route, prediction.role, model, *answer, truth
            added = db.execute("INSERT INTO predictions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            db.execute("DELETE FROM predictions WHERE id <= ?", ((added.lastrowid or 0) - KEPT,))

        self._write(add)

    def find_predictions(self, newest: int | None, count: int) -> list[RecordedPrediction]:
        """Return up to `count` predictions, newest first, from the number `newest` on or the last one."""
        first = newest if newest is not None else 2**63 - 1
        rows: list[Any] = self._read(lambda db: db.execute(PAGE, (first, count)).fetchall(), [])
        return [
            RecordedPrediction(number, _unpack(image), at, role and Role(role), *rest)
            for number, image, at, role, *rest in rows
        ]

    def find_ends(self) -> tuple[int, int]:
        """Return the numbers of the oldest and the newest prediction, without a gap; (1, 0) if none."""
        first, last = self._read(lambda db: db.execute(ENDS).fetchone(), (None, None))
        return (first, last) if last is not None else (1, 0)

    def label(self, image: Image, truth: int | None) -> bool:
        """Record which digit a drawing was, in place of an earlier label; None takes the label back.

        Returns whether that is kept.
        """
        pixels, digest = _pack(image)

        def label(db: sqlite3.Connection) -> None:
            who = "SELECT role FROM predictions WHERE digest = ? AND route = ? ORDER BY id DESC LIMIT 1"
            role = db.execute(who, (digest, Route.SPLIT)).fetchone() or (None,)
            before = db.execute("SELECT id FROM drawings WHERE digest = ?", (digest,)).fetchone() or (None,)
            db.execute("DELETE FROM drawings WHERE digest = ?", (digest,))
            if truth is not None:
                columns = "id, digest, image, truth, at, answered_by"
                values = *before, digest, pixels, truth, time.time(), *role
                db.execute(f"INSERT INTO drawings ({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)

        return self._write(label)

    def find_label(self, image: Image) -> int | None:
        """Return which digit a drawing was, or None."""
        query = "SELECT truth FROM drawings WHERE digest = ?"
        found = self._read(lambda db: db.execute(query, (_pack(image)[1],)).fetchone(), None)
        return found and int(found[0])

    def find_unanswered(self, count: int) -> list[Image]:
        """Return up to `count` labelled drawings that no two models have answered, newest first."""
        rows: list[Any] = self._read(lambda db: db.execute(UNANSWERED, (count,)).fetchall(), [])
        return [_unpack(image) for (image,) in rows]

    def add_answers(
        self, image: Image, current: ServedModel, new: ServedModel, answers: tuple[Prediction, Prediction]
    ) -> None:
        """Record the answers of Current and New to a labelled drawing that had none."""
        models = current.base, current.version, new.base, new.version
        digits = [answer.digit for answer in answers]
        shares = [np.asarray(answer.probabilities, np.float64).tobytes() for answer in answers]

        def answer(db: sqlite3.Connection) -> None:
            names = "current_base, current_version, new_base, new_version"
            db.execute(f"INSERT OR IGNORE INTO pairs ({names}) VALUES (?, ?, ?, ?)", models)
            (pair,) = db.execute(TALLY.replace(COUNTS, "id"), models).fetchone()
            kept = "id, digest, image, truth, at, answered_by"
            query = f"SELECT {kept} FROM drawings WHERE digest = ? AND pair = {NOBODY}"
            if row := db.execute(query, (_pack(image)[1],)).fetchone():
                db.execute("DELETE FROM drawings WHERE id = ?", row[:1])
                marks = ", ".join("?" * 11)
                db.execute(f"INSERT INTO drawings VALUES ({marks})", (*row, pair, *digits, *shares))

        self._write(answer)

    def count(self) -> int:
        """Return the number of labelled drawings."""
        (total,) = self._read(lambda db: db.execute("SELECT sum(drawings) FROM pairs").fetchone(), (0,))
        return int(total)

    def read_tally(self, snapshot: Snapshot) -> DrawingTally:
        """Return how the two deployed models did on the drawings, whichever of them was Current then."""
        if not snapshot.current or not snapshot.new:
            return DrawingTally()
        current, new = ((model.base, model.version) for model in (snapshot.current, snapshot.new))

        def count(db: sqlite3.Connection) -> tuple[Any, Any]:
            orders = (*current, *new), (*new, *current)
            straight, swapped = (db.execute(TALLY, order).fetchone() for order in orders)
            return straight, None if current == new else swapped

        straight, swapped = self._read(count, (None, None))
        tally = DrawingTally(*straight or ())
        if swapped:
            drawings, current_right, new_right, new_only, current_only = swapped
            tally += DrawingTally(drawings, new_right, current_right, current_only, new_only)
        return tally

    def load(self) -> LabelledDrawings:
        """Return all labelled drawings, in the order in which they were first labelled."""
        rows: list[Any] = self._read(lambda db: db.execute(LABELLED).fetchall(), [])
        unknown = np.full(DIGITS, np.nan).tobytes()

        def probabilities(column: int) -> NDArray[np.float64]:
            joined = b"".join(row[column] or unknown for row in rows)
            return np.frombuffer(joined, np.float64).reshape(-1, DIGITS)

        current, new = probabilities(6), probabilities(7)
        return LabelledDrawings(
            images=np.frombuffer(b"".join(row[0] for row in rows), np.uint8).reshape(-1, FIELD, FIELD),
            labels=np.array([row[1] for row in rows], np.int64),
            current_probabilities=current,
            new_probabilities=new,
            rows=tuple(
                LabelledDrawing(row[2], row[1], row[3] and Role(row[3]), row[4], row[5], *row[8:])
                for row in rows
            ),
        )

    def load_digits(self) -> Digits:
        """Return the labelled drawings as digits to ask models about."""
        drawings = self.load()
        return Digits(np.divide(drawings.images, 255, dtype=np.float32), drawings.labels)

    def clear(self) -> None:
        """Delete all labelled drawings and all predictions."""

        def clear(db: sqlite3.Connection) -> None:
            for table in ("drawings", "predictions"):
                db.execute(f"DELETE FROM {table}")

        self._write(clear)

    def _read(self, query: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        with self._lock:
            try:
                return query(self._db)
            except sqlite3.Error as error:
                self._replace_if_damaged(error)
                return otherwise

    def _write(self, change: Callable[[sqlite3.Connection], None]) -> bool:
        """Make a change as a whole or not at all; return whether it was made."""
        with self._lock:
            try:
                with self._db:  # commits, or rolls back
                    self._db.execute("BEGIN IMMEDIATE")
                    change(self._db)
            except sqlite3.Error as error:
                self._replace_if_damaged(error)
                self.problem = f"Drawings are not kept: {error}."
                return False
            self.problem = ""
            return True

    def _replace_if_damaged(self, error: sqlite3.Error) -> None:
        if is_damage(error):
            self._db.close()
            self._db = self._open(is_damaged=True)

    def _open(self, *, is_damaged: bool = False) -> sqlite3.Connection:
        """Open the file, after setting a damaged one aside; or the memory, if it cannot be used."""
        if not self._path:
            return connect(":memory:")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if is_damaged:
                aside = set_aside(self._path)
                self._add_notice(
                    f"The file of the drawings was damaged and is now {aside}. A new one is used."
                )
            return connect(self._path)
        except (OSError, sqlite3.Error) as error:
            if not is_damaged and isinstance(error, sqlite3.Error) and is_damage(error):
                return self._open(is_damaged=True)
            reason = getattr(error, "strerror", None) or error
            self._add_notice(
                f"Drawings are kept only until the dashboard ends: {self._path} cannot be used ({reason})."
            )
            return connect(":memory:")

    def _add_notice(self, notice: str) -> None:
        self.notices = (*self.notices, notice)


def _pack(image: Image) -> tuple[bytes, bytes]:
    """Return the pixels of a drawing as bytes, and their digest."""
    pixels = np.rint(np.asarray(image) * 255).astype(np.uint8).tobytes()
    return pixels, hashlib.blake2b(pixels, digest_size=16).digest()


def _unpack(pixels: bytes) -> Image:
    """Return the drawing in the bytes of `_pack`, (28, 28) in [0, 1]."""
    levels = np.frombuffer(pixels, np.uint8).reshape(FIELD, FIELD)
    return np.divide(levels, 255, dtype=np.float32)
