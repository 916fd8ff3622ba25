"""A wrong model base is answered with what was probably meant, and on request with what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_dash.errors import ModelError
from mnist_dash.storage.base_diagnosis import find_newest, find_versions
from mnist_dash.storage.location import FolderLocation
from tests.models import FLAT, make_base


def make(root: Path, names: list[str]) -> None:
    """Make files, folders (with a slash at their end) and model bases (with a colon at their end)."""
    for name in names:
        path = root / name.rstrip("/:")
        if name.endswith(":"):
            make_base(path)
        elif name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


EXPORT = 'Export the model in Keras: model.export("/m/model/1").'
NO_BASE = "/m is not a model base: it has no folder `model/<version>`, named by a number"
TOO_DEEP = "is too deep: a model base is the folder that holds `model`."
TOO_HIGH = "/m is too high: model bases lie deeper."
NO_FILE = "There is no saved_model.pb in /m/model"
# Mistake -> (what lies in a folder, the base given, part of the problem, next step); /m is the folder.
MISTAKES: dict[str, tuple[list[str], str, str, str]] = {
    "missing": (
        ["data/", "a.txt"],
        "/m/mnist",
        "no folder /m/mnist.",
        "Check the path.",
    ),
    "misspelt": (["mnist-v2:"], "/m/MNIST_v2", "no folder /m/MNIST_v2.", "Did you mean /m/mnist-v2?"),
    "misspelt above": (["mnist:"], "/m/mnsit/deep", "no folder /m/mnsit/deep.", "Did you mean /m/mnist?"),
    "model folder": (["mnist:"], "/m/mnist/model", TOO_DEEP, "Did you mean /m/mnist?"),
    "missing version": (["mnist:"], "/m/mnist/model/7", TOO_DEEP, "Did you mean /m/mnist?"),
    "saved_model.pb": (["mnist:"], "/m/mnist/model/1/saved_model.pb", TOO_DEEP, "Did you mean /m/mnist?"),
    "grandparent": (["models/mnist:"], "/m", TOO_HIGH, "Did you mean /m/models/mnist?"),
    "parent of several": (
        ["a:", "b:", "c:", "d:", "e:"],
        "/m",
        TOO_HIGH,
        "Give one of the 5 in it.",
    ),
    "parent of a base named model": (["model:"], "/m", TOO_HIGH, "Did you mean /m/model?"),
    "SavedModel": (["saved_model.pb"], "/m", f"{NO_BASE}, but /m is a SavedModel.", "to /m/model/1."),
    "version without model": (["3/saved_model.pb"], "/m", "but /m/3 is a SavedModel.", "to /m/model/3."),
    "SavedModel of another name": (["export/saved_model.pb"], "/m", "but /m/export is", "to /m/model/1."),
    "version of another name": (["model/v1/saved_model.pb"], "/m", "but /m/model/v1 is", "to /m/model/1."),
    "file": (["a.txt"], "/m/a.txt", "/m/a.txt is a file, not a folder.", "that holds `model/<version>/`."),
    "Keras file": (["m.keras"], "/m/m.keras", "/m/m.keras is not a SavedModel", f"{EXPORT} Then give /m."),
    "folder with a Keras file": (["old.h5"], "/m", f"{NO_BASE}, and /m/old.h5 is not a SavedModel.", EXPORT),
    "frozen graph": (["model/frozen.pb"], "/m", "and /m/model/frozen.pb is not a SavedModel.", EXPORT),
    "other files": ([*"abcdefgh"], "/m", f"{NO_BASE}.", EXPORT),
    "model is a file": (["model"], "/m", f"{NO_BASE}.", EXPORT),
    "no version": (["model/"], "/m", f"{NO_BASE}.", EXPORT),
    "empty version": (["model/1/"], "/m", f"{NO_FILE}/1.", EXPORT),
    "empty version beside a complete version": (
        ["model/1/saved_model.pb", "model/2/variables/"],
        "/m",
        f"{NO_FILE}/2.",
        'model.export("/m/model/2"). Or remove /m/model/2: version 1 is complete.',
    ),
    "version too deep": (
        ["model/7/export/saved_model.pb"],
        "/m",
        "but /m/model/7/export is",
        "to /m/model/7.",
    ),
    "ONNX version": (["model/1/m.onnx"], "/m", f"{NO_FILE}/1, and /m/model/1/m.onnx is not a", EXPORT),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_with_its_cure(name: str, tmp_path: Path) -> None:
    """The problem names the path; the next step can be followed as it is written."""
    content, given, problem, next_step = MISTAKES[name]
    make(tmp_path, content)
    with pytest.raises(ModelError) as caught:
        find_newest(FolderLocation(Path(given.replace("/m", str(tmp_path), 1))))
    assert problem in caught.value.problem.replace(str(tmp_path), "/m")
    assert caught.value.next_step.replace(str(tmp_path), "/m").endswith(next_step)


@pytest.mark.parametrize(
    ("names", "given", "suggestions", "content"),
    [
        (["data/", "a.txt"], "/m/mnist", (), "/m holds data/, a.txt."),
        ([*"abcdefgh"], "/m", (), "/m holds a, b, c, d, e, f and 2 more."),
        (["model/"], "/m", (), "/m/model holds nothing."),
        (["model/1/", "model/0/saved_model.pb"], "/m", (), "/m/model/1 holds nothing."),
        (["mnist-v2:"], "/m/MNIST_v2", ("/m/mnist-v2",), ""),
        (["mnist:"], "/m/mnist/model", ("/m/mnist",), ""),
        (["a:", "b:"], "/m", ("/m/a", "/m/b"), ""),
    ],
)
def test_what_is_there_is_kept_out_of_the_text_of_the_error(
    names: list[str], given: str, suggestions: tuple[str, ...], content: str, tmp_path: Path
) -> None:
    """Only the base that was probably meant is named in it; the page shows the rest when asked."""
    make(tmp_path, names)
    with pytest.raises(ModelError) as caught:
        find_newest(FolderLocation(Path(given.replace("/m", str(tmp_path), 1))))
    error = caught.value
    assert tuple(base.replace(str(tmp_path), "/m") for base in error.suggestions) == suggestions
    assert error.content.replace(str(tmp_path), "/m") == content
    assert not content or content not in str(error)


def test_the_search_for_a_base_is_bounded(tmp_path: Path) -> None:
    """A base too high that is a whole disk is not searched to its end, nor are hidden folders."""
    for number in range(60):
        (tmp_path / f"a{number:02}").mkdir()
    make_base(tmp_path / "z" / "mnist")
    make_base(tmp_path / ".hidden")
    with pytest.raises(ModelError, match="is not a model base"):
        find_newest(FolderLocation(tmp_path))


def test_versions_are_numbers(tmp_path: Path) -> None:
    """They are compared numerically; a file, more than 64 bits, a sign and any other name are ignored."""
    base = FolderLocation(make_base(tmp_path, FLAT, "9", "10", "0002"))
    for name in ("v3", "+4", "1_0", "\u0665", "-1", str(2**63), "9" * 200):
        (tmp_path / "model" / name).mkdir()
    (tmp_path / "model" / "77").touch()
    assert {number: version.name for number, version in find_versions(base).items()} == {
        2: "0002",
        9: "9",
        10: "10",
    }
    assert find_newest(base)[0] == 10
