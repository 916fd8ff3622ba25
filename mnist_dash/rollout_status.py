"""States and sentences that both engines share, so that the page reads the same on either."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mnist_dash.domain import State, count_replicas, distinct_names, name_of

SPLIT_HELD = "All requests go to Current until the other model has a ready replica."
GATEWAY_PENDING = "Waiting for the gateway to apply the new split."


@dataclass(frozen=True)
class Status:
    """The state of a deployment, with its cause and what to do about it."""

    state: State
    cause: str = ""
    next_step: str = ""


def restarting(who: str, reason: str, seconds: float | None = None) -> str:
    """Describe a restart: `Current is restarting: it was killed by signal SIGKILL. Ready again in about 2 s.`

    `seconds` are those until it is expected to be ready; None if that is not known, or they have passed.
    """
    about = f": {reason[0].lower()}{reason[1:]}" if reason.startswith("It") else f". {reason}"
    soon = f" Ready again in about {_round_up(seconds)} s." if seconds and seconds > 0 else ""
    return f"{who} is restarting{about}{soon}"


def _round_up(seconds: float) -> int:
    """Round up to seconds, above ten to steps of five: a page need not change each second."""
    step = 1 if seconds <= 10 else 5
    return math.ceil(seconds / step) * step


def loading(ready: int, desired: int) -> str:
    """Describe a first start: how many of the desired replicas are ready."""
    return f"Loading the model: {ready} of {desired} replicas ready."


def redeploying(former: str, answering: int, base: str, ready: int, desired: int) -> str:
    """Describe a re-deploy of `base` while replicas of the `former` base, perhaps the same, still answer."""
    if former == base:
        return (
            f"{name_of(base)} answers with {count_replicas(answering)}; "
            f"{ready} of {desired} new {'replica is' if desired == 1 else 'replicas are'} ready."
        )
    old, new = distinct_names(former, base)
    return f"{old} answers with {count_replicas(answering)}; {new} is starting, {ready} of {desired}."


def keeps_serving(base: str, answering: int) -> str:
    """Describe what a failed re-deploy leaves: the former model, which still answers."""
    return f"{name_of(base)} keeps serving with {count_replicas(answering)}."
