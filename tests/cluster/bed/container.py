"""One run of a container: its process, environment, volumes and output."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster.bed.api_server import ApiServer, Object
from tests.cluster.bed.reaper import Reaper

LOG_LINES = 2000
ROOT = Path(__file__).parents[3]
REST_PORT = 8501


class ConfigError(Exception):
    """The message of a kubelet that cannot create a container."""


class Process:
    """A running container; `on_exit` is called with its exit code from a thread of its own."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        reaper: Reaper,
        on_exit: Callable[[int], None],
    ) -> None:
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._reaper = reaper
        self._on_exit = on_exit
        self._process = subprocess.Popen(
            argv,
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        reaper.watch(self._process.pid)
        threading.Thread(target=self._follow, name=f"container-{self._process.pid}", daemon=True).start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, which may have ended."""
        self._process.send_signal(number)

    def _follow(self) -> None:
        assert self._process.stdout
        with self._process.stdout:
            self.log.extend(f"{time_now()} {line.rstrip()}" for line in self._process.stdout)
        code = self._process.wait()
        self._reaper.release(self._process.pid)
        self._on_exit(128 - code if code < 0 else code)


def time_now() -> str:
    """Return the time as the kubelet puts it before a line of a log."""
    return datetime.now(UTC).isoformat().replace("+00:00", "000Z")


def model_server(env: Mapping[str, str], address: str, served_by: str = "") -> list[str]:
    """Return the command that replaces TensorFlow Serving: the project's own model server."""
    bed = "tests.cluster.bed"
    program = [f"{bed}.announcing", served_by] if served_by else [f"{bed}.bucket_sync"]
    base = env.get("MODEL_BASE_PATH", "/models")
    flags = ["--model-base", base, "--host", address, "--port", str(REST_PORT)]
    return [sys.executable, "-m", *program, *flags]


def base_environment() -> dict[str, str]:
    """Return the variables that an image would set."""
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}


class Volumes:
    """A Pod's volumes, as folders of this machine."""

    def __init__(self, api: ApiServer, pod: Object, folder: Path) -> None:
        self._api = api
        self._namespace = pod["metadata"]["namespace"]
        self._volumes: list[Object] = pod["spec"].get("volumes", [])
        self._folder = folder / "volumes"
        self.home = folder / "home"
        """The working directory of the container."""
        mounts = pod["spec"]["containers"][0].get("volumeMounts", ())
        self._places = [(m["mountPath"].rstrip("/"), self._folder / str(m["name"])) for m in mounts]

    def fill(self) -> None:
        """Create the folders with their content; raises ConfigError if an object is missing."""
        self.home.mkdir(parents=True, exist_ok=True)
        for volume in self._volumes:
            folder = self._folder / str(volume["name"])
            folder.mkdir(parents=True, exist_ok=True)
            if source := volume.get("secret"):
                try:
                    self._fill_with_secret(folder, source)
                except ConfigError as error:
                    problem = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                    raise ConfigError(problem) from error

    def local_path(self, value: str) -> str:
        """Return the path on this machine of a path below a mount; other values stay the same."""
        for mount, folder in self._places:
            if value == mount or value.startswith(f"{mount}/"):
                return f"{folder}{value[len(mount) :]}"
        return value

    def _fill_with_secret(self, folder: Path, source: Object) -> None:
        name = source["secretName"]
        secret = self._api.find(f"/api/v1/namespaces/{self._namespace}/secrets/{name}")
        if secret is None:
            raise ConfigError(f'secret "{name}" not found')
        for key, content in secret.get("data", {}).items():
            (folder / key).write_bytes(base64.b64decode(content))
