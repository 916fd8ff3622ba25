"""saved_model.pb is read with the few messages that are declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.proto import read_signatures
from mnist_dash.signature import Tensor
from tests.models import ROWS, change, cut_off, folder_of, make_base, signature_in, with_input

EXPORT = "Export the model again, with model.export(...) in Keras or tf.saved_model.save(...) in TensorFlow."


def test_signatures_are_read_as_they_are_written() -> None:
    """Names, types and shapes; the signature that initialises the model is left out."""
    signatures = read_signatures(folder_of(ROWS))
    assert set(signatures) == {"serving_default", "pixels"}
    default = signatures["serving_default"]
    assert default.method_name == "tensorflow/serving/predict"
    assert default.inputs == {"image": Tensor("serving_default_image:0", "DT_FLOAT", (-1, 28, 28))}
    assert default.outputs["classes"] == Tensor("StatefulPartitionedCall_1:0", "DT_INT64", (-1,))
    assert default.outputs["probabilities"] == Tensor("StatefulPartitionedCall_1:1", "DT_FLOAT", (-1, 10))


def _set_unknown_rank(graph: Any) -> None:
    shape = signature_in(graph).inputs[0].value.tensor_shape
    shape.Clear()
    shape.unknown_rank = True


def test_an_unknown_rank_is_read_as_such(tmp_path: Path) -> None:
    """It is not the same as the shape of a single number."""
    folder = make_base(tmp_path) / "model" / "1"
    change(folder, _set_unknown_rank)
    assert read_signatures(folder)["serving_default"].inputs["image"].shape is None
    assert read_signatures(with_input(folder))["serving_default"].inputs["image"].shape == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"\x89HDF\r\n\x1a\n", "damaged or another kind of file", id="Keras HDF5"),
    ],
)
def test_another_file_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    """The problem names the file; the next step says how to export a model."""
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_signatures(tmp_path)
    assert caught.value.problem == f"{tmp_path / 'saved_model.pb'} is not a SavedModel: it is {reason}."
    assert caught.value.next_step == EXPORT


def test_an_incomplete_file_is_refused(tmp_path: Path) -> None:
    """As an interrupted copy leaves it."""
    folder = make_base(tmp_path) / "model" / "1"
    cut_off(folder / "saved_model.pb")
    with pytest.raises(ModelError, match="it is damaged"):
        read_signatures(folder)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """With the folder that lacks it."""
    with pytest.raises(ModelError, match=f"There is no saved_model.pb in {tmp_path}"):
        read_signatures(tmp_path)


def test_a_graph_that_is_not_for_serving_is_refused(tmp_path: Path) -> None:
    """TensorFlow Serving requires exactly the tag `serve`."""
    folder = make_base(tmp_path) / "model" / "1"
    change(folder, lambda graph: graph.meta_info_def.tags.append("gpu"))
    with pytest.raises(ModelError, match=r"no graph whose only tag is `serve`; its tags are: serve, gpu\."):
        read_signatures(folder)
