"""Decode JSON requests into arrays, and encode answers as TensorFlow Serving does."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import orjson
import rapidjson
from numpy.typing import NDArray

from mnist_dash.errors import ServingError
from mnist_dash.signature import Signature, Tensor


class HttpError(ServingError):
    """Why a request is not answered: the HTTP status, and the text as TensorFlow Serving words it."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def invalid(text: str) -> HttpError:
    """400: the request itself is wrong."""
    return HttpError(HTTPStatus.BAD_REQUEST, text)


def not_found(text: str) -> HttpError:
    """404: what the request asks for is not there."""
    return HttpError(HTTPStatus.NOT_FOUND, text)


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_KEYS = (b'"instances"', b'"inputs"', b'"signature_name"')
_PARSE_ERROR = re.compile(r"Parse error at offset (?P<offset>\d+): (?P<text>.*)", re.DOTALL)
_MORE_FOLLOWS = "The document root must not be followed by other values."
_SHOWN_CHARACTERS = 200


class _FirstWins(dict[str, Any]):
    """RapidJSON finds the first of two members of one name, a dict keeps the last."""

    def __setitem__(self, key: str, value: Any) -> None:
        self.setdefault(key, value)


class _Decoder(rapidjson.Decoder):
    def start_object(self) -> dict[str, Any]:
        return _FirstWins()


_decode = _Decoder(number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object that `body` begins with; raises RefusedError (400) if there is none."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    document = _value(body)
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document


def shown(value: object) -> str:
    """The beginning of a value as JSON text, for error messages."""
    chunks = json.JSONEncoder(indent=4).iterencode(value)
    try:
        text = "".join(itertools.islice(chunks, _SHOWN_CHARACTERS))
    except RecursionError:
        return "[..."
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _value(body: bytes) -> Any:
    if all(body.count(key) < 2 for key in _KEYS):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # refused, or one of the things that only RapidJSON takes
    # RapidJSON does not look at the encoding, python-rapidjson does
    return _tolerant(body.removeprefix(_BYTE_ORDER_MARK).decode(errors="replace").encode())


def _tolerant(text: bytes) -> Any:
    try:
        return _decode(text)
    except RecursionError:
        raise invalid("JSON Parse error: The document is nested too deeply.") from None
    except rapidjson.JSONDecodeError as error:
        found = _PARSE_ERROR.match(str(error))
        offset, reason = (int(found["offset"]), found["text"]) if found else (0, str(error))
    if reason == _MORE_FOLLOWS:
        return _tolerant(text[:offset])
    # RapidJSON 1.1.0, which TensorFlow Serving is built with, puts no quotes around brackets
    plain = reason.replace("'", "")
    raise invalid(f"JSON Parse error: {plain} at offset: {offset}")


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


_FLOATS: dict[str, type[np.floating[Any]]] = {"DT_FLOAT": np.float32, "DT_DOUBLE": np.float64}
_SPACE = b" \t\r\n"
_NUMBER = b"0123456789+-.eE"
_CODES = bytes.maketrans(_NUMBER + b"[],", bytes([0b100001] * len(_NUMBER) + [0b10, 0b10000, 0]))
"""Of two neighbours, the first shifted left by one shares a bit with the second only if they may not meet."""
_SIGNATURE = rb'"signature_name"[ \t\r\n]*:[ \t\r\n]*"(\w*)"[ \t\r\n]*'
_HEAD = re.compile(
    rb"[ \t\r\n]*\{[ \t\r\n]*(?:" + _SIGNATURE + rb",[ \t\r\n]*)?"
    rb'"(instances|inputs)"[ \t\r\n]*:[ \t\r\n]*(?=\[)'
)
_TAIL = re.compile(rb"[ \t\r\n]*(?:,[ \t\r\n]*" + _SIGNATURE + rb")?\}[ \t\r\n]*")
_PIECE = 1 << 18
"""Bytes of numbers read at once: the other threads get a turn in between."""


@dataclass(frozen=True)
class FlatBody:
    """A request body taken apart: its signature's name ("" for the default), format, and one list."""

    signature: str
    form: Format
    values: bytes

    @classmethod
    def split(cls, body: bytes) -> FlatBody | None:
        """The parts of a body that has only the usual keys, each once; None for any other."""
        end = body.rfind(b"]") + 1
        head, tail = _HEAD.match(body), _TAIL.fullmatch(body, end)
        if not head or not tail or (head[1] is not None and tail[1] is not None):
            return None
        return cls((head[1] or tail[1] or b"").decode(), Format(head[2].decode()), body[head.end() : end])


class FlatInput:
    """The one input of a signature, if it is of floats and all but its first dimension is fixed."""

    def __init__(self, name: str, dtype: type[np.floating[Any]], item: tuple[int, ...]) -> None:
        self.name = name
        self._dtype = dtype
        self._item = item
        self._outline = _outline(item)
        self._outline_of_one = b"[" + self._outline + b"]"

    @classmethod
    def of(cls, signature: Signature) -> FlatInput | None:
        """The input of `signature`, or None if it has several or another kind of input."""
        if len(signature.inputs) != 1:
            return None
        ((name, tensor),) = signature.inputs.items()
        dtype = _FLOATS.get(tensor.dtype)
        if dtype is None or not tensor.shape or tensor.shape[0] != -1 or min(tensor.shape[1:], default=1) < 1:
            return None
        return cls(name, dtype, tensor.shape[1:])

    def read(self, values: bytes) -> NDArray[Any] | None:
        """The array that `values`, the text of a list of items, stands for; None if it is not that simple."""
        outline = values.translate(None, _NUMBER + _SPACE)
        count = (len(outline) - 1) // (len(self._outline) + 1)
        if count < 1 or outline != self._outlines(count) or _misplaced(values):
            return None
        shape = (count, *self._item)
        array = np.empty(prod(shape), dtype=self._dtype)
        return array.reshape(shape) if _fill(array, values.translate(None, b"[]")) else None

    def _outlines(self, count: int) -> bytes:
        if count == 1:
            return self._outline_of_one
        return b"[" + b",".join([self._outline] * count) + b"]"


def _outline(shape: tuple[int, ...]) -> bytes:
    """The brackets and commas of nested lists of this shape: `[,,]` for (3,)."""
    text = b""
    for size in reversed(shape):
        text = b"[" + b",".join([text] * size) + b"]"
    return text


def _misplaced(values: bytes) -> bool:
    """Whether a number stands before `[` or after `]`, which the outline alone does not show."""
    codes = np.frombuffer(values.translate(_CODES, _SPACE), np.uint8)
    return bool((codes[:-1] << 1 & codes[1:]).any())


def _fill(array: NDArray[Any], text: bytes) -> bool:
    """Put the comma-separated numbers of `text` into `array`; False if one of them is missing.

    There are no more: the outline has as many commas as there are gaps between them.
    """
    start = 0
    for piece in _pieces(text):
        try:
            numbers = orjson.loads(b"[%b]" % piece)
        except orjson.JSONDecodeError:
            return False
        with np.errstate(over="ignore"):  # 1e300 reads as infinity
            array[start : start + len(numbers)] = np.array(numbers, dtype=array.dtype)
        start += len(numbers)
    return start == len(array)


def _pieces(text: bytes) -> Iterator[bytes]:
    start = 0
    while (end := text.find(b",", start + _PIECE)) != -1:
        yield text[start:end]
        start = end + 1
    yield text[start:] if start else text


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
