"""A stand-in for a loaded SavedModel, and its signatures in short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_dash.signature import Signature, Tensor

Arrays = dict[str, NDArray[Any]]


def tensors(**shapes: tuple[int, ...] | None) -> dict[str, Tensor]:
    """Float tensors by name."""
    return {name: Tensor(f"{name}:0", "DT_FLOAT", shape) for name, shape in shapes.items()}


def signature(
    inputs: Mapping[str, Tensor] | None = None,
    outputs: Mapping[str, Tensor] | None = None,
    name: str = "serving_default",
) -> Signature:
    """A signature of one input `x` of (-1, 2, 2) and one output `y` of (-1, 4) by default."""
    return Signature(
        name,
        tensors(x=(-1, 2, 2)) if inputs is None else inputs,
        tensors(y=(-1, 4)) if outputs is None else outputs,
        "tensorflow/serving/predict",
    )


def flattened(inputs: Arrays) -> Arrays:
    """The one input as the output `y`, every row flat."""
    (array,) = inputs.values()
    return {"y": array.reshape(len(array), -1)}


class FakeModel:
    """Answers with a function of its inputs, and keeps what it was called with."""

    def __init__(
        self,
        version: int = 1,
        *signatures: Signature,
        answer: Callable[[Arrays], Arrays] = flattened,
    ) -> None:
        self.version = version
        self.signatures: Mapping[str, Signature] = {each.name: each for each in signatures or (signature(),)}
        self.calls: list[Arrays] = []
        self.answer = answer

    def run(self, inputs: Mapping[str, NDArray[Any]], signature: str = "serving_default") -> Arrays:
        """Answer the inputs of a signature that it has."""
        assert signature in self.signatures
        self.calls.append(dict(inputs))
        return self.answer(dict(inputs))


def same_bits(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Return whether two arrays are the same to the bit, NaN and -0.0 included."""
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


def floats(*values: float) -> NDArray[np.float32]:
    """Return a float32 array."""
    return np.array(values, np.float32)
