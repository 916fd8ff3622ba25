"""Below: everything that the engine runs, with its last log lines."""

from __future__ import annotations

from typing import Final, Literal

import streamlit as st

from mnist_dash.domain import EngineObject
from mnist_dash.panels.look import role_badge
from mnist_dash.service import Dashboard

REFRESH_SECONDS: Final = 2.0
LOG_HEIGHT: Final = 220
LINES_SHOWN: Final = 8


@st.fragment(run_every=REFRESH_SECONDS)
def show(dash: Dashboard) -> None:
    """Show the objects that match the filter; it refreshes by itself while the tab is open."""
    wanted = st.text_input(
        "Filter", key="objects-filter", placeholder="Name, kind, state, port, or a word of the log", width=400
    )
    found = [one for one in dash.objects() if matches(one, wanted)]
    st.caption(f"{len(found)} found" if found else "Nothing found: empty the filter to see all.")
    for one in found:
        _object(one)


def matches(one: EngineObject, wanted: str) -> bool:
    """Whether every word of the filter occurs in the object or its log."""
    text = " ".join([one.kind, one.name, one.role or "", one.state, *one.details.values(), one.log]).lower()
    return all(word in text for word in wanted.lower().split())


def _object(one: EngineObject) -> None:
    label = [one.kind, f"**{one.name}**", one.state, *([role_badge(one.role)] if one.role else [])]
    # Drawn only when open: code blocks are the second largest part of what a browser has to load.
    box = st.expander(" ".join(label), key=f"object-{one.kind}-{one.name}", on_change="rerun")
    if box.open:
        box.caption(" · ".join(f"{name} `{value}`" for name, value in one.details.items()))
        box.code(one.log or "It has written nothing yet.", language=None, height=_height(one.log))


def _height(log: str) -> Literal["content"] | int:
    return LOG_HEIGHT if log.count("\n") > LINES_SHOWN else "content"
