"""The dialogs: each change that could hurt is confirmed in one of them first."""

from __future__ import annotations

import streamlit as st

from mnist_dash.domain import Deployment, Promote, Remove, Role, SetSplit, Snapshot, describe
from mnist_dash.panels import deploy_dialog, diff, evidence_table, model_card
from mnist_dash.panels.actions import choose_confirm_icon, run_dialog, show_cancel
from mnist_dash.panels.session import Dialog, session
from mnist_dash.panels.theme import plain, role_badge, shortened
from mnist_dash.service import Dashboard

AFTER_REMOVAL = {
    Role.NEW: "all traffic goes to Current",
    Role.CURRENT: "**all predictions fail** until a Current model is deployed again",
}


def show_open(dash: Dashboard) -> None:
    """Show the dialog that this visitor has open, if any."""
    if dialog := session().dialog:
        snapshot = dash.snapshot()
        dialog.expected = dialog.expected or snapshot.etag(dialog.role)
        title = model_card.label_deploy(dialog.role, snapshot)
        if dialog.change:
            title = f"{describe(dialog.change, snapshot)}?"
        st.dialog(title, width="medium", on_dismiss=session().close)(_show)(dash, dialog)


def _show(dash: Dashboard, dialog: Dialog) -> None:
    if dialog.change:
        _confirm(dash, dialog, dialog.change)
    else:
        deploy_dialog.show(dash, dialog)


def _confirm(dash: Dashboard, dialog: Dialog, change: Remove | SetSplit | Promote) -> None:
    """Show the effect of a change, with the button that confirms it and the one that cancels it."""
    snapshot, show_difference = dash.snapshot(), diff.show_folded
    match change:
        case Remove(role):
            key, icon = "remove-confirm", ":material/delete:"
            _show_model(role, snapshot.of(role), snapshot.role_title(role))
            st.markdown(f"Its replicas stop, and {AFTER_REMOVAL[role]}. The model's files are kept.")
        case Promote():
            key, icon = "promote-confirm", ":material/swap_vert:"
            _show_swap(snapshot)
            evidence_table.show(dash, dialog)
            st.markdown(
                "All traffic then goes to the new Current, and nothing restarts. "
                "Rolling back restores the roles and the split of now."
            )
        case SetSplit():
            key, icon = "split-confirm", ":material/alt_route:"
            show_difference = diff.show
    show_difference(dash, dialog, change)
    with st.container(horizontal=True):
        st.button(
            describe(change, snapshot),
            key=key,
            type="primary",
            icon=choose_confirm_icon(dialog, icon),
            on_click=session().confirm,
        )
        show_cancel()
    run_dialog(dash, dialog, lambda: change, "Applying the change")


def _show_swap(snapshot: Snapshot) -> None:
    now, afterwards = (snapshot.current, snapshot.new), (snapshot.new, snapshot.current)
    for column, title, models in zip(st.columns(2), ("Now", "Afterwards"), (now, afterwards), strict=True):
        with column.container(border=True, gap="xsmall"):
            st.markdown(f"**{title}**")
            titles = {role: role.label for role in Role}
            if title == "Afterwards" and snapshot.current:
                titles[Role.NEW] = "Former"
            for role, model in zip(Role, models, strict=True):
                _show_model(role, model, titles[role])


def _show_model(role: Role, model: Deployment | None, title: str) -> None:
    """Show a role's model by name; a tooltip has the base and the release."""
    if not model:
        st.markdown(f"{role_badge(role, title)} nothing")
        return
    version = "" if model.version is None else f" version {model.version}"
    st.markdown(
        f"{role_badge(role, title)} **{plain(shortened(model.name))}**{version}",
        help=f"`{model.base}` · {model.release}",
    )
