"""Preview what a change would change in the cluster."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash.domain import Change, Snapshot, describe
from mnist_dash.errors import MnistDashError
from mnist_dash.panels.session import Dialog
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
    """Show the preview; the cluster is asked once for each change and each state."""
    snapshot = dash.snapshot()
    st.caption(plain(describe(change, snapshot)))
    basis = change, basis_of(snapshot)
    if not dialog.preview or dialog.preview[0] != basis:
        with st.spinner("Asking the cluster"):
            dialog.preview = basis, _ask(dash, change)
    difference = dialog.preview[1]
    if isinstance(difference, MnistDashError):
        show_problem(difference)
    elif difference:
        st.code(difference, language="diff", height=text_height(difference))
    else:
        st.markdown("Nothing changes.")


def basis_of(snapshot: Snapshot) -> tuple[object, ...]:
    """Return what previews depend on: what was asked for, without the replicas that come and go."""
    models = [(m.role, m.release, m.base, m.desired) for m in (snapshot.current, snapshot.new) if m]
    return models, snapshot.split_desired, snapshot.interrupted_promotion, snapshot.drift


def _ask(dash: Dashboard, change: Change) -> str | MnistDashError:
    try:
        return dash.preview(change)
    except MnistDashError as error:
        return error
