"""The state that the dashboard keeps on its route, and the next step of a promotion from any state.

It is in annotations of one object (the canary Ingress or the HTTPRoute), where every dashboard finds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar

from mnist_dash.cluster.resources import CAN_UNDO, HISTORY, SPLIT, SPLIT_BEFORE, SWAP
from mnist_dash.domain import HistoryEntry, Release, Role
from mnist_dash.timeline import load_changes, save_changes

MAX_HISTORY: Final = 50
"""Changes in the history."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class PendingPromotion:
    """The goal of a promotion under way, or of its undoing."""

    current: Release
    new: Release
    split: int
    """What New receives at the end, in percent."""
    undo: bool
    by: str
    at: float
    """When it was asked for, in seconds since the epoch."""

    def target(self, role: Role) -> Release:
        """The release that a role is to point at in the end."""
        return self.current if role is Role.CURRENT else self.new


@dataclass(frozen=True)
class RouteState:
    """The requested state, as far as the objects themselves do not hold it."""

    split: int = 0
    """The percentage desired for New; the weight is 0 as long as New is not ready."""
    promotion: PendingPromotion | None = None
    can_undo: bool = False
    history: tuple[HistoryEntry, ...] = ()
    """Newest last."""
    split_before: int = 0
    """The split before the last promotion, which its undo restores."""

    def without_undo(self) -> RouteState:
        """Forget the last promotion: a model was deployed or removed since."""
        return replace(self, can_undo=False, split_before=0)

    def remember(self, entry: HistoryEntry) -> RouteState:
        """Add a change to the history, and drop the oldest."""
        return replace(self, history=(*self.history, entry)[-MAX_HISTORY:])

    def to_annotations(self) -> dict[str, str]:
        """Return the annotations that hold this state; defaults are left out."""
        annotations = {SPLIT: str(self.split)}
        if self.promotion:
            annotations[SWAP] = _compact(asdict(self.promotion))
        if self.can_undo:
            annotations[CAN_UNDO] = "true"
        if self.split_before:
            annotations[SPLIT_BEFORE] = str(self.split_before)
        if self.history:
            annotations[HISTORY] = _compact(save_changes(self.history[-MAX_HISTORY:]))
        return annotations


@dataclass(frozen=True)
class RouteConfig:
    """The configuration that the route's objects hold, or are to hold."""

    weight: int
    """The percentage that the controller sends to New."""
    state: RouteState = RouteState()
    has_new: bool = True
    """Whether New can answer; where it cannot, a Gateway must send it nothing, not even forced requests."""
    trouble: tuple[str, ...] = ()
    """What is wrong with the live objects, a sentence each with its next step."""


def read_state(
    annotations: Mapping[str, str], where: str, weight: int = 0
) -> tuple[RouteState, tuple[str, ...]]:
    """Read the state from the annotations of the object `where`, with a sentence for each damaged part.

    Damaged parts are dropped; without a readable split, the `weight` counts.
    """
    trouble: list[str] = []

    def read(name: str, decode: Callable[[str], _T], default: _T, consequence: str) -> _T:
        text = annotations.get(name)
        try:
            return default if text is None else decode(text)
        except (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError):
            trouble.append(f"The annotation {name} of {where} cannot be read: {consequence}")
            return default

    state = RouteState(
        split=read(SPLIT, percent, weight, f"the split is assumed to be {weight} %. Set the split again."),
        promotion=read(
            SWAP, _promotion, None, "a promotion may be incomplete. Check the roles, and promote."
        ),
        can_undo=annotations.get(CAN_UNDO) == "true",
        split_before=read(SPLIT_BEFORE, percent, 0, "undoing the last promotion will set the split to 0."),
        history=read(HISTORY, _history, (), "the history was reset."),
    )
    return state, tuple(trouble)


def percent(text: str) -> int:
    """Parse an annotation as an integer from 0 to 100; raises ValueError."""
    if not (text.isascii() and text.isdecimal()) or int(text) > 100:
        raise ValueError(f"{text!r} is no integer from 0 to 100")
    return int(text)


def _compact(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _promotion(text: str) -> PendingPromotion:
    document = json.loads(text)
    current, new = Release(document["current"]), Release(document["new"])
    if new is current:
        raise ValueError(text)
    split, undo = percent(str(document["split"])), document["undo"] is True
    return PendingPromotion(current, new, split, undo, str(document["by"]), _time(document["at"]))


def _history(text: str) -> tuple[HistoryEntry, ...]:
    """Entries that are damaged are left out; raises ValueError if nothing can be read."""
    documents = json.loads(text)
    if not isinstance(documents, list):
        raise ValueError(text)
    return load_changes(documents)[-MAX_HISTORY:]


def _time(value: Any) -> float:
    """Return seconds since the epoch; raises TypeError, ValueError, OverflowError or OSError for no time."""
    datetime.fromtimestamp(value, UTC)
    return float(value)


@dataclass(frozen=True)
class SetWeight:
    """Write the weight, and wait until the controller follows it."""

    percent: int


@dataclass(frozen=True)
class SetSelector:
    """Write the selector of a role's Service, and wait until its endpoints are the release's."""

    role: Role
    release: Release


@dataclass(frozen=True)
class Finish:
    """Write the final split as the weight, and forget the promotion."""

    split: int


Step: TypeAlias = SetWeight | SetSelector | Finish


def next_step(pointers: Mapping[Role, Release], weight: int, promotion: PendingPromotion) -> Step:
    """Return the next write of a promotion, from nothing but what is observed; repeating it is harmless.

    A pointer moves only while its role receives nothing: Current's while all goes to New, New's while all
    goes to Current. So no request meets a Service that is changing.
    """
    for role, safe_weight in ((Role.CURRENT, 100), (Role.NEW, 0)):
        target = promotion.target(role)
        if pointers.get(role) is not target:
            return SetSelector(role, target) if weight == safe_weight else SetWeight(safe_weight)
    return Finish(promotion.split)
