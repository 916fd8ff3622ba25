"""Which versions a model base holds, and one of them as a local folder; a folder or `gs://bucket/path`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mnist_dash.domain import MODEL_NAME
from mnist_dash.errors import ModelError
from mnist_dash.storage.base_diagnosis import explain_base, explain_unversioned, explain_version, numbered
from mnist_dash.storage.discovery import bases_in_buckets, model_bases
from mnist_dash.storage.key_file import client_for, read_key
from mnist_dash.storage.location import MAX_BYTES, Location, Progress, location_of

if TYPE_CHECKING:
    from mnist_dash.storage.location import Client

__all__ = [
    "bases_in_buckets",
    "client_for",
    "fetch",
    "find_versions",
    "model_bases",
    "newest",
    "read_key",
    "versions",
]


def versions(base: str, *, client: Client | None = None) -> list[int]:
    """The numbers of the versions in `<base>/model/`, lowest first; a name such as `0002` is the number 2.

    As TensorFlow Serving does, whatever is not a folder named by a number is passed over. Raises ModelError,
    with what is there instead, if there is no version.
    """
    return sorted(find_versions(location_of(base, client)))


def find_versions(base: Location) -> dict[int, Location]:
    """The versions of a model base by number; raises ModelError if there is none."""
    model = base / MODEL_NAME
    try:
        entries = model.entries()
    except (FileNotFoundError, NotADirectoryError) as err:
        raise explain_base(base) from err
    found = numbered(entries)
    if not found:
        raise explain_unversioned(base, entries)
    return {number: model / name for number, name in found.items()}


def newest(base: Location) -> tuple[int, Location]:
    """The highest version of a model base, the one to be served; raises ModelError if it is no SavedModel."""
    found = find_versions(base)
    number = max(found)
    if error := explain_version(found, number):
        raise error
    return number, found[number]


def fetch(
    base: str,
    version: int,
    into: Path,
    *,
    progress: Progress | None = None,
    max_bytes: int = MAX_BYTES,
    client: Client | None = None,
) -> Path:
    """One version as a local folder: itself if the base is a folder, else copied to `<into>/model/<version>`.

    What was copied there before is not copied again. Raises ModelError if the version does not exist, holds
    more than `max_bytes`, or cannot be read.
    """
    found = find_versions(location_of(base, client))
    if version not in found:
        there = ", ".join(map(str, sorted(found)))
        raise ModelError(f"{base} has no version {version}; it has {there}.", "Choose one of these.")
    return found[version].fetch(into / MODEL_NAME / str(version), progress, max_bytes)
