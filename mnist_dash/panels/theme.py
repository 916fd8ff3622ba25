"""Colours, icons, badges and text sizes that all panels share."""

from __future__ import annotations

import re
from typing import Final, Literal

import numpy as np
import streamlit as st
from PIL import Image

from mnist_dash import charts
from mnist_dash.dataset import load_digits
from mnist_dash.domain import Role, State
from mnist_dash.errors import MnistDashError
from mnist_dash.service import Dashboard

COLOUR_NAME: Final = {Role.CURRENT: "violet", Role.NEW: "orange"}
"""Streamlit's names of the two colours, which .streamlit/config.toml sets."""
ICON: Final = {Role.CURRENT: ":material/circle:", Role.NEW: ":material/change_history:"}
"""No role is told by its colour alone: Current is a circle and solid bars, New a triangle and hatched."""

INK: Final = {"light": charts.INK, "dark": "#eceef2"}
TEXT_HEIGHT: Final = 260
LINES_SHOWN: Final = 10
_MARKUP: Final = re.compile(r"[\\*_$\[\]<>~|]|(?<!\w)#")
"""A # within a word is none, and in an address a backslash before it would be read as its part."""
_STATE_BADGE: Final = {
    State.STARTING: ("blue", ":material/hourglass_top:"),
    State.READY: ("green", ":material/check_circle:"),
    State.UPDATING: ("blue", ":material/sync:"),
    State.DEGRADED: ("yellow", ":material/warning:"),
    State.FAILED: ("red", ":material/error:"),
}


def favicon() -> Image.Image:
    """A digit for the browser's tab; an icon by name would be fetched from outside."""
    return Image.fromarray((load_digits().images[7] * 255).astype(np.uint8))


def ink() -> str:
    """The colour of text in charts, which do not take it from the theme that the visitor has chosen."""
    return INK[st.context.theme.type or "light"]


def role_title(role: Role) -> str:
    """The markdown of a role's name as a heading."""
    return f":{COLOUR_NAME[role]}[{ICON[role]} {role.label}]"


def role_badge(role: Role, more: str = "") -> str:
    """The markdown of a role's badge; `more` is said after the role's name."""
    return f":{COLOUR_NAME[role]}-badge[{ICON[role]} {role.label}{more}]"


def state_badge(state: State | None) -> str:
    """The markdown of a deployment's state, or of there being none."""
    if state is None:
        return ":gray-badge[:material/remove: Not deployed]"
    colour, icon = _STATE_BADGE[state]
    return f":{colour}-badge[{icon} {state.value.capitalize()}]"


def plain(text: str) -> str:
    """Text of an engine or an error as markdown that shows it as it is, but for what stands in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _MARKUP.sub(r"\\\g<0>", part) for part in parts)


def show_problem(error: MnistDashError) -> None:
    """Show what is wrong and what to do about it."""
    st.error(plain(error.next_step), title=plain(error.problem), icon=":material/error:")


def text_height(text: str) -> Literal["content"] | int:
    """How high a text may be before it scrolls within itself."""
    return TEXT_HEIGHT if text.count("\n") > LINES_SHOWN else "content"


def shortened(base: str, longest: int = 34) -> str:
    """The end of a model base, which tells it apart, in whole names if they fit; `…/models/cnn`."""
    if len(base) <= longest:
        return base
    names = base.rstrip("/").replace("\\", "/").split("/")
    fitting = (end for end in ("/".join(names[-2:]), names[-1]) if len(end) <= longest - 2)
    return next((f"…/{end}" for end in fitting), f"…{names[-1][1 - longest :]}")


def show(dash: Dashboard) -> None:
    """Show the title, the gateway's address and the notices."""
    with st.container(horizontal=True, vertical_alignment="center", key="header"):
        st.title("MNIST Dash", anchor=False, width="content")
        st.caption(f"Gateway `{dash.gateway_url}`", width="content")
        for notice in dash.snapshot().notices:
            st.caption(f":material/info: {plain(notice)}", width="content")
