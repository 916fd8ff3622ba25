"""Left: the canvas, its buttons, and the picture that the model is given."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image as Pictures

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image
from mnist_dash.errors import DrawingError
from mnist_dash.panels.session import Session
from mnist_dash.preprocessing import prepare

SIDE: Final = 280
BRUSH: Final = 20
TOOLBAR_ON_FOCUS: Final = "<style>.st-key-paper:focus-within { overflow: visible; }</style>"
"""The canvas's own toolbar lies above it, so the box that is as high as the canvas hides it from the mouse.

Whoever comes to it with the keyboard must see where they are, and no option of the canvas does that.
"""
PIXEL: Final = 4
"""How large one of the 28x28 pixels is shown."""


def draw(now: Session) -> Image | DrawingError | None:
    """Show the canvas; returns the prepared picture, why there is none, or None before the first stroke."""
    st.header("Draw a digit", anchor=False)
    drawn = canvas(now)
    if drawn is None:
        if now.sample is None:
            return None
        drawn = np.asarray(_enlarged(now.sample))  # a canvas that begins with it does not send it
    try:
        return prepare(drawn)
    except DrawingError as error:
        return error


def canvas(now: Session) -> NDArray[np.uint8] | None:
    """The drawing surface; returns its pixels, (280, 280, 4) RGBA, or None while nothing was drawn."""
    # Imported here, since the package registers its browser part and so needs a running app.
    from streamlit_drawable_canvas import st_canvas  # type: ignore[import-untyped]  # ships no py.typed

    st.html(TOOLBAR_ON_FOCUS)
    with st.container(height=SIDE, width=SIDE, border=False, key="paper"):
        result = st_canvas(
            width=SIDE,
            height=SIDE,
            stroke_width=BRUSH,
            stroke_color="#ffffff",
            background_color="#000000",
            initial_drawing=sheet_of_paper(now),
            return_image_data=True,
            key="canvas",
        )
    return cast("NDArray[np.uint8] | None", result.image_data)


def sheet_of_paper(now: Session) -> dict[str, Any]:
    """The drawing that the canvas starts from; its number makes a blank one new to the browser."""
    return {"sheet": now.sheet, "objects": [] if now.sample is None else [_as_object(now.sample)]}


def buttons(now: Session, why_not: str) -> bool:
    """Predict, Clear and Sample; returns whether Predict was pressed."""
    with st.container(horizontal=True, width=SIDE, gap="small", key="drawing-buttons"):
        pressed = st.button(
            "Predict",
            key="predict",
            type="primary",
            disabled=bool(why_not),
            help=why_not or None,
            width="stretch",
        )
        st.button("Clear", key="clear", on_click=now.new_sheet, width="stretch")
        st.button(
            "Sample",
            key="sample",
            on_click=_take_sample,
            args=(now,),
            help="Puts one of MNIST's test digits on the canvas: the way to predict without drawing.",
            width="stretch",
        )
    return pressed


def switches(why_not_compare: str) -> tuple[bool, bool]:
    """Live and Compare; returns both."""
    with st.container(horizontal=True, width=SIDE, horizontal_alignment="distribute", key="drawing-switches"):
        live = st.toggle("Live", key="live", help="Predicts after each stroke, without a click.")
        compare = st.toggle(
            "Compare",
            key="compare",
            disabled=bool(why_not_compare),
            help=why_not_compare or "Asks both models about the same drawing, whatever the strategy.",
        )
    return live, compare and not why_not_compare


def seen_by_model(picture: Image | None) -> None:
    """The 28x28 picture, enlarged with its pixels visible."""
    shown = np.zeros((28, 28), np.float32) if picture is None else picture
    enlarged = np.kron((shown * 255).round().astype(np.uint8), np.ones((PIXEL, PIXEL), np.uint8))
    with st.container(horizontal=True, width=SIDE, vertical_alignment="center", key="seen"):
        st.image(
            enlarged,
            width=28 * PIXEL,
            output_format="PNG",
            alt="The drawing as 28 by 28 grey pixels" if picture is not None else "Empty picture",
        )
        st.caption(
            "What the model sees: 28x28 pixels, cropped, scaled and centred as MNIST's digits are.",
            width=SIDE - 28 * PIXEL - 16,
        )


def _take_sample(now: Session, choose: Callable[[int], int] = random.randrange) -> None:
    digits = load_digits()
    now.new_sheet(digits.images[choose(len(digits))])


def _enlarged(sample: Image) -> Pictures.Image:
    """A digit as large as the canvas."""
    return Pictures.fromarray((sample * 255).round().astype(np.uint8)).resize((SIDE, SIDE))


def _as_object(sample: Image) -> dict[str, Any]:
    """A digit as an image object of Fabric.js, the canvas's library, filling the sheet."""
    png = io.BytesIO()
    _enlarged(sample).save(png, "PNG")
    source = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    corner = {"left": 0, "top": 0, "originX": "left", "originY": "top"}
    return {"type": "Image", "src": source, "width": SIDE, "height": SIDE, **corner}
