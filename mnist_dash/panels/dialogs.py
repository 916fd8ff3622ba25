"""The dialogs: nothing is deployed, removed or promoted before one of them was confirmed."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mnist_dash.domain import Deployment, Promote, Remove, Role, SetSplit, Snapshot
from mnist_dash.panels import deploy_dialog, diff, strategy
from mnist_dash.panels.actions import confirm_or_cancel, dashboard_for, run_action
from mnist_dash.panels.session import Dialog, Verb, session
from mnist_dash.panels.theme import role_badge
from mnist_dash.service import Dashboard


def show_open(dash: Dashboard) -> None:
    """Show the dialog that this visitor has open, if any."""
    if dialog := session().dialog:
        body, title = _DIALOGS[dialog.verb]
        model = dash.snapshot().of(dialog.role)
        dialog.release = dialog.release or (model.release if model else None)
        again = "Re-deploy" if model else "Deploy"
        title = title.format(role=dialog.role.label, deploy=again)
        st.dialog(title, width="medium", on_dismiss=session().close)(body)(dash, dialog)


def _remove(dash: Dashboard, dialog: Dialog) -> None:
    snapshot = dash.snapshot()
    st.markdown(f"{role_badge(dialog.role)} {_named(snapshot.of(dialog.role))}")
    st.markdown(_effect_of_removal(dialog.role, snapshot))
    diff.fold(dash, dialog, Remove(dialog.role))
    confirm_or_cancel(f"Remove {dialog.role.label}", "remove-confirm", ":material/delete:")
    run_action(dialog, lambda: _remove_now(dash, dialog), "Removing")


def _effect_of_removal(role: Role, snapshot: Snapshot) -> str:
    model = snapshot.of(role)
    replicas = f"Its {model.ready} running replicas are stopped." if model and model.ready != 1 else ""
    effect = {
        Role.NEW: "All traffic then goes to Current.",
        Role.CURRENT: "**Nobody is answered** until a Current model is deployed again.",
    }[role]
    kept = "The model's files are not touched."
    return " ".join(filter(None, [replicas or "Its running replica is stopped.", effect, kept]))


def _remove_now(dash: Dashboard, dialog: Dialog) -> str:
    dashboard_for(dash, dialog).remove(dialog.role, expected=dialog.release)
    return f"{dialog.role.label} is being removed."


def _promote(dash: Dashboard, dialog: Dialog) -> None:
    snapshot = dash.snapshot()
    for column, title, current, new in zip(
        st.columns(2),
        ("Now", "Afterwards"),
        (snapshot.current, snapshot.new),
        (snapshot.new, snapshot.current),
        strict=True,
    ):
        with column.container(border=True):
            st.markdown(f"**{title}**")
            for role, model in zip(Role, (current, new), strict=True):
                st.markdown(f"{role_badge(role)} {_named(model)}")
    st.markdown(
        "All traffic then goes to the new Current. Nothing restarts. Undo swaps the two back, "
        "with all traffic on today's Current."
    )
    diff.fold(dash, dialog, Promote())
    confirm_or_cancel("Make New the Current", "promote-confirm", ":material/swap_vert:")
    run_action(dialog, lambda: _promote_now(dash, dialog), "Promoting")


def _named(model: Deployment | None) -> str:
    if not model:
        return "  \nnothing"
    version = "" if model.version is None else f" version {model.version}"
    return f"  \n`{model.base}`{version} · {model.release}"


def _promote_now(dash: Dashboard, dialog: Dialog) -> str:
    dashboard_for(dash, dialog).promote(dialog.release)
    return "New is being made the Current."


def _split(dash: Dashboard, dialog: Dialog) -> None:
    diff.show(dash, dialog, SetSplit(dialog.percent))
    confirm_or_cancel("Set strategy", "split-confirm", ":material/alt_route:")
    run_action(dialog, lambda: _split_now(dash, dialog), "Setting the strategy")


def _split_now(dash: Dashboard, dialog: Dialog) -> str:
    dashboard_for(dash, dialog).set_split(dialog.percent)
    return f"The strategy is being set: {strategy.in_words(dialog.percent)}."


_DIALOGS: dict[Verb, tuple[Callable[[Dashboard, Dialog], None], str]] = {
    Verb.DEPLOY: (deploy_dialog.show, "{deploy} {role}"),
    Verb.REMOVE: (_remove, "Remove {role}?"),
    Verb.PROMOTE: (_promote, "Make New the Current?"),
    Verb.SPLIT: (_split, "What changes in the cluster"),
}
