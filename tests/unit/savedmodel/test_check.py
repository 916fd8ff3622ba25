"""A model base is checked: its highest version is found, loaded and tried on bundled digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mnist_dash import charts, dataset
from mnist_dash.domain import ModelCheck
from mnist_dash.errors import ModelError
from mnist_dash.savedmodel import check
from mnist_dash.savedmodel.check import check_model
from mnist_dash.signature import UNKNOWN_RANK
from tests.models import (
    BATCHED,
    BRANCHES,
    EXAMPLE,
    FLAT,
    INVERTED,
    ROWS,
    change,
    double_answers,
    make_base,
    set_weight,
    use_foreign_operation,
    with_input,
    with_output,
)

BUNDLED = Path(dataset.__file__).parent / "data" / "models"
MODELS = Path(__file__).parents[3] / "docs" / "models.md"


def test_the_bundled_models_are_fit() -> None:
    """They are tried on all bundled digits, with the result that the documentation states."""
    checks = [check_model(str(BUNDLED / name)) for name in ("linear", "cnn")]
    assert [(found.version, found.digits, found.warnings) for found in checks] == [(1, 2000, ())] * 2
    shares = " | ".join(charts.percent(found.accuracy or 0) for found in checks)
    assert f"2,000 bundled digits, as on the model card | {shares} |" in MODELS.read_text()


def test_a_check_returns_version_shape_and_accuracy(tmp_path: Path) -> None:
    """The highest version, its input's shape, and how many of the digits it gets right."""
    base = make_base(tmp_path, FLAT, "2", "10")
    assert check_model(str(base)) == ModelCheck(str(base), 10, (-1, 784), 0.8265, 2000)


def test_a_slow_model_is_tried_on_fewer_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample is always tried; the result says how many there were."""
    monkeypatch.setattr(check, "TRY_SECONDS", 0)
    found = check_model(str(make_base(tmp_path, FLAT)))
    assert (found.accuracy, found.digits) == (0.755, 200)


def test_a_model_that_is_mostly_wrong_is_a_warning(tmp_path: Path) -> None:
    """It can be deployed; the warning says what it seems to expect instead."""
    found = check_model(str(make_base(tmp_path, INVERTED)))
    assert found.accuracy == 0.1
    assert found.warnings == (
        "It gets only 10% of 2,000 known digits right. With black ink on white it would get about 76%; it is "
        "given white ink on black, from 0 to 1.",
    )


@pytest.mark.parametrize(
    ("mean", "deviation", "accuracy", "hint"),
    [
        (0.1307, 0.3081, 0.1, "With pixels less 0.1307 and divided by 0.3081 it would get about 76%"),
        (0.011, 1, 0.5255, "With pixels from 0 to 255 it would get about 64%"),
    ],
)
def test_the_convention_of_pixels_that_is_clearly_better_is_a_warning(
    mean: float, deviation: float, accuracy: float, hint: str, tmp_path: Path
) -> None:
    """The model is made for pixels less their mean and divided by their deviation."""
    folder = make_base(tmp_path, FLAT) / "model" / "1"
    shard = np.fromfile(folder / "variables" / "variables.data-00000-of-00001", np.float32, 500)
    w, b = shard[:490].reshape(49, 10), shard[490:]
    set_weight(folder, 0, *(deviation * w).ravel(), *(b + mean * w.sum(axis=0)))
    found = check_model(str(tmp_path))
    assert found.accuracy == accuracy
    assert hint in found.warnings[0]


def test_a_fixed_batch_of_1_is_fit(tmp_path: Path) -> None:
    """The dashboard sends one digit at a time."""
    with_input(make_base(tmp_path, FLAT) / "model" / "1", 1, 784)
    assert check_model(str(tmp_path)) == ModelCheck(str(tmp_path), 1, (1, 784), 0.8265, 2000)


def test_a_model_is_judged_by_one_digit_at_a_time(tmp_path: Path) -> None:
    """As the dashboard sends them; answers that depend on the rest of the batch are a warning."""
    found = check_model(str(make_base(tmp_path, BATCHED)))
    assert found.accuracy == 0.1
    assert found.warnings[1].startswith("It gets 10% of 200 digits right, but 6")
    assert found.warnings[1].endswith("in one request. Export it for inference, with training=False.")


def test_a_model_is_judged_by_the_signature_that_fits(tmp_path: Path) -> None:
    """TensorFlow Serving's own example takes text by default, and digits as `predict_images`."""
    found = check_model(str(make_base(tmp_path, EXAMPLE)))
    assert (found.input_shape, found.accuracy) == (UNKNOWN_RANK, 0.92)
    assert found.warnings[0].endswith('other programs must send "signature_name": "predict_images".')


def test_probabilities_on_a_scale_of_their_own_are_refused(tmp_path: Path) -> None:
    """They would count as logits: too sure of most digits, or not sure of any."""
    folder = make_base(tmp_path, EXAMPLE) / "model" / "1"
    change(folder, double_answers)
    with pytest.raises(ModelError) as caught:
        check_model(str(tmp_path))
    assert caught.value.problem == (
        f"{folder} answers with ten numbers that always add up to 2: they are no logits."
    )


def test_branches_are_judged_by_what_is_served(tmp_path: Path) -> None:
    """The first batch is right."""
    assert check_model(str(make_base(tmp_path, BRANCHES))).accuracy == 0.975


@pytest.mark.parametrize(
    ("declare", "problem"),
    [
        (lambda folder: with_input(folder, -1, 784, dtype=19), "takes DT_HALF for its input `pixels`"),
        (lambda folder: with_output(folder, -1, 10, dtype=19), "answers with DT_HALF in its output `logits`"),
    ],
)
def test_what_has_no_json_is_refused(declare: Callable[[Path], object], problem: str, tmp_path: Path) -> None:
    """TensorFlow Serving would refuse every prediction."""
    declare(make_base(tmp_path, FLAT) / "model" / "1")
    with pytest.raises(ModelError, match=problem):
        check_model(str(tmp_path))


def test_a_folder_with_an_operation_that_openvino_lacks_is_refused(tmp_path: Path) -> None:
    """It would be served by OpenVINO, so deploying it unchecked is no way out."""
    change(make_base(tmp_path, EXAMPLE) / "model" / "1", use_foreign_operation)
    with pytest.raises(ModelError, match="OpenVINO does not have: XlaCallModule") as caught:
        check_model(str(tmp_path))
    assert not caught.value.unverified


def test_two_folders_of_a_version_are_a_warning(tmp_path: Path) -> None:
    """Which of them TensorFlow Serving loads is left to chance."""
    make_base(tmp_path, ROWS, "01", "1")
    assert check_model(str(tmp_path)).warnings == ("`01` is also version 1: remove one of the two folders.",)


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
