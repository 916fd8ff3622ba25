"""What a cause is, and how it is known by what kubelets, schedulers, controllers and model servers say."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

LONGEST = 400
"""Characters of foreign words that are passed on at most."""


class Source(StrEnum):
    """Where words were found, each with what stands in front of them."""

    LOG = "log"
    """The last lines of a Pod that is not ready, as they are."""
    WAITING = "waiting"
    """REASON IMAGE: MESSAGE of a container that cannot start."""
    ENDED = "ended"
    """REASON EXITCODE LIMIT: MESSAGE or last log line of a container that ended; LIMIT is of its memory."""
    EVENT = "event"
    """REASON: MESSAGE of an event about a Pod that is not ready."""
    POD = "pod"
    """REASON: MESSAGE of a Pod's own state or condition."""
    DEPLOYMENT = "deployment"
    """REASON: MESSAGE of a Deployment's condition that tells of trouble."""


@dataclass(frozen=True)
class Evidence:
    """Words that were found."""

    source: Source
    words: str
    lasting: bool = True
    """Whether it was seen for long enough, or often enough, to believe that it stays so."""


@dataclass(frozen=True)
class Cause:
    """Why a Deployment is not ready."""

    text: str
    """In whole sentences."""
    next_step: str = ""
    failed: bool = False
    """Whether it will not get better by waiting."""
    usual: bool = False
    """Whether it is but the usual course of things, with nothing more special known."""


@dataclass(frozen=True)
class Sign:
    """Words by which a cause is known; `text` and `next_step` may name the pattern's groups in braces."""

    source: Source
    pattern: str
    text: str | Callable[[str], str]
    """A function is given the group `said`."""
    next_step: str = ""
    failed: bool = True

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.MULTILINE)

    def read(self, evidence: Evidence) -> Cause | None:
        """The cause that the evidence tells of, by what it says last; None if it is another."""
        if evidence.source is not self.source:
            return None
        found = list(self._compiled.finditer(evidence.words))
        if not found:
            return None
        groups = {name: tidy(value or "") for name, value in found[-1].groupdict().items()}
        text = self.text.format_map(groups) if isinstance(self.text, str) else self.text(groups["said"])
        return Cause(text, self.next_step.format_map(groups), self.failed and evidence.lasting)


def tidy(words: str) -> str:
    """Foreign words on one line, not too many of them, and without the full stop that ours put after them."""
    return textwrap.shorten(words, LONGEST, placeholder=" ...").rstrip(" .:;,")
