"""Where a model base lies: a folder of this machine or a path in a bucket, behind one small seam."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from mnist_dash.errors import ModelError

if TYPE_CHECKING:
    from google.cloud.storage import Client as Client  # type: ignore[import-untyped]  # it ships no types

Progress = Callable[[int, int], None]
"""Called with the bytes fetched so far and the bytes in all."""
MAX_BYTES = 500_000_000
"""More than this is not fetched from a bucket: no model of MNIST digits is near it."""
_GIVE = "Give a folder, or gs://bucket/path."


@dataclass(frozen=True)
class Entries:
    """The names that lie right under a place."""

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def show(self, most: int = 6) -> str:
        """The names for a message: `a/, b.txt and 3 more`, or `nothing`; hidden ones come last."""
        names = [f"{name}/" for name in self.folders] + list(self.files)
        names.sort(key=lambda name: name.startswith("."))
        if len(names) > most:
            return f"{', '.join(names[:most])} and {len(names) - most} more"
        return ", ".join(names) or "nothing"


class Place(Protocol):
    """A folder, wherever it is; `str()` is how the user writes it."""

    @property
    def name(self) -> str:
        """The last part of the path."""

    @property
    def parent(self) -> Place | None:
        """What it lies in; None at the root of a disk or a bucket."""

    def __truediv__(self, name: str) -> Place: ...

    def entries(self) -> Entries:
        """What lies right under it.

        Raises FileNotFoundError if it does not exist, NotADirectoryError if it is a file, ModelError with the
        reason if it cannot be read.
        """

    def fetch(self, into: Path, progress: Progress | None = None, max_bytes: int = MAX_BYTES) -> Path:
        """The place as a local folder: itself if it is one, else a copy of it in the folder `into`."""


@dataclass(frozen=True)
class FolderPlace:
    """A folder of this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def parent(self) -> FolderPlace | None:
        return FolderPlace(self.path.parent) if self.path.parent != self.path else None

    def __truediv__(self, name: str) -> FolderPlace:
        return FolderPlace(self.path / name)

    def entries(self) -> Entries:
        try:
            children = sorted(self.path.iterdir())
            folders = {child.name for child in children if child.is_dir()}
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as err:
            step = "Let the user who runs the dashboard read it."
            raise ModelError(f"{self.path} cannot be read: {err.strerror}.", step) from err
        files = tuple(child.name for child in children if child.name not in folders)
        return Entries(tuple(sorted(folders)), files)

    def fetch(self, into: Path, progress: Progress | None = None, max_bytes: int = MAX_BYTES) -> Path:  # noqa: ARG002
        return self.path


def place_of(base: str, client: Client | None = None) -> Place:
    """The place that a model base names: a path, absolute or not, with `~` or `file://`, or `gs://bucket/path`.

    Nothing is looked up yet. `client` is what talks to Cloud Storage; one with the user's credentials is made
    when it is needed. Raises ModelError if the text cannot name a place.
    """
    text = base.strip()
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    if not scheme:
        return FolderPlace(_folder(text, base))
    if scheme[1] == "file":
        return FolderPlace(_folder(_path_of_url(text), base))
    if scheme[1] == "gs":
        from mnist_dash.storage.bucket import BucketPlace

        return BucketPlace.from_url(text, client)
    raise ModelError(f"{text} is not a place that models are read from.", _instead_of(text))


def _folder(text: str, base: str) -> Path:
    try:
        if not text or "\0" in text:
            raise ValueError(text)
        return Path(text).expanduser().absolute()
    except (ValueError, RuntimeError) as err:
        what = f"{base!r} is not a model base" if text else "No model base was given"
        raise ModelError(f"{what}.", _GIVE) from err


def _path_of_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ModelError(f"{url} names a folder of another machine, {parts.netloc}.", "Write file:///path.")
    return unquote(parts.path)


def _instead_of(url: str) -> str:
    """What to write instead, if it is one of the other addresses that a bucket goes by."""
    known = r"(?:gcs|GS|Gs)://|https?://(?:console\.cloud\.google\.com/storage/browser|storage\.(?:googleapis|cloud\.google)\.com)/"
    path = re.split(r"[?;#]", re.sub(f"^{known}", "", url))[0].rstrip("/")
    return f"Did you mean gs://{path}?" if re.match(known, url) else _GIVE
