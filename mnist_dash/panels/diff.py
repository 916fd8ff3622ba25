"""What a change would change in the cluster, shown before it is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import streamlit as st

from mnist_dash.domain import Change, Snapshot, describe
from mnist_dash.errors import MnistDashError
from mnist_dash.panels.session import Dialog, Difference
from mnist_dash.panels.theme import plain, show_problem, text_height
from mnist_dash.service import Dashboard

LABEL: Final = "What changes in the cluster"
ICON: Final = ":material/difference:"


def fold(dash: Dashboard, dialog: Dialog, change: Change) -> None:
    """Show a fold that tells the difference once it is opened; nothing where there is no cluster."""
    if not dash.in_cluster:
        return
    box = st.expander(LABEL, key="difference", icon=ICON, on_change="rerun")
    if box.open:
        with box:
            show(dash, dialog, change)
    else:
        dialog.difference = None  # asked for anew when it is opened again


def show(dash: Dashboard, dialog: Dialog, change: Change) -> None:
    """Show the difference; the cluster is asked once for each change and each state it would start from."""
    st.caption(plain(describe(change)))
    known, seen = dialog.difference, standing(dash.snapshot())
    if not known or (known.change, known.seen) != (change, seen):
        with st.spinner("Asking the cluster"):
            known = dialog.difference = Difference(change, seen, _asked(dash, change))
    if isinstance(known.said, MnistDashError):
        show_problem(known.said)
    elif known.said:
        st.code(known.said, language="diff", height=text_height(known.said))
    else:
        st.markdown("Nothing changes.")


def standing(snapshot: Snapshot) -> Snapshot:
    """The snapshot without what changes by itself: time, replicas that come and go, words about them."""
    current, new = (
        model and replace(model, ready=0, version=None, accuracy=None, cause="", next_step="", warnings=())
        for model in (snapshot.current, snapshot.new)
    )
    return replace(snapshot, taken_at=0, current=current, new=new, split_observed=0, waiting_for="")


def _asked(dash: Dashboard, change: Change) -> str | MnistDashError:
    try:
        return dash.preview(change)
    except MnistDashError as error:
        return error
