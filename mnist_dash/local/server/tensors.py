"""The values of a predict request as arrays: the careful way, which takes or refuses whatever may come.

Follows github tensorflow/serving, util/json_tensor.cc (FillPredictRequestFromJson), its messages included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from mnist_dash.local.server.dense import dense_array, shape_text
from mnist_dash.local.server.document import shown
from mnist_dash.local.server.refusal import invalid
from mnist_dash.savedmodel import Signature, Tensor

Arrays = dict[str, NDArray[Any]]


class Format(StrEnum):
    """How a request lists its values, and its answer likewise; the value is the key in the request."""

    ROW = "instances"
    COLUMNAR = "inputs"


def read_tensors(document: Mapping[str, Any], signature: Signature) -> tuple[Format, Arrays]:
    """One array for each of the signature's inputs, of its dtype and shape; raises RefusedError (400)."""
    if not signature.inputs:
        raise invalid(f"Failed to get input map for signature: {signature.name}")
    form = _format(document)
    list_values = _by_row if form is Format.ROW else _by_column
    values = list_values(document[form], signature.inputs)
    arrays = {}
    for name, value in values.items():
        tensor = signature.inputs[name]
        arrays[name] = dense_array(value, tensor.dtype, batched=form is Format.ROW)
        _check_shape(name, arrays[name].shape, tensor)
    return form, arrays


def _format(document: Mapping[str, Any]) -> Format:
    given = [form for form in Format if form in document]
    if len(given) > 1:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of"
            f" '{Format.COLUMNAR}' or '{Format.ROW}' keys to exist "
        )
    if not given:
        raise invalid("Missing 'inputs' or 'instances' key")
    return given[0]


def _check_shape(name: str, shape: tuple[int, ...], tensor: Tensor) -> None:
    wanted = tensor.shape
    if wanted is None:
        return
    if len(shape) != len(wanted) or any(
        free not in (-1, size) for size, free in zip(shape, wanted, strict=True)
    ):
        raise invalid(f"Input '{name}' has shape {shape_text(shape)}, expected {shape_text(wanted)}")


def _by_row(items: Any, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    if not isinstance(items, list):
        raise invalid(f"JSON Value: {shown(items)} Excepting 'instances' to be an list/array")
    if not items:
        raise invalid("JSON Value: [] No values in 'instances' array")
    if not isinstance(items[0], dict) and len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors"
            " required as per tensorinfo_map"
        )
    if _names_inputs(items[0]):
        return _named_rows(items, inputs)
    for index, item in enumerate(items):
        if _names_inputs(item):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
    return {next(iter(inputs)): items}


def _named_rows(items: Sequence[Any], inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    for index, item in enumerate(items):
        if not _names_inputs(item):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        if item.keys() != inputs.keys():
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: {shown(item)}"
                f" must only have keys: {','.join(sorted(inputs))}"
            )
    return {name: [item[name] for item in items] for name in inputs}


def _by_column(value: Any, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    if _names_inputs(value):
        for name in inputs:
            if name not in value:
                raise invalid(f"Missing named input: {name} in 'inputs' object.")
        return {name: value[name] for name in inputs}
    if len(inputs) > 1:
        raise invalid(
            "inputs is a plain value/list, but expecting an object as multiple input tensors"
            " required as per tensorinfo_map"
        )
    return {next(iter(inputs)): value}


def _names_inputs(value: Any) -> bool:
    """Whether it is an object of named inputs; `{"b64": ".."}` is a string of bytes instead."""
    if not isinstance(value, dict):
        return False
    return not (len(value) == 1 and isinstance(value.get("b64"), str))
