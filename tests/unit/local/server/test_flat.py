"""The quick way to read the usual body gives what the careful way gives, or leaves it to that one."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash.local.server.codec import FlatBody, FlatInput, Format, HttpError, parse, read_tensors
from mnist_dash.local.server.predictor import signature_name
from mnist_dash.signature import Signature, Tensor
from tests.unit.local.server.fake_model import same_bits, signature, tensors

SHAPES: list[tuple[int, ...]] = [
    (-1,),
    (-1, 1),
    (-1, 3),
    (-1, 2, 2),
    (-1, 2, 1),
    (-1, 2, 3, 1),
    (-1, 1, 1, 1),
]
Read = tuple[str, Format, NDArray[Any]]


def quickly(body: bytes, of: Signature) -> Read | None:
    """What the quick way reads, or None."""
    parts, reader = FlatBody.split(body), FlatInput.of(of)
    assert reader is not None
    if parts is None or (array := reader.read(parts.values)) is None:
        return None
    return parts.signature or "serving_default", parts.form, array


def carefully(body: bytes, of: Signature) -> Read | None:
    """What the careful way reads, or None if it refuses."""
    try:
        document = parse(body)
        form, arrays = read_tensors(document, of)
        return signature_name(document), form, arrays["x"]
    except HttpError:
        return None


def assert_same(body: bytes, of: Signature) -> bool:
    """Assert that the quick way reads nothing else than the careful way, and tell whether it did read."""
    quick, careful = quickly(body, of), carefully(body, of)
    if quick is None:
        return False
    assert careful is not None, body
    assert quick[:2] == careful[:2], body
    assert same_bits(quick[2], careful[2]), body
    return True


class Bodies:
    """Random request bodies, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self) -> str:
        """A number as some client writes it."""
        pick = self._random
        texts = [
            str(pick.randint(-3, 300)),
            repr(pick.random()),
            repr(float(np.float32(pick.random()))),
            repr(pick.uniform(-1, 1) * 10.0 ** pick.randint(-50, 50)),
            f"{pick.uniform(0, 9):.2E}",
            str(pick.getrandbits(pick.randint(1, 80))),
            *("0", "-0", "0.0", "-0.0", "1e300", "-1e300", "1e-60", "16777217"),
        ]
        return pick.choice(texts)

    def value(self, shape: tuple[int, ...]) -> str:
        """Nested lists of that shape as text, with white space here and there."""
        if not shape:
            return self.number()
        comma = self._random.choice([",", ", ", " ,\n "])
        opening, closing = self._random.choice([("[", "]"), ("[ ", "\t]")])
        return opening + comma.join(self.value(shape[1:]) for _ in range(shape[0])) + closing

    def body(self, shape: tuple[int, ...]) -> str:
        """A whole body for a signature's shape."""
        key = self._random.choice(["instances", "inputs"])
        main = f'"{key}": {self.value((self._random.randint(1, 4), *shape[1:]))}'
        name = f'"signature_name": "{self._random.choice(["", "serving_default", "serve"])}"'
        parts = self._random.choice([[main], [name, main], [main, name]])
        return "{" + ", ".join(parts) + "}"

    def damaged(self, text: str) -> str:
        """The text with a few characters changed."""
        for _ in range(self._random.randint(1, 3)):
            place = self._random.randrange(len(text))
            insert = self._random.choice(
                ["", *'[],0- .e{}":', "[]", "],[", "1,", "NaN", "null", "true", '"1"']
            )
            text = text[:place] + insert + text[place + self._random.randint(0, 1) :]
        return text


@pytest.mark.parametrize("shape", SHAPES)
def test_whole_bodies_are_read_to_the_same_bits(shape: tuple[int, ...]) -> None:
    """Whatever the numbers and the white space, the quick way reads it, and as the careful way does."""
    bodies, of = Bodies(1), signature(tensors(x=shape))

    assert all(assert_same(bodies.body(shape).encode(), of) for _ in range(200))


@pytest.mark.parametrize("shape", SHAPES)
def test_damaged_bodies_are_never_read_otherwise_than_carefully(shape: tuple[int, ...]) -> None:
    """Whatever is wrong with it, the quick way reads the same or nothing."""
    bodies, of = Bodies(2), signature(tensors(x=shape))
    read = [assert_same(bodies.damaged(bodies.body(shape)).encode(), of) for _ in range(1_000)]

    assert 0 < sum(read) < len(read)


@pytest.mark.parametrize(
    "values",
    [
        "[[1, 2, 3], [4]]",
        "[[1], [2, 3], [4]]",
        "[[1 2], [3, 4]]",
        "[[1, 2]3, [4]]",
        "[1[, 2], [3, 4]]",
        "[[1, 2], 3[, 4]]",
        "[[1, 2], [, 3]4]",
        "[[1, ], [3, 4]]",
        "[[1, 2], [3, null]]",
        "[[1, 2], [3, true]]",
        '[[1, 2], [3, "4"]]',
        "[[1, 2], [3, NaN]]",
        "[[1, 2], [3, 1e400]]",
        "[[1, 2], [3, 0x4]]",
        "[]",
        "[[]]",
    ],
)
def test_anything_unusual_is_left_to_the_careful_way(values: str) -> None:
    """These have as many brackets, commas or numbers as a right one, or are right but rare."""
    assert quickly(f'{{"instances": {values}}}'.encode(), signature(tensors(x=(-1, 2)))) is None


@pytest.mark.parametrize(
    ("values", "shape"),
    [("[]", (-1,)), ("[ ]", (-1,)), ("[[]]", (-1, 1)), (f"[{'1,' * 200_000}]", (-1,)), ("[1,]", (-1,))],
)
def test_a_number_that_is_missing_is_noticed(values: str, shape: tuple[int, ...]) -> None:
    """The outline of one number is that of none, and a piece may end where the numbers do."""
    assert quickly(f'{{"inputs": {values}}}'.encode(), signature(tensors(x=shape))) is None


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": [[1, 2]], "instances": [[3, 4]]}',
        '{"signature_name": "a", "instances": [[1, 2]], "signature_name": "b"}',
        '{"instances": [[1, 2]], "other": []}',
        '{"instances": [[1, 2]]} x',
        '{"instances": {"x": [[1, 2]]}}',
        '{"signature_name": null, "instances": [[1, 2]]}',
        r'{"signature_name": "a\n", "instances": [[1, 2]]}',
        '\ufeff{"instances": [[1, 2]]}',
    ],
)
def test_other_bodies_are_not_taken_apart(body: str) -> None:
    """Only the usual keys, each once."""
    assert quickly(body.encode(), signature(tensors(x=(-1, 2)))) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_longer_than_one_piece_is_read_to_the_same_bits(seed: int) -> None:
    """A megabyte of numbers is read piece by piece."""
    values = np.random.default_rng(seed).random((60, 28, 28, 1)).astype(np.float32)
    body = json.dumps({"instances": values.tolist()}).encode()

    assert len(body) > 1 << 18
    quick = quickly(body, signature(tensors(x=(-1, 28, 28, 1))))
    assert quick is not None
    assert same_bits(quick[2], values)


@pytest.mark.parametrize(
    "inputs",
    [
        tensors(a=(-1, 2), b=(-1, 2)),
        tensors(x=(-1, -1)),
        tensors(x=None),
        tensors(x=()),
        tensors(x=(1, 2)),
        tensors(x=(-1, 0)),
        {"x": Tensor("x:0", "DT_INT32", (-1, 2))},
    ],
)
def test_other_signatures_have_no_quick_way(inputs: dict[str, Tensor]) -> None:
    """One float input whose sizes are known, but for the batch."""
    assert FlatInput.of(signature(inputs)) is None
