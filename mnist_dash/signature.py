"""Fit 28x28 digits to a SavedModel's signature, and turn its output into probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnist_dash.domain import DIGITS
from mnist_dash.errors import ModelError

SERVING_DEFAULT = "serving_default"
"""The signature that TensorFlow Serving uses when a request names no other."""
UNKNOWN_RANK = (-1, 784)
"""The shape that is taken for an input of unknown rank, as in TensorFlow Serving's own example for MNIST."""
FLOATS = frozenset({"DT_FLOAT", "DT_DOUBLE"})
"""The floats that TensorFlow Serving reads from JSON and writes as JSON."""
JSON_DTYPES = FLOATS | {"DT_BOOL", "DT_STRING", "DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64"}
JSON_DTYPES |= {"DT_UINT8", "DT_UINT16", "DT_UINT32", "DT_UINT64"}
TOTALS = (1, 100, 255)
"""What ten probabilities may add up to: they are shares, percentages or bytes."""
SUM_TOLERANCE = 1e-2
"""How far their sum may be from that, relatively."""
DIVERGED = "Its weights are probably damaged, or its training diverged: export it again."

_DIGIT_SHAPES = ((28, 28, 1), (28, 28), (784,), (1, 28, 28), (784, 1), (1, 784))
_ANSWER_NAMES = ("prob", "softmax", "logit")
"""Parts of the names of the outputs that are the answer, the most certain first."""
_EXPORT_SHAPE = "Export it with an input of shape (None, 28, 28, 1), (None, 28, 28) or (None, 784)."


@dataclass(frozen=True)
class Tensor:
    """An input or output of a signature, as in saved_model.pb."""

    name: str
    """The name in the graph: `serving_default_x:0`."""
    dtype: str
    """TensorFlow's name of the type: `DT_FLOAT`."""
    shape: tuple[int, ...] | None
    """-1 where a size is free; None if not even the rank is known."""


@dataclass(frozen=True)
class Signature:
    """A way to call a model: named inputs and outputs."""

    name: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    method_name: str


@dataclass(frozen=True)
class Adapter:
    """How digits are passed to a signature, and which of its outputs holds the answer."""

    signature: str
    input_name: str
    input_shape: tuple[int, ...]
    """With the leading batch; -1 where a size is free."""
    output_name: str
    where: str = "The model"
    """The start of the errors' sentences."""

    def inputs(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the inputs for (n, 28, 28) float32 digits."""
        return {self.input_name: shape_for(images, self.input_shape, self.where)}

    def probabilities(self, outputs: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return the (n, 10) probabilities from the outputs, as `to_probabilities` does.

        Raises ModelError also if another output has another batch: a row of JSON holds a row of each output.
        """
        batch = np.shape(outputs[self.output_name])[:1]
        for name, output in outputs.items():
            if np.shape(output)[:1] != batch:
                shape = np.shape(output)
                problem = (
                    f"{self.where} has an output `{name}` of shape {shape}, without a row for each digit."
                )
                raise ModelError(problem, "Export it without this output.")
        return to_probabilities(outputs[self.output_name], self.where)


def adapter_of(signatures: Mapping[str, Signature], where: str = "The model") -> Adapter:
    """Return how MNIST digits fit a signature, preferably `serving_default`; `where` starts the errors.

    A signature fits with a single float input of 784 values and a leading batch, and an output of ten. Of
    several such outputs, their names tell the answer: probabilities, softmax or logits. Raises ModelError if
    no signature fits.
    """
    errors: dict[str, ModelError] = {}
    for name in sorted(signatures, key=lambda name: (name != SERVING_DEFAULT, name)):
        try:
            return _adapter(name, signatures[name], where)
        except ModelError as error:
            errors[name] = error
    if SERVING_DEFAULT in errors:
        raise errors[SERVING_DEFAULT]
    names = ", ".join(f"`{name}`" for name in sorted(signatures)) or "none"
    problem = f"{where} has no signature `{SERVING_DEFAULT}`; its signatures: {names}."
    step = "Export it with model.export(...) in Keras or tf.saved_model.save(..., signatures=...)."
    raise ModelError(problem, step)


def shape_for(
    images: NDArray[np.float32], input_shape: tuple[int, ...], where: str = "The model"
) -> NDArray[np.float32]:
    """Reshape (n, 28, 28) digits for an input of `input_shape`, without copying where possible.

    An input without a leading batch is refused, because TensorFlow Serving's row format always adds the
    batch, and so is a fixed batch other than 1. Raises ModelError.
    """
    return images.reshape(len(images), *_digit_shape(input_shape, where))


def to_probabilities(outputs: ArrayLike, where: str = "The model") -> NDArray[np.float64]:
    """Turn a model's output, (n, 10) probabilities or logits, into float64 probabilities.

    The output counts as probabilities if no number of the batch is negative and every row adds up to 1, or
    every row to 100, or every row to 255, within SUM_TOLERANCE; then each row is only divided by its sum.
    Anything else counts as logits and goes through softmax, the whole batch alike, which is right for
    log-probabilities, too. Independent sigmoids keep their order but look less certain. Raises ModelError if
    it is not (n, 10) finite numbers.
    """
    values = np.asarray(outputs, np.float64)
    if values.ndim != 2 or values.shape[1] != DIGITS:
        problem = f"{where} answered with shape {show(values.shape)}, not (n, 10)."
        raise ModelError(problem, "Its output must be ten probabilities or logits for each digit.")
    if not np.isfinite(values).all():
        problem = f"{where} answered with numbers that are not finite (NaN or infinity)."
        raise ModelError(problem, DIVERGED)
    if not _are_probabilities(values):
        values = np.exp(values - values.max(axis=1, keepdims=True))
    rows: NDArray[np.float64] = values / values.sum(axis=1, keepdims=True)
    return rows


def check_scale(outputs: ArrayLike, where: str = "The model") -> None:
    """Check the answers to several digits, (n, 10), for probabilities on a scale of the model's own.

    One answer does not show such a scale, so that it would count as logits, nearly always with 100 % for one
    digit. Raises ModelError.
    """
    values = np.asarray(outputs, np.float64)
    total = values.sum(axis=1).mean()
    is_constant = np.allclose(values.sum(axis=1), total, rtol=SUM_TOLERANCE / 10)
    lowest = values.min(axis=1)  # logits with an offset add up to about the same too, but none is near 0
    if (
        is_constant
        and (lowest >= 0).all()
        and (lowest < total * SUM_TOLERANCE).all()
        and np.ptp(values, axis=0).any()
        and not _are_probabilities(values)
    ):
        problem = f"{where} answers with ten numbers that always add up to {total:.4g}: they are no logits."
        raise ModelError(problem, "Export it with probabilities that add up to 1.")


def choose_outputs(names: list[str]) -> list[str]:
    """Return the outputs that are the answer by their names, out of those with ten values, or all of them."""
    choices = ([name for name in names if part in name.lower()] for part in _ANSWER_NAMES)
    return next(filter(None, choices), names)


def show(shape: tuple[int, ...] | None) -> str:
    """Write a shape for people: (n, 28, 28, 1), with n for a free batch and ? for other free sizes."""
    if shape is None:
        return "(unknown)"
    sizes = ["?" if size < 0 else str(size) for size in shape]
    if shape and shape[0] < 0:
        sizes[0] = "n"
    return f"({', '.join(sizes)},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def _are_probabilities(values: NDArray[np.float64]) -> bool:
    sums = values.sum(axis=1)
    is_sum = any((np.abs(sums / total - 1) <= SUM_TOLERANCE).all() for total in TOTALS)
    return bool(values.min(initial=0) >= 0 and is_sum)


def _adapter(name: str, signature: Signature, where: str) -> Adapter:
    input_name, shape = _input_of(signature, where)
    for key, tensor in signature.outputs.items():
        if tensor.dtype not in JSON_DTYPES:
            problem = f"{where} answers with {tensor.dtype} in its output `{key}`, which JSON cannot hold."
            raise ModelError(problem, "Export it with a float32 output, with tf.cast(..., tf.float32).")
    return Adapter(name, input_name, shape, _output_of(signature, where), where)


def _input_of(signature: Signature, where: str) -> tuple[str, tuple[int, ...]]:
    if len(signature.inputs) != 1:
        names = ", ".join(f"`{name}`" for name in sorted(signature.inputs)) or "none"
        problem = f"{where} takes {len(signature.inputs)} inputs ({names}) in `{signature.name}`."
        raise ModelError(problem, "Export it with the digit as its only input.")
    ((name, tensor),) = signature.inputs.items()
    if tensor.dtype not in FLOATS:
        problem = f"{where} takes {tensor.dtype} for its input `{name}`, not float32."
        step = "Export it with a float32 input from 0 to 1; let the model itself scale it."
        raise ModelError(problem, step)
    shape = UNKNOWN_RANK if tensor.shape is None else tensor.shape
    _digit_shape(shape, where)
    return name, shape


def _digit_shape(input_shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    """Return the shape of a digit in a batch of `input_shape`; raises ModelError if it has no free batch."""
    rest = _arrangement(input_shape[1:])
    if rest and input_shape[0] in (-1, 1):
        return rest
    shape = show(input_shape)
    misfit = f"takes an input of shape {shape}, which does not fit the 28x28 pixels of a digit."
    if rest:
        misfit = f"takes a fixed batch of {input_shape[0]}: its input is {shape}."
    elif input_shape and input_shape[0] >= 0 and _arrangement(input_shape):
        misfit = f"takes one digit alone: its input is {shape}, without a leading batch."
    raise ModelError(f"{where} {misfit}", _EXPORT_SHAPE)


def _arrangement(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the first arrangement of a digit that a shape allows; a free size allows any."""
    for digit in _DIGIT_SHAPES:
        if len(digit) == len(shape) and all(size in (-1, d) for size, d in zip(shape, digit, strict=True)):
            return digit
    return None


def _output_of(signature: Signature, where: str) -> str:
    found = choose_outputs(_outputs_of_ten(signature))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"`{name}`" for name in found)
        problem = f"{where} has {len(found)} outputs of ten values ({names}), so the answer is ambiguous."
        raise ModelError(problem, "Export only the right output, or name it `probabilities`.")
    answers = ", ".join(
        f"`{name}` of shape {show(tensor.shape)} ({tensor.dtype})"
        for name, tensor in sorted(signature.outputs.items())
    )
    problem = f"{where} does not answer with ten values for each digit; its output is {answers or 'nothing'}."
    raise ModelError(problem, "Export it with a float output of shape (None, 10): probabilities or logits.")


def _outputs_of_ten(signature: Signature) -> list[str]:
    """Return the outputs with ten columns; if there are none, those of an open shape that may have ten."""
    floats = {
        name: tensor.shape for name, tensor in sorted(signature.outputs.items()) if tensor.dtype in FLOATS
    }
    certain = [name for name, shape in floats.items() if shape and len(shape) == 2 and shape[1] == DIGITS]
    possible = [name for name, shape in floats.items() if shape is None or (len(shape) == 2 and shape[1] < 0)]
    return certain or possible
