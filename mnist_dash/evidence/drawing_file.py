"""The SQLite file of visitors' drawings: its tables, and how to open it."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from pathlib import Path
from typing import Final

FORMAT: Final = 1
"""The version of the schema."""
BUSY_SECONDS: Final = 2.0
"""How long to wait for another dashboard that writes to the same file."""
NOBODY: Final = 0
"""The pair of the drawings that no two models have answered yet."""
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
RIGHT: Final = {
    "drawings": "1",
    "current_right": "({row}.current IS {row}.truth)",
    "new_right": "({row}.new IS {row}.truth)",
    "new_only": "({row}.new IS {row}.truth AND {row}.current IS NOT {row}.truth)",
    "current_only": "({row}.current IS {row}.truth AND {row}.new IS NOT {row}.truth)",
}
"""What is counted of each pair of models, so that a tally costs the same however many drawings there are."""
COUNTS: Final = ", ".join(RIGHT)


def _counting(event: str, row: str, sign: str) -> str:
    changes = ", ".join(f"{name} = {name} {sign} {what.format(row=row)}" for name, what in RIGHT.items())
    return (
        f"CREATE TRIGGER count_{event} AFTER {event} ON drawings "
        f"BEGIN UPDATE pairs SET {changes} WHERE id = {row}.pair; END"
    )


SCHEMA: Final = (
    f"""CREATE TABLE pairs (
      id INTEGER PRIMARY KEY, current_base TEXT, current_version INTEGER, new_base TEXT, new_version INTEGER,
      {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in RIGHT)},
      UNIQUE (current_base, current_version, new_base, new_version)
    )""",
    f"INSERT INTO pairs (id) VALUES ({NOBODY})",
    f"""CREATE TABLE drawings (
      id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, image BLOB NOT NULL, truth INTEGER NOT NULL,
      at REAL NOT NULL, answered_by TEXT, pair INTEGER NOT NULL DEFAULT {NOBODY} REFERENCES pairs,
      current INTEGER, new INTEGER, current_probabilities BLOB, new_probabilities BLOB
    )""",
    f"CREATE INDEX unanswered ON drawings (id) WHERE pair = {NOBODY}",
    _counting("INSERT", "NEW", "+"),
    _counting("DELETE", "OLD", "-"),
    """CREATE TABLE predictions (
      id INTEGER PRIMARY KEY, digest BLOB NOT NULL, image BLOB NOT NULL, at REAL NOT NULL,
      route TEXT NOT NULL, role TEXT, model TEXT NOT NULL, digit INTEGER NOT NULL, confidence REAL NOT NULL,
      milliseconds REAL NOT NULL, truth INTEGER
    )""",
    "CREATE INDEX predictions_by_digest ON predictions (digest, route, id)",
    f"PRAGMA user_version = {FORMAT}",
)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is damaged, or no file of SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def connect(path: Path | str) -> sqlite3.Connection:
    """Open a file with the schema in it, which is made if it is missing."""
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        with db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("BEGIN IMMEDIATE")  # another dashboard may be starting, too
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, FORMAT):
                raise sqlite3.NotSupportedError("a newer release of MNIST Dash has written it")
            for statement in SCHEMA if not version else ():
                db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def set_aside(path: Path) -> Path:
    """Rename a damaged file, with all that belongs to it, and return its new path."""
    names = (path.with_suffix(f".damaged{number or ''}{path.suffix}") for number in itertools.count())
    aside = next(name for name in names if not name.exists())
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside
