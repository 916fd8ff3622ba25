"""One loaded model answering the bodies of predict requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_dash.errors import ModelError
from mnist_dash.local.server.codec import (
    Arrays,
    FlatBody,
    FlatInput,
    Format,
    HttpError,
    invalid,
    parse,
    predict_json,
    read_tensors,
    shown,
)
from mnist_dash.signature import Signature

DEFAULT_SIGNATURE = "serving_default"
MOST_ROWS = 64
"""Of a batch, run at once. More are no quicker, and OpenVINO keeps the memory of its biggest batch."""


class Runnable(Protocol):
    """What is needed of a loaded model; `mnist_dash.savedmodel.Model` is one."""

    @property
    def version(self) -> int: ...

    @property
    def signatures(self) -> Mapping[str, Signature]: ...

    def run(self, inputs: Mapping[str, NDArray[Any]], signature: str = ...) -> Arrays: ...


class Predictor:
    """Answers `:predict` with one loaded model. May be used from several threads at once."""

    def __init__(self, model: Runnable) -> None:
        self.model = model
        flat = {name: FlatInput.of(signature) for name, signature in model.signatures.items()}
        self._flat = {name: reader for name, reader in flat.items() if reader}

    @property
    def version(self) -> int:
        """The version's number."""
        return self.model.version

    def answer(self, body: bytes) -> bytes:
        """The JSON text of the answer to a predict request; raises RefusedError."""
        signature, form, inputs = self._read_flat(body) or self._read(body)
        try:
            outputs = self._run(inputs, signature)
        except ModelError as error:
            raise invalid(str(error)) from error
        return predict_json(form, outputs)

    def warm_up(self) -> None:
        """Run one inference, so that the first request need not wait; raises ModelError."""
        signature = self.model.signatures.get(DEFAULT_SIGNATURE)
        if signature is not None and all(tensor.dtype == "DT_FLOAT" for tensor in signature.inputs.values()):
            zeros = {name: np.zeros(_smallest(t.shape), np.float32) for name, t in signature.inputs.items()}
            self.model.run(zeros, DEFAULT_SIGNATURE)

    def _run(self, inputs: Arrays, name: str) -> Arrays:
        rows = max(len(array) if array.ndim else 0 for array in inputs.values())
        if rows <= MOST_ROWS or not _is_by_row(self.model.signatures[name]):
            return self.model.run(inputs, name)
        parts = [
            self.model.run({key: array[start : start + MOST_ROWS] for key, array in inputs.items()}, name)
            for start in range(0, rows, MOST_ROWS)
        ]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _read_flat(self, body: bytes) -> tuple[str, Format, Arrays] | None:
        parts = FlatBody.split(body)
        name = (parts.signature or DEFAULT_SIGNATURE) if parts else ""
        reader = self._flat.get(name)
        if parts is None or reader is None or (array := reader.read(parts.values)) is None:
            return None
        return name, parts.form, {reader.name: array}

    def _read(self, body: bytes) -> tuple[str, Format, Arrays]:
        document = parse(body)
        name = signature_name(document)
        signature = self.model.signatures.get(name)
        if signature is None:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        form, inputs = read_tensors(document, signature)
        return name, form, inputs


def refuse_unserved(body: bytes, refusal: HttpError) -> HttpError:
    """The error for a request to a model that is not there: what is wrong with its body comes first."""
    try:
        signature_name(parse(body))
    except HttpError as wrong:
        return wrong
    return refusal


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request asks for; raises RefusedError (400) unless it is a string."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly."
            " 'signature_name' key must be a string value."
        )
    return name or DEFAULT_SIGNATURE


def _is_by_row(signature: Signature) -> bool:
    """Whether one batch runs through all of it, so that its rows can be answered apart."""
    tensors = [*signature.inputs.values(), *signature.outputs.values()]
    return all(tensor.shape and tensor.shape[0] == -1 for tensor in tensors)


def _smallest(shape: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(1 if size == -1 else size for size in shape or ())
