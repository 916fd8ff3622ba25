"""The emulator of Cloud Storage, and the upload of models into it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import urllib3

from tests.cluster.bed.processes import Programs

_PORT = 4443


class CloudStorage:
    """Starts the emulator, with its data in memory; `programs.stop()` stops it."""

    url = f"http://127.0.0.1:{_PORT}"
    """The value for STORAGE_EMULATOR_HOST."""

    def __init__(self, binary: Path, programs: Programs) -> None:
        self._pool = urllib3.PoolManager(timeout=10, retries=False)
        flags = ["-scheme", "http", "-backend", "memory", "-log-level", "error", "-host", "127.0.0.1"]
        addresses = ["-port", str(_PORT), "-external-url", self.url, "-public-host", f"127.0.0.1:{_PORT}"]
        programs.start("fake-gcs-server", [binary, *flags, *addresses])
        programs.wait_for("fake-gcs-server", self._is_healthy)

    def put(self, base: str, folder: Path, version: int = 1) -> None:
        """Upload a SavedModel (the folder with `saved_model.pb`) as a version of the base `gs://bucket/path`.

        It becomes `gs://bucket/path/model/<version>/`. A missing bucket is created.
        """
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.write(f"{base}/model/{version}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def write(self, url: str, content: bytes) -> None:
        """Write an object; a missing bucket is created."""
        bucket, name = _split(url)
        self.make_bucket(bucket)
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}"
        self._ask("POST", path, content, 200)

    def make_bucket(self, bucket: str) -> None:
        """Create a bucket, unless it exists."""
        self._ask("POST", "/storage/v1/b", b'{"name": "%b"}' % bucket.encode(), 200, 409)

    def delete(self, url: str) -> None:
        """Delete every object below `gs://bucket/path`."""
        bucket, path = _split(url)
        listed = self._ask("GET", f"/storage/v1/b/{bucket}/o?prefix={quote(path, safe='')}", b"", 200, 404)
        for item in listed.get("items", ()):
            self._ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(item['name'], safe='')}", b"", 200, 204)

    def _ask(self, method: str, path: str, body: bytes, *fine: int) -> dict[str, list[dict[str, str]]]:
        answer = self._pool.request(method, f"{self.url}{path}", body=body)
        if answer.status not in fine:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.data.decode(errors='replace')}")
        return answer.json() if answer.status == 200 and answer.data else {}

    def _is_healthy(self) -> bool:
        try:
            url = f"{self.url}/_internal/healthcheck"
            return self._pool.request("GET", url, timeout=2).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def _split(url: str) -> tuple[str, str]:
    bucket, _, path = url.removeprefix("gs://").partition("/")
    return bucket, path.strip("/")
