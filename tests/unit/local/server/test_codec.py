"""JSON requests are decoded into arrays, and responses encoded, as TensorFlow Serving does."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest

from mnist_dash.local.server.codec import (
    Arrays,
    FloatReader,
    Format,
    HttpError,
    decode_inputs,
    encode_predictions,
    parse,
    signature_name,
)
from mnist_dash.signature import Signature, Tensor
from tests.unit.local.server.fake_model import floats, same_bits, signature, tensors

ONE = signature()
TWO = signature(tensors(a=(-1, 2), b=(-1,)))
ITEM = [[1, 2], [3, 4]]
NO_ROWS: list[Any] = [[], {}, None, "x", [1], [[]], [[1, 2, 3, 4]]]
NO_COLUMNS: list[Any] = [{}, None, {"b64": "AAAA"}, 1, [], ITEM]


def status_of(document: Any, of: Signature) -> int:
    """Return the status that a request gets for its inputs: 200 unless they are refused."""
    try:
        decode_inputs(document, of)
    except HttpError as error:
        return error.status
    return 200


def decode_value(value: Any, dtype: str = "DT_FLOAT") -> Any:
    """Decode one input of any shape."""
    _, arrays = decode_inputs({"inputs": value}, signature({"x": Tensor("x:0", dtype, None)}))
    return arrays["x"]


def nested(depth: int) -> Any:
    """Return the number 1 in that many lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


# Parse


@pytest.mark.parametrize(
    ("token", "value"),
    [
        *(("NaN", math.nan), ("-NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)),
        *(("Inf", math.inf), ("-Inf", -math.inf), ("1e300", 1e300), ("1e-400", 0.0), ("7", 7)),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
    ],
)
def test_numbers_beyond_json_are_parsed(token: str, value: float) -> None:
    """RapidJSON's words for numbers that are not finite, and numbers of any length."""
    read = parse(f'{{"a": [{token}]}}'.encode())["a"][0]

    assert math.isclose(read, value) or (math.isnan(read) and math.isnan(value))


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "{", '{"a": nan}', '{"a": [1,]}', '{"a": 1,}', '{"a": /*b*/ 1}', '{"a": 1 // b'),
        *('{"a": [1 2]}', '{"a": 1e400}', '{"a": -1e400}', '{"a": 01}', '{"a": 1.}', "{'a': 1}"),
        *('{"a":' + "[" * 1_500, '{"a":' * 1_000_000, "[1]", "1", "null", '"text"'),
    ],
)
def test_text_that_is_no_json_object_is_400(text: str) -> None:
    """Comments, trailing commas, and nesting that would overflow the stack included."""
    with pytest.raises(HttpError) as refused:
        parse(text.encode())

    assert refused.value.status == 400


@pytest.mark.parametrize("rest", [b" x", b'{"a": 2}', b"]", b"\x00\xff", b"\n,"])
def test_text_after_the_object_is_ignored(rest: bytes) -> None:
    """So are a UTF-8 byte order mark before it, and a wrong encoding of another key."""
    assert parse(b'\xef\xbb\xbf{"a": 1, "b": "\xff"}' + rest)["a"] == 1


@pytest.mark.parametrize("key", ["instances", "inputs", "signature_name"])
def test_the_first_of_two_members_of_one_name_counts(key: str) -> None:
    """RapidJSON finds the first; a dict would keep the last."""
    assert parse(f'{{"{key}": 1, "{key}": 2}}'.encode()) == {key: 1}


# Decode


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
def test_one_input_may_be_given_bare_or_by_name(document: Any, form: Format) -> None:
    """By row or by column."""
    found, arrays = decode_inputs(document, ONE)

    assert found is form
    assert arrays.keys() == {"x"}
    assert same_bits(arrays["x"], np.array([ITEM, ITEM], np.float32))


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [{"a": [1, 2], "b": 5}, {"b": 6, "a": [3, 4]}]},
        {"inputs": {"a": [[1, 2], [3, 4]], "b": [5, 6]}},
    ],
)
def test_several_inputs_are_given_by_name(document: Any) -> None:
    """In rows or in columns."""
    _, arrays = decode_inputs(document, TWO)

    assert (arrays["a"].tolist(), arrays["b"].tolist()) == ([[1, 2], [3, 4]], [5, 6])


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        *((1, ()), ([], (0,)), ([1, 2, 3], (3,)), ([[1, 2], [3, 4]], (2, 2)), ([[], []], (2, 0))),
        (nested(64), (1,) * 64),  # numpy's limit
    ],
)
def test_lists_of_equal_lengths_become_an_array(value: Any, shape: tuple[int, ...]) -> None:
    """Depth and lengths of the lists are the shape, whatever it is if the signature leaves it open."""
    assert decode_value(value).shape == shape


def test_floats_are_rounded_as_from_double() -> None:
    """Numbers beyond float32 become infinite, without a warning."""
    read = decode_value([1e300, -1e300, 0.1, 16777217, -0.0])

    assert same_bits(read, floats(np.inf, -np.inf, 0.1, 16777216, -0.0))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([1, 2], "DT_INT32"), ([255], "DT_UINT8"), ([True, False], "DT_BOOL"), ([-(2**63)], "DT_INT64")],
)
def test_other_dtypes_take_their_own_kind_of_value(value: Any, dtype: str) -> None:
    """Whole numbers for whole numbers, booleans for booleans."""
    assert decode_value(value, dtype).tolist() == value


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        *(("a", "DT_FLOAT"), ([True], "DT_FLOAT"), ([None], "DT_FLOAT"), ([{}], "DT_FLOAT")),
        *(([1, "1"], "DT_FLOAT"), ([1, True], "DT_FLOAT"), ([1.0], "DT_INT32"), ([256], "DT_UINT8")),
        *(([2**31], "DT_INT32"), ([-1], "DT_UINT64"), ([1], "DT_BOOL"), (["a"], "DT_STRING")),
        *(([[1], 2], "DT_FLOAT"), ([1, [2]], "DT_FLOAT"), ([[1, 2], [3]], "DT_FLOAT")),
        *(([[[1], [2, 3]], [[3], [4]]], "DT_FLOAT"), (nested(65), "DT_FLOAT"), (nested(900), "DT_FLOAT")),
    ],
)
def test_values_of_another_kind_and_ragged_lists_are_400(value: Any, dtype: str) -> None:
    """Nothing is converted or filled up."""
    with pytest.raises(HttpError, match=r"^Input 'x' must be nested lists") as refused:
        decode_value(value, dtype)

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("of", "documents"),
    [
        (ONE, [{}, {"instances": [1], "inputs": [1]}]),
        (ONE, [{"instances": value} for value in NO_ROWS]),
        (ONE, [{"instances": [{"x": ITEM}, ITEM]}, {"instances": [ITEM, {"x": ITEM}]}]),
        (ONE, [{"instances": [item]} for item in ({"y": ITEM}, {"x": ITEM, "y": 1}, {"b64": "AAAA"})]),
        (ONE, [{"inputs": value} for value in NO_COLUMNS]),
        (TWO, [{"instances": [{"a": [1, 2]}]}, {"instances": [[1, 2]]}]),
        (TWO, [{"inputs": {"a": [[1, 2]]}}, {"inputs": [[1, 2]]}]),
        (signature(tensors(x=(1, -1))), [{"instances": [[1], [2]]}]),
        (signature({}), [{"instances": [{}]}, {"inputs": {}}]),
    ],
)
def test_a_request_of_the_wrong_form_or_shape_is_400(of: Signature, documents: list[Any]) -> None:
    """Both keys or neither, mixed or unknown names, missing inputs, other shapes than the signature's."""
    assert [status_of(document, of) for document in documents] == [400] * len(documents)


# The fast way


class Bodies:
    """Random request bodies, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self) -> str:
        """Return a number as some client writes it."""
        pick = self._random
        texts = [
            str(pick.randint(-3, 300)),
            repr(pick.random()),
            repr(float(np.float32(pick.random()))),
            repr(pick.uniform(-1, 1) * 10.0 ** pick.randint(-50, 50)),
            f"{pick.uniform(0, 9):.2E}",
            str(pick.getrandbits(pick.randint(1, 63))),
            *("0", "-0", "0.0", "-0.0", "1e300", "-1e300", "1e-60", "16777217"),
        ]
        return pick.choice(texts)

    def value(self, shape: tuple[int, ...]) -> str:
        """Return nested lists of that shape as text, with white space here and there."""
        if not shape:
            return self.number()
        comma = self._random.choice([",", ", ", " ,\n "])
        opening, closing = self._random.choice([("[", "]"), ("[ ", "\t]")])
        return opening + comma.join(self.value(shape[1:]) for _ in range(shape[0])) + closing

    def body(self, shape: tuple[int, ...]) -> str:
        """Return a whole body for a signature's shape."""
        key = self._random.choice(["instances", "inputs"])
        main = f'"{key}": {self.value((self._random.randint(1, 4), *shape[1:]))}'
        name = f'"signature_name": "{self._random.choice(["", "serving_default"])}"'
        parts = self._random.choice([[main], [name, main], [main, name]])
        return "{" + ", ".join(parts) + "}"

    def damaged(self, text: str) -> str:
        """Return the text with a few characters changed."""
        inserts = ["", *'[],0- .e{}":', "[]", "],[", "1,", "NaN", "null", "true", '"1"']
        for _ in range(self._random.randint(1, 3)):
            place = self._random.randrange(len(text))
            end = place + self._random.randint(0, 1)
            text = text[:place] + self._random.choice(inserts) + text[end:]
        return text


def is_read(body: bytes, of: Signature) -> bool:
    """Return whether the fast way reads a body, asserting that it gives the bits of the careful way."""
    reader = FloatReader.from_signature(of)
    assert reader
    if (fast := reader.read(body)) is None:
        return False
    document = parse(body)
    form, arrays = decode_inputs(document, of)
    assert signature_name(document) == "serving_default", body
    assert fast[0] is form, body
    assert same_bits(fast[1]["x"], arrays["x"]), body
    return True


SHAPES = pytest.mark.parametrize("shape", [(-1,), (-1, 1), (-1, 2, 2), (-1, 2, 3, 1), (-1, 1, 1, 1)])


@SHAPES
def test_whole_bodies_are_read_fast_and_to_the_same_bits(shape: tuple[int, ...]) -> None:
    """Whatever the numbers, the white space and the order of the keys."""
    bodies, of = Bodies(1), signature(tensors(x=shape))

    assert all(is_read(bodies.body(shape).encode(), of) for _ in range(200))


@SHAPES
def test_damaged_bodies_are_never_read_otherwise_than_carefully(shape: tuple[int, ...]) -> None:
    """The fast way reads the same, or nothing."""
    bodies, of = Bodies(2), signature(tensors(x=shape))
    read = [is_read(bodies.damaged(bodies.body(shape)).encode(), of) for _ in range(800)]

    assert 0 < sum(read) < len(read)


@pytest.mark.parametrize(
    "values",
    [
        *("[[1, 2, 3], [4]]", "[[1], [2, 3], [4]]", "[[1 2], [3, 4]]", "[[1, 2]3, [4]]", "[1[, 2], [3, 4]]"),
        *("[[1, 2], 3[, 4]]", "[[1, 2], [, 3]4]", "[[1, ], [3, 4]]", "[[1, 2], [3, null]]", "[]", "[[]]"),
        *("[[1, 2], [3, true]]", '[[1, 2], [3, "4"]]', "[[1, 2], [3, NaN]]", "[[1, 2], [3, 1e400]]"),
    ],
)
def test_unusual_values_are_left_to_the_careful_way(values: str) -> None:
    """These have as many brackets, commas or numbers as a right one, or are right but rare."""
    assert not is_read(f'{{"instances": {values}}}'.encode(), signature(tensors(x=(-1, 2))))


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": 5, "instances": [[3, 4]]}',
        '{"instances": [[1, 2]], "inputs": 3}',
        '{"instances": [[1, 2]], "other": []}',
        '{"instances": [[1, 2]]} x',
        '{"instances": {"x": [[1, 2]]}}',
        '{"signature_name": null, "instances": [[1, 2]]}',
        '{"signature_name": "serving_default2", "instances": [[1, 2]]}',
        '{"other": [[1, 2]], "instances": 5}',
    ],
)
def test_other_bodies_are_left_to_the_careful_way(body: str) -> None:
    """Only one list, with the default signature."""
    assert not is_read(body.encode(), signature(tensors(x=(-1, 2))))


@pytest.mark.parametrize("shape", [(-1, -1), None, (), (1, 2), (-1, 0)])
def test_other_signatures_have_no_fast_way(shape: tuple[int, ...] | None) -> None:
    """Only one float input whose sizes are known, but for the batch."""
    whole = {"x": Tensor("x:0", "DT_INT32", (-1, 2))}
    for inputs in (tensors(x=shape), tensors(a=(-1, 2), b=(-1, 2)), whole):
        assert FloatReader.from_signature(signature(inputs)) is None


# Encode


def written(form: Format, **outputs: Any) -> str:
    """Return a response without white space."""
    return encode_predictions(form, outputs).decode().replace(" ", "")


def test_every_float_has_6_or_9_digits_and_comes_back_to_the_same_bits() -> None:
    """Over random bit patterns: 6 digits if they give the same float32 back, else 9; always `.` or `e`."""
    bits = np.random.default_rng(0).integers(0, 2**32, 5_000, np.uint32)
    values = bits.view(np.float32)[np.isfinite(bits.view(np.float32))]
    texts = written(Format.ROW, y=values).removeprefix('{"predictions":[').removesuffix("]}").split(",")

    assert np.array(list(map(float, texts)), np.float32).tobytes() == values.tobytes()
    assert all("." in text or "e" in text for text in texts)
    for text, value in zip(texts, values.tolist(), strict=True):
        short = float(f"{value:.6g}")
        assert float(text) == (short if np.float32(short) == np.float32(value) else float(f"{value:.9g}"))


def test_numbers_that_are_not_finite_are_bare_words() -> None:
    """Not strings, not null."""
    assert written(Format.ROW, y=floats(np.nan, np.inf, -np.inf, 1)) == (
        '{"predictions":[NaN,Infinity,-Infinity,1.0]}'
    )


@pytest.mark.parametrize("array", [np.array([1, -2]), np.array([True, False]), np.array(["a", "b"])])
def test_other_dtypes_are_written_as_they_are(array: Any) -> None:
    """No `.0` is added to whole numbers."""
    assert written(Format.ROW, y=array) == json.dumps({"predictions": array.tolist()}).replace(" ", "")


def test_several_outputs_are_objects() -> None:
    """One object for each row, or one of all columns."""
    outputs = {"a": floats(1, 2), "b": floats(3, 4, 5, 6).reshape(2, 1, 2)}
    rows = [{"a": 1, "b": [[3, 4]]}, {"a": 2, "b": [[5, 6]]}]
    columns = {"a": [1, 2], "b": [[[3, 4]], [[5, 6]]]}

    assert json.loads(encode_predictions(Format.ROW, outputs)) == {"predictions": rows}
    assert json.loads(encode_predictions(Format.COLUMNAR, outputs)) == {"outputs": columns}


@pytest.mark.parametrize("shape", [(), (3,), (1, 10), (2, 3, 4), (2, 1, 1, 2), (0,), (2, 0)])
def test_the_shape_of_one_output_is_kept(shape: tuple[int, ...]) -> None:
    """Bare, whatever it is."""
    output = np.random.default_rng(0).random(shape).astype(np.float32)
    values = json.loads(encode_predictions(Format.COLUMNAR, {"y": output}))["outputs"]

    assert np.array_equal(np.array(values, np.float32), output)


@pytest.mark.parametrize(
    "outputs",
    [
        {"y": np.array(1, np.float32)},
        {"y": np.empty((0, 2), np.float32)},
        {"a": floats(1), "b": floats(1, 2)},
    ],
)
def test_outputs_without_a_common_batch_are_400_in_row_format(outputs: Arrays) -> None:
    """The same request may be made in columnar format."""
    with pytest.raises(HttpError) as refused:
        encode_predictions(Format.ROW, outputs)

    assert refused.value.status == 400
