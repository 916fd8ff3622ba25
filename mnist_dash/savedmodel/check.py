"""Whether a model base holds a model of MNIST digits that can be served: find it, load it, try it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_dash.digits import Digits, load_digits
from mnist_dash.domain import MODEL_NAME, ModelCheck
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.inference import Model
from mnist_dash.savedmodel.saved_model_pb import read_signatures
from mnist_dash.savedmodel.signature import adapter_of
from mnist_dash.storage import newest
from mnist_dash.storage.misplaced import numbered
from mnist_dash.storage.place import Place, place_of

if TYPE_CHECKING:
    from mnist_dash.storage.place import Client

CHECK_DIGITS = 200
LOW_ACCURACY = 0.5
"""A model that gets fewer right than this is deployed with a warning: it may be meant so."""
WITH_PARENT = "--with-parent"
_QUIET = ["-W", "ignore::RuntimeWarning:runpy"]  # the package has imported the module by the time it is run


def check_model(base: str, *, client: Client | None = None) -> ModelCheck:
    """Look at a model base, load its highest version, and try it on 200 bundled digits.

    `client` talks to Cloud Storage for a `gs://` base. A model that is wrong about most digits is reported
    with a warning. Raises ModelError if it cannot be served at all.
    """
    place = place_of(base, client)
    version, folder = newest(place)
    with tempfile.TemporaryDirectory(prefix="mnist-dash-") as into:
        local = folder.fetch(Path(into) / MODEL_NAME / str(version))
        with _told_of(local, folder):
            shape = adapter_of(read_signatures(local), str(local)).input_shape
            model = Model.load(local)
            digits = load_digits().sample(CHECK_DIGITS)
            accuracy = _accuracy(model, digits.images, digits.labels)
            warnings = (*_passed_over(place, version), *_low_accuracy(model, digits, accuracy))
    return ModelCheck(str(place), version, shape, accuracy, warnings)


def check_model_apart(base: str, timeout: float = 60) -> ModelCheck:
    """Do as `check_model` does, in a process of its own: a file that crashes a library crashes only that.

    Raises ModelError also if the process ends before its time or takes longer than `timeout` seconds.
    """
    command = [sys.executable, *_QUIET, "-m", "mnist_dash.savedmodel", WITH_PARENT, base]
    stdin, lifeline = os.pipe()  # nothing is written to it; it ends when this process does
    try:
        done = subprocess.run(
            command, stdin=stdin, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout
        )
    except subprocess.TimeoutExpired as err:
        problem = f"Checking {base} took longer than {timeout:g} s and was stopped."
        raise ModelError(problem, "Try again; if it stays so, export the model again.") from err
    finally:
        os.close(stdin)
        os.close(lifeline)
    return answer_of(base, done)


def main(argv: Sequence[str] | None = None) -> int:
    """Check the model base that is the last argument; print the ModelCheck, or the error, as JSON."""
    *options, base = sys.argv[1:] if argv is None else argv
    if WITH_PARENT in options:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        found = dataclasses.asdict(check_model(base))
    except ModelError as err:
        print(json.dumps({"problem": err.problem, "next_step": err.next_step}))
        return 1
    print(json.dumps(found))
    return 0


def _end_with_parent() -> None:
    os.read(0, 1)  # returns at the end of stdin only
    os._exit(1)


def answer_of(base: str, done: subprocess.CompletedProcess[str]) -> ModelCheck:
    """What the process that checked `base` found; raises ModelError with its last words if it crashed."""
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        words = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        problem = f"Checking {base} ended with {_ending(done.returncode)}: {words[0]}."
        step = "The model's files are probably damaged: copy or export them again."
        raise ModelError(problem, step) from None
    if "problem" in answer:
        raise ModelError(answer["problem"], answer["next_step"])
    return ModelCheck(
        answer["base"],
        answer["version"],
        tuple(answer["input_shape"]),
        answer["accuracy"],
        tuple(answer["warnings"]),
    )


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@contextmanager
def _told_of(local: Path, folder: Place) -> Iterator[None]:
    """Let errors name the place that the user gave, not the copy that was made of it."""
    try:
        yield
    except ModelError as err:
        texts = (text.replace(str(local), str(folder)) for text in (err.problem, err.next_step))
        raise ModelError(*texts) from err


def _accuracy(model: Model, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float((model.probabilities(images).argmax(axis=1) == labels).mean())


def _passed_over(base: Place, version: int) -> list[str]:
    """Folders beside the versions that look like one but are none."""
    entries = (base / MODEL_NAME).entries()
    others = sorted(set(entries.folders) - set(numbered(entries).values()))
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
