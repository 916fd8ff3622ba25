"""How long the gateway waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """The gateway's longest waits, in seconds."""

    connect: float = 1.0
    """For a replica to accept a connection."""
    answer: float = 30.0
    """For a replica's whole answer."""
    request: float = 30.0
    """For a client's whole request, once its head has come."""
    first_order: float = 5.0
    """Of a request that came before the gateway's first order."""
