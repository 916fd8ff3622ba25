"""Answer the bodies of predict requests with one loaded model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_dash.errors import ModelError
from mnist_dash.local.server import codec
from mnist_dash.signature import SERVING_DEFAULT, Signature

MAX_BATCH = 64
"""Rows per inference. More are no faster, and OpenVINO keeps the memory of its largest batch."""


class Runnable(Protocol):
    """A loaded model; implemented by `mnist_dash.savedmodel.model.Model`."""

    version: int
    signatures: Mapping[str, Signature]

    def run(self, inputs: Mapping[str, NDArray[Any]], signature: str = ...) -> codec.Arrays: ...


class Predictor:
    """Answers `:predict` with one loaded model; thread-safe."""

    def __init__(self, model: Runnable) -> None:
        self.model = model
        self.version = model.version
        self._reader = codec.FloatReader.from_signature(model.signatures.get(SERVING_DEFAULT))

    def answer(self, body: bytes) -> bytes:
        """Return the response body for a predict request; raises HttpError."""
        decoded = self._reader.read(body) if self._reader else None
        name, (form, inputs) = (SERVING_DEFAULT, decoded) if decoded else self._decode(body)
        try:
            outputs = self._run(inputs, name)
        except ModelError as error:  # 400, as for errors of TensorFlow's kernels
            raise codec.HttpError(str(error)) from error
        return codec.encode_predictions(form, outputs)

    def warm_up(self) -> None:
        """Run one inference, so that the first request need not wait; raises ModelError."""
        signature = self.model.signatures.get(SERVING_DEFAULT)
        if signature and all(tensor.dtype == "DT_FLOAT" for tensor in signature.inputs.values()):
            # abs: a free size is -1, and becomes 1
            shapes = {name: [abs(size) for size in t.shape or ()] for name, t in signature.inputs.items()}
            self.model.run({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})

    def _decode(self, body: bytes) -> tuple[str, tuple[codec.Format, codec.Arrays]]:
        document = codec.parse(body)
        name = codec.signature_name(document)
        if name not in self.model.signatures:
            raise codec.HttpError(f'Serving signature name: "{name}" not found in signature def')
        return name, codec.decode_inputs(document, self.model.signatures[name])

    def _run(self, inputs: codec.Arrays, name: str) -> codec.Arrays:
        rows = max(len(array) if array.ndim else 0 for array in inputs.values())
        if rows <= MAX_BATCH or not _is_batched(self.model.signatures[name]):
            return self.model.run(inputs, name)
        parts = [
            self.model.run({key: array[start : start + MAX_BATCH] for key, array in inputs.items()}, name)
            for start in range(0, rows, MAX_BATCH)
        ]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _is_batched(signature: Signature) -> bool:
    """Return whether every tensor has a free leading batch, so that rows can be answered in parts."""
    tensors = [*signature.inputs.values(), *signature.outputs.values()]
    return all(tensor.shape and tensor.shape[0] == -1 for tensor in tensors)
