"""The usual request body, `{"instances": [[..], ..]}`, read without building a list for every pixel.

An MNIST image may come as 784 lists of one number. Reading those as lists costs several times the inference;
here the brackets are compared with the wanted shape, taken out, and one flat list of numbers is read.
Anything unusual is left to the careful way (`tensors.py`), which gives the same bits or says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mnist_dash.local.server.tensors import Format
from mnist_dash.savedmodel import Signature

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
