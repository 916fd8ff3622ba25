"""Right, above: a card for each role, with its model and the model's state."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash import preconditions
from mnist_dash.domain import Deployment, Remove, Role, Snapshot, count_replicas
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import describe_accuracy, plain, role_title, shorten, shortened, state_badge

CAUSE_LENGTH: Final = 84
"""Characters of two lines of a card; the tooltip has the whole."""
EMPTY: Final = {
    Role.CURRENT: "Serves all traffic by default. Required.",
    Role.NEW: "The candidate to try beside Current.",
}


def show(role: Role, snapshot: Snapshot, obstacle: str = "") -> None:
    """Show one role's model with the buttons that change it; an `obstacle` disables them all."""
    model = snapshot.of(role)
    with st.container(border=True, gap="xsmall", key=f"card-{role}"):
        with st.container(
            horizontal=True, vertical_alignment="center", gap="xsmall", key=f"card-head-{role}"
        ):
            st.subheader(role_title(role), anchor=False)
            _show_buttons(role, model, obstacle, obstacle or preconditions.why_not(snapshot, Remove(role)))
        if model is None:
            st.markdown(state_badge(None))
            st.caption(EMPTY[role])
            return
        version = f"version {model.version}" if model.version is not None else ""
        st.markdown(
            f"{state_badge(model.state)} `{shortened(model.base, 18)}` {version}",
            help=f"`{model.base}/model/{model.version or '<version>'}/`",
        )
        if model.cause:  # it takes the place of the facts, so that the card keeps its height
            count = describe_count(model)
            known = model.ready == 0 or count in model.cause or model.replacement is not None
            cause = " ".join(filter(None, ["" if known else f"{count}.", model.cause, model.next_step]))
            st.caption(plain(shorten(cause, CAUSE_LENGTH)[0]), help=plain(f"{cause} ({_facts(model)})"))
        else:
            st.caption(_facts(model))
        for warning in model.warnings:
            st.caption(f":material/warning: {plain(warning)}")


def _show_buttons(role: Role, model: Deployment | None, why_not_deploy: str, why_not_remove: str) -> None:
    st.button(
        "Re-deploy" if model else "Deploy",
        key=f"deploy-{role}",
        on_click=session().open,
        args=(role,),
        disabled=bool(why_not_deploy),
        help=why_not_deploy or f"Choose a model for {role.label}.",
    )
    st.button(
        "Remove",
        key=f"remove-{role}",
        on_click=session().open,
        args=(role, Remove(role)),
        disabled=bool(why_not_remove),
        help=why_not_remove or None,
    )


def _facts(model: Deployment) -> str:
    return f"{describe_count(model)} · {model.release} · {describe_accuracy(model)}"


def describe_count(model: Deployment) -> str:
    """Describe how many replicas answer; in a re-deploy, the number asked for is of another model."""
    if model.replacement:
        return f"answers with {count_replicas(model.ready)}"
    return f"{model.ready} of {model.desired} replicas ready"
