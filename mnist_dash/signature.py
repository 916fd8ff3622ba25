"""What a signature takes and gives, and the way from 28x28 digits to it and back; needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnist_dash.domain import DIGITS
from mnist_dash.errors import ModelError

SERVING_DEFAULT = "serving_default"
"""The signature that TensorFlow Serving uses when a request names none."""
PIXELS = 784
FLOATS = frozenset({"DT_FLOAT", "DT_DOUBLE", "DT_HALF"})
SUM_TOLERANCE = 1e-2
"""How far from 1 a row of probabilities may add up to; ten half-precision numbers stay well below."""

_DIGIT_SHAPES = ((28, 28, 1), (28, 28), (784,), (1, 28, 28), (784, 1), (1, 784))
_EXPORT_SHAPE = "Export it with an input of shape (None, 28, 28, 1), (None, 28, 28) or (None, 784)."


@dataclass(frozen=True)
class Tensor:
    """One input or output of a signature, as saved_model.pb says it."""

    name: str
    """In the graph: `serving_default_x:0`."""
    dtype: str
    """TensorFlow's name: `DT_FLOAT`."""
    shape: tuple[int, ...] | None
    """-1 where a size is free; None if not even the rank is known."""


@dataclass(frozen=True)
class Signature:
    """One way to call a model: named inputs and outputs."""

    name: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    method_name: str


@dataclass(frozen=True)
class Adapter:
    """How digits go into one signature, and which of its outputs is the answer."""

    input_name: str
    input_shape: tuple[int, ...]
    """With the leading batch; -1 where a size is free."""
    output_name: str
    where: str = "The model"
    """What the sentences of its errors begin with."""

    def inputs(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """The inputs for (n, 28, 28) float32 digits."""
        return {self.input_name: shape_for(images, self.input_shape, self.where)}

    def probabilities(self, outputs: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """The (n, 10) probabilities among the outputs, as `to_probabilities` gives them."""
        return to_probabilities(outputs[self.output_name], self.where)


def adapter_of(signatures: Mapping[str, Signature], where: str = "The model") -> Adapter:
    """Find out how MNIST digits fit the signature `serving_default`; `where` begins the errors' sentences.

    Raises ModelError unless there is one float input of 784 values with a free leading batch, and one output
    of ten. Among several outputs of ten, the one with "prob" in its name is taken.
    """
    if SERVING_DEFAULT not in signatures:
        names = ", ".join(f"`{name}`" for name in sorted(signatures)) or "none"
        problem = f"{where} has no signature `{SERVING_DEFAULT}`; its signatures: {names}."
        step = "Export it with model.export(...) in Keras or tf.saved_model.save(..., signatures=...)."
        raise ModelError(problem, step)
    signature = signatures[SERVING_DEFAULT]
    name, shape = _input_of(signature, where)
    return Adapter(name, shape, _output_of(signature, where), where)


def shape_for(
    images: NDArray[np.float32], input_shape: tuple[int, ...], where: str = "The model"
) -> NDArray[np.float32]:
    """Reshape (n, 28, 28) digits to what an input of `input_shape` wants, without copying where possible.

    An input without a leading batch, or with a fixed one, is refused: a request may hold any number of
    digits, and TensorFlow Serving's row format always adds the batch. Raises ModelError.
    """
    return images.reshape(len(images), *_digit_shape(input_shape, where))


def to_probabilities(outputs: ArrayLike, where: str = "The model") -> NDArray[np.float64]:
    """Turn what a model answered, (n, 10) probabilities or logits, into float64 probabilities.

    The answer is taken for probabilities if every number of the batch is in [0, 1] and every row adds up to
    1 within SUM_TOLERANCE; then each row is only divided by its sum. Anything else is taken for logits and
    goes through softmax, the whole batch alike; log-probabilities come out right, too. Ten independent
    sigmoids keep their order but look less sure. Raises ModelError if it is not (n, 10) finite numbers.
    """
    values = np.asarray(outputs, np.float64)
    if values.ndim != 2 or values.shape[1] != DIGITS:
        problem = f"{where} answered with shape {show(values.shape)}, not (n, 10)."
        raise ModelError(problem, "Its output must be ten probabilities or logits for each digit.")
    if not np.isfinite(values).all():
        problem = f"{where} answered with numbers that are not finite (NaN or infinity)."
        raise ModelError(
            problem, "Its weights are probably damaged, or its training diverged: export it again."
        )
    if not _are_probabilities(values):
        values = np.exp(values - values.max(axis=1, keepdims=True))
    rows: NDArray[np.float64] = values / values.sum(axis=1, keepdims=True)
    return rows


def show(shape: tuple[int, ...] | None) -> str:
    """A shape for people: (n, 28, 28, 1), with n for a free batch and ? for other free sizes."""
    if shape is None:
        return "(unknown)"
    sizes = ["?" if size < 0 else str(size) for size in shape]
    if shape and shape[0] < 0:
        sizes[0] = "n"
    return f"({', '.join(sizes)},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def _are_probabilities(values: NDArray[np.float64]) -> bool:
    in_range = values.min(initial=0) >= 0 and values.max(initial=0) <= 1 + SUM_TOLERANCE
    return bool(in_range and (np.abs(values.sum(axis=1) - 1) <= SUM_TOLERANCE).all())


def _input_of(signature: Signature, where: str) -> tuple[str, tuple[int, ...]]:
    if len(signature.inputs) != 1:
        names = ", ".join(f"`{name}`" for name in sorted(signature.inputs)) or "none"
        problem = (
            f"{where} takes {len(signature.inputs)} inputs ({names}) in its signature `{signature.name}`."
        )
        raise ModelError(problem, "Export it with the digit as its only input.")
    ((name, tensor),) = signature.inputs.items()
    if tensor.dtype not in FLOATS:
        problem = f"{where} takes {tensor.dtype} for its input `{name}`, not floats."
        step = (
            "Export it with a float32 input from 0 to 1; if it wants other numbers, let it scale them itself."
        )
        raise ModelError(problem, step)
    if tensor.shape is None:
        raise ModelError(f"{where} does not say the shape of its input `{name}`.", _EXPORT_SHAPE)
    _digit_shape(tensor.shape, where)
    return name, tensor.shape


def _digit_shape(input_shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    rest = _fitting(input_shape[1:])
    if rest is None or not input_shape or input_shape[0] >= 0:
        raise ModelError(f"{where} {_misfit(input_shape, rest)}", _EXPORT_SHAPE)
    return rest


def _fitting(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The first arrangement of a digit that a shape allows, a free size allowing anything."""
    for digit in _DIGIT_SHAPES:
        if len(digit) == len(shape) and all(size in (-1, d) for size, d in zip(shape, digit, strict=True)):
            return digit
    return None


def _misfit(shape: tuple[int, ...], rest: tuple[int, ...] | None) -> str:
    if rest is not None and shape:
        digits = f"{shape[0]} digit{'s' * (shape[0] != 1)}"
        return f"takes exactly {digits} at a time: its input is {show(shape)}, with a fixed batch."
    if _fitting(shape) is not None and shape[0] >= 0:
        return f"takes one digit alone: its input is {show(shape)}, without a leading batch."
    if len(shape) < 2 or min(shape[1:]) < 0:
        return f"takes an input of shape {show(shape)}, into which the 784 values of a digit do not fit."
    if (values := prod(shape[1:])) == PIXELS:
        return f"takes 784 values, but as {show(shape)}, which is not how the rows of a digit lie."
    return f"takes an input of shape {show(shape)}: {values} values, not the 784 of a digit (28x28)."


def _output_of(signature: Signature, where: str) -> str:
    found = _outputs_of_ten(signature)
    if len(found) > 1:
        found = [name for name in found if "prob" in name.lower()] or found
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"`{name}`" for name in found)
        problem = (
            f"{where} has {len(found)} outputs of ten values ({names}): which is the answer is not known."
        )
        raise ModelError(problem, "Export one of them only, or name the right one `probabilities`.")
    answers = ", ".join(
        f"`{name}` of shape {show(tensor.shape)} ({tensor.dtype})"
        for name, tensor in sorted(signature.outputs.items())
    )
    problem = f"{where} does not answer with ten values for each digit; its output is {answers or 'nothing'}."
    raise ModelError(problem, "Export it with a float output of shape (None, 10): probabilities or logits.")


def _outputs_of_ten(signature: Signature) -> list[str]:
    """Outputs that have ten columns; if there are none, those that may have, since their shape is open."""
    floats = {
        name: tensor.shape for name, tensor in sorted(signature.outputs.items()) if tensor.dtype in FLOATS
    }
    certain = [name for name, shape in floats.items() if shape and len(shape) == 2 and shape[1] == DIGITS]
    possible = [name for name, shape in floats.items() if shape is None or (len(shape) == 2 and shape[1] < 0)]
    return certain or possible
