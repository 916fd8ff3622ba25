"""A SavedModel is loaded, compiled and run as TensorFlow runs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from mnist_dash import dataset
from mnist_dash.dataset import load_digits
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.model import COPY, Model
from mnist_dash.savedmodel.proto import EXPORT, read_graph
from mnist_dash.signature import UNKNOWN_RANK
from tests.models import (
    BATCHED,
    BRANCHES,
    EXAMPLE,
    FLAT,
    FROZEN,
    INVERTED,
    PYTHON,
    ROWS,
    SAME,
    change,
    cut_off,
    expected,
    folder_of,
    forbidden,
    make_base,
    set_weight,
    with_input,
    with_output,
)

CNN = Path(dataset.__file__).parent / "data" / "models" / "cnn" / "model" / "1"
EIGHT = load_digits().images[:8]


@cache
def loaded(name: str) -> Model:
    """A model of the repository, loaded once for all tests."""
    return Model.load(folder_of(name))


INDEX, SHARD = "variables/variables.index", "variables/variables.data-00000-of-00001"


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        (FLAT, "serving_default"),
        (ROWS, "serving_default"),
        (ROWS, "pixels"),
        (SAME, "serving_default"),
        (FROZEN, "serving_default"),
        (INVERTED, "serving_default"),
        (BRANCHES, "serving_default"),
        (BATCHED, "serving_default"),
        (EXAMPLE, "predict_images"),
    ],
)
def test_answers_are_those_of_tensorflow(name: str, signature: str) -> None:
    """Every output of every signature, by its own name, whatever OpenVINO calls it."""
    model = loaded(name)
    ((key, tensor),) = model.signatures[signature].inputs.items()
    answer = model.run({key: EIGHT.reshape(8, *(tensor.shape or UNKNOWN_RANK)[1:])}, signature)
    reference = expected(name, signature)
    assert answer.keys() == reference.keys()
    for output, values in reference.items():
        if values.dtype.kind == "f":
            assert answer[output].dtype == np.float32
            assert np.abs(answer[output] - values.astype(np.float32)).max() < 5e-6
        else:
            assert answer[output].tolist() == values.tolist()


def test_a_model_with_branches_answers_each_batch_right_at_once() -> None:
    """In a fresh model and in every thread, on larger batches than any before; in both branches."""
    model, reference = Model.load(folder_of(BRANCHES)), expected(BRANCHES)["output"]
    for rows in (1, 3, 8):
        assert np.abs(model.probabilities(EIGHT[:rows]) - reference[:rows]).max() < 5e-6
        assert np.abs(model.probabilities(EIGHT[:rows] * 255) - reference[:rows]).max() < 5e-6
    with ThreadPoolExecutor(1) as thread:
        assert np.abs(thread.submit(model.probabilities, EIGHT).result() - reference).max() < 5e-6


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_answered_with_nan(number: float) -> None:
    """As by TensorFlow; OpenVINO's ReLU makes 0 of NaN. The other rows of the batch are not changed."""
    model = Model.load(CNN)
    images = EIGHT[..., np.newaxis].copy()
    (reference,) = model.run({"image": images}).values()
    images[3, 10, 10] = number
    (answer,) = model.run({"image": images}).values()
    assert np.isnan(answer[3]).all()
    assert np.array_equal(np.delete(answer, 3, axis=0), np.delete(reference, 3, axis=0))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_refused(number: float, tmp_path: Path) -> None:
    """OpenVINO's ReLU hides it, so that the model seems to work."""
    shutil.copytree(CNN, folder := tmp_path / "1")
    set_weight(folder, 110_000, number)  # the first half is an unused copy
    with pytest.raises(ModelError, match="hold numbers that are not finite"):
        Model.load(folder)


@pytest.mark.parametrize("name", [FLAT, ROWS, FROZEN])
def test_probabilities_do_not_depend_on_the_form_of_the_model(name: str) -> None:
    """Pixels or rows, logits or probabilities: all fixtures have the same weights."""
    answer = loaded(name).probabilities(EIGHT)
    assert answer.dtype == np.float64
    assert np.abs(answer - expected(ROWS)["probabilities"]).max() < 2e-3


def test_threads_get_their_own_rows() -> None:
    """Many threads call a model with batches of different sizes; each gets its own answers."""
    model = loaded(ROWS)
    images = load_digits().images[:60]
    reference = model.probabilities(images)

    def matches(number: int) -> bool:
        rows = slice(number % 50, number % 50 + 1 + number % 7)
        return bool(np.allclose(model.probabilities(images[rows]), reference[rows], atol=1e-6))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(matches, range(200)))


def test_an_answer_is_not_overwritten_by_the_next_call() -> None:
    """A thread reuses its request, but not the returned arrays."""
    model = loaded(ROWS)
    first = model.run({"image": EIGHT[:1]})["probabilities"]
    kept = first.copy()
    model.run({"image": EIGHT[3:4]})
    assert np.array_equal(first, kept)


def test_a_loaded_model_no_longer_needs_its_files(tmp_path: Path) -> None:
    """Exporting over a version that is being served must not disturb it."""
    folder = make_base(tmp_path) / "model" / "1"
    model = Model.load(folder)
    (folder / SHARD).write_bytes(b"")
    shutil.rmtree(folder)
    assert np.abs(model.run({"image": EIGHT})["probabilities"] - expected(ROWS)["probabilities"]).max() < 5e-6


def test_the_version_is_the_name_of_the_folder(tmp_path: Path) -> None:
    """`0012` is version 12; a folder that is no number has none."""
    make_base(tmp_path, ROWS, "0012", "new")
    folders = (tmp_path / "model" / name for name in ("0012", "new"))
    assert [Model(folder, read_graph(folder)).version for folder in folders] == [12, 0]


def test_a_model_may_be_loaded_without_being_one_of_digits(tmp_path: Path) -> None:
    """The model server serves any; only the check and the probabilities ask for MNIST."""
    folder = with_output(make_base(tmp_path) / "model" / "1", -1, dtype=9)
    change(folder, lambda graph: graph.signature_def.pop(1))
    model = Model.load(folder)
    with pytest.raises(ModelError, match="does not answer with ten values"):
        model.probabilities(EIGHT)


@pytest.mark.parametrize(
    ("inputs", "signature", "problem"),
    [
        ({"x": EIGHT}, "serving_default", "takes ['image'], but was given ['x']"),
        ({"image": EIGHT}, "nothing", "has no signature `nothing`"),
        ({"image": EIGHT[:, :9]}, "serving_default", "could not answer"),
    ],
)
def test_a_wrong_call_is_a_model_error(inputs: dict[str, Any], signature: str, problem: str) -> None:
    """Names and shapes that do not fit do not come back as errors of OpenVINO's."""
    with pytest.raises(ModelError) as caught:
        loaded(ROWS).run(inputs, signature)
    assert problem in caught.value.problem


def _declare_two_shards(folder: Path) -> None:
    (folder / SHARD).rename(folder / "variables/variables.data-00000-of-00002")


SECOND_SHARD = "variables/variables.data-00001-of-00002"
MISSING = "The variables of /v are missing: no"
DAMAGED = "The variables of /v are damaged. OpenVINO says:"
# Fault -> (model, how to break its version folder, problem, next step); /v is the version folder.
FAULTS: dict[str, tuple[str, Callable[[Path], object], str, str]] = {
    "no variables": (ROWS, lambda v: shutil.rmtree(v / "variables"), f"{MISSING} /v/variables.", COPY),
    "no index": (ROWS, lambda v: (v / INDEX).unlink(), f"{MISSING} /v/{INDEX}.", COPY),
    "no shard": (ROWS, lambda v: (v / SHARD).unlink(), f"{MISSING} /v/{SHARD}.", COPY),
    "no shard that the graph needs": (FROZEN, lambda v: (v / SHARD).unlink(), f"{MISSING} /v/{SHARD}.", COPY),
    "one shard of two": (ROWS, _declare_two_shards, f"{MISSING} /v/{SECOND_SHARD}.", COPY),
    "index cut off": (ROWS, lambda v: cut_off(v / INDEX), DAMAGED, COPY),
    "shard cut off": (FLAT, lambda v: cut_off(v / SHARD), DAMAGED, COPY),
    "unknown operation": (
        PYTHON,
        lambda _: None,
        "/v uses operations that OpenVINO does not have: PyFunc.",
        "Leave them out of the exported model; prepare images and text outside of it.",
    ),
    "signature unlike the graph": (
        FLAT,
        lambda v: with_input(v, -1, 28, 28),
        "/v could not answer. OpenVINO says: Can't set the input tensor",
        EXPORT,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_reported_with_its_cure(name: str, tmp_path: Path) -> None:
    """The problem names the folder or file; damaged variables differ from an unfit graph."""
    model, damage, problem, next_step = FAULTS[name]
    folder = make_base(tmp_path, model) / "model" / "1"
    damage(folder)
    with pytest.raises(ModelError) as caught:
        Model.load(folder).probabilities(EIGHT)
    assert caught.value.problem.replace(str(folder), "/v").startswith(problem)
    assert caught.value.next_step == next_step


@pytest.mark.parametrize("name", ["saved_model.pb", INDEX, SHARD])
def test_a_file_without_read_permission_is_reported(name: str) -> None:
    """It is not reported as missing or damaged."""
    with TemporaryDirectory() as base:  # pytest's own folder may be entered by its owner only
        Path(base).chmod(0o755)
        folder = make_base(Path(base)) / "model" / "1"
        with forbidden(folder / name), pytest.raises(ModelError) as caught:
            Model.load(folder)
    assert caught.value.problem == f"{folder / name} cannot be read: Permission denied."


def test_a_model_without_variables_needs_no_folder_for_them(tmp_path: Path) -> None:
    """TensorFlow loads such a model, too."""
    folder = make_base(tmp_path, FROZEN) / "model" / "1"
    shutil.rmtree(folder / "variables")
    assert Model.load(folder).probabilities(EIGHT).shape == (8, 10)
