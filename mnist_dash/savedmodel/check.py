"""Check that a model base holds a model of MNIST digits that can be served: find, load and try it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_dash.dataset import Digits, load_digits
from mnist_dash.domain import MODEL_NAME, ModelCheck
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.model import Model
from mnist_dash.savedmodel.proto import read_signatures
from mnist_dash.signature import SERVING_DEFAULT, Adapter, adapter_of, check_scale
from mnist_dash.storage.base_diagnosis import find_newest, parse_version, version_folders
from mnist_dash.storage.location import FolderLocation, Location, Progress, location_of

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

SAMPLE = 200
"""Digits that are enough to tell a model's faults."""
TRY_SECONDS = 10.0
"""How long a slow model is tried on more digits than the sample."""
LOW_ACCURACY = 0.5
"""A less accurate model is deployed with a warning, because that may be intended."""
GOOD_ACCURACY = 0.9
"""The pixels of a more accurate model have the convention that it was trained with."""
CLEARLY_BETTER = 0.1
BATCH_TOLERANCE = 0.02
"""The rounding of a larger batch may change a close answer."""


def check_model(base: str, *, client: Client | None = None, progress: Progress | None = None) -> ModelCheck:
    """Load the highest version of a model base, and try it on the bundled digits.

    `client` talks to Cloud Storage for a `gs://` base, whose files are copied, reporting
    `progress`. A model that is wrong about most digits is returned with a warning. Raises ModelError if
    it cannot be served at all, or (then it is `unverified`) cannot be read or run here.
    """
    location = location_of(base, client)
    version, folder = find_newest(location)
    with tempfile.TemporaryDirectory(prefix="mnist-dash-") as into:
        local = folder.fetch(Path(into) / MODEL_NAME / str(version), progress)
        with _named(folder, local):
            adapter = adapter_of(read_signatures(local), str(local))
            signature = "" if adapter.signature == SERVING_DEFAULT else adapter.signature
            model = Model.load(local)
            trial = _try(model, load_digits(), takes_batches=adapter.input_shape[0] < 0)
            _check_scale(model, adapter, trial.sample)
            warnings = [*_warn_of_ignored(location, version), *_warn_of_accuracy(model, trial)]
            warnings += [*_warn_of_signature(signature), *_warn_of_batches(trial)]
    accuracy, digits = float(trial.right.mean()), len(trial.right)
    shape = adapter.input_shape
    return ModelCheck(str(location), version, shape, accuracy, digits, tuple(warnings), signature=signature)


@contextmanager
def _named(folder: Location, copy: Path) -> Iterator[None]:
    """Let errors name the folder that the user gave, not its local copy."""
    try:
        yield
    except ModelError as err:
        texts = (text.replace(str(copy), str(folder)) for text in (err.problem, err.next_step))
        # A folder is served by OpenVINO itself, a bucket by TensorFlow Serving, which can run more models.
        unverified = err.unverified and not isinstance(folder, FolderLocation)
        raise ModelError(*texts, unverified=unverified) from err


@dataclass(frozen=True, eq=False)
class _Trial:
    """Which digits a model got right."""

    right: NDArray[np.bool_]
    """(n,), one digit at a time, as the dashboard sends them."""
    sample: Digits
    """The first digits, on which faults are looked for."""
    right_together: NDArray[np.bool_] | None
    """(len(sample),), all of the sample in one request; None if the model takes one digit only."""


def _try(model: Model, digits: Digits, *, takes_batches: bool) -> _Trial:
    """Try a model on as many digits as it answers in a few seconds, which are all of them for most models.

    A model that answers the sample's digits alike alone and together does so for the rest, and is asked in
    batches, which takes a tenth of the time.
    """
    sample = digits.sample(SAMPLE)
    alone = _find_right(model, sample, batch=1)
    together = _find_right(model, sample, batch=SAMPLE) if takes_batches else None
    is_same = together is not None and np.array_equal(alone, together)
    rest = _find_right(model, digits.after(SAMPLE), batch=SAMPLE if is_same else 1, seconds=TRY_SECONDS)
    return _Trial(np.concatenate([alone, rest]), sample, together)


def _find_right(model: Model, digits: Digits, batch: int, seconds: float = math.inf) -> NDArray[np.bool_]:
    """Return which digits are answered rightly, in requests of `batch`, as far as the time allows."""
    ends_at = time.monotonic() + seconds
    right: list[NDArray[np.bool_]] = []
    for start in range(0, len(digits), batch):
        if time.monotonic() >= ends_at:
            break
        part = slice(start, start + batch)
        right.append(model.probabilities(digits.images[part]).argmax(axis=1) == digits.labels[part])
    return np.concatenate(right or [np.empty(0, np.bool_)])


def _check_scale(model: Model, adapter: Adapter, sample: Digits) -> None:
    """Check what a model answers to single digits, as the dashboard sends them."""
    answers = [
        model.run(adapter.inputs(image[np.newaxis]), adapter.signature)[adapter.output_name]
        for image in sample.images
    ]
    check_scale(np.concatenate(answers), adapter.where)


def _warn_of_ignored(base: Location, version: int) -> list[str]:
    """Warn of folders beside the versions that TensorFlow Serving ignores: `v4`, or `01` beside `1`."""
    entries = (base / MODEL_NAME).entries()
    ignored = sorted(set(entries.folders) - set(version_folders(entries).values()))
    doubled = [name for name in ignored if parse_version(name) is not None]
    warnings = [f"`{name}` is also version {int(name)}: remove one of the two folders." for name in doubled]
    if others := [f"`{name}`" for name in ignored if name not in doubled]:
        names = ", ".join(others[:3])
        text = f"Version {version} is served; only folders named by a number are versions, unlike {names}."
        warnings.append(text)
    return warnings


def _warn_of_signature(name: str) -> list[str]:
    if not name:
        return []
    return [f'Digits fit only its signature `{name}`: other programs must send "signature_name": "{name}".']


def _warn_of_accuracy(model: Model, trial: _Trial) -> list[str]:
    """Warn of low accuracy, naming the convention of pixels that the model seems to be trained with."""
    accuracy, sample = trial.right.mean(), trial.sample
    if accuracy >= GOOD_ACCURACY:
        return []
    conventions = {
        "pixels less 0.1307 and divided by 0.3081": (sample.images - 0.1307) / 0.3081,
        "pixels from 0 to 255": sample.images * 255,
        "black ink on white": 1 - sample.images,
        "pixels from -1 to 1": sample.images * 2 - 1,
    }
    accuracies = {
        name: _find_right(model, Digits(images, sample.labels), batch=1).mean()
        for name, images in conventions.items()
    }
    name, best = max(accuracies.items(), key=lambda item: item[1])
    text = f"It gets only {accuracy:.0%} of {len(trial.right):,} known digits right."
    hint = f" With {name} it would get about {best:.0%}; it is given white ink on black, from 0 to 1."
    if best >= max(LOW_ACCURACY, trial.right[: len(sample)].mean() + CLEARLY_BETTER):
        return [text + hint]
    return [text] if accuracy < LOW_ACCURACY else []


def _warn_of_batches(trial: _Trial) -> list[str]:
    """Warn of answers that depend on the other digits of a request, as with statistics of the batch."""
    if trial.right_together is None:
        return []
    alone, together = trial.right[: len(trial.sample)].mean(), trial.right_together.mean()
    if abs(together - alone) <= BATCH_TOLERANCE:
        return []
    text = f"It gets {alone:.0%} of {len(trial.sample)} digits right, but {together:.0%} in one request."
    return [f"{text} Export it for inference, with training=False."]
