"""A wrong model base is answered with what is there and what was probably meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_dash.errors import ModelError
from mnist_dash.storage.base_diagnosis import find_newest, find_versions
from mnist_dash.storage.location import FolderLocation
from tests.models import FLAT, make_base


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


EXPORT = 'Export the model in Keras: model.export("/m/model/1").'
NO_BASE = "/m is not a model base: it has no folder `model/<version>`, named by a number"
TOO_DEEP = "is too deep: a model base is the folder that holds `model`."
# Mistake -> (how to make it in a folder, the base given, problem, next step); /m is the folder.
MISTAKES: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
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
        f"/m/mnist/model {TOO_DEEP}",
        "Did you mean /m/mnist?",
    ),
    "version that is missing": (
        folders("mnist:"),
        "/m/mnist/model/7",
        f"/m/mnist/model/7 {TOO_DEEP}",
        "Did you mean /m/mnist?",
    ),
    "saved_model.pb itself": (
        folders("mnist:"),
        "/m/mnist/model/1/saved_model.pb",
        f"/m/mnist/model/1/saved_model.pb {TOO_DEEP}",
        "Did you mean /m/mnist?",
    ),
    "grandparent": (
        folders("models/mnist:"),
        "/m",
        "/m is too high: model bases lie deeper.",
        "Did you mean /m/models/mnist?",
    ),
    "parent of several": (
        folders("a:", "b:", "c:", "d:", "e:"),
        "/m",
        "/m is too high: model bases lie deeper.",
        "Did you mean /m/a, /m/b, /m/c, /m/d or another?",
    ),
    "parent of a base named model": (
        folders("model:"),
        "/m",
        "/m is too high: model bases lie deeper.",
        "Did you mean /m/model?",
    ),
    "SavedModel itself": (
        folders("saved_model.pb"),
        "/m",
        f"{NO_BASE}, but /m is a SavedModel.",
        "Move its content to /m/model/1.",
    ),
    "versions without model": (
        folders("3/saved_model.pb"),
        "/m",
        f"{NO_BASE}, but /m/3 is a SavedModel.",
        "Move its content to /m/model/3.",
    ),
    "SavedModel under another name": (
        folders("export/saved_model.pb"),
        "/m",
        f"{NO_BASE}, but /m/export is a SavedModel.",
        "Move its content to /m/model/1.",
    ),
    "version under another name": (
        folders("model/v1/saved_model.pb"),
        "/m",
        f"{NO_BASE}, but /m/model/v1 is a SavedModel.",
        "Move its content to /m/model/1.",
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
        "/m/mnist.keras is not a SavedModel, which TensorFlow Serving needs.",
        f"{EXPORT} Then give /m.",
    ),
    "folder with a Keras file": (
        folders("old.h5"),
        "/m",
        f"{NO_BASE}, and /m/old.h5 is not a SavedModel.",
        EXPORT,
    ),
    "frozen graph in model": (
        folders("model/frozen.pb"),
        "/m",
        f"{NO_BASE}, and /m/model/frozen.pb is not a SavedModel.",
        EXPORT,
    ),
    "other things": (
        folders(*"abcdefgh"),
        "/m",
        f"{NO_BASE}; /m holds a, b, c, d, e, f and 2 more.",
        EXPORT,
    ),
    "model is a file": (folders("model"), "/m", f"{NO_BASE}; /m holds model.", EXPORT),
    "no version": (folders("model/"), "/m", f"{NO_BASE}; /m/model holds nothing.", EXPORT),
    "empty version": (
        folders("model/1/"),
        "/m",
        "There is no saved_model.pb in /m/model/1; /m/model/1 holds nothing.",
        EXPORT,
    ),
    "empty version beside a complete one": (
        folders("model/1/saved_model.pb", "model/2/variables/"),
        "/m",
        "There is no saved_model.pb in /m/model/2; /m/model/2 holds variables/.",
        'Export the model in Keras: model.export("/m/model/2"). Or remove /m/model/2: version 1 is complete.',
    ),
    "version one level too deep": (
        folders("model/7/export/saved_model.pb"),
        "/m",
        "There is no saved_model.pb in /m/model/7, but /m/model/7/export is a SavedModel.",
        "Move its content to /m/model/7.",
    ),
    "ONNX file as version": (
        folders("model/1/mnist.onnx"),
        "/m",
        "There is no saved_model.pb in /m/model/1, and /m/model/1/mnist.onnx is not a SavedModel.",
        EXPORT,
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_with_its_cure(name: str, tmp_path: Path) -> None:
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


def test_versions_are_numbers(tmp_path: Path) -> None:
    """They are compared numerically; a file, a name with a sign and any other name are ignored."""
    base = FolderLocation(make_base(tmp_path, FLAT, "9", "10", "0002"))
    for name in ("v3", "+4", "1_0", "\u0665", "-1"):
        (tmp_path / "model" / name).mkdir()
    (tmp_path / "model" / "77").touch()
    assert {number: version.name for number, version in find_versions(base).items()} == {
        2: "0002",
        9: "9",
        10: "10",
    }
    assert find_newest(base)[0] == 10
