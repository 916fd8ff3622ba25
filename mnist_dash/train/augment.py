"""Change training digits at random, so that a model learns what a hand with a mouse draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from mnist_dash.domain import FIELD
from mnist_dash.preprocessing import CENTRE, DIGIT
from mnist_dash.train.mnist import Labelled

Change = Callable[[npt.NDArray[np.uint8], np.random.Generator], npt.NDArray[np.uint8]]

MAX_DEGREES: Final = 15.0
MAX_SHIFT: Final = 2.0
MAX_SLANT: Final = 0.15
SCALES: Final = (0.85, 1.1)
# Strokes change on a grid twice as fine, so that each step moves both edges of a stroke by half a pixel.
FINENESS: Final = 2
STROKE_STEPS: Final = (-1, 0, 1, 2, 3)
STROKE_CHANCES: Final = (0.15, 0.35, 0.2, 0.2, 0.1)


def batches(
    data: Labelled, size: int, seed: int, change: Change
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]]:
    """Yield shuffled batches of changed images, (size, 28, 28) in [0, 1], with their labels, without end.

    Each pass uses every digit once, except the last ones that do not fill a batch. The same seed yields the
    same batches. Batches are smaller than `size` only if there are fewer digits.
    """
    size = min(size, len(data.labels))
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(data.labels))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            changed = np.stack([change(image, rng) for image in data.images[chosen]])
            yield np.divide(changed, 255, dtype=np.float32), data.labels[chosen]


def keep(image: npt.NDArray[np.uint8], _rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return the image unchanged."""
    return image


def distort(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Turn, scale, slant, shift and thicken or thin a (28, 28) digit at random."""
    step = int(rng.choice(STROKE_STEPS, p=STROKE_CHANCES))
    # Drawings are fitted by their ink: a thicker stroke makes the skeleton smaller, not the digit larger.
    scale = rng.uniform(*SCALES) * DIGIT / (DIGIT + step)
    turned = transform(
        image,
        degrees=rng.uniform(-MAX_DEGREES, MAX_DEGREES),
        slant=rng.uniform(-MAX_SLANT, MAX_SLANT),
        scale=scale,
        shift=rng.uniform(-MAX_SHIFT, MAX_SHIFT, size=2),
    )
    return np.asarray(change_stroke(turned, step).reduce(FINENESS))


def transform(
    image: npt.NDArray[np.uint8], degrees: float, slant: float, scale: float, shift: npt.NDArray[np.float64]
) -> Image.Image:
    """Move a (28, 28) digit about its centre, onto a field with pixels `FINENESS` times finer."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Pillow wants the map from new to old pixels, hence the inverse.
    back = np.linalg.inv(scale * turn @ np.array([[1.0, slant], [0.0, 1.0]]))
    middle = np.full(2, CENTRE)
    offset = middle - back @ (middle + shift)
    matrix = np.column_stack([back / FINENESS, offset])
    size = (FIELD * FINENESS, FIELD * FINENESS)
    return Image.fromarray(image).transform(
        size, Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BILINEAR
    )


def change_stroke(image: Image.Image, step: int) -> Image.Image:
    """Move every edge of the ink outwards by `step` pixels, or inwards if it is negative."""
    edge = ImageFilter.MaxFilter(3) if step > 0 else ImageFilter.MinFilter(3)
    for _ in range(abs(step)):
        image = image.filter(edge)
    return image
