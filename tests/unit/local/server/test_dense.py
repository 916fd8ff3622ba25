"""Nested lists as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mnist_dash.local.server.codec import HttpError, dense_array
from tests.unit.local.server.fake_model import floats, same_bits


def nested(depth: int) -> Any:
    """The number 1 in that many lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (1, ()),
        ([], (0,)),
        ([1, 2, 3], (3,)),
        ([[1, 2], [3, 4]], (2, 2)),
        ([[], []], (2, 0)),
        (nested(64), (1,) * 64),
    ],
)
def test_lists_of_one_length_become_an_array(value: Any, shape: tuple[int, ...]) -> None:
    """Depth and lengths of the lists are the shape."""
    assert dense_array(value, "DT_FLOAT", batched=False).shape == shape


def test_floats_are_rounded_as_from_double() -> None:
    """What float32 cannot hold becomes infinite or is rounded, and no warning comes of it."""
    read = dense_array([1e300, -1e300, 0.1, 16777217, -0.0], "DT_FLOAT", batched=False)

    assert same_bits(read, floats(np.inf, -np.inf, 0.1, 16777216, -0.0))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([1, 2], "DT_INT32"), ([255], "DT_UINT8"), ([True, False], "DT_BOOL"), ([-(2**63)], "DT_INT64")],
)
def test_other_kinds_of_values_are_taken_where_the_signature_wants_them(value: Any, dtype: str) -> None:
    """Whole numbers for whole numbers, booleans for booleans."""
    assert dense_array(value, dtype, batched=False).tolist() == value


@pytest.mark.parametrize(
    ("value", "dtype", "error"),
    [
        ("a", "DT_FLOAT", 'JSON Value: "a" Type: String is not of expected type: float'),
        ([True], "DT_FLOAT", "JSON Value: true Type: True is not of expected type: float"),
        ([False], "DT_FLOAT", "JSON Value: false Type: False is not of expected type: float"),
        ([None], "DT_FLOAT", "JSON Value: null Type: Null is not of expected type: float"),
        ([{}], "DT_FLOAT", "JSON Value: {} Type: Object is not of expected type: float"),
        ([1, "1"], "DT_FLOAT", 'JSON Value: "1" Type: String is not of expected type: float'),
        ([1.0], "DT_INT32", "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ([256], "DT_UINT8", "JSON Value: 256 Type: Number is not of expected type: uint8"),
        ([2**31], "DT_INT32", "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        ([1], "DT_BOOL", "JSON Value: 1 Type: Number is not of expected type: bool"),
        ([1], "DT_HALF", "JSON Value: 1 Type: Number is not of expected type: half"),
        (
            [[1], 2],
            "DT_FLOAT",
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        ([1, [2]], "DT_FLOAT", "Encountered list at unexpected level: 1 expected < 1"),
        ([[1, 2], [3]], "DT_FLOAT", "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ([[], [1]], "DT_FLOAT", "Encountered list at unexpected size: 1 at level: 1 expected size: 0"),
        (nested(65), "DT_FLOAT", "Shape has 65 dimensions, more than 64"),
        (nested(900), "DT_FLOAT", "Shape has 900 dimensions, more than 64"),
    ],
)
def test_what_is_no_array_is_refused_in_tensorflow_servings_words(value: Any, dtype: str, error: str) -> None:
    """The first thing that is wrong is told."""
    with pytest.raises(HttpError) as refused:
        dense_array(value, dtype, batched=False)

    assert (refused.value.status, refused.value.problem) == (400, error)


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ([[1], ["a"]], 'element: 1 of .* JSON Value: "a" Type: String is not of expected type: float'),
        ([[1, 2], [3]], r"element: 1 of .* Expecting shape \[2\] but got: \[1\]"),
        ([[[1], [2]], [[3]]], r"element: 1 of .* Expecting shape \[2,1\] but got: \[1,1\]"),
        ([1, [2]], r"element: 1 of .* Expecting shape \[\] but got: \[1\]"),
        ([[[1], [2, 3]], [[3], [4]]], "element: 0 of .* unexpected size: 2 at level: 1 expected size: 1"),
    ],
)
def test_the_error_names_the_item_of_a_batch(items: Any, error: str) -> None:
    """The first item that is wrong, or not shaped as the first one is, is told by its number."""
    with pytest.raises(HttpError, match=f"^Failed to process {error}$"):
        dense_array(items, "DT_FLOAT", batched=True)
