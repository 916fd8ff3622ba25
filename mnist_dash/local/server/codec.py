"""Decode JSON requests into numpy arrays, and encode responses, as TensorFlow Serving's REST API does.

The formats are those of https://www.tensorflow.org/tfx/serving/api_rest: `instances` (row) and `inputs`
(columnar). The order of the checks follows github tensorflow/serving, util/json_tensor.cc.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from itertools import chain
from operator import methodcaller
from typing import Any

import numpy as np
import orjson
import rapidjson
from numpy.typing import NDArray

from mnist_dash.errors import ServingError
from mnist_dash.signature import SERVING_DEFAULT, Signature, Tensor

try:
    import simdjson
except ImportError:  # no wheel for this Python: `parse` and `decode_inputs` read every body
    simdjson = None  # type: ignore[assignment]

Arrays = dict[str, NDArray[Any]]
Document = dict[str, Any]


class HttpError(ServingError):
    """An error response: the text of its `{"error": ...}` body, and the HTTP status."""

    def __init__(self, text: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(text)
        self.status = status


class Format(StrEnum):
    """How a request lists its values, and its response likewise; the value is the key in the request."""

    ROW = "instances"
    COLUMNAR = "inputs"


_DTYPES: dict[str, np.dtype[Any]] = {
    "DT_FLOAT": np.dtype("float32"),
    "DT_DOUBLE": np.dtype("float64"),
    "DT_BOOL": np.dtype("bool"),
    **{f"DT_{name.upper()}": np.dtype(name) for name in ("int8", "int16", "int32", "int64")},
    **{f"DT_{name.upper()}": np.dtype(name) for name in ("uint8", "uint32", "uint64")},
}
_JSON_TYPES: dict[str, set[type]] = {"f": {int, float}, "b": {bool}, "i": {int}, "u": {int}}
"""By numpy's kind of dtype: whole numbers are floats as well, but floats are no whole numbers."""
_NUMBERS_AND_SPACE = b"0123456789+-.eE \t\r\n"


class FloatReader:
    """Reads the usual body, `{"instances": [image, ...]}`, without a Python object for every pixel.

    Building nested lists takes several times as long as the inference. simdjson flattens them into a buffer
    instead; it ignores their shape, so the brackets and commas are compared with the signature's.
    """

    def __init__(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._name, self._dtype, self._shape = name, dtype, shape
        # nested lists of numbers without the numbers: `[,,]` for (3,)
        self._item = json.dumps(np.zeros(shape).tolist()).encode().translate(None, _NUMBERS_AND_SPACE)

    @classmethod
    def from_signature(cls, signature: Signature | None) -> FloatReader | None:
        """Return a reader if the signature has one float input of fixed shape per instance, else None."""
        if simdjson is None or signature is None or len(signature.inputs) != 1:
            return None
        ((name, tensor),) = signature.inputs.items()
        batch, shape = (tensor.shape or ())[:1], (tensor.shape or ())[1:]
        if tensor.dtype not in ("DT_FLOAT", "DT_DOUBLE") or batch != (-1,) or min(shape, default=1) < 1:
            return None
        return cls(name, _DTYPES[tensor.dtype], shape)

    def read(self, body: bytes) -> tuple[Format, Arrays] | None:
        """Return what `decode_inputs` would, or None if the body is anything but the usual one."""
        brackets = body[body.find(b"[") : body.rfind(b"]") + 1].translate(None, _NUMBERS_AND_SPACE)
        count = (len(brackets) - 1) // (len(self._item) + 1)
        if count < 1 or brackets != b"[" + b",".join([self._item] * count) + b"]":
            return None
        try:
            document: Any = simdjson.Parser().parse(body)
            (form,) = [form for form in Format if form in document]
            name = document.get("signature_name", "")
            values = np.frombuffer(document[form].as_buffer(of_type="d"), np.float64)
        except (ValueError, TypeError, AttributeError, RuntimeError):
            return None
        # The brackets of `[[]]` are those of `[[1]]`: only the count of numbers tells them apart.
        if name not in ("", SERVING_DEFAULT) or len(values) != count * math.prod(self._shape):
            return None
        with np.errstate(over="ignore"):  # 1e300 reads as infinity
            return form, {self._name: values.astype(self._dtype).reshape(count, *self._shape)}


class _Decoder(rapidjson.Decoder):
    def start_object(self) -> list[tuple[str, Any]]:
        return []

    def end_object(self, members: list[tuple[str, Any]]) -> Document:
        # RapidJSON finds the first of two members of one name, a dict keeps the last
        return dict(reversed(members))


_decode = _Decoder(number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)
_MORE_TEXT = "The document root must not be followed by other values."


def parse(body: bytes) -> Document:
    """Return the JSON object that a body begins with; text after it is ignored. Raises HttpError (400)."""
    # RapidJSON ignores a byte order mark and wrong encoding, but python-rapidjson does not.
    text = body.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").encode()
    try:
        document = _decode(text)
    except RecursionError:
        raise HttpError("JSON Parse error: The document is nested too deeply.") from None
    except rapidjson.JSONDecodeError as error:
        message = str(error)  # "Parse error at offset 7: Invalid value."
        if message.endswith(_MORE_TEXT):
            return parse(text[: int(message.split()[4].rstrip(":"))])
        raise HttpError(f"JSON Parse error: {message.removeprefix('Parse error ')}") from None
    if not isinstance(document, dict):
        raise HttpError("The request body is not a JSON object.")
    return document


def signature_name(document: Document) -> str:
    """Return the signature that a request names, by default `serving_default`; raises HttpError (400)."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise HttpError("'signature_name' must be a string.")
    return name or SERVING_DEFAULT


def decode_inputs(document: Document, signature: Signature) -> tuple[Format, Arrays]:
    """Return one array per input of the signature, of its dtype and shape; raises HttpError (400)."""
    forms = [form for form in Format if form in document]
    if len(forms) != 1:
        raise HttpError("The request must have either 'instances' or 'inputs'.")
    if not signature.inputs:
        raise HttpError(f"The signature '{signature.name}' has no inputs.")
    (form,) = forms
    split = _split_rows if form is Format.ROW else _split_columns
    values = split(document[form], signature.inputs)
    return form, {name: _to_array(name, value, signature.inputs[name]) for name, value in values.items()}


def _split_rows(items: Any, inputs: Mapping[str, Tensor]) -> Document:
    if not isinstance(items, list) or not items:
        raise HttpError("'instances' must be a list with at least one item.")
    if all(isinstance(item, dict) and item.keys() == inputs.keys() for item in items):
        return {name: [item[name] for item in items] for name in inputs}
    if len(inputs) > 1 or any(isinstance(item, dict) for item in items):
        raise HttpError(f"Each of 'instances' must be an object with exactly the keys {', '.join(inputs)}.")
    return dict.fromkeys(inputs, items)


def _split_columns(value: Any, inputs: Mapping[str, Tensor]) -> Document:
    if isinstance(value, dict):
        if missing := inputs.keys() - value.keys():
            raise HttpError(f"'inputs' lacks {', '.join(sorted(missing))}.")
        return {name: value[name] for name in inputs}
    if len(inputs) > 1:
        raise HttpError(f"'inputs' must be an object with the keys {', '.join(inputs)}.")
    return dict.fromkeys(inputs, value)


def _to_array(name: str, value: Any, tensor: Tensor) -> NDArray[Any]:
    dtype, shape = _DTYPES.get(tensor.dtype), _shape_of(value)
    numbers = _flatten(value, shape)
    try:
        if numbers is None or dtype is None or not set(map(type, numbers)) <= _JSON_TYPES[dtype.kind]:
            raise TypeError
        with np.errstate(over="ignore"):
            array: NDArray[Any] = np.array(numbers, dtype).reshape(shape)
    except (TypeError, ValueError, OverflowError):  # numpy has limits for dimensions and whole numbers
        kind = tensor.dtype.removeprefix("DT_").lower()
        raise HttpError(f"Input '{name}' must be nested lists of equal lengths of {kind}.") from None
    if tensor.shape is not None and not _fits(shape, tensor.shape):
        raise HttpError(f"Input '{name}' has shape {list(shape)}, expected {list(tensor.shape)}.")
    return array


def _shape_of(value: Any) -> tuple[int, ...]:
    """Return the lengths of nested lists, going by the first item of each."""
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)


def _flatten(value: Any, shape: Iterable[int]) -> list[Any] | None:
    """Return the numbers in row-major order, or None if the lists are not all of that shape."""
    level = [value]
    for size in shape:
        if not all(isinstance(part, list) and len(part) == size for part in level):
            return None
        level = list(chain.from_iterable(level))
    return level


def _fits(shape: Sequence[int], sizes: Sequence[int]) -> bool:
    return len(shape) == len(sizes) and all(size in (-1, n) for n, size in zip(shape, sizes, strict=True))


def encode_predictions(form: Format, outputs: Arrays) -> bytes:
    """Return the response body for `:predict` in the request's format; raises HttpError (400).

    NaN and infinity are written as NaN and Infinity, as TensorFlow Serving does, though JSON has neither.
    """
    columns = {name: _round(array) for name, array in outputs.items()}
    values: Any = columns if len(columns) > 1 else next(iter(columns.values()))
    if form is Format.ROW:
        sizes = {array.shape[:1] for array in outputs.values()}
        if len(sizes) != 1 or sizes & {(), (0,)}:
            raise HttpError("The outputs have no batch in common: send 'inputs' instead of 'instances'.")
        if len(columns) > 1:
            values = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    document = {"predictions" if form is Format.ROW else "outputs": values}
    if all(np.isfinite(array).all() for array in columns.values() if array.dtype.kind == "f"):
        return orjson.dumps(document, default=methodcaller("tolist"), option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(document, default=methodcaller("tolist")).encode()  # orjson writes NaN as null


def _round(array: NDArray[Any]) -> NDArray[Any]:
    """Round float32 as TensorFlow Serving does: to 6 significant digits, or to 9 if 6 change the number."""
    if array.dtype != np.float32:
        return array
    numbers = array.ravel().tolist()
    short = list(map(float, ("%.6g " * len(numbers) % tuple(numbers)).split()))
    same = (np.array(short, np.float32) == array.ravel()).tolist()
    exact = [
        number if is_same else float(f"{original:.9g}")
        for number, is_same, original in zip(short, same, numbers, strict=True)
    ]
    return np.array(exact, np.float64).reshape(array.shape)
