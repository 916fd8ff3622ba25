"""The values of a predict request."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mnist_dash.local.server.codec import Format, HttpError, read_tensors
from tests.unit.local.server.fake_model import signature, tensors

ONE = signature()
TWO = signature(tensors(a=(-1, 2), b=(-1,)))
ITEM = [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ({"instances": [ITEM, ITEM]}, Format.ROW),
        ({"instances": [{"x": ITEM}, {"x": ITEM}]}, Format.ROW),
        ({"inputs": [ITEM, ITEM]}, Format.COLUMNAR),
        ({"inputs": {"x": [ITEM, ITEM]}}, Format.COLUMNAR),
        ({"inputs": {"x": [ITEM, ITEM], "extra": "ignored"}}, Format.COLUMNAR),
        ({"inputs": [ITEM, ITEM], "other": {"keys": "ignored"}}, Format.COLUMNAR),
    ],
)
def test_one_input_may_be_given_in_each_of_these_ways(document: Any, form: Format) -> None:
    """Bare or by name, by row or by column."""
    found, arrays = read_tensors(document, ONE)

    assert found is form
    assert arrays.keys() == {"x"}
    assert np.array_equal(arrays["x"], np.array([ITEM, ITEM], np.float32))


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [{"a": [1, 2], "b": 5}, {"b": 6, "a": [3, 4]}]},
        {"inputs": {"a": [[1, 2], [3, 4]], "b": [5, 6]}},
    ],
)
def test_several_inputs_are_given_by_name(document: Any) -> None:
    """In rows or in columns."""
    _, arrays = read_tensors(document, TWO)

    assert arrays["a"].tolist() == [[1, 2], [3, 4]]
    assert arrays["b"].tolist() == [5, 6]


def test_free_sizes_take_any_size() -> None:
    """-1 in the signature, or no shape at all."""
    free = signature(tensors(x=(-1, -1)))
    unknown = signature(tensors(x=None))

    assert read_tensors({"instances": [[1, 2, 3]]}, free)[1]["x"].shape == (1, 3)
    assert read_tensors({"instances": [[[1]]]}, unknown)[1]["x"].shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("document", "desired", "error"),
    [
        ({}, ONE, "^Missing 'inputs' or 'instances' key$"),
        ({"instances": [1], "inputs": [1]}, ONE, "only one of 'inputs' or 'instances' keys to exist"),
        ({"instances": []}, ONE, "No values in 'instances' array"),
        ({"instances": {}}, ONE, "Excepting 'instances' to be an list/array"),
        ({"instances": None}, ONE, "JSON Value: null Excepting 'instances' to be an list/array"),
        ({"instances": "x"}, ONE, "Excepting 'instances' to be an list/array"),
        ({"instances": [{"x": ITEM}, ITEM]}, ONE, "Expecting object but got list at item 1 of input list"),
        ({"instances": [ITEM, {"x": ITEM}]}, ONE, "Expecting value/list but got object at item 1 of input"),
        ({"instances": [{"y": ITEM}]}, ONE, "(?s)element: 0 .* must only have keys: x"),
        ({"instances": [{"x": ITEM, "y": 1}]}, ONE, "(?s)element: 0 .* must only have keys: x"),
        ({"instances": [{"a": [1, 2]}]}, TWO, "must only have keys: a,b"),
        ({"instances": [[1, 2]]}, TWO, "^instances is a plain list, but expecting list of objects"),
        ({"instances": [{"b64": "AAAA"}]}, ONE, "Type: Object is not of expected type: float"),
        ({"inputs": {"a": [[1, 2]]}}, TWO, "^Missing named input: b in 'inputs' object.$"),
        ({"inputs": {}}, ONE, "^Missing named input: x in 'inputs' object.$"),
        ({"inputs": [[1, 2]]}, TWO, "^inputs is a plain value/list, but expecting an object"),
        ({"inputs": None}, ONE, "JSON Value: null Type: Null is not of expected type: float"),
        ({"inputs": {"b64": "AAAA"}}, ONE, "Type: Object is not of expected type: float"),
        ({"instances": [ITEM]}, signature({}), "Failed to get input map for signature: serving_default"),
    ],
)
def test_a_request_of_the_wrong_form_is_refused(document: Any, desired: Any, error: str) -> None:
    """400, with TensorFlow Serving's words."""
    with pytest.raises(HttpError, match=error) as refused:
        read_tensors(document, desired)

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("document", "shape"),
    [
        ({"instances": [[1, 2, 3, 4]]}, "[1,4]"),
        ({"instances": [[[1, 2], [3, 4], [5, 6]]]}, "[1,3,2]"),
        ({"instances": [[]]}, "[1,0]"),
        ({"instances": [1]}, "[1]"),
        ({"inputs": 1}, "[]"),
        ({"inputs": []}, "[0]"),
        ({"inputs": ITEM}, "[2,2]"),
    ],
)
def test_a_shape_that_does_not_fit_the_signature_is_refused(document: Any, shape: str) -> None:
    """Both shapes are told."""
    with pytest.raises(HttpError) as refused:
        read_tensors(document, ONE)

    assert refused.value.problem == f"Input 'x' has shape {shape}, expected [-1,2,2]"


def test_a_fixed_batch_must_be_met() -> None:
    """A signature whose first size is 1 takes one item."""
    fixed = signature(tensors(x=(1, 2)))

    assert read_tensors({"instances": [[1, 2]]}, fixed)[1]["x"].shape == (1, 2)
    with pytest.raises(HttpError):
        read_tensors({"instances": [[1, 2], [3, 4]]}, fixed)
