"""The page's address: `?sample=123&compare=true` names a digit and switches, and follows what is shown."""

from __future__ import annotations

import re
from typing import Final

import streamlit as st

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image
from mnist_dash.panels import drawing
from mnist_dash.panels.session import Session, session

SAMPLE: Final = "sample"
SWITCHES: Final = ("live", "compare")
"""Keys of switches; Streamlit reads them from the address and writes them into it, as `bind` asks."""


def open_once() -> tuple[str, ...]:
    """Put the digit of the address on the canvas when a tab opens; return notices of what is ignored."""
    state = session()
    if state.address_notices is None:
        place = _read_sample()
        if isinstance(place, int):
            drawing.put_sample(state, place)
            state.asks_at_once = True
        wrong = [place] if isinstance(place, str) else []
        wrong += [
            f"The address has no true or false for `{switch}`, which stays off."
            for switch in SWITCHES
            if st.query_params.get(switch, "true") not in ("true", "false")
        ]
        state.address_notices = tuple(wrong)
    return state.address_notices


def follow(state: Session, picture: Image | None) -> None:
    """Name the digit on the canvas in the address; a drawing by hand has no name."""
    is_whole = state.sample and picture is state.sample.image
    place = str(state.sample.place) if state.sample and is_whole else None
    if st.query_params.get(SAMPLE) == place:
        return
    if place is None:
        del st.query_params[SAMPLE]
    else:
        st.query_params[SAMPLE] = place


def _read_sample() -> int | str | None:
    """Return the place of the address's digit in the bundled ones, why it is ignored, or None."""
    text, count = st.query_params.get(SAMPLE), len(load_digits())
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,9}", text) and int(text) < count:
        return int(text)
    return f"The address names no sample from 0 to {count - 1:,}, so the canvas is empty."
