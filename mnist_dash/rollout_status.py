"""States and sentences that both engines share, so that the page reads the same on either."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_dash.domain import State

SPLIT_HELD = "All requests go to Current until New has a ready replica."
GATEWAY_PENDING = "Waiting for the gateway to apply the new split."
FORMER_KEEPS_SERVING = "The former model keeps serving."


@dataclass(frozen=True)
class Status:
    """The state of a deployment, with its cause and what to do about it."""

    state: State
    cause: str = ""
    next_step: str = ""


def loading(ready: int, desired: int) -> str:
    """Describe a first start: how many of the desired replicas are ready."""
    return f"Loading the model: {ready} of {desired} replicas ready."


def redeploying(ready: int, desired: int) -> str:
    """Describe a re-deploy while the former replicas still answer."""
    return f"Re-deploying: {ready} of {desired} new replicas ready. {FORMER_KEEPS_SERVING}"
