"""Load a SavedModel with OpenVINO and run it."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_dash.errors import ModelError
from mnist_dash.savedmodel.proto import EXPORT, FILE_NAME, ServingGraph, read_graph
from mnist_dash.signature import DIVERGED, SERVING_DEFAULT, Signature, Tensor, adapter_of
from mnist_dash.storage.base_diagnosis import parse_version

FOLDER_NAME = "variables"
INDEX_NAME = "variables.index"
COPY = "Copy the whole SavedModel there, its `variables` folder too, or export it again."

_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")


def check_variables(folder: Path, needed: bool) -> None:
    """Check that the variables of a version folder are complete and readable; raises ModelError.

    A model without variables (`needed` is false) may lack the folder, as TensorFlow allows.
    """
    variables = folder / FOLDER_NAME
    try:
        names = {path.name for path in variables.iterdir()}
        # Opened and closed, because OpenVINO reports a file without read permission as damaged.
        for name in _required_files(names) if needed or INDEX_NAME in names else ():
            (variables / name).open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as err:
        if needed or Path(err.filename) != variables:
            raise ModelError(f"The variables of {folder} are missing: no {err.filename}.", COPY) from err
    except OSError as err:
        step = "Let the user who runs the dashboard read it."
        raise ModelError(f"{err.filename} cannot be read: {err.strerror}.", step) from err


def _required_files(names: Iterable[str]) -> Iterator[str]:
    """Yield the files that must exist, given the names of the existing ones, which hold the shard count."""
    yield INDEX_NAME
    totals = [int(match[1]) for name in names if (match := _SHARD.fullmatch(name))]
    total = max(totals, default=1)
    yield from (f"variables.data-{number:05}-of-{total:05}" for number in range(total))


_DAMAGED = (
    r"variables\.|variables? index|index file|requested variable|Variable or resource|[Bb]undle|\bCMO\b"
)
"""Parts of OpenVINO's messages that occur only if the files in `variables` do not fit the graph."""
_CONFIG = {
    "INFERENCE_PRECISION_HINT": "f32",  # the CPU's bf16 is up to 8.5e-3 away from TensorFlow
    "INFERENCE_NUM_THREADS": 1,  # one digit is too little work to share; replicas scale instead
}
_BODIES = {
    "If": ("get_then_body", "get_else_body"),
    "Loop": ("get_function",),
    "TensorIterator": ("get_body",),
}
"""The operations that hold others, and the methods that return those."""
_NAN_TESTS = {"IsNaN", "IsInf", "IsFinite"}
"""The operations by which a model handles NaN and infinity in its input by itself."""
_BOUNDS = {"Clamp", "Minimum"}
"""The operations that make a usual number of infinity."""
_Shapes = tuple[tuple[int, tuple[int, ...]], ...]
"""The number and shape of each input."""


class Model:
    """A loaded version of a model; may be called from several threads at once."""

    def __init__(self, folder: Path, graph: ServingGraph) -> None:
        self.folder = folder
        self.version = parse_version(folder.name) or 0
        self.signatures: Mapping[str, Signature] = graph.signatures
        self._graph = graph
        self._lock = threading.Lock()
        self._programs: dict[str, _Program] = {}

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Load a version folder, `<base>/model/<version>`, and compile its signature for digits.

        Without such a signature, `serving_default` is compiled. The files are not needed afterwards. Raises
        ModelError if they are missing or damaged, or use operations that OpenVINO does not have.
        """
        graph = read_graph(folder)
        check_variables(folder, graph.has_variables)
        model = cls(folder, graph)
        name = SERVING_DEFAULT
        with suppress(ModelError):
            name = adapter_of(graph.signatures).signature
        if name in graph.signatures:
            model._program(name)
        return model

    def run(
        self, inputs: Mapping[str, NDArray[Any]], signature: str = SERVING_DEFAULT
    ) -> dict[str, NDArray[Any]]:
        """Call a signature; keys are the signature's names of its inputs and outputs.

        Inputs are cast to the graph's types. Floats are returned as float32, whole numbers as they are.
        Raises ModelError if a name is wrong or the shapes do not fit.
        """
        return self._program(signature).run(inputs)

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the (n, 10) float64 probabilities of (n, 28, 28) digits in [0, 1].

        Raises ModelError if no signature is one of MNIST digits.
        """
        adapter = adapter_of(self.signatures, str(self.folder))
        return adapter.probabilities(self.run(adapter.inputs(images), adapter.signature))

    def _program(self, name: str) -> _Program:
        with self._lock:
            if name not in self._programs:
                if name not in self.signatures:
                    raise ModelError(f"{self.folder} has no signature `{name}`.")
                self._programs[name] = _Program(self.folder, self._graph, self.signatures[name])
            return self._programs[name]


class _Program:
    """A compiled signature."""

    def __init__(self, folder: Path, graph: ServingGraph, signature: Signature) -> None:
        tensors = [*signature.inputs.values(), *signature.outputs.values()]
        # OpenVINO reads `serving_default` only, and renames tensors of the same name (`x`, `x_1`). In the
        # only signature, and under names of our own, every tensor is certain to be found again.
        names = {tensor.name: f"mnist_dash_{number}" for number, tensor in enumerate(tensors)}
        self._folder = folder
        model = _read(folder, graph.with_one_signature(signature.name, names))
        operations = list(_operations_in(model))
        _check_weights(folder, operations)
        kinds = {operation.get_type_name() for operation in operations}
        self._find_bad = _bad_number_test(kinds)
        self._compiled = _compile(folder, model)
        # With a free batch, OpenVINO's `If` answers the first batch of a larger size with garbage.
        self._compile_for = None if kinds.isdisjoint(_BODIES) else _fixed_shape_compiler(folder, model)
        self._inputs = _ports_of(signature.inputs, names, self._compiled.inputs)
        self._outputs = _ports_of(signature.outputs, names, self._compiled.outputs)
        self._of_thread = threading.local()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if inputs.keys() != self._inputs.keys():
            problem = f"{self._folder} takes {sorted(self._inputs)}, but was given {sorted(inputs)}."
            raise ModelError(problem)
        # Kept until the end of the call: the request reads the arrays in place.
        arrays = {
            port: np.require(inputs[name], dtype, ["C", "W"]) for name, (port, dtype) in self._inputs.items()
        }
        try:
            request = self._request(arrays)
            for port, array in arrays.items():
                request.set_input_tensor(port, _openvino().Tensor(array, shared_memory=True))
            request.start_async()  # infer() copies all outputs into a dict, which takes as long again
            request.wait()
        except RuntimeError as err:
            problem = f"{self._folder} could not answer. OpenVINO says: {_last_line(err)}"
            raise ModelError(problem, EXPORT, unverified=True) from err
        outputs = {name: _array(request.get_output_tensor(port)) for name, (port, _) in self._outputs.items()}
        for array in arrays.values():
            if array.dtype.kind == "f":
                _spread_nan(self._find_bad(array), outputs)
        return outputs

    def _request(self, arrays: Mapping[int, NDArray[Any]]) -> Any:
        """Return the request of this thread: two threads on the same request get each other's rows."""
        if self._compile_for:
            shapes = tuple((port, array.shape) for port, array in arrays.items())
            return self._compile_for(shapes).create_infer_request()
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        return self._of_thread.request


def _openvino() -> Any:
    """Import OpenVINO when it is first needed: 0.2 s that a process without models saves."""
    import openvino  # type: ignore[import-untyped]  # its stubs lack py.typed

    return openvino


def _read(folder: Path, saved_model: bytes) -> Any:
    """Read a changed saved_model.pb with the variables in `folder`, as an openvino.Model."""
    with tempfile.TemporaryDirectory(prefix="mnist-dash-") as staged, _explained(folder):
        (Path(staged) / FILE_NAME).write_bytes(saved_model)
        if (variables := folder / FOLDER_NAME).is_dir():
            (Path(staged) / FOLDER_NAME).symlink_to(variables.absolute(), target_is_directory=True)
        return _core().read_model(staged)


def _compile(folder: Path, model: Any) -> Any:
    with _explained(folder):
        return _core().compile_model(model, "CPU", _CONFIG)


@cache
def _core() -> Any:
    core = _openvino().Core()
    core.set_property({"ENABLE_MMAP": False})  # exporting over the files must not change a loaded model
    return core


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as err:
        raise _explain_failure(folder, str(err)) from err


def _fixed_shape_compiler(folder: Path, model: Any) -> Callable[[_Shapes], Any]:
    """Return a function that compiles the model for inputs of fixed shapes, and keeps the last results."""

    @lru_cache(maxsize=8)
    def compile_for(shapes: _Shapes) -> Any:
        fixed = model.clone()
        fixed.reshape({port: _openvino().PartialShape(list(shape)) for port, shape in shapes})
        return _compile(folder, fixed)

    return compile_for


def _operations_in(model: Any) -> Iterator[Any]:
    """Yield the operations of an openvino.Model, also those in the bodies of its branches and loops."""
    for operation in model.get_ops():
        yield operation
        for get_body in _BODIES.get(operation.get_type_name(), ()):
            yield from _operations_in(getattr(operation, get_body)())


def _check_weights(folder: Path, operations: Iterable[Any]) -> None:
    """Check that no weight is NaN or infinite, which OpenVINO's ReLU would hide; raises ModelError.

    Infinity alone, or beside zeros only, is a mask.
    """
    for operation in operations:
        if operation.get_type_name() == "Constant" and operation.get_element_type().is_real():
            finite = np.isfinite(operation.data)
            if np.isnan(operation.data).any() or (not finite.all() and operation.data[finite].any()):
                problem = f"The weights of {folder} hold numbers that are not finite (NaN or infinity)."
                raise ModelError(problem, DIVERGED)


def _bad_number_test(kinds: set[str]) -> Callable[[NDArray[Any]], NDArray[np.bool_]]:
    """Return the test for numbers to which TensorFlow answers NaN, by the model's kinds of operations.

    OpenVINO's ReLU, for example, makes 0 of NaN, also of the NaN that comes of infinity.
    """
    if not kinds.isdisjoint(_NAN_TESTS):
        return lambda array: np.zeros(array.shape, np.bool_)
    if "Relu" in kinds and kinds.isdisjoint(_BOUNDS):
        return lambda array: ~np.isfinite(array)
    return np.isnan


def _spread_nan(bad: NDArray[np.bool_], outputs: Mapping[str, NDArray[Any]]) -> None:
    """Answer NaN in the rows whose input holds a bad number."""
    if bad.any():
        rows = bad.reshape(*bad.shape[:1], -1).any(axis=-1)
        for output in outputs.values():
            if output.dtype.kind == "f":
                output[rows if output.shape[:1] == bad.shape[:1] else ...] = np.nan


def _ports_of(
    tensors: Mapping[str, Tensor], names: Mapping[str, str], ports: Sequence[Any]
) -> dict[str, tuple[int, Any]]:
    """Return the number and the dtype of the port of each tensor of a signature."""
    return {
        key: (number, port.element_type.to_dtype())
        for key, tensor in tensors.items()
        for number, port in enumerate(ports)
        if names[tensor.name] in port.names
    }


def _array(tensor: Any) -> NDArray[Any]:
    if tensor.element_type == _openvino().Type.string:
        return np.asarray(tensor.str_data)
    data: NDArray[Any] = tensor.data
    return data.astype(np.float32 if np.issubdtype(data.dtype, np.floating) else data.dtype)


def _explain_failure(folder: Path, message: str) -> ModelError:
    if found := re.search(r"No conversion rule found for operations?: (.+)", message):
        problem = f"{folder} uses operations that OpenVINO does not have: {found[1].strip()}."
        step = "Leave them out of the exported model; prepare images and text outside of it."
        return ModelError(problem, step, unverified="PyFunc" not in found[1])  # no server can run Python
    if re.search(_DAMAGED, message):
        problem = f"The variables of {folder} are damaged. OpenVINO says: {_last_line(message)}"
        return ModelError(problem, COPY)
    problem = f"OpenVINO cannot load {folder}. It says: {_last_line(message)}"
    return ModelError(problem, EXPORT, unverified=True)


def _last_line(message: object) -> str:
    """Return the last line of OpenVINO's report that holds a word, with a full stop."""
    lines = [line.strip(" -\t") for line in str(message).splitlines() if re.search(r"\w", line)]
    return f"{(lines or ['nothing'])[-1].rstrip('.')}."
