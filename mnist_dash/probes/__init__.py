"""Requests that test the route to the models, and what their answers say about the gateway."""

from __future__ import annotations

from mnist_dash.probes.findings import findings, has_new, judge, routing
from mnist_dash.probes.sending import send, telling_picture
from mnist_dash.probes.tally import Sight, Tallies, Tally, tally

__all__ = [
    "Sight",
    "Tallies",
    "Tally",
    "findings",
    "has_new",
    "judge",
    "routing",
    "send",
    "tally",
    "telling_picture",
]
