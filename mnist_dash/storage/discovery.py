"""Model bases to choose from: those in the buckets that can be listed, as far as they are found in time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from mnist_dash.storage.base_diagnosis import bases_below
from mnist_dash.storage.cloud_storage import Access
from mnist_dash.storage.location import BucketLocation

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

MOST_BUCKETS = 20
DEPTH = 2
"""So many folders deep in a bucket a model base is looked for."""
WORKERS = 8


def bases_in_buckets(client: Client | None = None, *, deadline: float = 5.0) -> list[str]:
    """The model bases in the buckets of the credentials' project, as `gs://bucket/path`, sorted.

    At most 20 buckets are searched, each two folders deep, for `deadline` seconds in all. What may not be
    listed, or cannot be in time, gives nothing.
    """
    search = _Search(client, deadline)
    try:
        return search.in_buckets()
    finally:
        search.end()


class _Search:
    """One search with its threads and its end."""

    def __init__(self, client: Client | None, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._access = Access(client, self._until)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="suggestions")
        self._found: list[str] = []

    def in_buckets(self) -> list[str]:
        listing = self._pool.submit(self._access.buckets, MOST_BUCKETS)
        try:
            names = listing.result(self._left())
        except TimeoutError:
            return []
        return self.under([BucketLocation(name, "") for name in names])

    def under(self, places: list[BucketLocation]) -> list[str]:
        wait([self._pool.submit(self._look, place) for place in places], self._left())
        return sorted(self._found)

    def end(self) -> None:
        """Calls that are under way end by themselves: they have time-outs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look(self, place: BucketLocation) -> None:
        for base in bases_below(BucketLocation(place.bucket, place.path, self._access), DEPTH):
            self._found.append(str(base))

    def _left(self) -> float:
        return max(0.0, self._until - time.monotonic())
