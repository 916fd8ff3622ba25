"""A model base is checked: its highest version is found, loaded and tried on bundled digits."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_dash import dataset
from mnist_dash.domain import ModelCheck
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.check import check_model
from tests.models import FLAT, INVERTED, ROWS, change, make_base

BUNDLED = Path(dataset.__file__).parent / "data" / "models"


@pytest.mark.parametrize("name", ["linear", "cnn"])
def test_the_bundled_models_are_fit(name: str) -> None:
    """The models deployed at the first start pass the check."""
    found = check_model(str(BUNDLED / name))
    assert found.version == 1
    assert found.accuracy is not None
    assert found.accuracy > {"linear": 0.85, "cnn": 0.97}[name]
    assert found.warnings == ()


def test_a_check_returns_version_shape_and_accuracy(tmp_path: Path) -> None:
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


def test_ignored_folders_are_a_warning(tmp_path: Path) -> None:
    """A user who added `v4` may expect it to be served."""
    make_base(tmp_path, ROWS, "3")
    (tmp_path / "model" / "v4").mkdir()
    assert check_model(str(tmp_path)).warnings == (
        "Version 3 is served; only folders named by a number are versions, unlike `v4`.",
    )


def test_a_model_of_anything_else_is_refused(tmp_path: Path) -> None:
    """The problem names the version folder and what the signature lacks."""
    folder = make_base(tmp_path, ROWS) / "model" / "1"
    change(folder, lambda graph: graph.ClearField("signature_def"))
    with pytest.raises(ModelError) as caught:
        check_model(str(tmp_path))
    assert caught.value.problem == f"{folder} has no signature `serving_default`; its signatures: none."


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    """The model loads, but its answers cannot be shown."""
    shard = make_base(tmp_path, FLAT) / "model" / "1" / "variables" / "variables.data-00000-of-00001"
    shard.write_bytes(b"\xff" * shard.stat().st_size)
    with pytest.raises(ModelError, match="numbers that are not finite"):
        check_model(str(tmp_path))
