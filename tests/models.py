"""Small SavedModels for tests, made by `tests/data/make_models.py`, and ways to break them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_dash.savedmodel.proto import saved_model_class

DATA = Path(__file__).parent / "data"
FLAT, ROWS, SAME, FROZEN, INVERTED, PYTHON = "flat", "rows", "same", "frozen", "inverted", "python"
BRANCHES, BATCHED, EXAMPLE = "branches", "batched", "example"
"""(n, 784) to logits; (n, 28, 28) to `classes` and `probabilities`, and FLAT as its signature `pixels`; half
precision, one key for input and output; no variables, (n, 28, 28, 1) to four outputs; wants black ink on
white; runs Python, which only TensorFlow can; scales pixels from 0 to 255 in a branch; subtracts the mean of
the batch; TensorFlow Serving's own example, with a signature `predict_images` of unknown shapes."""
NOBODY = 65534


def folder_of(name: str) -> Path:
    """Return the version folder of a model in the repository, which must not be changed."""
    return DATA / "models" / name / "model" / "1"


def make_base(at: Path, name: str = ROWS, *versions: str) -> Path:
    """Copy a model to `<at>/model/<version>` for each version (default: 1) and return the model base `at`."""
    for version in versions or ("1",):
        shutil.copytree(folder_of(name), at / "model" / version)
    return at


def expected(name: str, signature: str = "serving_default") -> Mapping[str, NDArray[Any]]:
    """Return TensorFlow's answers for the first eight bundled digits, by output."""
    with np.load(DATA / "expected.npz") as stored:
        prefix = f"{name}/{signature}/"
        return {key.removeprefix(prefix): stored[key] for key in stored if key.startswith(prefix)}


def change(folder: Path, edit: Callable[[Any], None]) -> None:
    """Apply `edit` to the graph for serving (a MetaGraphDef) in the saved_model.pb of a version folder."""
    path = folder / "saved_model.pb"
    message: Any = saved_model_class()()
    message.ParseFromString(path.read_bytes())
    edit(message.meta_graphs[0])
    path.write_bytes(message.SerializeToString())


def use_foreign_operation(graph: Any) -> None:
    """Make the softmax of EXAMPLE an operation that TensorFlow Serving has and OpenVINO lacks."""
    next(node for node in graph.graph_def.node if node.op == "Softmax").op = "XlaCallModule"


def double_answers(graph: Any) -> None:
    """Add the softmax of EXAMPLE to itself."""
    softmax = next(node for node in graph.graph_def.node if node.op == "Softmax")
    doubled = graph.graph_def.node.add(name="doubled", op="AddV2", input=[softmax.name] * 2)
    doubled.attr.add(key="T").value.type = 1
    outputs = signature_in(graph, "predict_images").outputs
    next(entry.value for entry in outputs if entry.key == "scores").name = "doubled:0"


def signature_in(graph: Any, name: str = "serving_default") -> Any:
    """Return the SignatureDef of this name in a MetaGraphDef."""
    return next(entry.value for entry in graph.signature_def if entry.key == name)


def with_input(folder: Path, *shape: int, dtype: int = 1) -> Path:
    """Declare another input in the signature `serving_default`, without changing the graph."""

    def declare(graph: Any) -> None:
        (entry,) = signature_in(graph).inputs
        _declare(entry.value, shape, dtype)

    change(folder, declare)
    return folder


def with_output(folder: Path, *shape: int, dtype: int = 1) -> Path:
    """Declare a single output in the signature `serving_default`, without changing the graph."""

    def declare(graph: Any) -> None:
        outputs = signature_in(graph).outputs
        del outputs[1:]
        _declare(outputs[0].value, shape, dtype)

    change(folder, declare)
    return folder


def _declare(info: Any, shape: tuple[int, ...], dtype: int) -> None:
    info.dtype = dtype
    info.tensor_shape.Clear()
    info.tensor_shape.SetInParent()
    for size in shape:
        info.tensor_shape.dim.add(size=size)


def set_weight(folder: Path, index: int, *values: float) -> None:
    """Write float32 weights into the only shard of a version folder, from the number `index` on."""
    with (folder / "variables" / "variables.data-00000-of-00001").open("r+b") as shard:
        shard.seek(4 * index)
        shard.write(np.array(values, np.float32).tobytes())


def cut_off(path: Path, keep: float = 0.5) -> None:
    """Keep only the first part of a file, as an interrupted copy does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """Make `path` unreadable for this process, even as root."""
    mode = path.stat().st_mode
    path.chmod(0)
    as_root = os.geteuid() == 0
    try:
        if as_root:
            os.seteuid(NOBODY)
        yield
    finally:
        if as_root:
            os.seteuid(0)
        path.chmod(mode)
