"""What the dashboard remembers on its route, and how a promotion goes on from whatever is observed.

The state lies in annotations of one object (the canary Ingress or the HTTPRoute), so that any dashboard that
comes after this one knows it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

from mnist_dash.cluster.resources import CAN_UNDO, HISTORY, SPLIT, SWAP
from mnist_dash.domain import HistoryEntry, Release, Role

REMEMBERED: Final = 50
"""Changes in the history."""
_WIDEST: Final = 1000
"""Characters of one text in the history: an object's annotations must stay below 256 KiB altogether."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class PendingPromotion:
    """The goal of a promotion under way, or of taking one back."""

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
    """What was asked for, as far as the objects themselves do not say it."""

    split: int = 0
    """The percentage desired for New; what is written may be 0 as long as New is not ready."""
    swap: PendingPromotion | None = None
    can_undo: bool = False
    history: tuple[HistoryEntry, ...] = ()
    """Newest last."""

    def remember(self, entry: HistoryEntry) -> RouteState:
        """With one more change in the history, and without those of long ago."""
        return replace(self, history=(*self.history, entry)[-REMEMBERED:])

    def to_annotations(self) -> dict[str, str]:
        """The annotations that hold this state; what has nothing to say is left out."""
        annotations = {SPLIT: str(self.split)}
        if self.swap:
            annotations[SWAP] = _compact(asdict(self.swap))
        if self.can_undo:
            annotations[CAN_UNDO] = "true"
        if self.history:
            annotations[HISTORY] = _compact([_entry(one) for one in self.history[-REMEMBERED:]])
        return annotations


@dataclass(frozen=True)
class RouteConfig:
    """What the route's objects say, or are to say."""

    weight: int
    """The percentage that the controller is told to send to New."""
    state: RouteState = RouteState()
    has_new: bool = True
    """Whether New can answer; where it cannot, a Gateway must send nothing to it, not even what is forced."""
    trouble: tuple[str, ...] = ()
    """What could not be read, a sentence each with its next step; empty for what is to be written."""


def read_state(
    annotations: Mapping[str, str], where: str, weight: int = 0
) -> tuple[RouteState, tuple[str, ...]]:
    """The state in the annotations of the object called `where`, with a sentence for each damaged part.

    Damaged parts are dropped; without a readable split, the `weight` counts.
    """
    trouble: list[str] = []

    def read(name: str, decode: Callable[[str], _T], default: _T, consequence: str) -> _T:
        text = annotations.get(name)
        try:
            return default if text is None else decode(text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            trouble.append(f"The annotation {name} of {where} cannot be read: {consequence}")
            return default

    state = RouteState(
        split=read(SPLIT, percent, weight, f"the split is taken to be {weight} %. Set the split anew."),
        swap=read(SWAP, _swap, None, "a promotion may be half done. Look who is Current, and promote."),
        can_undo=annotations.get(CAN_UNDO) == "true",
        history=read(HISTORY, lambda text: _entries(json.loads(text)), (), "the history begins anew."),
    )
    return state, tuple(trouble)


def percent(text: str) -> int:
    """The integer from 0 to 100 that an annotation holds; raises ValueError if it is anything else."""
    if not (text.isascii() and text.isdecimal()) or int(text) > 100:
        raise ValueError(f"{text!r} is no integer from 0 to 100")
    return int(text)


def _compact(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _swap(text: str) -> PendingPromotion:
    document = json.loads(text)
    current, new = Release(document["current"]), Release(document["new"])
    split, at = document["split"], document["at"]
    if new is current or type(split) is not int or not 0 <= split <= 100 or not _is_time(at):
        raise ValueError(text)
    return PendingPromotion(current, new, split, document["undo"] is True, str(document["by"]), float(at))


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return {"at": entry.at, "by": entry.by[:_WIDEST], "what": entry.what[:_WIDEST]}


def _entries(document: Any) -> tuple[HistoryEntry, ...]:
    if not isinstance(document, list):
        raise TypeError(document)
    return tuple(HistoryEntry(**one) for one in document if _is_entry(one))[-REMEMBERED:]


def _is_entry(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and one.keys() == {"at", "by", "what"}
        and _is_time(one["at"])
        and isinstance(one["by"], str)
        and isinstance(one["what"], str)
    )


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
    """Write the final split as the weight, and forget the swap."""

    split: int


Step: TypeAlias = SetWeight | SetSelector | Finish


def next_step(pointers: Mapping[Role, Release], weight: int, swap: PendingPromotion) -> Step:
    """The next write of a swap, from nothing but what is observed; doing it twice is harmless.

    A pointer moves only while its role receives nothing: Current's while all goes to New, New's while all
    goes to Current. So no request meets a Service that is changing.
    """
    for role, weight_needed in ((Role.CURRENT, 100), (Role.NEW, 0)):
        if pointers.get(role) is not swap.target(role):
            return (
                SetSelector(role, swap.target(role)) if weight == weight_needed else SetWeight(weight_needed)
            )
    return Finish(swap.split)
