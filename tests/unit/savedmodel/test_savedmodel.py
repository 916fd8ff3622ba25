"""A SavedModel is read, loaded, run and judged; each way in which it is unfit has its own message."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from mnist_dash import dataset
from mnist_dash.dataset import load_digits
from mnist_dash.domain import ModelCheck
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.check import check_model
from mnist_dash.savedmodel.model import Model
from mnist_dash.savedmodel.proto import read_signatures
from mnist_dash.signature import Tensor
from tests.models import (
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
    signature_in,
    with_input,
    with_output,
)

EIGHT = load_digits().images[:8]
INDEX, SHARD = "variables/variables.index", "variables/variables.data-00000-of-00001"
BUNDLED = Path(dataset.__file__).parent / "data" / "models"


def test_signatures_are_read_as_they_are_written() -> None:
    """Names, types and shapes; the signature that initialises the model is left out."""
    signatures = read_signatures(folder_of(ROWS))
    assert set(signatures) == {"serving_default", "pixels"}
    default = signatures["serving_default"]
    assert default.method_name == "tensorflow/serving/predict"
    assert default.inputs == {"image": Tensor("serving_default_image:0", "DT_FLOAT", (-1, 28, 28))}
    assert default.outputs["classes"] == Tensor("StatefulPartitionedCall_1:0", "DT_INT64", (-1,))
    assert default.outputs["probabilities"] == Tensor("StatefulPartitionedCall_1:1", "DT_FLOAT", (-1, 10))


def test_an_unknown_rank_is_read_as_such(tmp_path: Path) -> None:
    """It is not the same as the shape of a single number."""
    folder = make_base(tmp_path) / "model" / "1"
    change(folder, _unknown_rank)
    assert read_signatures(folder)["serving_default"].inputs["image"].shape is None
    assert read_signatures(with_input(folder))["serving_default"].inputs["image"].shape == ()


@pytest.mark.parametrize("name", ["linear", "cnn"])
def test_the_bundled_models_are_fit(name: str) -> None:
    """What is deployed at the first start passes its own check."""
    found = check_model(str(BUNDLED / name))
    assert found.version == 1
    assert found.accuracy is not None
    assert found.accuracy > {"linear": 0.85, "cnn": 0.97}[name]
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        (FLAT, "serving_default"),
        (ROWS, "serving_default"),
        (ROWS, "pixels"),
        (SAME, "serving_default"),
        (FROZEN, "serving_default"),
        (INVERTED, "serving_default"),
    ],
)
def test_answers_are_those_of_tensorflow(name: str, signature: str) -> None:
    """Every output of every signature, by its own name, whatever OpenVINO calls it."""
    model = Model.load(folder_of(name))
    ((key, tensor),) = model.signatures[signature].inputs.items()
    assert tensor.shape is not None
    answer = model.run({key: EIGHT.reshape(8, *tensor.shape[1:])}, signature)
    wanted = expected(name, signature)
    assert answer.keys() == wanted.keys()
    for output, values in wanted.items():
        if values.dtype.kind == "f":
            assert answer[output].dtype == np.float32
            assert np.abs(answer[output] - values.astype(np.float32)).max() < 5e-6
        else:
            assert answer[output].tolist() == values.tolist()


@pytest.mark.parametrize("name", [FLAT, ROWS, SAME, FROZEN])
def test_probabilities_do_not_depend_on_the_form_of_the_model(name: str) -> None:
    """Pixels or rows, logits or probabilities: the fixtures are one and the same model."""
    answer = Model.load(folder_of(name)).probabilities(EIGHT)
    assert answer.dtype == np.float64
    assert np.abs(answer - expected(ROWS)["probabilities"]).max() < 2e-3


def test_threads_get_their_own_rows() -> None:
    """Many threads on one model, batches of different sizes: each gets what it asked for."""
    model = Model.load(folder_of(ROWS))
    images = load_digits().images[:60]
    wanted = model.probabilities(images)

    def ask(number: int) -> bool:
        rows = slice(number % 50, number % 50 + 1 + number % 7)
        return bool(np.allclose(model.probabilities(images[rows]), wanted[rows], atol=1e-6))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(400)))


def test_an_answer_stays_when_the_next_one_comes() -> None:
    """What was returned is not overwritten by a later call of the same thread."""
    model = Model.load(folder_of(ROWS))
    first = model.run({"image": EIGHT[:1]})["probabilities"]
    kept = first.copy()
    model.run({"image": EIGHT[3:4]})
    assert np.array_equal(first, kept)


def test_a_loaded_model_needs_its_files_no_more(tmp_path: Path) -> None:
    """Exporting over a version that is being served must not disturb it."""
    folder = make_base(tmp_path) / "model" / "1"
    model = Model.load(folder)
    (folder / SHARD).write_bytes(b"")
    shutil.rmtree(folder)
    assert np.abs(model.run({"image": EIGHT})["probabilities"] - expected(ROWS)["probabilities"]).max() < 5e-6


def test_the_version_is_the_name_of_the_folder(tmp_path: Path) -> None:
    """`0012` is version 12; a folder that is no number has none."""
    make_base(tmp_path, ROWS, "0012", "new")
    assert [Model.load(tmp_path / "model" / name).version for name in ("0012", "new")] == [12, 0]


def test_a_model_may_be_loaded_without_being_one_of_digits(tmp_path: Path) -> None:
    """The model server serves any; only the check and the probabilities ask for MNIST."""
    folder = make_base(tmp_path) / "model" / "1"
    change(folder, lambda graph: setattr(graph.signature_def[2], "key", "classify"))
    model = Model.load(folder)
    with pytest.raises(ModelError, match="has no signature `serving_default`"):
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
        Model.load(folder_of(ROWS)).run(inputs, signature)
    assert problem in caught.value.problem


def test_a_check_says_what_was_found(tmp_path: Path) -> None:
    """The highest version, its input's shape, and how many of 200 digits it gets right."""
    base = make_base(tmp_path, FLAT, "2", "10")
    assert check_model(str(base)) == ModelCheck(str(base), 10, (-1, 784), 0.755)


def test_a_model_that_is_mostly_wrong_is_a_warning(tmp_path: Path) -> None:
    """It can be deployed; the warning says what it seems to expect instead."""
    found = check_model(str(make_base(tmp_path, INVERTED)))
    assert found.accuracy == 0.1
    assert found.warnings == (
        "It gets only 10% of 200 known digits right. With black ink on white it would get 76%; it is "
        "given white ink on black, from 0 to 1.",
    )


def test_folders_that_are_no_versions_are_a_warning(tmp_path: Path) -> None:
    """Who added `v4` may think that it is served."""
    make_base(tmp_path, ROWS, "3")
    (tmp_path / "model" / "v4").mkdir()
    assert check_model(str(tmp_path)).warnings == (
        "Version 3 is served; only folders named by a number are versions, unlike `v4`.",
    )


def _unknown_rank(graph: Any) -> None:
    shape = signature_in(graph).inputs[0].value.tensor_shape
    shape.Clear()
    shape.unknown_rank = True


def _rename_default(graph: Any) -> None:
    for entry in graph.signature_def:
        entry.key = entry.key.replace("serving_default", "classify")


def _second_input(graph: Any) -> None:
    inputs = signature_in(graph).inputs
    inputs.add(key="temperature").value.CopyFrom(inputs[0].value)


def _no_probabilities(graph: Any) -> None:
    for entry in signature_in(graph).outputs:
        entry.key = entry.key.replace("prob", "scores")


def _tags(graph: Any) -> None:
    graph.meta_info_def.tags.append("gpu")


def _shards(folder: Path) -> None:
    (folder / SHARD).rename(folder / SHARD.replace("-of-00001", "-of-00002"))


def _contents(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "saved_model.pb").write_bytes(content)


def _graph(how: Callable[[Any], None]) -> Callable[[Path], object]:
    return lambda folder: change(folder, how)


EXPORT = "Export the model again, with model.export(...) in Keras or tf.saved_model.save(...) in TensorFlow."
COPY = "Copy the whole SavedModel there, its `variables` folder too, or export it again."
SHAPES = "Export it with an input of shape (None, 28, 28, 1), (None, 28, 28) or (None, 784)."
SIGN = "Export it with model.export(...) in Keras or tf.saved_model.save(..., signatures=...)."
TEN = "Export it with a float output of shape (None, 10): probabilities or logits."
GONE = "The variables of /v are missing: no"
NOT_TEN = "/v does not answer with ten values for each digit; its output is"
OTHER = "/v/saved_model.pb is not a SavedModel: it is"
# What it is -> (model, how to break its version folder, problem, next step); /v is the version folder.
UNFIT: dict[str, tuple[str, Callable[[Path], object], str, str]] = {
    "no variables": (ROWS, lambda v: shutil.rmtree(v / "variables"), f"{GONE} /v/variables.", COPY),
    "no index": (ROWS, lambda v: (v / INDEX).unlink(), f"{GONE} /v/{INDEX}.", COPY),
    "no shard": (ROWS, lambda v: (v / SHARD).unlink(), f"{GONE} /v/{SHARD}.", COPY),
    "one shard of two": (ROWS, _shards, f"{GONE} /v/variables/variables.data-00001-of-00002.", COPY),
    "index cut off": (
        ROWS,
        lambda v: cut_off(v / INDEX),
        "The variables of /v are damaged. OpenVINO says: Wrong index file, magic number mismatch detected.",
        COPY,
    ),
    "shard cut off": (
        FLAT,
        lambda v: cut_off(v / SHARD),
        "The variables of /v are damaged. OpenVINO says: CMO (stream): entry bounds [offset=2000, size=",
        COPY,
    ),
    "weights that are no numbers": (
        FLAT,
        lambda v: (v / SHARD).write_bytes(b"\xff" * (v / SHARD).stat().st_size),
        "/v answered with numbers that are not finite (NaN or infinity).",
        "Its weights are probably damaged, or its training diverged: export it again.",
    ),
    "cut off": (
        ROWS,
        lambda v: cut_off(v / "saved_model.pb"),
        f"{OTHER} damaged or another kind of file.",
        EXPORT,
    ),
    "garbage": (
        ROWS,
        _contents(bytes(range(256))),
        f"{OTHER} damaged or another kind of file.",
        EXPORT,
    ),
    "empty": (ROWS, _contents(b""), f"{OTHER} empty.", EXPORT),
    "tags": (
        ROWS,
        _graph(_tags),
        "/v/saved_model.pb has no graph with the tag `serve` and no other; its tags are: serve, gpu.",
        "Export the model for serving, with the tag `serve`.",
    ),
    "no signature": (
        ROWS,
        _graph(lambda graph: graph.ClearField("signature_def")),
        "/v has no signature `serving_default`; its signatures: none.",
        SIGN,
    ),
    "other signature": (
        ROWS,
        _graph(_rename_default),
        "/v has no signature `serving_default`; its signatures: `classify`, `pixels`.",
        SIGN,
    ),
    "no input": (
        ROWS,
        _graph(lambda graph: signature_in(graph).ClearField("inputs")),
        "/v takes 0 inputs (none) in its signature `serving_default`.",
        "Export it with the digit as its only input.",
    ),
    "two inputs": (
        ROWS,
        _graph(_second_input),
        "/v takes 2 inputs (`image`, `temperature`) in its signature `serving_default`.",
        "Export it with the digit as its only input.",
    ),
    "whole numbers": (
        ROWS,
        lambda v: with_input(v, -1, 28, 28, dtype=4),
        "/v takes DT_UINT8 for its input `image`, not floats.",
        "Export it with a float32 input from 0 to 1; if it wants other numbers, let it scale them itself.",
    ),
    "unknown shape": (
        ROWS,
        _graph(_unknown_rank),
        "/v does not say the shape of its input `image`.",
        SHAPES,
    ),
    "colour": (
        ROWS,
        lambda v: with_input(v, -1, 32, 32, 3),
        "/v takes an input of shape (n, 32, 32, 3): 3072 values, not the 784 of a digit (28x28).",
        SHAPES,
    ),
    "one digit": (
        ROWS,
        lambda v: with_input(v, 28, 28),
        "/v takes one digit alone: its input is (28, 28), without a leading batch.",
        SHAPES,
    ),
    "thousand classes": (
        FLAT,
        lambda v: with_output(v, -1, 1000),
        f"{NOT_TEN} `logits` of shape (n, 1000) (DT_FLOAT).",
        TEN,
    ),
    "classes only": (
        FLAT,
        lambda v: with_output(v, -1, dtype=9),
        f"{NOT_TEN} `logits` of shape (n,) (DT_INT64).",
        TEN,
    ),
    "several outputs of ten": (
        FROZEN,
        _graph(_no_probabilities),
        "/v has 3 outputs of ten values (`again`, `logits`, `scores`): which is the answer is not known.",
        "Export one of them only, or name the right one `probabilities`.",
    ),
    "signature that lies": (
        FLAT,
        lambda v: with_input(v, -1, 28, 28),
        "/v could not answer. OpenVINO says: Can't set the input tensor with index: 0, because the model ",
        EXPORT,
    ),
    "Python inside": (
        PYTHON,
        lambda _: None,
        "/v uses operations that OpenVINO does not have: PyFunc.",
        "Leave them out of the exported model; prepare images and text outside of it.",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_an_unfit_model_is_told_and_its_cure(name: str, tmp_path: Path) -> None:
    """The problem names the file and what is in it; the next step can be followed as it is written."""
    model, how, problem, next_step = UNFIT[name]
    folder = make_base(tmp_path, model) / "model" / "1"
    how(folder)
    with pytest.raises(ModelError) as caught:
        check_model(str(tmp_path))
    assert caught.value.problem.replace(str(folder), "/v").startswith(problem)
    assert caught.value.next_step == next_step


@pytest.fixture
def public() -> Iterator[Path]:
    """A temporary folder that everybody may enter, unlike pytest's."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("name", ["saved_model.pb", INDEX, SHARD])
def test_a_file_that_may_not_be_read_is_told(name: str, public: Path) -> None:
    """Who may not read is told so, not that the file is missing."""
    folder = make_base(public) / "model" / "1"
    with forbidden(folder / name), pytest.raises(ModelError) as caught:
        Model.load(folder)
    assert caught.value.problem == f"{folder / name} cannot be read: Permission denied."
    assert caught.value.next_step == "Let the user who runs the dashboard read it."


def test_a_model_without_variables_needs_no_folder_for_them(tmp_path: Path) -> None:
    """TensorFlow serves such a model, so it is fit."""
    base = make_base(tmp_path, FROZEN)
    shutil.rmtree(base / "model" / "1" / "variables")
    assert check_model(str(base)).accuracy == 0.755


def test_an_index_without_its_shards_is_incomplete(tmp_path: Path) -> None:
    """Also where the graph would not miss them: TensorFlow does not load such a folder."""
    base = make_base(tmp_path, FROZEN)
    (base / "model" / "1" / SHARD).unlink()
    with pytest.raises(ModelError, match="are missing"):
        check_model(str(base))
