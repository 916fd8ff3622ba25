"""A straightforward model server for comparison: FastAPI, a pydantic body, numpy.

python benchmarks/naive_server.py openvino|tensorflow VERSION_FOLDER PORT
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic import BaseModel

Model = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Digits(BaseModel):
    """The body of a request."""

    instances: list[Any]


def with_openvino(folder: str) -> Model:
    """Load the SavedModel with OpenVINO, as its documentation shows it."""
    import openvino  # type: ignore[import-untyped]  # its stubs lack py.typed

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(folder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: np.array(compiled(images)[0])


def with_tensorflow(folder: str) -> Model:
    """Load the SavedModel with TensorFlow, as its documentation shows it."""
    import tensorflow as tf  # type: ignore[import-untyped, import-not-found, unused-ignore]  # only if installed

    signature = tf.saved_model.load(folder).signatures["serving_default"]
    ((name, _),) = signature.structured_input_signature[1].items()
    return lambda images: next(iter(signature(**{name: tf.constant(images)}).values())).numpy()


def naive_app(model: Model) -> FastAPI:
    """Build the app with its one route, `async` because a compiled OpenVINO model is not thread-safe."""
    app = FastAPI()

    @app.post("/v1/models/model:predict")
    async def predict(digits: Digits) -> dict[str, Any]:
        return {"predictions": model(np.array(digits.instances, dtype=np.float32)).tolist()}

    return app


if __name__ == "__main__":
    backend, folder, port = sys.argv[1:]
    loaded = {"openvino": with_openvino, "tensorflow": with_tensorflow}[backend](folder)
    uvicorn.run(naive_app(loaded), port=int(port), access_log=False, log_level="warning")
