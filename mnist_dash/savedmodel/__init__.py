"""What a SavedModel is: its signatures, loading it, and whether it is a model of MNIST digits.

`python -m mnist_dash.savedmodel BASE` checks a model base and prints what it found as JSON.
"""

from __future__ import annotations

from mnist_dash.savedmodel.check import check_model
from mnist_dash.savedmodel.isolated_check import check_model_isolated
from mnist_dash.savedmodel.model import Model
from mnist_dash.savedmodel.proto import read_signatures
from mnist_dash.signature import Adapter, Signature, Tensor, adapter_of, shape_for, to_probabilities

__all__ = [
    "Adapter",
    "Model",
    "Signature",
    "Tensor",
    "adapter_of",
    "check_model",
    "check_model_isolated",
    "read_signatures",
    "shape_for",
    "to_probabilities",
]
