"""Prepare a drawing as MNIST's digits were prepared."""

from __future__ import annotations

import base64
import io
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from mnist_dash.domain import FIELD
from mnist_dash.errors import DrawingError

DIGIT: Final = 20
# MNIST's "centre of the field" is the middle of pixel (14, 14), as its own digits show: their centres of mass
# are between 14 and 15 of 28, and 14.5 on average in both directions.
CENTRE: Final = 14.5
# Anti-aliased rims and an image file's noise are not part of the digit's box.
FAINTEST: Final = 0.25
# A click leaves a dot of the brush's size, 20 of the canvas's 280 pixels, or more if the mouse moves; digits
# are larger. A dot that far away from the rest is no part of the digit.
SMALLEST: Final = 1 / 8
# Pillow's box filter takes source pixels whole or not at all. With 8 or more of them per pixel of the field,
# that is area averaging to a sixteenth of a pixel; a smaller drawing is first divided into finer pixels.
FINENESS: Final = 8
LUMINANCE: Final = np.array([0.299, 0.587, 0.114], np.float32)
SHAPES: Final = "(height, width, 4) RGBA, (height, width, 3) RGB or (height, width) grey"


def prepare(image_data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Prepare a drawing as MNIST's digits were prepared; returns (28, 28) float32 in [0, 1].

    `image_data` is uint8, of shape (H, W, 4) RGBA as the canvas gives it, (H, W, 3) RGB or (H, W) grey:
    light strokes on a black or transparent background. The ink's longest side becomes 20 pixels with the
    aspect kept, by area averaging, and its centre of mass the centre of the field, as the MNIST page
    (LeCun, Cortes, Burges) describes; each pixel has one of MNIST's 256 levels, and the strongest ink becomes
    1 however thin the brush. A lopsided drawing is moved towards the centre only as far as all of it stays in
    the field. A dot far from the rest is left out.

    Raises DrawingError if there is no digit (nothing, a few specks, a dot), or if the array has another shape
    or dtype.
    """
    ink = ink_of(image_data)
    return fit(ink[ink_box(ink)])


def has_far_dot(image_data: npt.NDArray[Any]) -> bool:
    """Whether `prepare` leaves a dot of a drawing out; raises DrawingError for another shape or dtype."""
    inked = ink_of(image_data) >= FAINTEST
    return not np.array_equal(without_far_dots(inked), inked)


def enlarge(digit: npt.NDArray[np.float32], side: int) -> Image.Image:
    """Return a digit, (28, 28) in [0, 1], as a square grey picture, `side` pixels wide."""
    return Image.fromarray((digit * 255).round().astype(np.uint8)).resize((side, side))


def to_data_url(digit: npt.NDArray[np.float32], side: int = FIELD) -> str:
    """Return `enlarge` as the data URL of a PNG, which a page shows without asking for a file."""
    png = io.BytesIO()
    enlarge(digit, side).save(png, "PNG")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"


def ink_of(image_data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the ink of each pixel, (H, W) in [0, 1]: its luminance (ITU-R BT.601) times its alpha."""
    if image_data.dtype != np.uint8:
        raise DrawingError(f"The drawing has the dtype {image_data.dtype}.", "Pass an array of uint8.")
    channels = image_data.shape[2] if image_data.ndim == 3 else 0
    if image_data.ndim not in (2, 3) or channels not in (0, 3, 4) or image_data.size == 0:
        raise DrawingError(f"The drawing has the shape {image_data.shape}.", f"Pass {SHAPES}.")
    values: npt.NDArray[np.float32] = np.divide(image_data, 255, dtype=np.float32)
    ink: npt.NDArray[np.float32] = values[..., :3] @ LUMINANCE if channels else values
    return ink * values[..., 3] if channels == 4 else ink


def ink_box(ink: npt.NDArray[np.float32]) -> tuple[slice, slice]:
    """Return the rows and columns that hold the digit of (H, W) ink; raises DrawingError if there is none."""
    inked = ink >= FAINTEST
    if not inked.any():
        raise DrawingError("The drawing is empty.", "Draw a digit first.")
    if inked.sum() < longest_side(inked) / 2:
        raise DrawingError("The drawing is only a few specks.", "Draw a digit first, with a thicker stroke.")
    inked = without_far_dots(inked)
    if longest_side(inked) < SMALLEST * max(ink.shape):
        raise DrawingError("The drawing is only a dot.", "Draw a digit first, about as large as the canvas.")
    return box_of(inked)


def box_of(inked: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that hold all that is True; there must be some."""
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def longest_side(inked: npt.NDArray[np.bool_]) -> int:
    """Return the height or width, in pixels, of the box that holds all that is True."""
    return int(max(inked[box_of(inked)].shape))


def without_far_dots(inked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the ink without dots that an empty strip of their size separates from the rest."""
    far = SMALLEST * max(inked.shape)
    kept = inked.copy()
    for quarter_turns in range(8):  # twice each side
        turned = np.rot90(kept, quarter_turns)  # a view
        rows = np.flatnonzero(turned.any(axis=1))
        gaps = np.flatnonzero(np.diff(rows) > far)
        if len(gaps) and longest_side(top := turned[: rows[gaps[0]] + 1]) < far:
            top[:] = False
    return kept


def fit(ink: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Average (H, W) of ink, cropped to its box, into the (28, 28) field about its centre of mass."""
    finer = math.ceil(FINENESS * DIGIT / max(ink.shape))
    ink = ink.repeat(finer, axis=0).repeat(finer, axis=1)
    pixel = max(ink.shape) / DIGIT
    margin = math.ceil(FIELD * pixel)
    top, left = (margin + field_start(ink.sum(axis=1 - axis), pixel) for axis in (0, 1))
    # Scaling, centring to a fraction of a pixel and averaging are one resize of the right part.
    field = (left, top, left + FIELD * pixel, top + FIELD * pixel)
    padded = Image.fromarray(np.pad(ink, margin))
    small = np.asarray(padded.resize((FIELD, FIELD), Image.Resampling.BOX, box=field))
    of_255: npt.NDArray[np.float32] = np.rint(small / small.max() * 255) / 255
    return of_255


def field_start(profile: npt.NDArray[np.float32], pixel: float) -> float:
    """Return where the field starts along `profile`, the ink per row or column; `pixel` is its pixel size."""
    centre = np.average(np.arange(len(profile)) + 0.5, weights=profile)
    return float(np.clip(centre - CENTRE * pixel, len(profile) - FIELD * pixel, 0))
