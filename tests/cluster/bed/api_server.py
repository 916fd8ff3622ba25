"""A client of the API server in plain dictionaries, for the bed and its kubelet double."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode

import urllib3

Object: TypeAlias = dict[str, Any]

TIMEOUT = urllib3.Timeout(connect=5, read=30)
WATCH_SECONDS = 300
_IRREGULAR = {"Endpoints": "endpoints"}


class ApiServerError(Exception):
    """An error answer of the API server."""

    def __init__(self, status: int, body: Object) -> None:
        super().__init__(f"{status} {body.get('reason', '')}: {body.get('message', '')}")
        self.status = status
        self.body = body


class ApiServer:
    """One user's view of an API server. Usable from several threads."""

    def __init__(self, url: str, ca_file: Path, token: str) -> None:
        self.url = url
        self._pool = urllib3.PoolManager(
            num_pools=2,
            maxsize=32,
            ca_certs=str(ca_file),
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
            retries=False,
        )

    def get(self, path: str, **query: str) -> Object:
        """Return an object or a list. This and the other methods raise ApiServerError."""
        return self._ask("GET", f"{path}?{urlencode(query)}")

    def find(self, path: str) -> Object | None:
        """Return an object, or None if it does not exist."""
        try:
            return self.get(path)
        except ApiServerError as error:
            if error.status != 404:
                raise
            return None

    def create(self, obj: Object) -> Object:
        """Create an object."""
        return self._ask("POST", path_of(obj).rpartition("/")[0], obj)

    def post(self, path: str, body: Object) -> Object:
        """POST to a path, such as a subresource's."""
        return self._ask("POST", path, body)

    def apply(self, obj: Object, manager: str = "bed", force: bool = True) -> Object:
        """Server-side apply as the given field manager."""
        query = urlencode({"fieldManager": manager, "force": str(force).lower()})
        return self._ask("PATCH", f"{path_of(obj)}?{query}", obj, "application/apply-patch+yaml")

    def patch(self, path: str, body: Object, manager: str = "bed") -> Object:
        """Merge `body` into an object or a subresource as JSON merge patch does."""
        return self._ask("PATCH", f"{path}?fieldManager={manager}", body, "application/merge-patch+json")

    def delete(self, path: str, **options: Any) -> None:
        """Delete an object, which may be absent."""
        try:
            self._ask("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except ApiServerError as error:
            if error.status != 404:
                raise

    def watch(self, path: str, **query: str) -> Iterator[tuple[str, Object]]:
        """Yield type and object of each event, first of the existing objects, until the watch times out."""
        query |= {"watch": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        response = self._pool.request(
            "GET", f"{self.url}{path}?{urlencode(query)}", preload_content=False,
            timeout=urllib3.Timeout(connect=5, read=WATCH_SECONDS + 30),
        )  # fmt: skip
        try:
            rest = b""
            for chunk in response.read_chunked():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]
        finally:
            response.close()

    def _ask(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json"
    ) -> Object:
        headers = {**self._pool.headers, "Content-Type": kind}
        data = json.dumps(body) if body is not None else None
        answer = self._pool.request(method, f"{self.url}{path}", body=data, headers=headers)
        content: Object = _object(answer.data)
        if answer.status >= 300:
            raise ApiServerError(answer.status, content)
        return content


def path_of(obj: Object) -> str:
    """Return the path of an object of any kind, in the namespace of its metadata if it has one."""
    api, kind, metadata = obj["apiVersion"], obj["kind"], obj["metadata"]
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    where = f"/namespaces/{metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{root}{where}/{_plural(kind)}/{metadata.get('name', '')}"


def _plural(kind: str) -> str:
    name = _IRREGULAR.get(kind, kind).lower()
    if name.endswith(("ss", "x", "ch")):
        return f"{name}es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return name if name.endswith("s") else f"{name}s"


def _object(data: bytes) -> Object:
    try:
        parsed = json.loads(data)
    except ValueError:
        return {"message": data.decode(errors="replace")}
    return parsed if isinstance(parsed, dict) else {"message": str(parsed)}
