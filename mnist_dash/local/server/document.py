"""The text of a request body as a value, read as TensorFlow Serving reads it.

It uses RapidJSON with `NaN` and `Infinity` allowed; so does this, through python-rapidjson, wherever the
quicker orjson does not take the text. (github tensorflow/serving, util/json_tensor.cc, ParseJson.)
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import orjson
import rapidjson

from mnist_dash.local.server.refusal import invalid

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
