"""Whether a model base holds a model of MNIST digits that can be served: find it, load it, try it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_dash.dataset import Digits, load_digits
from mnist_dash.domain import MODEL_NAME, ModelCheck
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.model import Model
from mnist_dash.savedmodel.proto import read_signatures
from mnist_dash.signature import adapter_of
from mnist_dash.storage.base_diagnosis import find_newest, version_folders
from mnist_dash.storage.location import MAX_BYTES, Location, Progress, location_of

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

CHECK_DIGITS = 200
LOW_ACCURACY = 0.5
"""A model that gets fewer right than this is deployed with a warning: it may be meant so."""


def check_model(
    base: str,
    *,
    client: Client | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
) -> ModelCheck:
    """Look at a model base, load its highest version, and try it on 200 bundled digits.

    `client` talks to Cloud Storage for a `gs://` base, from which at most `max_bytes` are copied, with
    `progress` told. A model that is wrong about most digits is reported with a warning. Raises ModelError if
    it cannot be served at all, or (then it is `unverified`) could not be looked at from here.
    """
    place = location_of(base, client)
    version, folder = find_newest(place)
    with tempfile.TemporaryDirectory(prefix="mnist-dash-") as into:
        local = folder.fetch(Path(into) / MODEL_NAME / str(version), progress, max_bytes)
        with _told_of(local, folder):
            shape = adapter_of(read_signatures(local), str(local)).input_shape
            model = Model.load(local)
            digits = load_digits().sample(CHECK_DIGITS)
            accuracy = _accuracy(model, digits.images, digits.labels)
            warnings = (*_passed_over(place, version), *_low_accuracy(model, digits, accuracy))
    return ModelCheck(str(place), version, shape, accuracy, warnings)


@contextmanager
def _told_of(local: Path, folder: Location) -> Iterator[None]:
    """Let errors name the place that the user gave, not the copy that was made of it."""
    try:
        yield
    except ModelError as err:
        texts = (text.replace(str(local), str(folder)) for text in (err.problem, err.next_step))
        raise ModelError(*texts, unverified=err.unverified) from err


def _accuracy(model: Model, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float((model.probabilities(images).argmax(axis=1) == labels).mean())


def _passed_over(base: Location, version: int) -> list[str]:
    """Folders beside the versions that look like one but are none."""
    entries = (base / MODEL_NAME).entries()
    others = sorted(set(entries.folders) - set(version_folders(entries).values()))
    there = ", ".join(f"`{name}`" for name in others[:3])
    return (
        [f"Version {version} is served; only folders named by a number are versions, unlike {there}."]
        if others
        else []
    )


def _low_accuracy(model: Model, digits: Digits, accuracy: float) -> list[str]:
    if accuracy >= LOW_ACCURACY:
        return []
    others = {
        "pixels from 0 to 255": digits.images * 255,
        "black ink on white": 1 - digits.images,
        "pixels from -1 to 1": digits.images * 2 - 1,
    }
    guesses = {what: _accuracy(model, images, digits.labels) for what, images in others.items()}
    what, best = max(guesses.items(), key=lambda guess: guess[1])
    text = f"It gets only {accuracy:.0%} of {len(digits)} known digits right."
    hint = f" With {what} it would get {best:.0%}; it is given white ink on black, from 0 to 1."
    return [text + hint if best >= max(LOW_ACCURACY, 2 * accuracy) else text]
