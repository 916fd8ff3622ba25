"""Digits go into whatever shape a signature wants, and probabilities come out."""

from __future__ import annotations

import numpy as np
import pytest

from mnist_dash.errors import ModelError
from mnist_dash.signature import Signature, Tensor, adapter_of, shape_for, show, to_probabilities

DIGITS = np.arange(3 * 784, dtype=np.float32).reshape(3, 28, 28)
PIXELS = Tensor("x:0", "DT_FLOAT", (-1, 784))
TEN = Tensor("y:0", "DT_FLOAT", (-1, 10))


def signatures(**outputs: Tensor) -> dict[str, Signature]:
    """A signature `serving_default` of one input with these outputs."""
    return {"serving_default": Signature("serving_default", {"x": PIXELS}, outputs, "")}


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
        ((1, 28, 28), "takes exactly 1 digit at a time: its input is (1, 28, 28), with a fixed batch."),
        ((8, 784), "takes exactly 8 digits at a time: its input is (8, 784), with a fixed batch."),
        (
            (-1, 32, 32, 3),
            "takes an input of shape (n, 32, 32, 3): 3072 values, not the 784 of a digit (28x28).",
        ),
        ((-1, 14, 56), "takes 784 values, but as (n, 14, 56), which is not how the rows of a digit lie."),
        (
            (-1, -1, -1, 3),
            "takes an input of shape (n, ?, ?, 3), into which the 784 values of a digit do not fit.",
        ),
        ((-1,), "takes an input of shape (n,), into which the 784 values of a digit do not fit."),
        ((), "takes an input of shape (), into which the 784 values of a digit do not fit."),
    ],
)
def test_a_shape_that_is_no_digit_is_refused(shape: tuple[int, ...], problem: str) -> None:
    """The error says which shape was found and which ones are fit."""
    with pytest.raises(ModelError) as caught:
        shape_for(DIGITS, shape, "m/model/1")
    assert caught.value.problem == f"m/model/1 {problem}"
    assert (
        caught.value.next_step
        == "Export it with an input of shape (None, 28, 28, 1), (None, 28, 28) or (None, 784)."
    )


def test_probabilities_stay_as_they_are() -> None:
    """Rows that add up to 1 are not put through softmax a second time."""
    rows = np.full((2, 10), 0.05)
    rows[:, 3] = 0.55
    assert np.allclose(to_probabilities(rows), rows, atol=1e-12)


def test_half_precision_probabilities_are_known_as_such() -> None:
    """What rounding to half precision leaves is divided out, so that a row adds up to 1."""
    rows = np.random.default_rng(0).dirichlet(np.full(10, 0.3), 500).astype(np.float16)
    answer = to_probabilities(rows)
    assert np.allclose(answer.sum(axis=1), 1, atol=1e-12)
    assert np.abs(answer - rows).max() < 0.01


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


def test_no_digits_give_no_rows() -> None:
    """An empty batch is a batch."""
    assert to_probabilities(np.empty((0, 10))).shape == (0, 10)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_is_refused(value: float) -> None:
    """NaN must not be shown as a probability."""
    with pytest.raises(ModelError, match="not finite"):
        to_probabilities([[value] + [0.0] * 9])


@pytest.mark.parametrize("shape", [(10,), (1, 9), (1, 1, 10)])
def test_an_answer_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """The error says which shape came."""
    with pytest.raises(ModelError) as caught:
        to_probabilities(np.zeros(shape))
    assert caught.value.problem == f"The model answered with shape {show(shape)}, not (n, 10)."


def test_the_only_output_of_ten_is_the_answer() -> None:
    """Other outputs, of other sizes or of whole numbers, do not matter."""
    classes, features = Tensor("c:0", "DT_INT64", (-1, 10)), Tensor("f:0", "DT_FLOAT", (-1, 64))
    adapter = adapter_of(signatures(a=classes, b=features, c=TEN))
    assert (adapter.input_name, adapter.output_name) == ("x", "c")


def test_of_several_outputs_the_probabilities_are_the_answer() -> None:
    """A name with "prob" in it decides."""
    assert adapter_of(signatures(logits=TEN, Probabilities=TEN)).output_name == "Probabilities"


@pytest.mark.parametrize("shape", [None, (-1, -1)])
def test_an_output_of_open_shape_may_be_the_answer(shape: tuple[int, ...] | None) -> None:
    """The signature leaves it open; the answer itself is checked."""
    assert adapter_of(signatures(y=Tensor("y:0", "DT_FLOAT", shape))).output_name == "y"


def test_an_adapter_is_there_and_back() -> None:
    """It makes the inputs of digits and the probabilities of outputs."""
    adapter = adapter_of(signatures(y=TEN))
    assert adapter.inputs(DIGITS)["x"].shape == (3, 784)
    assert np.allclose(adapter.probabilities({"y": np.zeros((3, 10))}), 0.1)
