"""Colours, icons, badges and texts that all panels share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

import numpy as np
import streamlit as st
from PIL import Image

from mnist_dash import charts
from mnist_dash.dataset import load_digits
from mnist_dash.domain import Role, State, Strategy
from mnist_dash.errors import MnistDashError

COLOUR_NAME: Final = {Role.CURRENT: "violet", Role.NEW: "orange"}
"""Streamlit's names of the two colours, which .streamlit/config.toml sets."""
ICON: Final = {Role.CURRENT: ":material/circle:", Role.NEW: ":material/change_history:"}
"""Roles differ in more than colour: Current is a circle and solid bars, New a triangle and hatched."""

INK: Final = {"light": charts.INK, "dark": "#eceef2"}
TEXT_HEIGHT: Final = 260
LINES_SHOWN: Final = 10
_MARKUP: Final = re.compile(r"[\\*_$\[\]<>~|]|(?<!\w)#")
"""A # within a word is no markup, and a backslash before it would become part of an address."""
_STATE_BADGE: Final = {
    State.STARTING: ("blue", ":material/hourglass_top:"),
    State.READY: ("green", ":material/check_circle:"),
    State.UPDATING: ("blue", ":material/sync:"),
    State.DEGRADED: ("yellow", ":material/warning:"),
    State.FAILED: ("red", ":material/error:"),
}


def favicon() -> Image.Image:
    """Return a digit for the browser's tab; an icon by name would be fetched from the internet."""
    return Image.fromarray((load_digits().images[7] * 255).astype(np.uint8))


def show_header(gateway_url: str, notices: Iterable[str]) -> None:
    """Show the title, the gateway's address and the notices."""
    with st.container(horizontal=True, vertical_alignment="center", key="header"):
        st.title("MNIST Dash", anchor=False, width="content")
        st.caption(f"Gateway `{gateway_url}`", width="content")
        for notice in notices:
            st.caption(f":material/info: {plain(notice)}", width="content")


def show_problem(error: MnistDashError) -> None:
    """Show an error with its next step."""
    st.error(plain(error.next_step), title=plain(error.problem), icon=":material/error:")


def ink() -> str:
    """Return the colour of text in charts, which do not take it from the theme that the visitor chose."""
    return INK[st.context.theme.type or "light"]


def role_title(role: Role) -> str:
    """Return the markdown of a role's name as a heading."""
    return f":{COLOUR_NAME[role]}[{ICON[role]} {role.label}]"


def role_badge(role: Role, more: str = "") -> str:
    """Return the markdown of a role's badge, with `more` after the role's name."""
    return f":{COLOUR_NAME[role]}-badge[{ICON[role]} {role.label}{more}]"


def state_badge(state: State | None) -> str:
    """Return the markdown of a deployment's state; None means that there is no deployment."""
    if state is None:
        return ":gray-badge[:material/remove: Not deployed]"
    colour, icon = _STATE_BADGE[state]
    return f":{colour}-badge[{icon} {state.value.capitalize()}]"


def describe_split(split: int) -> str:
    """Describe a split of 0 to 100 percent by its strategy: `Canary, 20 % to New`."""
    strategy = Strategy.from_split(split)
    return f"{strategy}, {split} % to New" if strategy is Strategy.CANARY else str(strategy)


def plain(text: str) -> str:
    """Escape markdown in a text of an engine or an error, except for its parts in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _MARKUP.sub(r"\\\g<0>", part) for part in parts)


def text_height(text: str) -> Literal["content"] | int:
    """Return the height of a text in px: above it, the text scrolls within itself."""
    return TEXT_HEIGHT if text.count("\n") > LINES_SHOWN else "content"


def shortened(base: str, longest: int = 34) -> str:
    """Return the end of a model base, in whole names if they fit: `…/models/cnn`."""
    if len(base) <= longest:
        return base
    names = base.rstrip("/").replace("\\", "/").split("/")
    fitting = (end for end in ("/".join(names[-2:]), names[-1]) if len(end) <= longest - 2)
    return next((f"…/{end}" for end in fitting), f"…{names[-1][1 - longest :]}")
