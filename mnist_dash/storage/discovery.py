"""Find model bases to suggest: those in the buckets that can be listed, within a time limit."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from mnist_dash.storage.base_diagnosis import bases_below
from mnist_dash.storage.cloud_storage import Access
from mnist_dash.storage.location import BucketLocation

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

MAX_BUCKETS = 20
DEPTH = 2
"""How many folders deep a bucket is searched for model bases."""
WORKERS = 8


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
