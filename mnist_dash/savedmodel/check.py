"""Check that a model base holds a model of MNIST digits that can be served: find, load and try it."""

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
from mnist_dash.storage.location import Location, Progress, location_of

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

CHECK_DIGITS = 200
LOW_ACCURACY = 0.5
"""A less accurate model is deployed with a warning, because that may be intended."""


def check_model(base: str, *, client: Client | None = None, progress: Progress | None = None) -> ModelCheck:
    """Load the highest version of a model base, and try it on 200 bundled digits.

    `client` talks to Cloud Storage for a `gs://` base, whose files are copied, reporting
    `progress`. A model that is wrong about most digits is returned with a warning. Raises ModelError if
    it cannot be served at all, or (then it is `unverified`) cannot be read from here.
    """
    location = location_of(base, client)
    version, folder = find_newest(location)
    with tempfile.TemporaryDirectory(prefix="mnist-dash-") as into:
        local = folder.fetch(Path(into) / MODEL_NAME / str(version), progress)
        with _named(folder, local):
            shape = adapter_of(read_signatures(local), str(local)).input_shape
            model = Model.load(local)
            digits = load_digits().sample(CHECK_DIGITS)
            accuracy = _accuracy(model, digits.images, digits.labels)
            warnings = (*_warn_of_ignored(location, version), *_warn_of_accuracy(model, digits, accuracy))
    return ModelCheck(str(location), version, shape, accuracy, warnings)


@contextmanager
def _named(folder: Location, copy: Path) -> Iterator[None]:
    """Let errors name the folder that the user gave, not its local copy."""
    try:
        yield
    except ModelError as err:
        texts = (text.replace(str(copy), str(folder)) for text in (err.problem, err.next_step))
        raise ModelError(*texts, unverified=err.unverified) from err


def _accuracy(model: Model, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float((model.probabilities(images).argmax(axis=1) == labels).mean())


def _warn_of_ignored(base: Location, version: int) -> list[str]:
    """Warn of folders beside the versions that TensorFlow Serving ignores, such as `v4`."""
    entries = (base / MODEL_NAME).entries()
    ignored = sorted(set(entries.folders) - set(version_folders(entries).values()))
    if not ignored:
        return []
    names = ", ".join(f"`{name}`" for name in ignored[:3])
    return [f"Version {version} is served; only folders named by a number are versions, unlike {names}."]


def _warn_of_accuracy(model: Model, digits: Digits, accuracy: float) -> list[str]:
    """Warn of low accuracy, naming the convention of pixels that the model seems to be trained with."""
    if accuracy >= LOW_ACCURACY:
        return []
    conventions = {
        "pixels from 0 to 255": digits.images * 255,
        "black ink on white": 1 - digits.images,
        "pixels from -1 to 1": digits.images * 2 - 1,
    }
    accuracies = {name: _accuracy(model, images, digits.labels) for name, images in conventions.items()}
    name, best = max(accuracies.items(), key=lambda item: item[1])
    text = f"It gets only {accuracy:.0%} of {len(digits)} known digits right."
    hint = f" With {name} it would get {best:.0%}; it is given white ink on black, from 0 to 1."
    return [text + hint if best >= max(LOW_ACCURACY, 2 * accuracy) else text]
