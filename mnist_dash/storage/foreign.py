"""Files of other kinds that are taken for a SavedModel, and what to call them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

_BY_SUFFIX = {
    ".keras": "a Keras model file",
    ".h5": "a Keras HDF5 file",
    ".hdf5": "a Keras HDF5 file",
    ".onnx": "an ONNX model",
    ".tflite": "a TensorFlow Lite model",
    ".pt": "a PyTorch model",
    ".pth": "a PyTorch model",
    ".safetensors": "a safetensors file",
    ".pkl": "a pickled model",
    ".pickle": "a pickled model",
    ".joblib": "a pickled model",
    ".ckpt": "a checkpoint",
    ".xml": "an OpenVINO model",
    ".zip": "an archive",
    ".gz": "an archive",
    ".tgz": "an archive",
    ".tar": "an archive",
}
_BY_NAME = {
    "checkpoint": "a TensorFlow checkpoint",
    "model.weights.h5": "an unpacked Keras model file",
    "saved_model.pbtxt": "a SavedModel in text form",
    "model.json": "a TensorFlow.js model",
}
_BY_START = {
    b"\x89HDF": "an HDF5 file, as Keras writes with .h5",
    b"PK\x03\x04": "a zip archive, as Keras writes with .keras",
    b"\x1f\x8b": "compressed with gzip",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself (`git lfs pull` fetches that)",
    b"<": "a page of HTML or XML",
    b"{": "JSON",
}


def name_by_content(content: bytes) -> str:
    """What a file that is no SavedModel seems to be: `empty`, `a zip archive ...`."""
    if not content:
        return "empty"
    names = (name for start, name in _BY_START.items() if content.startswith(start))
    return next(names, "damaged, cut off, or another kind of file")


def find_foreign(names: Iterable[str]) -> tuple[str, str] | None:
    """The first file among `names` that belongs to another format, and what that is; None if none does."""
    for name in sorted(names):
        kind = _BY_NAME.get(name) or _BY_SUFFIX.get(PurePath(name).suffix.lower())
        if kind:
            return name, kind
    return None


def export_step(path: str, kind: str, target: str) -> str:
    """How to make a SavedModel in `target` of the file `path`, which is `kind` as `find_foreign` says."""
    if kind.startswith("a Keras"):
        return f'Export it: keras.saving.load_model("{path}").export("{target}").'
    return f"Export the model as a TensorFlow SavedModel into {target}."
