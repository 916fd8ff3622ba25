"""The line at the top: what this is, where the gateway is, and what should be known about the start."""

from __future__ import annotations

import streamlit as st

from mnist_dash.panels.look import plain
from mnist_dash.service import Dashboard


def show(dash: Dashboard) -> None:
    """Show the title, the gateway's address and the notices."""
    with st.container(horizontal=True, vertical_alignment="center", key="header"):
        st.title("MNIST Dash", anchor=False, width="content")
        st.caption(f"Gateway `{dash.gateway_url}`", width="content")
        for notice in dash.snapshot().notices:
            st.caption(f":material/info: {plain(notice)}", width="content")
