"""Left: the canvas, its buttons, and the picture that the model receives."""

from __future__ import annotations

import random
import time
from typing import Any, Final, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image
from mnist_dash.errors import DrawingError
from mnist_dash.panels import canvas_controls
from mnist_dash.panels.session import KeptDrawing, Sample, Session
from mnist_dash.preprocessing import enlarge, has_far_dot, prepare, to_data_url

SIDE: Final = 280
HALF: Final = 136
"""Width of a button in px, two to a row."""
BRUSH: Final = 20
PIXEL: Final = 4
"""Size on the page of one of the 28x28 pixels, in px."""
UNCHANGED: Final = 0.1
"""A sample as a browser draws it differs by less than this from the sample itself; a stroke makes more."""


def draw(state: Session) -> Image | DrawingError:
    """Show the canvas; return the prepared picture, or why there is none."""
    st.header("Draw a digit", anchor=False)
    drawn = _pixels_of_sheet(state)
    sample = state.sample
    state.has_far_dot = state.kept is not None and state.kept.has_far_dot
    if drawn is None:
        if shown := sample or state.kept:
            return shown.image  # the canvas does not send its initial drawing
        return DrawingError("The drawing is empty.", "Draw a digit first.")
    try:
        picture = prepare(drawn)
    except DrawingError as error:
        state.has_far_dot = False
        return error
    if sample and np.abs(picture - sample.drawn).max() < UNCHANGED:
        return sample.image
    state.has_far_dot = has_far_dot(drawn)
    return picture


def _pixels_of_sheet(state: Session) -> NDArray[np.uint8] | None:
    """Return what is drawn on the present sheet, None while the browser has sent nothing of it."""
    pixels = state.pixels = canvas(state)
    if pixels is not None and state.old_pixels is not None and np.array_equal(pixels, state.old_pixels):
        return None
    state.old_pixels = None
    return pixels


def canvas(state: Session) -> NDArray[np.uint8] | None:
    """Show the drawing surface; return its pixels, (280, 280, 4) RGBA, or None while nothing was drawn."""
    # Imported here, because the package registers its browser part, which needs a running app.
    from streamlit_drawable_canvas import st_canvas  # type: ignore[import-untyped]  # ships no py.typed

    with st.container(width=SIDE, key="paper"):
        result = st_canvas(
            width=SIDE,
            height=SIDE,
            stroke_width=BRUSH,
            stroke_color="#ffffff",
            background_color="#000000",
            initial_drawing=make_sheet(state),
            return_image_data=True,
            key="canvas",
        )
    return cast("NDArray[np.uint8] | None", result.image_data)


def make_sheet(state: Session) -> dict[str, Any]:
    """Return the canvas's initial drawing; its number makes even a blank one new to the browser."""
    objects = [_as_object(to_data_url(state.sample.image, SIDE))] if state.sample else []
    if state.kept:
        objects = [_as_object(state.kept.source)]
    return {"sheet": state.sheet, "objects": objects}


def show_buttons(state: Session, *, empty: bool) -> DeltaGenerator:
    """Show Undo stroke, Clear and Sample; return the room for Predict before them."""
    with st.container(horizontal=True, width=SIDE, gap="xsmall", key="drawing-buttons"):
        room = st.container(width=HALF)
        with st.container(width=HALF):
            canvas_controls.show(hinted=empty, kept=state.kept is not None, on_take_back=state.start_sheet)
        st.button("Clear", key="clear", on_click=state.start_sheet, width=HALF)
        st.button("Sample", key="sample", on_click=put_sample, args=(state,), width=HALF)
    return room


def show_switches(state: Session, why_not_compare: str) -> tuple[bool, bool]:
    """Show Live and Compare; return whether each is on."""
    with st.container(horizontal=True, width=SIDE, horizontal_alignment="distribute", key="drawing-switches"):
        live = st.toggle(
            "Live", key="live", help="Predict after each stroke, without a click.", bind="query-params"
        )
        if state.wants_compare:
            st.session_state["compare"], state.wants_compare = True, False
        compare = st.toggle(
            "Compare",
            key="compare",
            disabled=bool(why_not_compare),
            help=why_not_compare or "Ask both models about the same drawing, whatever the strategy.",
            bind="query-params",
        )
    return live, compare and not why_not_compare


def show_model_input(picture: Image | None) -> DeltaGenerator:
    """Show the 28x28 picture, enlarged with its pixels visible; return the room beside it."""
    shown = np.zeros((28, 28), np.float32) if picture is None else picture
    alt = "The drawing as 28 by 28 grey pixels" if picture is not None else "Empty picture"
    with st.container(horizontal=True, width=SIDE, vertical_alignment="center", key="model-input"):
        # Within the page: a file of st.image may be gone when a browser asks for it after a reload.
        st.html(
            f'<img src="{to_data_url(shown)}" alt="{alt}" width="{28 * PIXEL}" height="{28 * PIXEL}" '
            'style="display: block; border-radius: 0.5rem; image-rendering: pixelated">',
            width=28 * PIXEL,
        )
        return st.container(width=SIDE - 28 * PIXEL - 16, gap="xsmall")


def put_sample(state: Session, place: int | None = None) -> None:
    """Put one of the bundled digits on a new sheet, by default any, and ask about it at once."""
    digits = load_digits()
    place = random.randrange(len(digits)) if place is None else place
    image = digits.images[place]
    drawn = prepare(np.asarray(enlarge(image, SIDE)))
    state.start_sheet(Sample(place, image, int(digits.labels[place]), drawn))
    state.asked_at = time.monotonic()


def put_drawing(state: Session, image: Image) -> None:
    """Put a drawing, (28, 28) in [0, 1], on a new sheet, and ask about it at once."""
    state.start_sheet(kept=KeptDrawing(image, to_data_url(image, SIDE)))
    state.asked_at = time.monotonic()


def _as_object(source: str) -> dict[str, Any]:
    """Return a picture as an image object of Fabric.js, the canvas's library, that fills the sheet."""
    corner = {"left": 0, "top": 0, "originX": "left", "originY": "top"}
    return {"type": "Image", "src": source, "width": SIDE, "height": SIDE, **corner}
