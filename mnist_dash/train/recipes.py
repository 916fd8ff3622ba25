"""Build and train the two bundled models in Keras; needs the extra `train`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mnist_dash.domain import DIGITS, FIELD
from mnist_dash.errors import SettingsError
from mnist_dash.train.augment import Change, batches, distort, keep
from mnist_dash.train.mnist import Labelled

BATCH: Final = 128
PEAK_RATE: Final = 3e-3
WEIGHT_DECAY: Final = 1e-3
DROPOUT: Final = 0.3


@dataclass(frozen=True)
class Recipe:
    """A model and its training."""

    build: Callable[[Any], Any]
    """Takes the module keras and returns the untrained model."""
    epochs: int
    change: Change
    """Applied to each training digit whenever it is used."""


def train(recipe: Recipe, data: Labelled, epochs: int, seed: int) -> Any:
    """Train a Keras model; the same seed gives the same model on the same machine with the same versions.

    The learning rate rises for one epoch and then falls as a cosine to zero, so that the last epoch's weights
    are the best: nothing is chosen by test digits. Raises SettingsError if Keras or TensorFlow is missing.
    """
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    model = recipe.build(keras)
    steps = max(1, len(data.labels) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        PEAK_RATE / 10, steps * epochs, warmup_target=PEAK_RATE, warmup_steps=steps
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    shape = model.input_shape[1:]
    digits = batches(data, BATCH, seed, recipe.change)
    shaped = ((images.reshape(-1, *shape), labels) for images, labels in digits)
    model.fit(shaped, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=2)
    return model


def accuracy(model: Any, data: Labelled) -> float:
    """Return the share of the digits that a model gets right, 0 to 1."""
    images = data.images.reshape(-1, *model.input_shape[1:]) / np.float32(255)
    answers = model.predict(images, verbose=0).argmax(axis=1)
    return float((answers == data.labels).mean())


def build_linear(keras: Any) -> Any:
    """Build softmax regression on the 784 pixels: (28, 28, 1) in [0, 1] -> ten probabilities."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((FIELD, FIELD, 1), name="image"),
            layers.Flatten(),
            layers.Dense(DIGITS, activation="softmax", name="probabilities"),
        ],
        name="linear",
    )


def build_cnn(keras: Any) -> Any:
    """Build four convolutions with batch normalisation: (28, 28, 1) in [0, 1] -> ten probabilities."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((FIELD, FIELD, 1), name="image"),
            *convolution(layers, filters=32, size=5, stride=2),
            *convolution(layers, filters=32, size=3, stride=1),
            *convolution(layers, filters=64, size=3, stride=2),
            *convolution(layers, filters=64, size=3, stride=1),
            layers.Flatten(),
            layers.Dropout(DROPOUT),
            layers.Dense(DIGITS, activation="softmax", name="probabilities"),
        ],
        name="cnn",
    )


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
    if keras.config.backend() != "tensorflow":
        raise SettingsError(
            f"Keras runs on {keras.config.backend()}, which cannot export a SavedModel.",
            "Set KERAS_BACKEND=tensorflow.",
        )
    tensorflow.config.experimental.enable_op_determinism()
    return keras


LINEAR: Final = Recipe(build_linear, epochs=10, change=keep)
CNN: Final = Recipe(build_cnn, epochs=16, change=distort)
