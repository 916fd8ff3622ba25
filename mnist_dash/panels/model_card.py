"""Right, above: one card for each role, with what is deployed there and how it does."""

from __future__ import annotations

from typing import Final, Literal

import streamlit as st

from mnist_dash import rules
from mnist_dash.charts import percent
from mnist_dash.domain import Deployment, Role, Snapshot
from mnist_dash.panels.look import plain, role_title, shortened, state_badge
from mnist_dash.panels.visit import Verb, visit

CARD_HEIGHT: Final = 134
"""Equal for every state that needs no explanation, so that nothing below jumps."""
EMPTY: Final = {
    Role.CURRENT: "The model that answers now. Without one, nobody is answered.",
    Role.NEW: "The model that is to be tried beside the Current one.",
}


def show(role: Role, snapshot: Snapshot) -> None:
    """Show one role's model with the buttons that change it."""
    model = snapshot.of(role)
    height: Literal["content"] | int = "content" if model and model.cause else CARD_HEIGHT
    with st.container(border=True, height=height, gap="xsmall", key=f"card-{role}"):
        with st.container(
            horizontal=True, vertical_alignment="center", gap="xsmall", key=f"card-head-{role}"
        ):
            st.subheader(role_title(role), anchor=False)
            _buttons(role, model, rules.why_not_remove(snapshot, role))
        if model is None:
            st.markdown(state_badge(None))
            st.caption(EMPTY[role])
            return
        st.markdown(_model_line(model), help=f"`{model.base}/model/{model.version or '<version>'}/`")
        st.caption(_facts(model))
        if why := " ".join(filter(None, [model.cause, model.next_step])):
            st.markdown(plain(why))
        for warning in model.warnings:
            st.caption(f":material/warning: {plain(warning)}")


def _buttons(role: Role, model: Deployment | None, why_not_remove: str) -> None:
    st.button(
        "Re-deploy" if model else "Deploy",
        key=f"deploy-{role}",
        on_click=visit().open,
        args=(Verb.DEPLOY, role),
        help=f"Choose a model for {role.label}. It is checked before anything changes.",
    )
    st.button(
        "Remove",
        key=f"remove-{role}",
        on_click=visit().open,
        args=(Verb.REMOVE, role),
        disabled=bool(why_not_remove),
        help=why_not_remove or None,
    )


def _model_line(model: Deployment) -> str:
    version = f"version {model.version}" if model.version is not None else ""
    return f"{state_badge(model.state)} `{shortened(model.base, 24)}` {version}"


def _facts(model: Deployment) -> str:
    accuracy = "" if model.accuracy is None else f"{percent(model.accuracy)} of 200 check digits"
    facts = [f"{model.ready} of {model.wanted} replicas ready", model.release.value, accuracy]
    return " · ".join(filter(None, facts))
