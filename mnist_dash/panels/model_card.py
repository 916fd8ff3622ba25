"""Right, above: a card for each role, with its model and the model's state."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash import preconditions
from mnist_dash.domain import (
    Deployment,
    Remove,
    Role,
    Snapshot,
    UndoPromote,
    count_replicas,
    describe,
)
from mnist_dash.panels import actions
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import (
    describe_accuracy,
    plain,
    role_badge,
    role_heading,
    shorten,
    shortened,
    state_badge,
)
from mnist_dash.service import Dashboard

CAUSE_LENGTH: Final = 84
"""Characters of two lines of a card; the tooltip has the whole."""
NAME_LENGTH: Final = 20
EMPTY: Final = {
    Role.CURRENT: "Serves all traffic by default. Required.",
    Role.NEW: "The candidate to try beside Current.",
}


def show(dash: Dashboard, role: Role, snapshot: Snapshot, obstacle: str = "") -> None:
    """Show one role's model with the buttons that change it; an `obstacle` disables them all."""
    model = snapshot.of(role)
    with st.container(border=True, gap="xsmall", key=f"card-{role}"):
        _show_head(role, snapshot)
        if model:
            _show_facts(model)
        else:
            st.caption(EMPTY[role])
        with st.container(
            horizontal=True, vertical_alignment="center", gap="xsmall", key=f"card-buttons-{role}"
        ):
            if role is Role.NEW and snapshot.can_undo_promote:
                _show_roll_back(dash, snapshot, obstacle)
                with st.popover("More", key="more-former", type="tertiary"):
                    _show_buttons(role, snapshot, obstacle)
            else:
                _show_buttons(role, snapshot, obstacle)


def _show_head(role: Role, snapshot: Snapshot) -> None:
    """Show the model's name, or the role's where there is none, with the role and the state beside it."""
    model, title = snapshot.of(role), snapshot.role_title(role)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=f"card-head-{role}"):
        name = shortened(snapshot.name_of(role), NAME_LENGTH)
        st.subheader(role_heading(role, plain(name)), anchor=False, width="content")
        badges = [role_badge(role, title)] if model else []
        st.markdown(
            " ".join([*badges, state_badge(model.state if model else None)]),
            help=describe_place(model) if model else None,
            width="content",
        )


def describe_place(model: Deployment) -> str:
    """Return where a model is, for a tooltip: its folder and its release."""
    return f"`{model.base}/model/{model.version or '<version>'}/`, release {model.release}"


def _show_facts(model: Deployment) -> None:
    if model.cause:  # it takes the place of the facts, so that the card keeps its height
        count = describe_count(model)
        known = model.ready == 0 or count in model.cause or model.replacement is not None
        cause = " ".join(filter(None, ["" if known else f"{count}.", model.cause, model.next_step]))
        st.caption(plain(shorten(cause, CAUSE_LENGTH)[0]), help=plain(f"{cause} ({_facts(model)})"))
    else:
        st.caption(_facts(model))
    for warning in model.warnings:
        st.caption(f":material/warning: {plain(warning)}")


def _show_roll_back(dash: Dashboard, snapshot: Snapshot, obstacle: str) -> None:
    why_not = obstacle or preconditions.why_not(snapshot, UndoPromote())
    st.button(
        f"Roll back to {shortened(snapshot.name_of(Role.NEW), NAME_LENGTH)}",
        key="undo-promote",
        type="secondary" if snapshot.is_answered else "primary",
        icon=actions.choose_icon(":material/undo:", UndoPromote),
        on_click=actions.apply_on_click,
        args=(dash, UndoPromote(), snapshot.etag(Role.NEW)),
        disabled=bool(why_not),
        help=why_not or "The roles and the split are then as before the promotion.",
    )


def _show_buttons(role: Role, snapshot: Snapshot, obstacle: str) -> None:
    why_not_remove = obstacle or preconditions.why_not(snapshot, Remove(role))
    st.button(
        label_deploy(role, snapshot),
        key=f"deploy-{role}",
        on_click=session().open,
        args=(role,),
        disabled=bool(obstacle),
        help=obstacle or f"Choose a model for {role.label}.",
    )
    st.button(
        describe(Remove(role), snapshot),
        key=f"remove-{role}",
        on_click=session().open,
        args=(role, Remove(role)),
        disabled=bool(why_not_remove),
        help=why_not_remove or None,
    )


def label_deploy(role: Role, snapshot: Snapshot) -> str:
    """Return `Re-deploy New`, or `Deploy New` while there is none (Former is another one)."""
    is_deployed = snapshot.of(role) and snapshot.role_title(role) == role.label
    return f"Re-deploy {role.label}" if is_deployed else f"Deploy {role.label}"


def _facts(model: Deployment) -> str:
    version = f"version {model.version}" if model.version is not None else ""
    return " · ".join(filter(None, [version, describe_count(model), describe_accuracy(model)]))


def describe_count(model: Deployment) -> str:
    """Describe how many replicas answer; in a re-deploy, the number asked for is of another model."""
    if model.replacement:
        return f"answers with {count_replicas(model.ready)}"
    return f"{model.ready} of {model.desired} replicas ready"
