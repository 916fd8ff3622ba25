"""Explain why a folder is not a model base, and suggest the one that was probably meant."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

from mnist_dash.domain import MODEL_NAME
from mnist_dash.errors import ModelError
from mnist_dash.storage.location import Entries, Location

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


SAVED_MODEL = "saved_model.pb"
LOOKS = 40
"""So many folders are looked into in search of a model base: enough for a tidy disk, quick in a bucket."""


def version_folders(entries: Entries) -> dict[int, str]:
    """The folders that are named by a number, as TensorFlow Serving names versions."""
    return {int(name): name for name in entries.folders if name.isascii() and name.isdecimal()}


def find_versions(base: Location) -> dict[int, Location]:
    """The versions of a model base by number; raises ModelError if there is none."""
    model = base / MODEL_NAME
    try:
        entries = model.entries()
    except (FileNotFoundError, NotADirectoryError) as err:
        raise explain_base(base) from err
    found = version_folders(entries)
    if not found:
        raise explain_unversioned(base, entries)
    return {number: model / name for number, name in found.items()}


def find_newest(base: Location) -> tuple[int, Location]:
    """The highest version of a model base, which is served; raises ModelError if it is not a SavedModel."""
    found = find_versions(base)
    number = max(found)
    if error := explain_version(found, number):
        raise error
    return number, found[number]


def explain_base(base: Location) -> ModelError:
    """Why there is no `<base>/model/`: what is at `base`, and what the right base may be."""
    if inside := _base_around(base):
        problem = f"{base} is too deep: a model base is the folder that holds `{MODEL_NAME}`."
        return ModelError(problem, f"Did you mean {inside}?")
    try:
        entries = base.entries()
    except FileNotFoundError:
        return _missing(base)
    except NotADirectoryError:
        return _file(base)
    if bases := list(bases_below(base)):
        return _too_high(base, bases)
    return (
        _saved_model_itself(base, entries)
        or _versions_itself(base, entries)
        or _other_child(base, entries)
        or _foreign(base, entries)
        or _no_model(base, entries)
    )


def explain_unversioned(base: Location, entries: Entries) -> ModelError:
    """Why there is no version in `<base>/model/`, where `entries` lie."""
    model = base / MODEL_NAME
    if _is_base(model):
        return _too_high(base, [model])
    if SAVED_MODEL in entries.files:
        problem = f"{model} holds a SavedModel itself, not in a folder named by its version."
        return ModelError(problem, f"Move what is in {model} to {model / '1'}.")
    if error := _foreign(model, entries):
        return error
    problem = f"{model} has no version, which is a folder named by a number; it holds {entries.show()}."
    for name in entries.folders:
        if SAVED_MODEL in _look(model / name).files:
            return ModelError(problem, f"Rename {model / name} to {model / '1'}.")
    return ModelError(problem, _export(base))


def explain_version(found: Mapping[int, Location], number: int) -> ModelError | None:
    """Why a version is no SavedModel; None if it is one."""
    place = found[number]
    entries = _look(place)
    if SAVED_MODEL in entries.files:
        return None
    problem = f"There is no {SAVED_MODEL} in {place}; it holds {entries.show()}."
    foreign = find_foreign(entries.files)
    if foreign:
        problem = f"{place / foreign[0]} is {foreign[1]}, not a {SAVED_MODEL}."
    nested = [name for name in entries.folders if SAVED_MODEL in _look(place / name).files]
    older = [version for version in found if version < number and SAVED_MODEL in _look(found[version]).files]
    if nested:
        step = f"Move what is in {place / nested[0]} up to {place}."
    elif foreign:
        step = export_step(str(place / foreign[0]), foreign[1], str(place))
    else:
        step = f'Export the model there: model.export("{place}").'
    return ModelError(problem, f"{step} Or remove {place}: version {max(older)} is whole." if older else step)


def _look(place: Location) -> Entries:
    """What lies at a place; nothing if that cannot be told, for it is only to give advice."""
    try:
        return place.entries()
    except (OSError, ModelError):
        return Entries()


def _is_base(place: Location) -> bool:
    return bool(version_folders(_look(place / MODEL_NAME)))


def _base_around(place: Location) -> Location | None:
    while (parent := place.parent) is not None:
        if place.name == MODEL_NAME and _is_base(parent):
            return parent
        place = parent
    return None


def bases_below(place: Location, depth: int | None = None) -> Iterator[Location]:
    """Model bases under a folder, or the folder itself, the nearest first; those below `depth` are left out.

    The search is bounded, leaves out hidden folders, and passes over what it may not read.
    """
    waiting = deque([(place, 0)])
    for _ in range(LOOKS):
        if not waiting:
            return
        here, level = waiting.popleft()
        folders = [name for name in _look(here).folders if not name.startswith(".")]
        if MODEL_NAME in folders and _is_base(here):
            yield here
        elif depth is None or level < depth:
            waiting.extend((here / name, level + 1) for name in folders)


def _export(base: Location) -> str:
    return f'Export the model there: model.export("{base / MODEL_NAME / "1"}").'


def _missing(base: Location) -> ModelError:
    place, advice = base, "Check the path."
    while (above := place.parent) is not None:
        try:
            advice = _nearest(above, place.name, above.entries())
        except FileNotFoundError:
            place = above
        except (NotADirectoryError, ModelError):
            break
        else:
            break
    return ModelError(f"There is no folder {base}.", advice)


def _nearest(above: Location, name: str, entries: Entries) -> str:
    folders = {folder.lower(): folder for folder in entries.folders}
    if close := difflib.get_close_matches(name.lower(), folders, n=1):
        return f"Did you mean {above / folders[close[0]]}?"
    return f"Check the path: {above} holds {entries.show()}."


def _file(base: Location) -> ModelError:
    folder = base.parent or base
    foreign = find_foreign([base.name])
    if not foreign:
        return ModelError(
            f"{base} is a file, not a folder.", "Give the folder that holds `model/<version>/`."
        )
    step = f"{export_step(str(base), foreign[1], str(folder / MODEL_NAME / '1'))} Then give {folder}."
    return ModelError(f"{base} is {foreign[1]}, not a folder with a SavedModel.", step)


def _too_high(base: Location, bases: list[Location]) -> ModelError:
    if len(bases) == 1:
        return ModelError(f"{base} is too high: the model base lies in it.", f"Did you mean {bases[0]}?")
    problem = f"{base} is too high: {len(bases)} model bases lie in it."
    more = " or another" if len(bases) > 4 else ""
    return ModelError(problem, f"Give one of them: {', '.join(map(str, bases[:4]))}{more}.")


def _saved_model_itself(base: Location, entries: Entries) -> ModelError | None:
    if SAVED_MODEL not in entries.files:
        return None
    problem = f"{base} is a SavedModel itself, not a model base with `model/<version>/` in it."
    if base.name.isdecimal() and base.parent:
        target = base.parent / MODEL_NAME / base.name
        return ModelError(problem, f"Move it to {target}, then give {base.parent}.")
    return ModelError(problem, f"Move what is in it to {base / MODEL_NAME / '1'}.")


def _versions_itself(base: Location, entries: Entries) -> ModelError | None:
    found = version_folders(entries)
    if not any(SAVED_MODEL in _look(base / name).files for name in found.values()):
        return None
    there = ", ".join(map(str, sorted(found)))
    problem = f"{base} holds versions ({there}) itself, but they must lie in a folder named `{MODEL_NAME}`."
    return ModelError(problem, f"Move them to {base / MODEL_NAME}.")


def _other_child(base: Location, entries: Entries) -> ModelError | None:
    """A SavedModel, or versions of one, in a child that has another name than `model`."""
    for name in entries.folders[:LOOKS]:
        child = base / name
        inside = _look(child)
        if SAVED_MODEL in inside.files:
            problem = f"{base} has no folder `{MODEL_NAME}`; there is a SavedModel in {child}."
            return ModelError(problem, f"Move it to {base / MODEL_NAME / '1'}.")
        if _versions_itself(child, inside):
            problem = f"{base} has no folder `{MODEL_NAME}`; there are versions of a model in {child}."
            return ModelError(problem, f"Rename it to {base / MODEL_NAME}.")
    return None


def _foreign(place: Location, entries: Entries) -> ModelError | None:
    foreign = find_foreign(entries.files)
    if not foreign:
        return None
    target = place / "1" if place.name == MODEL_NAME else place / MODEL_NAME / "1"
    problem = f"{place} holds no SavedModel, but {foreign[0]}, {foreign[1]}."
    return ModelError(problem, export_step(str(place / foreign[0]), foreign[1], str(target)))


def _no_model(base: Location, entries: Entries) -> ModelError:
    if MODEL_NAME in entries.files:
        return ModelError(f"{base / MODEL_NAME} is a file, not a folder with versions.", _export(base))
    problem = f"{base} is not a model base: it has no folder `{MODEL_NAME}`; it holds {entries.show()}."
    return ModelError(problem, _export(base))
