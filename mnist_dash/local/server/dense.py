"""Nested lists as one array: every list of one level as long as the others, every value of the right kind.

Follows github tensorflow/serving, util/json_tensor.cc (FillTensorProto), its messages included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_dash.local.server.document import shown
from mnist_dash.local.server.refusal import invalid

MOST_DIMENSIONS = 64
"""numpy's limit; TensorFlow's is 254."""

NUMPY_TYPES: dict[str, type[np.generic]] = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
}
"""What can be written in JSON, by the signature's name for it."""


def dense_array(value: Any, dtype: str, *, batched: bool) -> NDArray[Any]:
    """The array that nested lists (or one number) stand for; `dtype` is the signature's ("DT_FLOAT").

    `batched` says that `value` is a list of items, so that an error can number them. Raises RefusedError.
    """
    shape = _shape(value)
    if len(shape) > MOST_DIMENSIONS:
        raise invalid(f"Shape has {len(shape)} dimensions, more than {MOST_DIMENSIONS}")
    leaves = _leaves(value, shape)
    kind = NUMPY_TYPES.get(dtype)
    if leaves is None or kind is None or not _all_fit(leaves, kind):
        raise invalid(_what_is_wrong(value, dtype, shape, batched))
    with np.errstate(over="ignore"):  # 1e300 reads as infinity
        return np.array(leaves, dtype=kind).reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    """How deep and how long the lists are, going by the first of each."""
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)


def _leaves(value: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """The values in order, or None if the lists are not all of that shape."""
    level = [value]
    for size in shape:
        if not all(isinstance(part, list) and len(part) == size for part in level):
            return None
        level = list(chain.from_iterable(level))
    return level


def _all_fit(leaves: Sequence[Any], kind: type[np.generic]) -> bool:
    found = set(map(type, leaves))
    if issubclass(kind, np.floating):
        return found <= {int, float}
    if issubclass(kind, np.integer):
        limits = np.iinfo(kind)
        return found <= {int} and all(limits.min <= leaf <= limits.max for leaf in leaves)
    return found <= {bool}


def _what_is_wrong(value: Any, dtype: str, shape: tuple[int, ...], batched: bool) -> str:
    if not batched:
        return next(_faults(value, dtype, shape))
    faults = (_fault_of_item(item, dtype, shape[1:]) for item in value)
    index, fault = next((index, fault) for index, fault in enumerate(faults) if fault)
    return f"Failed to process element: {index} of 'instances' list. Error: INVALID_ARGUMENT: {fault}"


def _fault_of_item(item: Any, dtype: str, wanted: tuple[int, ...]) -> str:
    shape = _shape(item)
    if fault := next(_faults(item, dtype, shape), ""):
        return fault
    if shape != wanted:
        return f"Expecting shape {shape_text(wanted)} but got: {shape_text(shape)}"
    return ""


def _faults(value: Any, dtype: str, shape: tuple[int, ...], level: int = 0) -> Iterator[str]:
    """What is wrong, in the order in which TensorFlow Serving comes upon it."""
    if not isinstance(value, list):
        if level != len(shape):
            yield (
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM."
                f" Expected at level: {len(shape)}"
            )
        elif dtype not in NUMPY_TYPES or not _all_fit([value], NUMPY_TYPES[dtype]):
            wanted = dtype.removeprefix("DT_").lower()
            yield f"JSON Value: {shown(value)} Type: {_kind(value)} is not of expected type: {wanted}"
    elif level >= len(shape):
        yield f"Encountered list at unexpected level: {level} expected < {len(shape)}"
    elif len(value) != shape[level]:
        yield (
            f"Encountered list at unexpected size: {len(value)} at level: {level}"
            f" expected size: {shape[level]}"
        )
    else:
        for part in value:
            yield from _faults(part, dtype, shape, level + 1)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, dict):
        return "Object"
    return {str: "String", type(None): "Null"}.get(type(value), "Number")


def shape_text(shape: Sequence[int]) -> str:
    """A shape as TensorFlow Serving writes it: `[1,28,28]`."""
    return f"[{','.join(map(str, shape))}]"
