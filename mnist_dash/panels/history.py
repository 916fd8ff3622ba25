"""Below: a timeline of who changed what, and of what happened to the models and the requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import streamlit as st

from mnist_dash.domain import EventKind, HistoryEntry
from mnist_dash.evidence.labelled_drawings import RecordedPrediction
from mnist_dash.panels import predictions
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import plain, role_badge
from mnist_dash.service import Dashboard

PER_PAGE: Final = 20
STYLE: Final = """<style>
.st-key-history .stTable td { max-width: none; }
.st-key-history .stTable td p { overflow-wrap: anywhere; }
.st-key-history .stTable :is(td, th):first-child { width: 1%; min-width: 4.75rem; vertical-align: top; }
.st-key-history-pages { min-height: 2.5rem; }
</style>"""
"""Breaks the long names of accounts and buckets to fit a phone; the table cannot."""
MARK: Final = {
    EventKind.CHANGE: ("blue", ":material/touch_app:"),
    EventKind.REFUSED: ("red", ":material/block:"),
    EventKind.ENDED: ("red", ":material/dangerous:"),
    EventKind.REPLACED: ("green", ":material/autorenew:"),
    EventKind.READY: ("green", ":material/check_circle:"),
    EventKind.FAILED: ("red", ":material/error:"),
    EventKind.VERSION: ("blue", ":material/new_releases:"),
    EventKind.HELD: ("yellow", ":material/front_hand:"),
    EventKind.SPLIT: ("green", ":material/call_split:"),
    EventKind.LOST: ("red", ":material/link_off:"),
    EventKind.CHECKED: ("blue", ":material/science:"),
}
"""The colour and the icon of each kind."""
PREDICTIONS: Final = "Predictions"
FILTERS: Final = ("Timeline", "Changes", "Events", PREDICTIONS)
NOTHING: Final = "Nothing has happened yet. Deploy a model or set the strategy to see it here."
NO_PREDICTION: Final = "Nobody has asked a model yet. Draw a digit and press Predict to see it here."


@st.fragment(run_every=2.0)
def show(dash: Dashboard) -> None:
    """Show the entries, newest first and 20 at a time; it refreshes by itself while the tab is open."""
    st.html(STYLE + predictions.STYLE)
    zone, now = viewer_zone(), time.time()
    with st.container(key="history"):
        with st.container(horizontal=True, vertical_alignment="center", key="history-pages"):
            chosen = st.segmented_control(
                "Show",
                FILTERS,
                default=FILTERS[0],
                required=True,
                key="history-filter",
                label_visibility="collapsed",
                on_change=_turn_to,
                args=(None,),
            )
            if chosen == PREDICTIONS:
                asked = _choose_predictions(dash, zone)
            else:
                entries = [entry for entry in dash.timeline() if is_chosen(entry, chosen)]
                page = _choose_page(entries, zone)
        if chosen == PREDICTIONS:
            st.html(predictions.draw(asked, lambda at: time_of_day(at, now, zone)))
        elif page:
            rows = [
                {"When": time_of_day(entry.at, now, zone), "What": describe_entry(entry, now, zone)}
                for entry in page
            ]
            st.table(rows, border="horizontal", hide_index=True, alt="What was asked for, and what happened")


def _choose_page(entries: Sequence[HistoryEntry], zone: tzinfo) -> Sequence[HistoryEntry]:
    """Show the buttons that turn pages, above what grows; return the entries of the page.

    A page of older entries begins at a time and not at a number, so that new entries do not move it.
    """
    start = first_index(entries, session().history_from)
    page = entries[start : start + PER_PAGE]
    newer, older = entries[max(start - PER_PAGE, 0) : start], entries[start + PER_PAGE :]
    first = newer[0].at if start > PER_PAGE else None
    _show_pager(bool(newer), first, older[0].at if older else None)
    numbers = f"{start + 1} to {start + len(page)} of {len(entries)}, newest first. Times are {zone}."
    st.caption(numbers if entries else NOTHING)
    return page


def _choose_predictions(dash: Dashboard, zone: tzinfo) -> Sequence[RecordedPrediction]:
    """Show the same for the predictions, of which only those of the page are read."""
    first, last = dash.prediction_numbers
    start = session().history_from
    newest = last if start is None else min(int(start), last)
    page = dash.predictions(PER_PAGE, newest)
    newer = newest + PER_PAGE if newest + PER_PAGE < last else None
    _show_pager(newest < last, newer, newest - PER_PAGE if newest - PER_PAGE >= first else None)
    places = f"{last - newest + 1:,} to {last - newest + len(page):,} of {last - first + 1:,}"
    st.caption(f"{places}, newest first. Times are {zone}." if page else NO_PREDICTION)
    return page


def _show_pager(has_newer: bool, newer: float | None, older: float | None) -> None:
    """Show the buttons that turn pages; each page has its beginning, None for the newest."""
    st.button("Newer", key="history-newer", disabled=not has_newer, on_click=_turn_to, args=(newer,))
    st.button("Older", key="history-older", disabled=older is None, on_click=_turn_to, args=(older,))


def _turn_to(start: float | None) -> None:
    """Begin the page at an entry's time or a prediction's number; None is the newest, which others join."""
    session().history_from = start


def is_chosen(entry: HistoryEntry, chosen: str) -> bool:
    """Whether the filter shows an entry of the timeline."""
    is_change = entry.kind in (EventKind.CHANGE, EventKind.REFUSED)
    return chosen == FILTERS[0] or is_change == (chosen == FILTERS[1])


def first_index(entries: Sequence[HistoryEntry], start: float | None) -> int:
    """Return the index of the first entry that is not newer than `start`; 0 without one."""
    return sum(entry.at > start for entry in entries) if start is not None else 0


def describe_entry(entry: HistoryEntry, now: float, zone: tzinfo) -> str:
    """Return the markdown of an entry: what, about which model, by whom, and how often."""
    colour, icon = MARK[entry.kind]
    what, is_change = plain(entry.what), entry.kind is EventKind.CHANGE
    parts = [f":{colour}[{icon}]", f"**{what if is_change else entry.kind}**"]
    if entry.role:
        parts.append(role_badge(entry.role, plain(entry.model)))
    if not is_change:
        parts.append(what)
    if entry.by:
        parts.append(f":gray[by {plain(entry.by)}]")
    if entry.count > 1:
        parts.append(f":gray[{entry.count} times since {time_of_day(entry.since, now, zone)}]")
    return " ".join(parts)


def time_of_day(at: float, now: float, zone: tzinfo) -> str:
    """Return the time, with the date if that is not today in this zone."""
    moment, today = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now, zone)
    if moment.date() == today.date():
        return f"{moment:%H:%M:%S}"
    return f"{moment:%d %b %H:%M}" if moment.year == today.year else f"{moment:%d %b %Y %H:%M}"


def viewer_zone() -> tzinfo:
    """Return the viewer's time zone, or UTC if the browser names none that is known here."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (KeyError, ValueError):
        return UTC
