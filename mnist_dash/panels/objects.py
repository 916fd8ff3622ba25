"""Below: everything that the engine runs, with its last log lines, events and YAML."""

from __future__ import annotations

import re
import time
from datetime import datetime, tzinfo
from typing import Final, Literal

import streamlit as st

from mnist_dash.domain import EngineObject, Role, Snapshot
from mnist_dash.panels.history import time_of_day, viewer_zone
from mnist_dash.panels.theme import TEXT_HEIGHT, plain, role_badge, text_height
from mnist_dash.service import Dashboard

MANY_CHARACTERS: Final = 300
"""Of a log that gets a fixed height: its lines wrap, so that their number says little."""
_TIME: Final = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z ", re.MULTILINE)
"""Before each line of a log, in UTC."""


@st.fragment(run_every=2.0)
def show(dash: Dashboard) -> None:
    """Show the objects that match the filters; it refreshes by itself while the tab is open."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="objects-filters"):
        words = st.text_input(
            "Filter",
            key="objects-filter",
            placeholder="Name, kind, state, port, or a word of the log",
            width=400,
        )
        role = st.segmented_control(
            "Role", list(Role), format_func=dash.snapshot().role_title, key="objects-role"
        )
        _show_download(dash)
    found = [item for item in dash.objects() if matches(item, words) and role in (None, item.role)]
    snapshot = dash.snapshot()
    st.caption(f"{len(found)} found" if found else "Nothing found: empty the filter to see all.")
    for item in found:
        _show_object(item, snapshot)


def matches(item: EngineObject, words: str) -> bool:
    """Whether every word of the filter occurs in the object, its log or its events."""
    texts = [item.kind, item.name, item.role or "", item.state, *item.details.values(), item.log]
    text = " ".join([*texts, *item.events]).lower()
    return all(word in text for word in words.lower().split())


def local_times(log: str, zone: tzinfo, now: float) -> str:
    """Return a log with the times before its lines in a zone; lines without one stay as they are."""

    def localize(found: re.Match[str]) -> str:
        return time_of_day(datetime.fromisoformat(f"{found[1]}+00:00").timestamp(), now, zone) + " "

    return _TIME.sub(localize, log)


def _show_download(dash: Dashboard) -> None:
    if applied := dash.manifests():
        st.download_button(
            "All as YAML",
            data=applied,  # not a callable: Streamlit drops its file after two refreshes of any browser
            file_name="mnist-dash.yaml",
            mime="application/yaml",
            key="download-manifests",
            icon=":material/download:",
            on_click="ignore",
            help="Every applied object in one file, for `kubectl apply` or GitOps.",
        )


def _show_object(item: EngineObject, snapshot: Snapshot) -> None:
    label = [plain(item.kind), f"**{plain(item.name)}**", plain(item.state)]
    if item.role:
        label.append(role_badge(item.role, snapshot.role_title(item.role)))
    # Drawn only when open: code blocks are the second largest part of what a browser loads.
    box = st.expander(" ".join(label), key=f"object-{item.kind}-{item.name}", on_change="rerun")
    if box.open:
        with box:
            st.caption(" · ".join(f"{plain(name)} `{value}`" for name, value in item.details.items()))
            _show_texts(item)


def _show_texts(item: EngineObject) -> None:
    events = "\n".join(f"- {plain(event)}" for event in item.events)
    texts = {"Log": item.log, "Events": events, "YAML": item.yaml}
    names = [name for name, text in texts.items() if text]
    chosen = names[0] if names else "Log"
    if len(names) > 1:
        chosen = st.segmented_control(
            "Show",
            names,
            default=chosen,
            required=True,
            key=f"text-{item.kind}-{item.name}",
            label_visibility="collapsed",
        )
    text = texts[chosen]
    if chosen == "Events":
        with st.container(height=text_height(text), border=False):
            st.markdown(text)
    elif chosen == "Log" and text:
        # The container keeps its end in view, where the newest lines are; a code block cannot.
        height: Literal["content"] | int = TEXT_HEIGHT if len(text) > MANY_CHARACTERS else "content"
        with st.container(height=height, border=False, autoscroll=True, key=f"log-{item.name}"):
            st.code(local_times(text, viewer_zone(), time.time()), language=None, wrap_lines=True)
    elif text:
        st.code(text, language="yaml", height=text_height(text))
    else:
        st.caption("It has no log yet.")
