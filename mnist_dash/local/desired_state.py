"""The desired state of the local engine, and the file that keeps it from one start to the next."""

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
from mnist_dash.timeline import load_changes, save_changes

BUNDLED = Path(__file__).parents[1] / "data" / "models"
_BUNDLED_PREFIX = "bundled:"
_FORMAT = 1
_HISTORY_LENGTH = 50


@dataclass(frozen=True)
class Spec:
    """The specification of a release; each deploy has a generation of its own, so that it always rolls."""

    base: str
    replicas: int
    generation: int


@dataclass(frozen=True)
class DesiredState:
    """Everything that was requested; a value, replaced as a whole by each change."""

    current: Release = Release.BLUE
    """The release that Current points at; New points at the other one."""
    specs: Mapping[Release, Spec] = field(default_factory=dict)
    fallbacks: Mapping[Release, Spec] = field(default_factory=dict)
    """Those restored if a re-deploy fails, until the new replicas have taken over."""
    split: int = 0
    can_undo: bool = False
    """Whether the last change of the models was a promotion."""
    split_before: int = 0
    """The split before that promotion, which its undo restores."""
    generation: int = 0
    """The highest in use so far."""
    history: tuple[HistoryEntry, ...] = ()
    """The last changes, newest last."""
    note: str = ""
    """What the dashboard wants to be kept."""

    def release(self, role: Role) -> Release:
        """Return the release that a role points at."""
        return self.current if role is Role.CURRENT else self.current.other

    def spec(self, role: Role) -> Spec | None:
        """Return the specification of the role's release; None if nothing is deployed."""
        return self.specs.get(self.release(role))

    def deploy(self, role: Role, base: str, replicas: int, *, serving: bool = True) -> DesiredState:
        """Add a generation of the role's release; the former one is its fallback if it is `serving`."""
        release, generation = self.release(role), self.generation + 1
        fallbacks = dict(self.fallbacks)
        if serving and release in self.specs:
            fallbacks.setdefault(release, self.specs[release])
        specs = {**self.specs, release: Spec(base, replicas, generation)}
        return replace(self, specs=specs, fallbacks=fallbacks, generation=generation)._without_undo()

    def taken_over(self, release: Release) -> DesiredState:
        """Forget the fallback of a release, since its new generation serves."""
        return replace(self, fallbacks=_without(self.fallbacks, release))

    def fall_back(self, release: Release) -> DesiredState:
        """Give up the new generation of a release and run the former one again."""
        specs = {**self.specs, release: self.fallbacks[release]}
        return replace(self, specs=specs, fallbacks=_without(self.fallbacks, release))

    def remove(self, role: Role) -> DesiredState:
        """Remove the role's model; without New the split is 0."""
        release = self.release(role)
        return replace(
            self,
            specs=_without(self.specs, release),
            fallbacks=_without(self.fallbacks, release),
            split=0 if role is Role.NEW else self.split,
        )._without_undo()

    def remember(self, entry: HistoryEntry) -> DesiredState:
        """Add a change to the history, which keeps the last 50."""
        return replace(self, history=(*self.history, entry)[-_HISTORY_LENGTH:])

    def promote(self) -> DesiredState:
        """Swap the roles' pointers, and send all traffic to Current; with a former one there is an undo."""
        can_undo = self.spec(Role.CURRENT) is not None
        split_before = self.split if can_undo else 0
        return replace(
            self, current=self.current.other, split=0, can_undo=can_undo, split_before=split_before
        )

    def undo_promote(self) -> DesiredState:
        """Swap the roles' pointers back, and restore the split."""
        return replace(self, current=self.current.other, split=self.split_before)._without_undo()

    def _without_undo(self) -> DesiredState:
        return replace(self, can_undo=False, split_before=0)


def _without(specs: Mapping[Release, Spec], release: Release) -> dict[Release, Spec]:
    return {key: spec for key, spec in specs.items() if key is not release}


class StateFile:
    """`state.json` in the state folder, owned by one dashboard at a time.

    Its errors never stop the dashboard; they are reported in `notices`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.json"
        self.notices: list[str] = []
        self._lock: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._start_afresh(f"Another dashboard uses the state folder {folder}")
        except OSError as error:
            self._start_afresh(f"The state folder {folder} cannot be used ({error.strerror})")

    def _start_afresh(self, reason: str) -> None:
        """Report why, and write nothing: a state that cannot be read is not overwritten either."""
        self.notices.append(
            f"{reason}: this dashboard starts afresh and will not save its state. "
            "Give it a folder of its own with --state-dir."
        )
        self.close()

    def load(self) -> DesiredState | None:
        """Read the last desired state; None at a first start. A damaged file is set aside with a notice."""
        if self._lock is None:
            return None
        try:
            return _decode(json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._start_afresh(f"The state file {self.path} cannot be read ({error.strerror})")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            aside = self.path.with_suffix(".damaged.json")
            with contextlib.suppress(OSError):
                os.replace(self.path, aside)
            self.notices.append(
                f"The state file was damaged and is now {aside}. The dashboard starts afresh."
            )
        return None

    def save(self, desired: DesiredState) -> None:
        """Replace the file in one step, so that a crash leaves the old or the new one whole."""
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
        """Release the folder for the next dashboard; may be called twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _encode(desired: DesiredState) -> dict[str, Any]:
    document = asdict(desired) | {"history": save_changes(desired.history)}
    for spec in [*document["specs"].values(), *document["fallbacks"].values()]:
        spec["base"] = _portable(spec["base"])
    return {"format": _FORMAT, **document}


def _decode(document: dict[str, Any]) -> DesiredState:
    """Raises ValueError, KeyError, TypeError or AttributeError if the document is not a state."""
    if document.pop("format") != _FORMAT:
        raise ValueError("written in another format")
    desired = DesiredState(
        current=Release(document.pop("current")),
        specs=_decode_specs(document.pop("specs")),
        fallbacks=_decode_specs(document.pop("fallbacks")),
        history=load_changes(document.pop("history", ())),
        note=str(document.pop("note", "")),
        **document,
    )
    # The file is on a disk that anybody may write to, and a wrong value would fail much later.
    splits = desired.split, desired.split_before
    if not (isinstance(desired.generation, int) and all(0 <= split <= 100 for split in splits)):
        raise ValueError("an impossible generation or split")
    return desired if desired.spec(Role.NEW) else replace(desired, split=0)


def _decode_specs(document: dict[str, Any]) -> dict[Release, Spec]:
    for spec in document.values():
        if not (isinstance(spec["generation"], int) and MIN_REPLICAS <= spec["replicas"] <= MAX_REPLICAS):
            raise ValueError("an impossible number of replicas")
        if spec["base"].startswith(_BUNDLED_PREFIX):
            spec["base"] = str(BUNDLED / spec["base"].removeprefix(_BUNDLED_PREFIX))
    return {Release(release): Spec(**spec) for release, spec in document.items()}


def _portable(base: str) -> str:
    """Keep a bundled model by name: a reinstalled package may be in another place."""
    path = Path(base)
    return f"{_BUNDLED_PREFIX}{path.name}" if path.parent == BUNDLED else base
