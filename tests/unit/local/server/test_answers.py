"""Answers as JSON text."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from mnist_dash.local.server.codec import Format, HttpError, error_json, number_texts, predict_json
from tests.unit.local.server.fake_model import floats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (2.5, "2.5"),
        (0.1, "0.1"),
        (1 / 3, "0.333333343"),
        (123456.0, "123456.0"),
        (1234567.0, "1234567.0"),
        (9000000.0, "9e+06"),
        (0.00003, "3e-05"),
        (16777216.0, "16777216.0"),
        (1e-45, "1.4013e-45"),
        (3.4028235e38, "3.40282347e+38"),
        (0.999999523, "0.999999523"),
        (np.nan, "NaN"),
        (np.inf, "Infinity"),
        (-np.inf, "-Infinity"),
    ],
)
def test_a_float_is_written_as_tensorflow_serving_does(value: float, text: str) -> None:
    """6 digits if they give the same float32 back, else 9; always `.` or `e`; bare words if not finite."""
    assert number_texts(floats(value)) == [text]


def test_every_float_comes_back_to_the_same_bits_from_the_fewest_digits() -> None:
    """Over random bit patterns: what is written reads back the same, and is short where it can be."""
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    texts = number_texts(values)

    assert np.array(list(map(float, texts)), np.float32).tobytes() == values.tobytes()
    assert all("." in text or "e" in text for text in texts)
    for value, text in zip(values.tolist(), texts, strict=True):
        digits = len(re.sub(r"e.*|[.-]", "", text).strip("0"))
        short = np.float32(float(f"{value:.6g}")) == np.float32(value)
        assert digits <= (7 if short else 9)  # `.0` may follow six digits


def test_six_digits_are_enough_for_what_a_person_wrote() -> None:
    """0.123456 does not come back as 0.123456001."""
    values = [round(number / 1e6, 6) for number in range(1, 1_000_000, 997)]

    assert [float(text) for text in number_texts(floats(*values))] == values


def test_doubles_are_written_with_6_or_17_digits() -> None:
    """The same rule with the other number of digits."""
    assert number_texts(np.array([0.1, 1 / 3])) == ["0.1", "0.33333333333333331"]


def test_whole_numbers_and_booleans_are_written_as_such() -> None:
    """No `.0` is put to what is no float."""
    assert number_texts(np.array([1, -2])) == ["1", "-2"]
    assert number_texts(np.array([True, False])) == ["true", "false"]


def test_rows_of_one_output_are_bare_and_on_one_line() -> None:
    """To the byte what TensorFlow Serving prints."""
    answer = predict_json(Format.ROW, {"y": floats(0.5, 1, 2, 3).reshape(2, 2)})

    assert answer == b'{\n    "predictions": [[0.5, 1.0], [2.0, 3.0]\n    ]\n}'


def test_a_row_may_be_a_number() -> None:
    """An output of one number for each item."""
    assert predict_json(Format.ROW, {"y": floats(2.5, 3)}) == b'{\n    "predictions": [2.5, 3.0\n    ]\n}'


def test_rows_of_several_outputs_are_objects() -> None:
    """One object for each item, one member for each output."""
    outputs = {"a": floats(1, 2), "b": floats(3, 4, 5, 6).reshape(2, 1, 2)}

    assert predict_json(Format.ROW, outputs).decode() == (
        '{\n    "predictions": [\n'
        '        {\n            "a": 1.0,\n            "b": [[3.0, 4.0]]\n        },\n'
        '        {\n            "a": 2.0,\n            "b": [[5.0, 6.0]]\n        }\n'
        "    ]\n}"
    )


def test_a_column_is_bare_if_there_is_one_output() -> None:
    """Indented, one number on a line."""
    answer = predict_json(Format.COLUMNAR, {"y": floats(1, 2).reshape(2, 1)}).decode()

    assert answer == (
        '{\n    "outputs": [\n'
        "        [\n            1.0\n        ],\n        [\n            2.0\n        ]\n    ]\n}"
    )


def test_columns_of_several_outputs_are_an_object() -> None:
    """One member for each output."""
    answer = predict_json(Format.COLUMNAR, {"a": floats(1), "b": np.array(2, np.float32)}).decode()

    assert answer == (
        '{\n    "outputs": {\n        "a": [\n            1.0\n        ],\n        "b": 2.0\n    }\n}'
    )


@pytest.mark.parametrize("shape", [(3,), (1, 10), (2, 3, 4), (2, 1, 1, 2)])
@pytest.mark.parametrize("form", list(Format))
def test_the_shape_of_an_output_is_kept(shape: tuple[int, ...], form: Format) -> None:
    """Read back as JSON, the answer is the output."""
    output = np.random.default_rng(0).random(shape).astype(np.float32)
    read = json.loads(predict_json(form, {"y": output}))

    (values,) = read.values()
    assert np.array_equal(np.array(values, np.float32), output)


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_an_empty_column_is_an_empty_list(shape: tuple[int, ...]) -> None:
    """Nothing in it, and still JSON."""
    read = json.loads(predict_json(Format.COLUMNAR, {"y": np.empty(shape, np.float32)}))

    assert read == {"outputs": np.empty(shape).tolist()}


@pytest.mark.parametrize(
    ("outputs", "error"),
    [
        ({"y": np.array(1, np.float32)}, "Tensor name: y has no shape information "),
        ({"y": np.empty((0, 2), np.float32)}, "Tensor name: y has invalid batch size: 0"),
        ({"a": floats(1), "b": floats(1, 2)}, "Tensor name: b has inconsistent batch size: 2 expecting: 1"),
    ],
)
def test_outputs_that_are_no_rows_are_refused_in_row_format(
    outputs: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], error: str
) -> None:
    """400: the same request may be made in columnar format."""
    with pytest.raises(HttpError) as refused:
        predict_json(Format.ROW, outputs)

    assert (refused.value.status, refused.value.problem) == (400, error)


def test_an_error_is_an_object_with_one_member() -> None:
    """Quotes and line breaks in it are escaped."""
    assert json.loads(error_json('no "x"\n')) == {"error": 'no "x"\n'}
