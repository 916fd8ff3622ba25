"""Where a model base is: a folder, or a prefix in a bucket."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from mnist_dash.errors import ModelError
from mnist_dash.storage.cloud_storage import Access, explained

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

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


class Location(Protocol):
    """A folder, wherever it is; `str()` is how the user writes it."""

    @property
    def name(self) -> str:
        """The last part of the path."""

    @property
    def parent(self) -> Location | None:
        """What it lies in; None at the root of a disk or a bucket."""

    def __truediv__(self, name: str) -> Location: ...

    def entries(self) -> Entries:
        """What lies right under it.

        Raises FileNotFoundError if it does not exist, NotADirectoryError if it is a file, ModelError with the
        reason if it cannot be read.
        """

    def fetch(self, into: Path, progress: Progress | None = None, max_bytes: int = MAX_BYTES) -> Path:
        """The place as a local folder: itself if it is one, else a copy of it in the folder `into`."""


@dataclass(frozen=True)
class FolderLocation:
    """A folder of this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def parent(self) -> FolderLocation | None:
        return FolderLocation(self.path.parent) if self.path.parent != self.path else None

    def __truediv__(self, name: str) -> FolderLocation:
        return FolderLocation(self.path / name)

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


def location_of(base: str, client: Client | None = None) -> Location:
    """The place that a model base names: a path, absolute or not, with `~` or `file://`, or `gs://bucket/path`.

    Nothing is looked up yet. `client` is what talks to Cloud Storage; one with the user's credentials is made
    when it is needed. Raises ModelError if the text cannot name a place.
    """
    text = base.strip()
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    if not scheme:
        return FolderLocation(_folder(text, base))
    if scheme[1] == "file":
        return FolderLocation(_folder(_path_of_url(text), base))
    if scheme[1] == "gs":
        return BucketLocation.from_url(text, client)
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


MOST_NAMES = 1000
_BUCKET = re.compile(r"(?=[a-z0-9].)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*(?<=.[a-z0-9])(?<=...)")
_NAMING = "https://cloud.google.com/storage/docs/buckets#naming"


@dataclass(frozen=True)
class BucketLocation:
    """What lies under one path of a bucket, as if paths were folders."""

    bucket: str
    path: str
    """Without slashes at its ends; empty for the bucket itself."""
    access: Access = field(default_factory=Access, repr=False, compare=False)

    @classmethod
    def from_url(cls, url: str, client: Client | None = None) -> BucketLocation:
        """Read `gs://bucket/path`; raises ModelError, before any call, if it breaks the rules for names."""
        bucket, _, path = url.removeprefix("gs:").lstrip("/").partition("/")
        path = path.rstrip("/")
        if not url.startswith("gs://") or url.startswith("gs:///"):
            meant = f"gs://{bucket}/{path}".rstrip("/")
            raise ModelError(f"{url} is not written as a bucket's address.", f"Did you mean {meant}?")
        if wrong := _wrong_bucket(bucket) or _wrong_path(path):
            raise ModelError(f"{url} cannot be read: {wrong}.", f"Check it; the rules are at {_NAMING}.")
        return cls(bucket, path, Access(client))

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.path}".rstrip("/")

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2] or self.bucket

    @property
    def parent(self) -> BucketLocation | None:
        return BucketLocation(self.bucket, self.path.rpartition("/")[0], self.access) if self.path else None

    def __truediv__(self, name: str) -> BucketLocation:
        return BucketLocation(self.bucket, f"{self.path}/{name}".lstrip("/"), self.access)

    @property
    def _prefix(self) -> str:
        return f"{self.path}/" if self.path else ""

    def entries(self) -> Entries:
        """What lies right under it, at most 1000 names; raises as `Place.entries` does."""
        with self._explained():
            listed = self._list(delimiter="/", max_results=MOST_NAMES)
            files = [blob.name.removeprefix(self._prefix) for blob in listed]
            folders = sorted(prefix.removeprefix(self._prefix).rstrip("/") for prefix in listed.prefixes)
            if self.path and not files and not folders:
                raise NotADirectoryError if self._is_object() else FileNotFoundError(str(self))
        # An object named `path/` stands for the empty folder; it has no name below it.
        return Entries(tuple(filter(None, folders)), tuple(filter(None, files)))

    def fetch(self, into: Path, progress: Progress | None = None, max_bytes: int = MAX_BYTES) -> Path:
        """Copy everything under the path to the folder `into`, which appears when all of it is there.

        If `into` exists, it is taken as it is. Raises ModelError if there is more than `max_bytes`, or if
        something cannot be read.
        """
        if into.exists():
            return into
        with self._explained():
            listed = [blob for blob in self._list() if not blob.name.endswith("/")]
            blobs = {self._local_name(blob.name): blob for blob in listed}
            total = sum(blob.size for blob in listed)
            if total > max_bytes:
                problem = f"{self} holds {total:,} bytes, more than the {max_bytes:,} that are fetched."
                step = "Give a smaller model; one of MNIST digits needs far less."
                raise ModelError(problem, step, unverified=True)
        with self._explained(listed=True):
            self._download(blobs, into, _Counter(total, progress))
        return into

    def generations(self) -> frozenset[tuple[str, int]]:
        """The name of every object under the path and the number of its content, which changes with it."""
        with self._explained():
            return frozenset((blob.name, blob.generation) for blob in self._list())

    def _explained(self, *, listed: bool = False) -> AbstractContextManager[None]:
        return explained(str(self), self.bucket, self.access.other_login, listed=listed)

    def _list(self, **options: Any) -> Any:
        return self.access.client.list_blobs(
            self.bucket, prefix=self._prefix, **self.access.patience(), **options
        )

    def _is_object(self) -> bool:
        return bool(self.access.client.bucket(self.bucket).blob(self.path).exists(**self.access.patience()))

    def _download(self, blobs: dict[str, Any], into: Path, counter: _Counter) -> None:
        into.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".fetching-", dir=into.parent) as folder:
            whole = Path(folder) / into.name
            whole.mkdir()
            for name, blob in blobs.items():
                target = whole / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with _CountedFile(target, counter) as file:
                    blob.download_to_file(file, **self.access.patience())
                counter.done += blob.size
            whole.rename(into)

    def _local_name(self, name: str) -> str:
        """The path of an object below `into`; an object may be named anything, `../x` too."""
        relative = name.removeprefix(self._prefix)
        if "\\" in relative or any(part in ("", ".", "..") for part in relative.split("/")):
            raise ModelError(f"gs://{self.bucket}/{name} cannot be stored as a file.", "Remove or rename it.")
        return relative


class _Counter:
    """How much of a download is done, in all its files."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self.done = 0

    def reached(self, done: int) -> None:
        """So many bytes are done of all."""
        if self._progress:
            self._progress(done, self._total)


class _CountedFile(FileIO):
    """A new file that tells a counter how far it has been written."""

    def __init__(self, path: Path, counter: _Counter) -> None:
        super().__init__(path, "wb")
        self._counter = counter

    def write(self, data: Any) -> int:
        written = super().write(data)
        self._counter.reached(self._counter.done + self.tell())
        return written


def _wrong_bucket(name: str) -> str:
    """What is wrong with a bucket's name, as a clause; empty if nothing is."""
    if not name:
        return "it names no bucket"
    if not _BUCKET.fullmatch(name) or re.fullmatch(r"\d+(\.\d+){3}", name):
        rule = "3 to 63 of a-z, 0-9, `-`, `_` and `.`, with a letter or digit at both ends, and no IP address"
        return f"a bucket's name is {rule}, unlike {name!r}"
    return ""


def _wrong_path(path: str) -> str:
    if re.search(r"[*?\[\]#\r\n\0]", path):
        return "a path is one path, without `*`, `?`, `[`, `]`, `#` or line ends"
    if path and any(part in ("", ".", "..") for part in path.split("/")):
        return "a path has no empty part, `.` or `..`"
    return "a path has at most 1024 bytes" if len(path.encode()) > 1024 else ""
