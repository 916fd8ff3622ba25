"""Below: everything that the engine runs, with its last log lines, what happened to it and its YAML."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash.domain import EngineObject, Role
from mnist_dash.panels.theme import plain, role_badge, text_height
from mnist_dash.service import Dashboard

REFRESH_SECONDS: Final = 2.0
ROLES: Final = tuple(Role)


@st.fragment(run_every=REFRESH_SECONDS)
def show(dash: Dashboard) -> None:
    """Show the objects that match the filters; it refreshes by itself while the tab is open."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="objects-filters"):
        wanted = st.text_input(
            "Filter",
            key="objects-filter",
            placeholder="Name, kind, state, port, or a word of the log",
            width=400,
        )
        role = st.segmented_control("Role", ROLES, format_func=lambda role: role.label, key="objects-role")
        _download(dash)
    found = [one for one in dash.objects() if matches(one, wanted) and role in (None, one.role)]
    st.caption(f"{len(found)} found" if found else "Nothing found: empty the filter to see all.")
    for one in found:
        _object(one)


def matches(one: EngineObject, wanted: str) -> bool:
    """Whether every word of the filter occurs in the object, its log or its events."""
    words = [one.kind, one.name, one.role or "", one.state, *one.details.values(), one.log, *one.events]
    text = " ".join(words).lower()
    return all(word in text for word in wanted.lower().split())


def texts(one: EngineObject) -> dict[str, str]:
    """What can be read about an object, by the name under which it is offered."""
    events = "\n".join(f"- {plain(event)}" for event in one.events)
    all_of_them = {"Log": one.log, "Events": events, "YAML": one.yaml}
    return {name: text for name, text in all_of_them.items() if text}


def _download(dash: Dashboard) -> None:
    if applied := dash.manifests():
        st.download_button(
            "All as YAML",
            data=applied,  # not made at the click: such a file is gone after two refreshes of any browser
            file_name="mnist-dash.yaml",
            mime="application/yaml",
            key="download-manifests",
            icon=":material/download:",
            on_click="ignore",
            help="Every object that was applied, as one file for `kubectl apply` or GitOps.",
        )


def _object(one: EngineObject) -> None:
    label = [plain(one.kind), f"**{plain(one.name)}**", plain(one.state)]
    if one.role:
        label.append(role_badge(one.role))
    # Drawn only when open: code blocks are the second largest part of what a browser has to load.
    box = st.expander(" ".join(label), key=f"object-{one.kind}-{one.name}", on_change="rerun")
    if box.open:
        with box:
            st.caption(" · ".join(f"{plain(name)} `{value}`" for name, value in one.details.items()))
            _texts(one, texts(one))


def _texts(one: EngineObject, offered: dict[str, str]) -> None:
    chosen = next(iter(offered), "")
    if len(offered) > 1:
        chosen = st.segmented_control(
            "Show",
            list(offered),
            default=chosen,
            required=True,
            key=f"text-{one.kind}-{one.name}",
            label_visibility="collapsed",
        )
    text = offered.get(chosen, "")
    if chosen == "Events":
        with st.container(height=text_height(text), border=False):
            st.markdown(text)
    elif text:
        st.code(text, language="yaml" if chosen == "YAML" else None, height=text_height(text))
    else:
        st.caption("It has written nothing yet.")
