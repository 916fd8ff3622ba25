"""Where a model base lies: a folder of this machine, or a path in a Cloud Storage bucket."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from mnist_dash.errors import ModelError
from mnist_dash.storage.cloud_storage import Access, translated_errors

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

Progress = Callable[[int, int], None]
"""Called with the bytes copied so far and the total bytes."""
MAX_BYTES = 500_000_000
"""The most that is copied from a bucket; a larger model is not checked. Usual ones are a hundredth of it."""
MAX_NAMES = 1000
"""The most names that are listed in a folder of a bucket, which is one page of its API."""
_GIVE = "Give a folder, or gs://bucket/path."
# Addresses under which people know a bucket: the console's, the API's, and other spellings of gs://.
_BUCKET_ADDRESS = re.compile(
    r"(?:gcs|GS|Gs)://|gs:/+"
    r"|https?://(?:console\.cloud\.google\.com/storage/browser|storage\.(?:googleapis|cloud\.google)\.com)/"
)
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


@dataclass(frozen=True)
class Entries:
    """The names directly in a folder."""

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def describe(self, limit: int = 6) -> str:
        """List the names for a message: `a/, b.txt and 3 more`, or `nothing`; hidden names come last."""
        names = [f"{name}/" for name in self.folders] + list(self.files)
        names.sort(key=lambda name: name.startswith("."))
        if len(names) > limit:
            return f"{', '.join(names[:limit])} and {len(names) - limit} more"
        return ", ".join(names) or "nothing"


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
        """List the folder.

        Raises FileNotFoundError if it does not exist, NotADirectoryError if it is a file, ModelError with the
        reason if it cannot be read.
        """
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

    def fetch(self, _into: Path, _: Progress | None = None) -> Path:
        """Return the folder itself, which needs no copy."""
        return self.path


def location_of(base: str, client: Client | None = None) -> Location:
    """Return the location that a path, absolute or not, with `~` or `file://`, or `gs://bucket/path` names.

    Quotes around it are dropped, as pasted from a shell, and `$HOME` is read as `~`. Nothing is read yet.
    `client` talks to Cloud Storage; without it, a client with the user's own credentials is made when it is
    first needed. Raises ModelError if the text cannot be a location.
    """
    text = re.sub(r"""^(["'])(.*)\1$""", r"\2", base.strip())
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    if not scheme:
        return FolderLocation(_folder(text, base))
    if scheme[1] == "file":
        return FolderLocation(_folder(unquote(urlsplit(text).path), base))
    return BucketLocation.from_url(text, client)


def _folder(text: str, base: str) -> Path:
    text = re.sub(r"^\$(HOME|{HOME})(?=/|$)", "~", text)
    if text.startswith("$"):
        raise ModelError(f"{base} starts with a variable, which is not replaced.", "Give the whole path.")
    try:
        if not text or "\0" in text:
            raise ValueError(text)
        return Path(text).expanduser().absolute()
    except (ValueError, RuntimeError) as err:
        problem = f"{base!r} is not a model base." if text else "No model base was given."
        raise ModelError(problem, _GIVE) from err


@dataclass(frozen=True)
class BucketLocation:
    """The objects under one path of a bucket, as if paths were folders."""

    bucket: str
    path: str
    """Without slashes at its ends; empty for the bucket itself."""
    access: Access = field(default_factory=Access, repr=False, compare=False)

    @classmethod
    def from_url(cls, url: str, client: Client | None = None) -> BucketLocation:
        """Read `gs://bucket/path`; raises ModelError, before any request, if it cannot be a bucket's path."""
        if not re.match("gs://(?!/)", url):
            raise ModelError(f"{url} is not a folder or a gs:// address.", _suggest_address(url))
        bucket, _, path = url.removeprefix("gs://").partition("/")
        path = path.rstrip("/")
        parts = path.split("/") if path else []
        if (
            not _BUCKET_NAME.fullmatch(bucket)
            or {"", ".", ".."} & {*parts}
            or re.search(r"[*?\[\]#\r\n\0]", path)
        ):
            step = "Give gs://bucket/path with the bucket's name and one path, without wildcards."
            raise ModelError(f"{url} is not a path in a bucket.", step)
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
        """List the path, at most MAX_NAMES names; raises as `FolderLocation.entries` does."""
        with self._translated_errors():
            listed = self._list(delimiter="/", max_results=MAX_NAMES)
            files = [blob.name.removeprefix(self._prefix) for blob in listed]
            folders = sorted(prefix.removeprefix(self._prefix).rstrip("/") for prefix in listed.prefixes)
            if self.path and not files and not folders:
                raise NotADirectoryError if self._is_object() else FileNotFoundError(str(self))
        # An object named `path/` makes an empty folder visible; it has no name below the path.
        return Entries(tuple(filter(None, folders)), tuple(filter(None, files)))

    def fetch(self, into: Path, progress: Progress | None = None) -> Path:
        """Copy everything under the path to the folder `into`, which appears when it is complete.

        An existing `into` is returned as it is. Raises ModelError if there are more than MAX_BYTES, or if
        an object cannot be read.
        """
        if into.exists():
            return into
        listed = [blob for blob in self.list_objects() if not blob.name.endswith("/")]
        blobs = {self._local_name(blob.name): blob for blob in listed}
        total = sum(blob.size for blob in listed)
        if total > MAX_BYTES:
            problem = f"{self} holds {total:,} bytes, more than the {MAX_BYTES:,} that are fetched."
            step = "Give a smaller model; MNIST digits need far less."
            raise ModelError(problem, step, unverified=True)
        with self._translated_errors(listed=True):
            self._download(blobs, into, lambda done: progress(done, total) if progress else None)
        return into

    def list_objects(self) -> list[Any]:
        """List the objects under the path, as Google's `Blob`; raises ModelError if that is impossible."""
        with self._translated_errors():
            return list(self._list())

    def _translated_errors(self, *, listed: bool = False) -> AbstractContextManager[None]:
        return translated_errors(str(self), self.bucket, self.access.login_step, listed=listed)

    def _list(self, **options: Any) -> Any:
        options |= self.access.call_options()
        return self.access.client.list_blobs(self.bucket, prefix=self._prefix, **options)

    def _is_object(self) -> bool:
        blob = self.access.client.bucket(self.bucket).blob(self.path)
        return bool(blob.exists(**self.access.call_options()))

    def _download(self, blobs: dict[str, Any], into: Path, report: Callable[[int], None]) -> None:
        into.parent.mkdir(parents=True, exist_ok=True)
        done = 0
        with TemporaryDirectory(prefix=".fetching-", dir=into.parent) as folder:
            whole = Path(folder) / into.name
            whole.mkdir()
            for name, blob in blobs.items():
                target = whole / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with _ReportingFile(target, done, report) as file:
                    blob.download_to_file(file, **self.access.call_options())
                done += blob.size
            whole.rename(into)

    def _local_name(self, name: str) -> str:
        """Return the path of an object below `into`; an object may have any name, `../x` too."""
        relative = name.removeprefix(self._prefix)
        if "\\" in relative or {"", ".", ".."} & {*relative.split("/")}:
            raise ModelError(f"gs://{self.bucket}/{name} cannot be stored as a file.", "Remove or rename it.")
        return relative


Location: TypeAlias = FolderLocation | BucketLocation
"""`str()` of it is how the user writes it; `name` is the last part of the path, `parent` None at the root."""


class _ReportingFile(FileIO):
    """A new file that reports how many bytes are written, counted from `start`."""

    def __init__(self, path: Path, start: int, report: Callable[[int], None]) -> None:
        super().__init__(path, "wb")
        self._start = start
        self._report = report

    def write(self, data: Any) -> int:
        written = super().write(data)
        self._report(self._start + self.tell())
        return written


def _suggest_address(url: str) -> str:
    """Return the next step for an address that is not gs://: the gs:// form of a bucket's other addresses."""
    path = re.split(r"[?;#]", _BUCKET_ADDRESS.sub("", url, count=1))[0].rstrip("/")
    return f"Did you mean gs://{path}?" if _BUCKET_ADDRESS.match(url) and path else _GIVE
