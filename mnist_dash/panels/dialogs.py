"""The dialogs: nothing is deployed, removed or promoted before one of them was confirmed."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from mnist_dash.domain import MAX_REPLICAS, MIN_REPLICAS, MODEL_NAME, Deployment, Release, Role, Snapshot
from mnist_dash.errors import MnistDashError
from mnist_dash.panels.look import role_badge, show_problem
from mnist_dash.panels.visit import Dialog, Verb, visit
from mnist_dash.service import Dashboard

BASE, REPLICAS = "deploy-base", "deploy-replicas"


def show_open(dash: Dashboard) -> None:
    """Show the dialog that this visitor has open, if any."""
    if dialog := visit().dialog:
        body, title = _DIALOGS[dialog.verb]
        again = "Re-deploy" if dash.snapshot().of(dialog.role) else "Deploy"
        title = title.format(role=dialog.role.label, deploy=again)
        st.dialog(title, width="medium", on_dismiss=visit().close)(body)(dash, dialog)


def _deploy(dash: Dashboard, dialog: Dialog) -> None:
    _start_from(dash.snapshot().of(dialog.role))
    _suggestions(dash)
    with st.form("deploy-form", border=False):
        st.text_input("Model base directory", key=BASE, help="A folder that this computer can read.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input("Model name", MODEL_NAME, disabled=True, key="deploy-name", width=140)
            st.number_input("Replicas", MIN_REPLICAS, MAX_REPLICAS, key=REPLICAS, width=160)
        st.caption(
            f"The SavedModel is read from `<base>/{MODEL_NAME}/<version>/`; the highest version is served. "
            "It is loaded and tried on known digits before anything changes."
        )
        spot = st.container()
        st.form_submit_button(
            f"Deploy as {dialog.role.label}",
            key="deploy-confirm",
            type="primary",
            icon=":material/rocket_launch:",
            on_click=visit().confirm,
        )
    with spot:
        _carry_out(dialog, lambda: _deploy_now(dash, dialog.role), "Checking the model")


def _start_from(deployed: Deployment | None) -> None:
    """Offer what is deployed, to be changed; what was typed since is kept by the widgets' keys."""
    st.session_state.setdefault(BASE, deployed.base if deployed else "")
    st.session_state.setdefault(REPLICAS, deployed.wanted if deployed else MIN_REPLICAS)


def _suggestions(dash: Dashboard) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for number, suggestion in enumerate(dash.suggestions()):
            st.button(
                suggestion.label,
                key=f"suggest-{number}",
                icon=":material/folder:",
                help=f"`{suggestion.base}`",
                on_click=_take,
                args=(suggestion.base,),
            )


def _take(base: str) -> None:
    st.session_state[BASE] = base


def _deploy_now(dash: Dashboard, role: Role) -> str:
    base, replicas = st.session_state[BASE].strip(), int(st.session_state[REPLICAS])
    check = dash.deploy(role, base, replicas)
    return " ".join([f"{role.label}: version {check.version} is being deployed.", *check.warnings])


def _remove(dash: Dashboard, dialog: Dialog) -> None:
    st.markdown(_effect_of_removal(dialog.role, dash.snapshot()))
    _confirm_or_cancel(f"Remove {dialog.role.label}", "remove-confirm", ":material/delete:")
    _carry_out(dialog, lambda: _remove_now(dash, dialog.role), "Removing")


def _effect_of_removal(role: Role, snapshot: Snapshot) -> str:
    model = snapshot.of(role)
    replicas = f"Its {model.ready} running replicas are stopped." if model and model.ready != 1 else ""
    effect = {
        Role.NEW: "All traffic then goes to Current.",
        Role.CURRENT: "**Nobody is answered** until a Current model is deployed again.",
    }[role]
    kept = "The model's files are not touched."
    return " ".join(filter(None, [replicas or "Its running replica is stopped.", effect, kept]))


def _remove_now(dash: Dashboard, role: Role) -> str:
    dash.remove(role)
    return f"{role.label} is being removed."


def _promote(dash: Dashboard, dialog: Dialog) -> None:
    snapshot = dash.snapshot()
    dialog.new = dialog.new or (snapshot.new.release if snapshot.new else None)
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
    _confirm_or_cancel("Make New the Current", "promote-confirm", ":material/swap_vert:")
    _carry_out(dialog, lambda: _promote_now(dash, dialog.new), "Promoting")


def _named(model: Deployment | None) -> str:
    return f"  \n`{model.base}` version {model.version} · {model.release}" if model else "  \nnothing"


def _promote_now(dash: Dashboard, release: Release | None) -> str:
    dash.promote(release)
    return "New is made the Current."


def _confirm_or_cancel(label: str, key: str, icon: str) -> None:
    with st.container(horizontal=True):
        st.button(label, key=key, type="primary", icon=icon, on_click=visit().confirm)
        st.button("Cancel", key="cancel", on_click=visit().close)


def _carry_out(dialog: Dialog, act: Callable[[], str], doing: str) -> None:
    """After the click: do it, then close the dialog; or keep it open and say what stands in the way.

    Done here rather than in the button's callback, so that the dialog shows that it is busy.
    """
    if dialog.confirmed:
        dialog.confirmed, dialog.problem = False, None
        try:
            with st.spinner(doing):
                visit().tell(act())
        except MnistDashError as error:
            dialog.problem = error
        else:
            visit().close()
    if dialog.problem:
        show_problem(dialog.problem)
    elif visit().dialog is not dialog:
        st.rerun()


_DIALOGS: dict[Verb, tuple[Callable[[Dashboard, Dialog], None], str]] = {
    Verb.DEPLOY: (_deploy, "{deploy} {role}"),
    Verb.REMOVE: (_remove, "Remove {role}?"),
    Verb.PROMOTE: (_promote, "Make New the Current?"),
}
