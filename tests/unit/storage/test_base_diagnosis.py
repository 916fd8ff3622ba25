"""Each way to give a model base wrongly has an answer that says what is there and what was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_dash.errors import ModelError
from mnist_dash.storage.base_diagnosis import find_newest
from mnist_dash.storage.location import FolderLocation
from tests.models import make_base


def folders(*names: str) -> Callable[[Path], None]:
    """Make files and folders (with a slash at their end) and model bases (with a colon at their end)."""

    def make(root: Path) -> None:
        for name in names:
            path = root / name.rstrip("/:")
            if name.endswith(":"):
                make_base(path)
            elif name.endswith("/"):
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()

    return make


EXPORT = 'Export the model there: model.export("/m/model/1").'
# What it is -> (how to make it in a folder, the base given, problem, next step); /m is the folder.
MISTAKES: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "missing": (folders(), "/m/mnist", "There is no folder /m/mnist.", "Check the path: /m holds nothing."),
    "missing beside others": (
        folders("data/", "notes.txt"),
        "/m/mnist",
        "There is no folder /m/mnist.",
        "Check the path: /m holds data/, notes.txt.",
    ),
    "misspelt": (
        folders("mnist-v2:"),
        "/m/MNIST_v2",
        "There is no folder /m/MNIST_v2.",
        "Did you mean /m/mnist-v2?",
    ),
    "misspelt in the middle": (
        folders("mnist:"),
        "/m/mnsit/deeper",
        "There is no folder /m/mnsit/deeper.",
        "Did you mean /m/mnist?",
    ),
    "model folder": (
        folders("mnist:"),
        "/m/mnist/model",
        "/m/mnist/model is too deep: a model base is the folder that holds `model`.",
        "Did you mean /m/mnist?",
    ),
    "version folder": (
        folders("mnist:"),
        "/m/mnist/model/1",
        "/m/mnist/model/1 is too deep: a model base is the folder that holds `model`.",
        "Did you mean /m/mnist?",
    ),
    "version that is missing": (
        folders("mnist:"),
        "/m/mnist/model/7",
        "/m/mnist/model/7 is too deep: a model base is the folder that holds `model`.",
        "Did you mean /m/mnist?",
    ),
    "saved_model.pb itself": (
        folders("mnist:"),
        "/m/mnist/model/1/saved_model.pb",
        "/m/mnist/model/1/saved_model.pb is too deep: a model base is the folder that holds `model`.",
        "Did you mean /m/mnist?",
    ),
    "parent": (
        folders("models/mnist:"),
        "/m/models",
        "/m/models is too high: the model base lies in it.",
        "Did you mean /m/models/mnist?",
    ),
    "grandparent": (
        folders("models/mnist:"),
        "/m",
        "/m is too high: the model base lies in it.",
        "Did you mean /m/models/mnist?",
    ),
    "parent of several": (
        folders("a:", "b:", "c:", "d:", "e:"),
        "/m",
        "/m is too high: 5 model bases lie in it.",
        "Give one of them: /m/a, /m/b, /m/c, /m/d or another.",
    ),
    "parent of a base named model": (
        folders("model:"),
        "/m",
        "/m is too high: the model base lies in it.",
        "Did you mean /m/model?",
    ),
    "SavedModel itself": (
        folders("export/saved_model.pb"),
        "/m/export",
        "/m/export is a SavedModel itself, not a model base with `model/<version>/` in it.",
        "Move what is in it to /m/export/model/1.",
    ),
    "SavedModel itself, numbered": (
        folders("mnist/3/saved_model.pb"),
        "/m/mnist/3",
        "/m/mnist/3 is a SavedModel itself, not a model base with `model/<version>/` in it.",
        "Move it to /m/mnist/model/3, then give /m/mnist.",
    ),
    "versions without model": (
        folders("mnist/3/saved_model.pb", "mnist/12/saved_model.pb"),
        "/m/mnist",
        "/m/mnist holds versions (3, 12) itself, but they must lie in a folder named `model`.",
        "Move them to /m/mnist/model.",
    ),
    "versions under another name": (
        folders("mnist/3/saved_model.pb"),
        "/m",
        "/m has no folder `model`; there are versions of a model in /m/mnist.",
        "Rename it to /m/model.",
    ),
    "SavedModel under another name": (
        folders("export/saved_model.pb"),
        "/m",
        "/m has no folder `model`; there is a SavedModel in /m/export.",
        "Move it to /m/model/1.",
    ),
    "file": (
        folders("notes.txt"),
        "/m/notes.txt",
        "/m/notes.txt is a file, not a folder.",
        "Give the folder that holds `model/<version>/`.",
    ),
    "Keras file": (
        folders("mnist.keras"),
        "/m/mnist.keras",
        "/m/mnist.keras is a Keras model file, not a folder with a SavedModel.",
        'Export it: keras.saving.load_model("/m/mnist.keras").export("/m/model/1"). Then give /m.',
    ),
    "ONNX file": (
        folders("mnist.onnx"),
        "/m/mnist.onnx",
        "/m/mnist.onnx is an ONNX model, not a folder with a SavedModel.",
        "Export the model as a TensorFlow SavedModel into /m/model/1. Then give /m.",
    ),
    "folder with a Keras file": (
        folders("old.h5"),
        "/m",
        "/m holds no SavedModel, but old.h5, a Keras HDF5 file.",
        'Export it: keras.saving.load_model("/m/old.h5").export("/m/model/1").',
    ),
    "unpacked Keras file": (
        folders("config.json", "model.weights.h5"),
        "/m",
        "/m holds no SavedModel, but model.weights.h5, an unpacked Keras model file.",
        "Export the model as a TensorFlow SavedModel into /m/model/1.",
    ),
    "folder of another framework": (
        folders("openvino.xml", "openvino.bin"),
        "/m",
        "/m holds no SavedModel, but openvino.xml, an OpenVINO model.",
        "Export the model as a TensorFlow SavedModel into /m/model/1.",
    ),
    "empty folder": (
        folders(),
        "/m",
        "/m is not a model base: it has no folder `model`; it holds nothing.",
        EXPORT,
    ),
    "other things": (
        folders(*"abcdefgh"),
        "/m",
        "/m is not a model base: it has no folder `model`; it holds a, b, c, d, e, f and 2 more.",
        EXPORT,
    ),
    "model is a file": (folders("model"), "/m", "/m/model is a file, not a folder with versions.", EXPORT),
    "no version": (
        folders("model/"),
        "/m",
        "/m/model has no version, which is a folder named by a number; it holds nothing.",
        EXPORT,
    ),
    "version named otherwise": (
        folders("model/v1/saved_model.pb"),
        "/m",
        "/m/model has no version, which is a folder named by a number; it holds v1/.",
        "Rename /m/model/v1 to /m/model/1.",
    ),
    "SavedModel without a version": (
        folders("model/saved_model.pb"),
        "/m",
        "/m/model holds a SavedModel itself, not in a folder named by its version.",
        "Move what is in /m/model to /m/model/1.",
    ),
    "Keras file in model": (
        folders("model/mnist.keras"),
        "/m",
        "/m/model holds no SavedModel, but mnist.keras, a Keras model file.",
        'Export it: keras.saving.load_model("/m/model/mnist.keras").export("/m/model/1").',
    ),
    "empty version": (
        folders("model/1/"),
        "/m",
        "There is no saved_model.pb in /m/model/1; it holds nothing.",
        EXPORT,
    ),
    "empty version beside a whole one": (
        folders("model/1/saved_model.pb", "model/2/variables/"),
        "/m",
        "There is no saved_model.pb in /m/model/2; it holds variables/.",
        'Export the model there: model.export("/m/model/2"). Or remove /m/model/2: version 1 is whole.',
    ),
    "version one level too deep": (
        folders("model/1/export/saved_model.pb"),
        "/m",
        "There is no saved_model.pb in /m/model/1; it holds export/.",
        "Move what is in /m/model/1/export up to /m/model/1.",
    ),
    "Keras file as version": (
        folders("model/1/mnist.keras"),
        "/m",
        "/m/model/1/mnist.keras is a Keras model file, not a saved_model.pb.",
        'Export it: keras.saving.load_model("/m/model/1/mnist.keras").export("/m/model/1").',
    ),
    "text form": (
        folders("model/1/saved_model.pbtxt"),
        "/m",
        "/m/model/1/saved_model.pbtxt is a SavedModel in text form, not a saved_model.pb.",
        "Export the model as a TensorFlow SavedModel into /m/model/1.",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_and_its_cure(name: str, tmp_path: Path) -> None:
    """The problem names the path and what is there; the next step can be followed as it is written."""
    make, given, problem, next_step = MISTAKES[name]
    make(tmp_path)
    with pytest.raises(ModelError) as caught:
        find_newest(FolderLocation(Path(given.replace("/m", str(tmp_path), 1))))
    assert caught.value.problem.replace(str(tmp_path), "/m") == problem
    assert caught.value.next_step.replace(str(tmp_path), "/m") == next_step


def test_the_search_for_a_base_is_bounded(tmp_path: Path) -> None:
    """A base too high that is a whole disk is not searched to its end, nor are hidden folders."""
    for number in range(60):
        (tmp_path / f"a{number:02}").mkdir()
    make_base(tmp_path / "z" / "mnist")
    make_base(tmp_path / ".hidden")
    with pytest.raises(ModelError, match="is not a model base"):
        find_newest(FolderLocation(tmp_path))
