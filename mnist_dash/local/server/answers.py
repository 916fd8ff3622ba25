"""Answers as the JSON text that TensorFlow Serving writes, to the byte.

Follows github tensorflow/serving, util/json_tensor.cc (MakeJsonFromTensors, WriteDecimal).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_dash.local.server.refusal import invalid
from mnist_dash.local.server.tensors import Format

_INDENT = "    "
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def error_json(text: str) -> bytes:
    """The body of every error."""
    return json.dumps({"error": text}, indent=4).encode()


def predict_json(form: Format, outputs: Mapping[str, NDArray[Any]]) -> bytes:
    """The body of an answer to `:predict` in the request's format; raises RefusedError (400)."""
    write = _rows_json if form is Format.ROW else _columns_json
    return f"{{\n{_INDENT}{write(outputs)}\n}}".encode()


def _rows_json(outputs: Mapping[str, NDArray[Any]]) -> str:
    _check_batch(outputs)
    columns = {name: _nested(number_texts(array), array.shape[1:]) for name, array in outputs.items()}
    if len(columns) == 1:
        (rows,) = columns.values()
        return f'"predictions": [{", ".join(rows)}\n{_INDENT}]'
    outer, inner = f"\n{_INDENT * 2}", f"\n{_INDENT * 3}"
    objects = [
        f"{outer}{{{inner}" + f",{inner}".join(_members(columns, row)) + f"{outer}}}"
        for row in zip(*columns.values(), strict=True)
    ]
    return f'"predictions": [{",".join(objects)}\n{_INDENT}]'


def _members(names: Mapping[str, Any], row: Sequence[str]) -> list[str]:
    return [f"{json.dumps(name)}: {text}" for name, text in zip(names, row, strict=True)]


def _check_batch(outputs: Mapping[str, NDArray[Any]]) -> None:
    batch = 0
    for name, array in outputs.items():
        if not array.shape:
            raise invalid(f"Tensor name: {name} has no shape information ")
        size = array.shape[0]
        if size < 1:
            raise invalid(f"Tensor name: {name} has invalid batch size: {size}")
        if batch not in (0, size):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {size} expecting: {batch}")
        batch = size


def _columns_json(outputs: Mapping[str, NDArray[Any]]) -> str:
    several = len(outputs) > 1
    depth = 2 if several else 1
    texts = [
        _nested(number_texts(array), array.shape, depth=depth)[0] if array.size else _empty(array.shape)
        for array in outputs.values()
    ]
    if not several:
        return f'"outputs": {texts[0]}'
    inner = f"\n{_INDENT * 2}"
    return f'"outputs": {{{inner}' + f",{inner}".join(_members(outputs, texts)) + f"\n{_INDENT}}}"


def _empty(shape: Sequence[int]) -> str:
    return json.dumps(np.empty(shape).tolist())


def _nested(texts: list[str], shape: Sequence[int], depth: int | None = None) -> list[str]:
    """Join number texts to as many lists of this shape as they fill, indented from `depth` on or flat."""
    for level in reversed(range(len(shape))):
        size = shape[level]
        if depth is None:
            start, between, end = "[", ", ", "]"
        else:
            line = f"\n{_INDENT * (depth + level + 1)}"
            start, between, end = f"[{line}", f",{line}", f"\n{_INDENT * (depth + level)}]"
        texts = [
            start + between.join(texts[index : index + size]) + end for index in range(0, len(texts), size)
        ]
    return texts


def number_texts(array: NDArray[Any]) -> list[str]:
    """Each element as TensorFlow Serving writes it, in row-major order.

    A float has the fewest of 6 or 9 significant digits (15 or 17 if it is a double) that give the same bits
    back, and always a `.` or an `e`; NaN and Infinity are bare words.
    """
    values = array.ravel().tolist()
    if not np.issubdtype(array.dtype, np.floating):
        return [json.dumps(value) for value in values]
    # absl::StrCat writes six digits of either kind
    texts = ("%.6g " * len(values) % tuple(values)).split()
    exact = 17 if array.dtype == np.float64 else 9
    same = np.array(list(map(float, texts)), dtype=array.dtype) == array.ravel()
    for index in np.flatnonzero(~same).tolist():
        texts[index] = f"{values[index]:.{exact}g}"
    return [text if "." in text or "e" in text else _whole(text) for text in texts]


def _whole(text: str) -> str:
    return _NOT_FINITE.get(text) or f"{text}.0"
