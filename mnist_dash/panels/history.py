"""Below: who changed what, and when."""

from __future__ import annotations

import time
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import streamlit as st

from mnist_dash.panels.theme import plain
from mnist_dash.service import Dashboard

WRAPPED: Final = """<style>
.st-key-history .stTable td p { overflow-wrap: anywhere; }
.st-key-history .stTable td:nth-child(2) { min-width: 5rem; }
</style>"""
"""Breaks the long names of accounts and buckets to fit a phone, but no short ones; the table cannot."""
UNITS: Final = {"day": 86400, "hour": 3600, "minute": 60}
"""Each unit's length in seconds, the longest first."""


@st.fragment(run_every=5.0)
def show(dash: Dashboard) -> None:
    """Show the changes that were asked for, newest first; it refreshes by itself while the tab is open."""
    entries = dash.history()
    if not entries:
        st.caption("Nothing has been changed yet. Deploy a model or set the strategy to see it here.")
        return
    zone, now = _zone(), time.time()
    rows = [
        {
            "When": f"{datetime.fromtimestamp(entry.at, zone):%d %b, %H:%M:%S} ({ago(now - entry.at)})",
            "Who": plain(entry.by),
            "What": plain(entry.what),
        }
        for entry in entries
    ]
    st.html(WRAPPED)
    with st.container(key="history"):
        st.table(rows, border="horizontal", hide_index=True, alt="The changes that were asked for")
    st.caption(f"Newest first; times are {zone}.")


def ago(seconds: float) -> str:
    """Return how long ago something was; clocks may disagree by a little."""
    for unit, length in UNITS.items():
        if (count := int(seconds // length)) > 0:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _zone() -> tzinfo:
    """Return the viewer's time zone, or UTC if the browser names none that is known here."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (KeyError, ValueError):
        return UTC
