"""Build and train the two bundled models in Keras, with training digits that change at random.

Training needs the extra `train`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from mnist_dash.domain import DIGITS, FIELD
from mnist_dash.errors import SettingsError
from mnist_dash.preprocessing import CENTRE, DIGIT
from mnist_dash.train.mnist import Labelled

Change = Callable[[npt.NDArray[np.uint8], np.random.Generator], npt.NDArray[np.uint8]]

BATCH: Final = 128
PEAK_RATE: Final = 3e-3
WEIGHT_DECAY: Final = 1e-3
DROPOUT: Final = 0.3
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
    degrees, slant = rng.uniform(-MAX_DEGREES, MAX_DEGREES), rng.uniform(-MAX_SLANT, MAX_SLANT)
    turned = transform(image, degrees, slant, scale, rng.uniform(-MAX_SHIFT, MAX_SHIFT, size=2))
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
    edge = ImageFilter.MaxFilter if step > 0 else ImageFilter.MinFilter
    return image.filter(edge(2 * abs(step) + 1))


@dataclass(frozen=True)
class Recipe:
    """A model and its training."""

    name: str
    hidden_layers: Callable[[Any], list[Any]]
    """Takes the module keras.layers and returns the layers between the input and the answer."""
    epochs: int
    change: Change
    """Applied to each training digit whenever it is used."""


def train(recipe: Recipe, data: Labelled, epochs: int, seed: int) -> Any:
    """Train a Keras model, (n, 28, 28, 1) in [0, 1] -> ten probabilities.

    The same seed gives the same model on the same machine with the same versions. The learning rate rises for
    one epoch and then falls as a cosine to zero, so that the last epoch's weights are the best: nothing is
    chosen by test digits. Raises SettingsError if Keras or TensorFlow is missing.
    """
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((FIELD, FIELD, 1), name="image"),
            *recipe.hidden_layers(keras.layers),
            keras.layers.Dense(DIGITS, activation="softmax", name="probabilities"),
        ],
        name=recipe.name,
    )
    steps = max(1, len(data.labels) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        PEAK_RATE / 10, steps * epochs, warmup_target=PEAK_RATE, warmup_steps=steps
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    digits = batches(data, BATCH, seed, recipe.change)
    shaped = ((images[..., np.newaxis], labels) for images, labels in digits)
    model.fit(shaped, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=2)
    return model


def accuracy(model: Any, data: Labelled) -> float:
    """Return the share of the digits that a model gets right, 0 to 1."""
    images = data.images[..., np.newaxis] / np.float32(255)
    answers = model.predict(images, verbose=0).argmax(axis=1)
    return float((answers == data.labels).mean())


def linear(layers: Any) -> list[Any]:
    """Return the hidden layers of softmax regression on the 784 pixels."""
    return [layers.Flatten()]


def cnn(layers: Any) -> list[Any]:
    """Return four convolutions with batch normalisation."""
    return [
        *convolution(layers, filters=32, size=5, stride=2),
        *convolution(layers, filters=32, size=3, stride=1),
        *convolution(layers, filters=64, size=3, stride=2),
        *convolution(layers, filters=64, size=3, stride=1),
        layers.Flatten(),
        layers.Dropout(DROPOUT),
    ]


def convolution(layers: Any, filters: int, size: int, stride: int) -> list[Any]:
    """Return the layers of a convolution, normalised and rectified."""
    return [
        layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
    ]


def load_keras() -> Any:
    """Import Keras with TensorFlow behind it; raises SettingsError if that is impossible."""
    try:
        tensorflow, keras = (importlib.import_module(name) for name in ("tensorflow", "keras"))
    except ImportError as error:
        raise SettingsError(
            f"Training needs Keras and TensorFlow: {error}.", "Install them: pip install -e '.[train]'"
        ) from error
    tensorflow.config.experimental.enable_op_determinism()
    return keras


LINEAR: Final = Recipe("linear", linear, epochs=10, change=keep)
CNN: Final = Recipe("cnn", cnn, epochs=16, change=distort)
