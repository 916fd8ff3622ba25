"""Colours, icons, badges and texts that all panels share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import streamlit as st
from PIL import Image

from mnist_dash import charts
from mnist_dash.dataset import load_digits
from mnist_dash.domain import Deployment, Role, Snapshot, State, Strategy
from mnist_dash.errors import MnistDashError

COLOUR_NAME: Final = {Role.CURRENT: "violet", Role.NEW: "orange"}
"""Streamlit's names of the two colours, which .streamlit/config.toml sets."""
ICON: Final = {Role.CURRENT: ":material/circle:", Role.NEW: ":material/change_history:"}
"""Roles differ in more than colour: Current is a circle and solid bars, New a triangle and hatched."""

INK: Final = {"light": charts.INK, "dark": "#eceef2"}
TEXT_HEIGHT: Final = 260
LINES_SHOWN: Final = 10
STYLE: Final = """<style>
/* Streamlit has columns of fixed shares only. These boxes have a least width and wrap: whatever the window
   and the zoom, nothing is narrower than its content, and heights follow the content. */
[data-testid="stLayoutWrapper"]:has(> .st-key-main) { flex: 5 1 600px; min-width: min(600px, 100%); }
[data-testid="stLayoutWrapper"]:has(> .st-key-side) { flex: 2 1 372px; min-width: min(372px, 100%); }
[data-testid="stLayoutWrapper"]:has(> .st-key-drawing) { flex: 0 0 280px; }
[data-testid="stLayoutWrapper"]:has(> .st-key-answering) { flex: 1 1 288px; min-width: min(288px, 100%); }
[data-testid="stLayoutWrapper"]:has(> .st-key-card-current, > .st-key-card-new) {
  flex: 1 1 340px; min-width: min(340px, 100%);
}
/* Room for what comes and goes, so that nothing below it moves. */
.st-key-paper { min-height: 280px; }
.st-key-browser-tab { position: absolute; }
.st-key-header { min-height: 2.75rem; padding-right: 2.5rem; }
.st-key-answer { min-height: 172px; }
.st-key-card-current, .st-key-card-new { min-height: 160px; }
.st-key-promotion { min-height: 2.875rem; }
.st-key-promotion > :last-child:not(:first-child) { flex: 1 1 150px; min-width: 0; }
[class*="st-key-card-buttons-"] button { min-height: 2rem; padding: 0 0.625rem; }
.st-key-strategy-row:has([class*="st-key-note-"]) { min-height: 66px; }
.st-key-strategy-row:has([class*="st-key-note-"]) > :last-child { flex: 1 1 150px; }
[class*="st-key-note-"] { min-height: 2.75rem; justify-content: center; }
/* Set strategy is the primary button exactly when a choice is unsent, and keeps the focus after a click. */
.st-key-strategy-buttons:has(.st-key-note-sent) .st-key-set-strategy button {
  background: transparent; border-color: color-mix(in srgb, currentColor 30%, transparent); color: inherit;
  opacity: 0.5; cursor: default;
}
.st-key-canary-percent { margin-bottom: -0.75rem; }
/* A button that works on its task takes no second click. */
button:has([data-testid="stSpinnerIcon"]) { pointer-events: none; opacity: 0.6; }
button [data-testid="stSpinnerIcon"] {
  border-color: color-mix(in srgb, currentColor 30%, transparent); border-top-color: currentColor;
}
/* Deploy needs a path, of which only the browser knows before the form is sent; the reason has its room. */
.st-key-path-missing * { visibility: hidden; }
.stForm:has(.st-key-deploy-base input:placeholder-shown) {
  .st-key-path-missing * { visibility: visible; }
  .st-key-deploy-confirm button, .st-key-deploy-difference button { pointer-events: none; opacity: 0.5; }
}
/* The second click of a double click must not close the dialog that the first has opened. */
[role="dialog"]::before { content: ""; position: fixed; inset: 0; z-index: -1; }
/* The header stays in view, and toasts appear over its right half, one at a time: they cover nothing else. */
[data-testid="stLayoutWrapper"]:has(> .st-key-header) {
  position: sticky; top: 0; z-index: 100; background: light-dark(#ffffff, #101216);
}
.stMain { scroll-padding-top: 5rem; }
.stToastContainer { display: grid; top: 2px; right: clamp(0px, 100vw - 400px, 2.75rem); }
.stToastContainer > * { grid-area: 1 / 1; }
.stToast { width: min(27rem, 100vw - 54px); min-height: 0; margin: 0; padding: 0.375rem 1rem; }
.stToastContainer, .stToast { pointer-events: none; }
.stToast button { pointer-events: auto; }
/* The menu is in a corner that is free, rather than in a bar of its own. */
.stAppHeader, .stAppToolbar { background: transparent; pointer-events: none; }
.stAppHeader button { pointer-events: auto; }
.stMainBlockContainer { padding-top: 0.75rem; }
.st-key-page h2 { padding-top: 0; }
</style>"""
"""The page's own CSS: only what Streamlit has no option for."""
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


def show_header(gateway_url: str, notices: Sequence[str]) -> None:
    """Show the title, the gateway's address and the notices."""
    st.html(STYLE)
    with st.container(horizontal=True, vertical_alignment="center", key="header"):
        st.title("MNIST Dash", anchor=False, width="content")
        if notices:  # folded, since one that comes late must not push the page down
            label = "1 notice" if len(notices) == 1 else f"{len(notices)} notices"
            with st.popover(f":material/info: {label}", key="notices", type="tertiary"):
                for notice in notices:
                    st.markdown(plain(notice))
        st.caption(f"Gateway `{gateway_url}`", width="content")


def show_problem(error: MnistDashError) -> None:
    """Show an error with its next step."""
    st.error(plain(error.next_step), title=plain(error.problem), icon=":material/error:")


def ink() -> str:
    """Return the colour of text in charts, which do not take it from the theme that the visitor chose."""
    return INK[st.context.theme.type or "light"]


def role_heading(role: Role, text: str) -> str:
    """Return the markdown of a text as a heading in the colour and with the shape of a role."""
    return f":{COLOUR_NAME[role]}[{ICON[role]} {text}]"


def role_badge(role: Role, text: str) -> str:
    """Return the markdown of a text, a role's title or its model's name, in the role's colour and shape."""
    return f":{COLOUR_NAME[role]}-badge[{ICON[role]} {text}]"


def state_badge(state: State | None) -> str:
    """Return the markdown of a deployment's state; None means that there is no deployment."""
    if state is None:
        return ":gray-badge[:material/remove: Not deployed]"
    colour, icon = _STATE_BADGE[state]
    return f":{colour}-badge[{icon} {state.value.capitalize()}]"


def describe_split(split: int, snapshot: Snapshot) -> str:
    """Describe a split of 0 to 100 percent by its strategy: `Canary, 20 % to New`."""
    strategy = Strategy.from_split(split)
    to = f", {split} % to {snapshot.role_title(Role.NEW)}" if strategy is Strategy.CANARY else ""
    return f"{snapshot.title_strategy(strategy)}{to}"


def describe_accuracy(model: Deployment) -> str:
    """Describe the result of a model's check: `92.4 % of 2,000 digits`."""
    if model.accuracy is None:
        return "unchecked"
    return f"{charts.percent(model.accuracy)} of {model.digits:,} digits"


def plain(text: str) -> str:
    """Escape markdown in a text of an engine or an error, except for its parts in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _MARKUP.sub(r"\\\g<0>", part) for part in parts)


def shorten(text: str, longest: int) -> tuple[str, str | None]:
    """Return a text of at most so many characters, and the whole one if it is longer."""
    if len(text) <= longest:
        return text, None
    return f"{text[: longest - 1].rstrip(' .')}…", text


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
