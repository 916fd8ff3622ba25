"""Preview what a change would change in the cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import streamlit as st

from mnist_dash.domain import Change, Snapshot, describe
from mnist_dash.errors import MnistDashError
from mnist_dash.panels.session import Dialog, Preview
from mnist_dash.panels.theme import plain, show_problem, text_height
from mnist_dash.service import Dashboard

LABEL: Final = "What changes in the cluster"
ICON: Final = ":material/difference:"


def show_folded(dash: Dashboard, dialog: Dialog, change: Change) -> None:
    """Show a fold that asks for the preview once it is opened; nothing on the local engine."""
    if not dash.in_cluster:
        return
    box = st.expander(LABEL, key="difference", icon=ICON, on_change="rerun")
    if box.open:
        with box:
            show(dash, dialog, change)
    else:
        dialog.preview = None  # opening the fold again asks the cluster again


def show(dash: Dashboard, dialog: Dialog, change: Change) -> None:
    """Show the preview; the cluster is asked once for each change and each stable state."""
    st.caption(plain(describe(change)))
    preview, snapshot = dialog.preview, stable_part(dash.snapshot())
    if not preview or (preview.change, preview.snapshot) != (change, snapshot):
        with st.spinner("Asking the cluster"):
            preview = dialog.preview = Preview(change, snapshot, _ask(dash, change))
    if isinstance(preview.result, MnistDashError):
        show_problem(preview.result)
    elif preview.result:
        st.code(preview.result, language="diff", height=text_height(preview.result))
    else:
        st.markdown("Nothing changes.")


def stable_part(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot without what changes by itself: time, replicas that come and go, their causes."""
    current, new = (
        model and replace(model, ready=0, version=None, accuracy=None, cause="", next_step="", warnings=())
        for model in (snapshot.current, snapshot.new)
    )
    return replace(snapshot, taken_at=0, current=current, new=new, split_observed=0, waiting_for="")


def _ask(dash: Dashboard, change: Change) -> str | MnistDashError:
    try:
        return dash.preview(change)
    except MnistDashError as error:
        return error
