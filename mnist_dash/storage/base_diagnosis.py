"""Find model bases and their versions, or explain why there are none and suggest the right base."""

from __future__ import annotations

import difflib
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import PurePath
from typing import TYPE_CHECKING

from mnist_dash.domain import MODEL_NAME
from mnist_dash.errors import ModelError
from mnist_dash.storage.cloud_storage import Access
from mnist_dash.storage.location import BucketLocation, Entries, Location

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

SAVED_MODEL = "saved_model.pb"
OTHER_FORMATS = (".keras", ".h5", ".hdf5", ".pb", ".onnx", ".tflite")
MAX_FOLDERS = 40
"""The most folders that are searched for a model base: enough for a tidy disk, quick in a bucket."""
MAX_BUCKETS = 20
DEPTH = 2
"""How many folders deep a bucket is searched for model bases."""
WORKERS = 8


def parse_version(name: str) -> int | None:
    """Return the number of a version's folder, `0002` being 2, or None if TensorFlow Serving ignores it."""
    is_number = name.isascii() and name.isdecimal() and int(name) < 2**63
    return int(name) if is_number else None


def version_folders(entries: Entries) -> dict[int, str]:
    """Return the folders that are versions by their number; of `01` and `1`, the last in order."""
    numbers = {name: parse_version(name) for name in entries.folders}
    return {number: name for name, number in numbers.items() if number is not None}


def find_versions(base: Location) -> dict[int, Location]:
    """Return the versions of a model base by number; raises ModelError if there are none."""
    model = base / MODEL_NAME
    try:
        versions = version_folders(model.entries())
    except (FileNotFoundError, NotADirectoryError) as err:
        raise _explain_base(base) from err
    if not versions:
        raise _explain_base(base)
    return {number: model / name for number, name in versions.items()}


def find_newest(base: Location) -> tuple[int, Location]:
    """Return the highest version of a model base, which is served; raises ModelError if it is unfit."""
    versions = find_versions(base)
    number, folder = max(versions.items())
    if _is_saved_model(folder):
        return number, folder
    problem = f"There is no {SAVED_MODEL} in {folder}"
    error = _explain_content(folder, problem, base / MODEL_NAME, folder.name)
    complete = [older for older in versions if older < number and _is_saved_model(versions[older])]
    step = f" Or remove {folder}: version {max(complete)} is complete." if complete else ""
    raise ModelError(error.problem, error.next_step + step, content=error.content)


def bases_in_buckets(client: Client | None = None, *, deadline: float = 5.0) -> list[str]:
    """Return the model bases in the buckets of the credentials' project, as `gs://bucket/path`, sorted.

    At most 20 buckets are searched, each two folders deep, for `deadline` seconds in all. A bucket that
    cannot be listed, or not in time, adds nothing.
    """
    until = time.monotonic() + deadline
    access = Access(client, until)
    found: list[str] = []  # complete bases stay when the time is over

    def search(bucket: str) -> None:
        found.extend(str(base) for base in bases_below(BucketLocation(bucket, "", access), DEPTH))

    # Requests under way when the time is over end by themselves: they have time-outs.
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="discovery")
    try:
        buckets = pool.submit(access.list_buckets, MAX_BUCKETS).result(deadline)
        wait([pool.submit(search, bucket) for bucket in buckets], max(0.0, until - time.monotonic()))
        return sorted(found)
    except TimeoutError:
        return []
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def bases_below(location: Location, depth: int | None = None) -> Iterator[Location]:
    """Yield the model bases in a folder, or the folder itself, nearest first and at most `depth` deep."""
    return (folder for folder, _, is_base in _walk(location, depth) if is_base)


def _walk(location: Location, depth: int | None = None) -> Iterator[tuple[Location, Entries, bool]]:
    """Yield a folder and those in it, nearest first, each with its entries and whether it is a model base.

    At most MAX_FOLDERS are listed. Hidden folders and those in a model base are left out.
    """
    queue = deque([(location, 0)])
    for _ in range(MAX_FOLDERS):
        if not queue:
            return
        folder, level = queue.popleft()
        entries = _list(folder)
        is_base = MODEL_NAME in entries.folders and _is_base(folder)
        yield folder, entries, is_base
        if level != depth and not is_base:
            names = (name for name in entries.folders if not name.startswith("."))
            queue.extend((folder / name, level + 1) for name in names)


def _list(location: Location) -> Entries:
    """List a location; empty on error, because this only feeds suggestions."""
    try:
        return location.entries()
    except (OSError, ModelError):
        return Entries()


def _is_saved_model(folder: Location) -> bool:
    return SAVED_MODEL in _list(folder).files


def _is_base(folder: Location) -> bool:
    return bool(version_folders(_list(folder / MODEL_NAME)))


def _explain_base(base: Location) -> ModelError:
    """Explain why there is no `<base>/model/<version>/`, and suggest the base that was probably meant."""
    if parent := _base_around(base):
        problem = f"{base} is too deep: a model base is the folder that holds `{MODEL_NAME}`."
        return _suggest(problem, parent)
    try:
        entries = base.entries()
    except FileNotFoundError:
        return _explain_missing(base)
    except NotADirectoryError:
        return _explain_file(base)
    if bases := list(bases_below(base)):
        return _suggest(f"{base} is too high: model bases lie deeper.", *bases)
    model = base / MODEL_NAME
    problem = f"{base} is not a model base: it has no folder `{MODEL_NAME}/<version>`, named by a number"
    return _explain_content(model if MODEL_NAME in entries.folders else base, problem, model)


def _base_around(location: Location) -> Location | None:
    while (parent := location.parent) is not None:
        if location.name == MODEL_NAME and _is_base(parent):
            return parent
        location = parent
    return None


def _suggest(problem: str, *bases: Location) -> ModelError:
    """Ask whether the one base was meant; of several, name none."""
    step = f"Did you mean {bases[0]}?" if len(bases) == 1 else f"Give one of the {len(bases)} in it."
    return ModelError(problem, step, suggestions=tuple(map(str, bases)))


def _explain_missing(base: Location) -> ModelError:
    """Suggest a folder for a base that does not exist, from the nearest folder above it that does."""
    problem, missing = f"There is no folder {base}.", base
    while (parent := missing.parent) is not None:
        try:
            entries = parent.entries()
        except FileNotFoundError:
            missing = parent
            continue
        except (NotADirectoryError, ModelError):
            break
        folders = {folder.lower(): folder for folder in entries.folders}
        if close := difflib.get_close_matches(missing.name.lower(), folders, n=1):
            return _suggest(problem, parent / folders[close[0]])
        return ModelError(problem, "Check the path.", content=f"{parent} holds {entries.describe()}.")
    return ModelError(problem, "Check the path.")


def _explain_file(file: Location) -> ModelError:
    if not _is_other_format(file.name) or file.parent is None:
        step = f"Give the folder that holds `{MODEL_NAME}/<version>/`."
        return ModelError(f"{file} is a file, not a folder.", step)
    step = f"{_export_step(file.parent / MODEL_NAME / '1')} Then give {file.parent}."
    return ModelError(f"{file} is not a SavedModel, which TensorFlow Serving needs.", step)


def _explain_content(folder: Location, problem: str, model: Location, version: str = "") -> ModelError:
    """Say what a folder holds instead of the SavedModel that belongs in `<model>/<version>`."""
    step = _export_step(model / (version or "1"))
    for found, entries, _ in _walk(folder, depth=2):
        if SAVED_MODEL in entries.files:
            place = model / (version or (found.name if found.name.isdecimal() else "1"))
            return ModelError(f"{problem}, but {found} is a SavedModel.", f"Move its content to {place}.")
    entries = _list(folder)
    if other := next(filter(_is_other_format, entries.files), None):
        return ModelError(f"{problem}, and {folder / other} is not a SavedModel.", step)
    return ModelError(f"{problem}.", step, content=f"{folder} holds {entries.describe()}.")


def _is_other_format(name: str) -> bool:
    return name != SAVED_MODEL and PurePath(name).suffix.lower() in OTHER_FORMATS


def _export_step(folder: Location) -> str:
    return f'Export the model in Keras: model.export("{folder}").'
