"""Below: who changed what, and when."""

from __future__ import annotations

import time
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import streamlit as st

from mnist_dash.panels.theme import plain
from mnist_dash.service import Dashboard

REFRESH_SECONDS: Final = 5.0
WRAPPED: Final = """<style>
.st-key-history .stTable td p { overflow-wrap: anywhere; }
.st-key-history .stTable td:nth-child(2) { min-width: 5rem; }
</style>"""
"""An account's or a bucket's name is one long word, and no option of the table has it fit a phone.

A short one is to stay whole.
"""
MINUTE, HOUR, DAY = 60, 3600, 86400


@st.fragment(run_every=REFRESH_SECONDS)
def show(dash: Dashboard) -> None:
    """Show the changes that were asked for, newest first; it refreshes by itself while the tab is open."""
    entries = dash.history()
    if not entries:
        st.caption("Nothing has been changed yet. Deploy a model or set the strategy, and it is noted here.")
        return
    zone, now = _zone(), time.time()
    rows = [
        {
            "When": f"{clock(one.at, now, zone)} ({ago(now - one.at)})",
            "Who": plain(one.by),
            "What": plain(one.what),
        }
        for one in entries
    ]
    st.html(WRAPPED)
    with st.container(key="history"):
        st.table(rows, border="horizontal", hide_index=True, alt="The changes that were asked for")
    st.caption(f"Newest first; times are {zone}.")


def clock(at: float, now: float, zone: tzinfo) -> str:
    """A moment as the viewer's clock showed it, with its date unless it was today."""
    moment, today = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now, zone)
    if moment.date() == today.date():
        return f"{moment:%H:%M:%S}"
    day = f"{moment.day} {moment:%b}" if moment.year == today.year else f"{moment.day} {moment:%b %Y}"
    return f"{day}, {moment:%H:%M}"


def ago(seconds: float) -> str:
    """How long ago something was, in words; clocks may disagree by a little."""
    if seconds < MINUTE:
        return "just now"
    for unit, length in (("day", DAY), ("hour", HOUR), ("minute", MINUTE)):
        if count := int(seconds // length):
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return ""


def _zone() -> tzinfo:
    """The viewer's time zone, or UTC if the browser does not tell one that is known here."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (KeyError, ValueError):
        return UTC
