"""The dialogs: each change that could hurt is confirmed in one of them first."""

from __future__ import annotations

import streamlit as st

from mnist_dash.domain import Change, Deployment, Promote, Remove, Role, SetSplit, Snapshot
from mnist_dash.panels import deploy_dialog, diff
from mnist_dash.panels.actions import run_dialog
from mnist_dash.panels.session import Dialog, session
from mnist_dash.panels.theme import role_badge
from mnist_dash.service import Dashboard


def show_open(dash: Dashboard) -> None:
    """Show the dialog that this visitor has open, if any."""
    if dialog := session().dialog:
        model = dash.snapshot().of(dialog.role)
        dialog.expected = dialog.expected or (model.release if model else None)
        st.dialog(_title(dialog, model), width="medium", on_dismiss=session().close)(_show)(dash, dialog)


def _title(dialog: Dialog, model: Deployment | None) -> str:
    match dialog.change:
        case Remove(role):
            return f"Remove {role.label}?"
        case Promote():
            return "Make New the Current?"
        case SetSplit():
            return diff.LABEL
    return f"{'Re-deploy' if model else 'Deploy'} {dialog.role.label}"


def _show(dash: Dashboard, dialog: Dialog) -> None:
    snapshot = dash.snapshot()
    match dialog.change:
        case None:
            deploy_dialog.show(dash, dialog)
        case Remove(role) as change:
            st.markdown(f"{role_badge(role)} {_describe(snapshot.of(role))}")
            st.markdown(_effect_of_removal(role, snapshot))
            diff.show_folded(dash, dialog, change)
            _confirm(dash, dialog, change, f"Remove {role.label}", "remove-confirm", ":material/delete:")
        case Promote() as change:
            _show_swap(snapshot)
            diff.show_folded(dash, dialog, change)
            _confirm(dash, dialog, change, "Make New the Current", "promote-confirm", ":material/swap_vert:")
        case SetSplit() as change:
            diff.show(dash, dialog, change)
            _confirm(dash, dialog, change, "Set strategy", "split-confirm", ":material/alt_route:")


def _confirm(dash: Dashboard, dialog: Dialog, change: Change, label: str, key: str, icon: str) -> None:
    """Show the button that confirms the dialog, and the one that cancels it."""
    with st.container(horizontal=True):
        st.button(label, key=key, type="primary", icon=icon, on_click=session().confirm)
        st.button("Cancel", key="cancel", on_click=session().close)
    run_dialog(dash, dialog, lambda: change, "Applying the change")


def _effect_of_removal(role: Role, snapshot: Snapshot) -> str:
    model = snapshot.of(role)
    running = "replica stops" if model and model.ready == 1 else "replicas stop"
    effect = {
        Role.NEW: "all traffic goes to Current",
        Role.CURRENT: "**all predictions fail** until a Current model is deployed again",
    }[role]
    return f"Its {running}, and {effect}. The model's files are kept."


def _show_swap(snapshot: Snapshot) -> None:
    now, afterwards = (snapshot.current, snapshot.new), (snapshot.new, snapshot.current)
    for column, title, models in zip(st.columns(2), ("Now", "Afterwards"), (now, afterwards), strict=True):
        with column.container(border=True):
            st.markdown(f"**{title}**")
            for role, model in zip(Role, models, strict=True):
                st.markdown(f"{role_badge(role)} {_describe(model)}")
    st.markdown(
        "All traffic then goes to the new Current, and nothing restarts. "
        "Undo swaps the two back, with all traffic on today's Current."
    )


def _describe(model: Deployment | None) -> str:
    if not model:
        return "  \nnothing"
    version = "" if model.version is None else f" version {model.version}"
    return f"  \n`{model.base}`{version} · {model.release}"
