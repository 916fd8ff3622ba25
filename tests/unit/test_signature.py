"""Digits go into whatever shape a signature wants, and probabilities come out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash.errors import ModelError
from mnist_dash.signature import (
    Signature,
    Tensor,
    adapter_of,
    check_scale,
    shape_for,
    show,
    to_probabilities,
)

DIGITS = np.arange(3 * 784, dtype=np.float32).reshape(3, 28, 28)
PIXELS = Tensor("x:0", "DT_FLOAT", (-1, 784))
TEN = Tensor("y:0", "DT_FLOAT", (-1, 10))


def signatures(*inputs: Tensor, **outputs: Tensor) -> dict[str, Signature]:
    """A signature `serving_default` with these inputs, or PIXELS, and outputs."""
    names = {f"x{number or ''}": tensor for number, tensor in enumerate(inputs or [PIXELS])}
    return {"serving_default": Signature("serving_default", names, outputs, "")}


@pytest.mark.parametrize(
    ("desired", "given"),
    [
        ((-1, 28, 28, 1), (3, 28, 28, 1)),
        ((-1, 28, 28), (3, 28, 28)),
        ((-1, 784), (3, 784)),
        ((-1, 1, 28, 28), (3, 1, 28, 28)),
        ((-1, 784, 1), (3, 784, 1)),
        ((-1, -1, -1, -1), (3, 28, 28, 1)),
        ((-1, -1, -1, 1), (3, 28, 28, 1)),
        ((-1, -1, -1), (3, 28, 28)),
        ((-1, -1), (3, 784)),
        ((1, 28, 28), (3, 28, 28)),
    ],
)
def test_digits_are_reshaped(desired: tuple[int, ...], given: tuple[int, ...]) -> None:
    """The pixels stay in the order of the rows; a free size takes what a digit has there."""
    shaped = shape_for(DIGITS, desired)
    assert shaped.shape == given
    assert np.array_equal(shaped.ravel(), DIGITS.ravel())


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((28, 28), "takes one digit alone: its input is (28, 28), without a leading batch."),
        ((784,), "takes one digit alone: its input is (784,), without a leading batch."),
        ((8, 784), "takes a fixed batch of 8: its input is (8, 784)."),
        *(
            (shape, f"takes an input of shape {show(shape)}, which does not fit the 28x28 pixels of a digit.")
            for shape in ((-1, 32, 32, 3), (-1, 14, 56), (-1, -1, -1, 3), (-1,), ())
        ),
    ],
)
def test_a_shape_that_is_no_digit_is_refused(shape: tuple[int, ...], problem: str) -> None:
    """The error names the shape and those that fit."""
    with pytest.raises(ModelError) as caught:
        shape_for(DIGITS, shape, "m/model/1")
    assert caught.value.problem == f"m/model/1 {problem}"
    step = "Export it with an input of shape (None, 28, 28, 1), (None, 28, 28) or (None, 784)."
    assert caught.value.next_step == step


def test_probabilities_stay_as_they_are() -> None:
    """Rows that add up to 1 are not put through softmax a second time; an empty batch is a batch."""
    assert to_probabilities(np.empty((0, 10))).shape == (0, 10)
    rows = np.full((2, 10), 0.05)
    rows[:, 3] = 0.55
    assert np.allclose(to_probabilities(rows), rows, atol=1e-12)


def test_half_precision_probabilities_are_known_as_such() -> None:
    """What rounding to half precision leaves is divided out, so that a row adds up to 1."""
    rows = np.random.default_rng(0).dirichlet(np.full(10, 0.3), 500).astype(np.float16)
    answer = to_probabilities(rows)
    assert np.allclose(answer.sum(axis=1), 1, atol=1e-12)
    assert np.abs(answer - rows).max() < 0.01


@pytest.mark.parametrize("total", [1, 100, 255])
def test_percentages_and_bytes_are_probabilities(total: int) -> None:
    """Softmax would be certain of each."""
    rows = np.random.default_rng(0).dirichlet(np.ones(10), 5)
    assert np.allclose(to_probabilities(rows * total), rows)
    check_scale(rows * total)


@pytest.mark.parametrize("scale", [0.5, 2, 1000])
def test_probabilities_on_another_scale_are_refused(scale: float) -> None:
    """Several answers show the scale."""
    rows = np.random.default_rng(0).dirichlet(np.full(10, 0.1), 20)
    with pytest.raises(ModelError, match=f"always add up to {scale:g}: they are no logits"):
        check_scale((rows * scale).astype(np.float32))


@pytest.mark.parametrize(
    "logits",
    [
        np.random.default_rng(0).normal(size=(20, 10)),
        np.random.default_rng(0).normal(1000, 1, (20, 10)),
        np.maximum(np.random.default_rng(0).normal(size=(20, 10)), 0),
        np.tile([0.0] * 9 + [5.0], (20, 1)),
    ],
    ids=["usual", "with an offset", "after a ReLU", "always the same"],
)
def test_logits_are_no_probabilities_on_another_scale(logits: NDArray[np.float64]) -> None:
    """Their sums differ, or none is near 0, or they do not depend on the digit."""
    check_scale(logits)


def test_logits_become_probabilities() -> None:
    """Softmax, also where the exponential of a logit would overflow."""
    answer = to_probabilities(np.array([[1000.0] + [0.0] * 9, list(range(10))]))
    assert answer[0, 0] == 1
    assert np.allclose(answer[1], np.exp(np.arange(10)) / np.exp(np.arange(10)).sum())


def test_a_batch_is_one_kind_of_answer() -> None:
    """One row of logits that happens to add up to 1 does not make probabilities of the others."""
    rows = np.array([[1.0] + [0.0] * 9, [1.0] + [0.5] * 9])
    answer = to_probabilities(rows)
    assert np.allclose(answer[:, 0], [np.e / (np.e + 9), np.e / (np.e + 9 * np.exp(0.5))])


def test_log_probabilities_become_probabilities() -> None:
    """The softmax of log-probabilities is the probabilities."""
    rows = np.random.default_rng(0).dirichlet(np.ones(10), 5)
    assert np.allclose(to_probabilities(np.log(rows)), rows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_is_refused(value: float) -> None:
    """NaN must not be shown as a probability."""
    with pytest.raises(ModelError, match="not finite"):
        to_probabilities([[value] + [0.0] * 9])


@pytest.mark.parametrize("shape", [(10,), (1, 9), (1, 1, 10)])
def test_an_answer_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """The error names the shape."""
    with pytest.raises(ModelError) as caught:
        to_probabilities(np.zeros(shape))
    assert caught.value.problem == f"The model answered with shape {show(shape)}, not (n, 10)."


def test_the_only_output_of_ten_is_the_answer_and_of_several_the_probabilities() -> None:
    """Other outputs, of other sizes or of whole numbers, do not matter; among several, their names decide."""
    classes, features = Tensor("c:0", "DT_INT64", (-1, 10)), Tensor("f:0", "DT_FLOAT", (-1, 64))
    adapter = adapter_of(signatures(a=classes, b=features, c=TEN))
    assert (adapter.input_name, adapter.output_name) == ("x", "c")
    assert adapter_of(signatures(logits=TEN, Probabilities=TEN)).output_name == "Probabilities"
    assert adapter_of(signatures(logits=TEN, softmax=TEN)).output_name == "softmax"
    assert adapter_of(signatures(logits=TEN, features=TEN)).output_name == "logits"


def test_another_signature_is_used_if_the_default_does_not_fit() -> None:
    """TensorFlow Serving calls it by its name; unknown shapes are taken for rows of pixels."""
    text, unknown = Tensor("t:0", "DT_STRING", None), Tensor("x:0", "DT_FLOAT", None)
    fit = Signature("predict_images", {"images": unknown}, {"scores": unknown}, "")
    adapter = adapter_of({**signatures(text, y=TEN), "predict_images": fit})
    assert (adapter.signature, adapter.input_shape) == ("predict_images", (-1, 784))
    assert adapter_of({**signatures(y=TEN), "a": fit}).signature == "serving_default"


def test_outputs_without_a_row_for_each_digit_are_refused() -> None:
    """TensorFlow Serving could not write them as predictions."""
    with pytest.raises(ModelError, match=r"an output `loss` of shape \(\), without a row"):
        adapter_of(signatures(y=TEN)).probabilities({"y": np.zeros((3, 10)), "loss": 1.0})


@pytest.mark.parametrize("shape", [None, (-1, -1)])
def test_an_output_of_open_shape_may_be_the_answer(shape: tuple[int, ...] | None) -> None:
    """The signature leaves it open; the answer itself is checked."""
    assert adapter_of(signatures(y=Tensor("y:0", "DT_FLOAT", shape))).output_name == "y"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "has no signature `serving_default`; its signatures: none."),
        (
            {"other": Signature("other", {"x": PIXELS}, {}, "")},
            "has no signature `serving_default`; its signatures: `other`.",
        ),
        ({"serving_default": Signature("s", {}, {"y": TEN}, "")}, "takes 0 inputs (none) in `s`."),
        (signatures(PIXELS, PIXELS, y=TEN), "takes 2 inputs (`x`, `x1`) in `serving_default`."),
        (signatures(Tensor("x:0", "DT_UINT8", (-1, 784)), y=TEN), "takes DT_UINT8 for its input `x`"),
        (signatures(Tensor("x:0", "DT_HALF", (-1, 784)), y=TEN), "takes DT_HALF for its input `x`"),
        (signatures(Tensor("x:0", "DT_FLOAT", (28, 28)), y=TEN), "takes one digit alone"),
        (
            signatures(y=Tensor("y:0", "DT_FLOAT", (-1, 1000))),
            "does not answer with ten values for each digit; its output is `y` of shape (n, 1000)",
        ),
        (signatures(y=Tensor("y:0", "DT_INT64", (-1,))), "does not answer with ten values for each digit"),
        (
            signatures(y=TEN, z=Tensor("z:0", "DT_BFLOAT16", (-1,))),
            "answers with DT_BFLOAT16 in its output `z`",
        ),
        (signatures(y=TEN, z=TEN), "has 2 outputs of ten values (`y`, `z`), so the answer is ambiguous."),
    ],
)
def test_a_signature_that_is_unfit_for_digits_is_refused(given: dict[str, Signature], problem: str) -> None:
    """The problem says what is there, the next step how to export the model."""
    with pytest.raises(ModelError) as caught:
        adapter_of(given, "/v")
    assert caught.value.problem.startswith(f"/v {problem}")
    assert caught.value.next_step.startswith("Export ")


def test_an_adapter_makes_inputs_and_reads_outputs() -> None:
    """Digits become the signature's inputs, its outputs become probabilities."""
    adapter = adapter_of(signatures(y=TEN))
    assert adapter.inputs(DIGITS)["x"].shape == (3, 784)
    assert np.allclose(adapter.probabilities({"y": np.zeros((3, 10))}), 0.1)
