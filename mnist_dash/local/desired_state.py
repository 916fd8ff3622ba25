"""What the local engine is to run, and the file that remembers it from one start to the next."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mnist_dash.domain import MAX_REPLICAS, MIN_REPLICAS, HistoryEntry, Release, Role

BUNDLED = Path(__file__).parents[1] / "data" / "models"
_BUNDLED_PREFIX = "bundled:"
_FORMAT = 1
_REMEMBERED = 50
"""Changes in the history."""


@dataclass(frozen=True)
class Spec:
    """What one release is to run; each deploy has a generation of its own, so that it always rolls."""

    base: str
    replicas: int
    generation: int


@dataclass(frozen=True)
class DesiredState:
    """Everything that was asked for; a value, replaced as a whole by each verb."""

    current: Release = Release.BLUE
    """The release that Current points at; New points at the other one."""
    specs: Mapping[Release, Spec] = field(default_factory=dict)
    fallbacks: Mapping[Release, Spec] = field(default_factory=dict)
    """What to go back to if a re-deploy fails, until the new replicas have taken over."""
    split: int = 0
    can_undo: bool = False
    generation: int = 0
    """The highest that was given out."""
    history: tuple[HistoryEntry, ...] = ()
    """What was asked for, newest last."""

    def release(self, role: Role) -> Release:
        """The release that a role points at."""
        return self.current if role is Role.CURRENT else self.current.other

    def role(self, release: Release) -> Role:
        """The role that points at a release."""
        return Role.CURRENT if release is self.current else Role.NEW

    def spec(self, role: Role) -> Spec | None:
        """What the role's release is to run."""
        return self.specs.get(self.release(role))

    def deploy(self, role: Role, base: str, replicas: int, *, serving: bool = True) -> DesiredState:
        """With a new generation of the role's release; the present one is the fallback if it is `serving`."""
        release, generation = self.release(role), self.generation + 1
        fallbacks = dict(self.fallbacks)
        if serving and release in self.specs:
            fallbacks.setdefault(release, self.specs[release])
        specs = {**self.specs, release: Spec(base, replicas, generation)}
        return replace(self, specs=specs, fallbacks=fallbacks, generation=generation, can_undo=False)

    def taken_over(self, release: Release) -> DesiredState:
        """The release's new generation serves: there is no way back any more."""
        return replace(self, fallbacks=_without(self.fallbacks, release))

    def fall_back(self, release: Release) -> DesiredState:
        """Give up the release's new generation and run the former one again."""
        specs = {**self.specs, release: self.fallbacks[release]}
        return replace(self, specs=specs, fallbacks=_without(self.fallbacks, release))

    def remove(self, role: Role) -> DesiredState:
        """Without the role's model; the split has no meaning without New."""
        release = self.release(role)
        return replace(
            self,
            specs=_without(self.specs, release),
            fallbacks=_without(self.fallbacks, release),
            split=0 if role is Role.NEW else self.split,
            can_undo=False,
        )

    def remember(self, entry: HistoryEntry) -> DesiredState:
        """With one more change in the history, and without those of long ago."""
        return replace(self, history=(*self.history, entry)[-_REMEMBERED:])

    def swap(self, *, can_undo: bool) -> DesiredState:
        """With the roles' pointers swapped and all traffic on Current."""
        return replace(self, current=self.current.other, split=0, can_undo=can_undo)


def _without(specs: Mapping[Release, Spec], release: Release) -> dict[Release, Spec]:
    return {key: spec for key, spec in specs.items() if key is not release}


class StateFile:
    """`state.json` in the state folder, owned by one dashboard at a time.

    What goes wrong with it never stops the dashboard: it is told in `notices`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.json"
        self.notices: list[str] = []
        self._lock = self._acquire(folder)

    def _acquire(self, folder: Path) -> int | None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._forget(f"The state folder {folder} cannot be used ({error.strerror})")
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._forget(f"Another dashboard uses the state folder {folder}")
        except OSError as error:
            self._forget(f"The state folder {folder} cannot be locked ({error.strerror})")
        else:
            return lock
        os.close(lock)
        return None

    def _forget(self, reason: str) -> None:
        self.notices.append(
            f"{reason}: this dashboard starts afresh and will not remember what you deploy. "
            "Give it a folder of its own with --state-dir."
        )

    def load(self) -> DesiredState | None:
        """What was desired last, or None at a first start; a damaged file is set aside with a notice."""
        if self._lock is None:
            return None
        try:
            return _decode(json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._forget(f"The state file {self.path} cannot be read ({error.strerror})")
            self.close()  # what cannot be read is not written over either
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._set_aside()
        return None

    def _set_aside(self) -> None:
        aside = self.path.with_suffix(".damaged.json")
        with contextlib.suppress(OSError):
            os.replace(self.path, aside)
        self.notices.append(f"The state file was damaged and is now {aside}; the dashboard starts afresh.")

    def save(self, desired: DesiredState) -> None:
        """Replace the file in one step, so that a crash leaves the old or the new one, never half of one."""
        if self._lock is None:
            return
        try:
            with tempfile.NamedTemporaryFile("w", dir=self.path.parent, suffix=".tmp", delete=False) as file:
                json.dump(_encode(desired), file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            os.replace(file.name, self.path)
        except OSError as error:
            notice = f"The state file {self.path} cannot be written: {error.strerror}."
            if notice not in self.notices:
                self.notices.append(notice)

    def close(self) -> None:
        """Leave the folder to the next dashboard; may be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _encode(desired: DesiredState) -> dict[str, Any]:
    document = asdict(desired)
    for spec in [*document["specs"].values(), *document["fallbacks"].values()]:
        spec["base"] = _portable(spec["base"])
    return {"format": _FORMAT, **document}


def _decode(document: dict[str, Any]) -> DesiredState:
    if document["format"] != _FORMAT:
        raise ValueError(document["format"])
    split, generation = document["split"], document["generation"]
    if not (isinstance(split, int) and 0 <= split <= 100 and isinstance(generation, int)):
        raise ValueError(split)
    desired = DesiredState(
        current=Release(document["current"]),
        specs=_decode_specs(document["specs"]),
        fallbacks=_decode_specs(document["fallbacks"]),
        split=split,
        can_undo=bool(document["can_undo"]),
        generation=generation,
        history=tuple(_decode_entry(**entry) for entry in document.get("history", ())),
    )
    return desired if desired.spec(Role.NEW) else replace(desired, split=0)


def _decode_specs(document: dict[str, Any]) -> dict[Release, Spec]:
    return {Release(release): _decode_spec(**spec) for release, spec in document.items()}


def _decode_spec(base: str, replicas: int, generation: int) -> Spec:
    if not (isinstance(base, str) and isinstance(replicas, int) and isinstance(generation, int)):
        raise TypeError(base)
    if not MIN_REPLICAS <= replicas <= MAX_REPLICAS:
        raise ValueError(replicas)
    if base.startswith(_BUNDLED_PREFIX):
        base = str(BUNDLED / base.removeprefix(_BUNDLED_PREFIX))
    return Spec(base, replicas, generation)


def _decode_entry(at: float, by: str, what: str) -> HistoryEntry:
    if not (isinstance(at, int | float) and isinstance(by, str) and isinstance(what, str)):
        raise TypeError(what)
    return HistoryEntry(at, by, what)


def _portable(base: str) -> str:
    """A bundled model is remembered by name: it lies elsewhere after the package was installed anew."""
    path = Path(base)
    return f"{_BUNDLED_PREFIX}{path.name}" if path.parent == BUNDLED else base
