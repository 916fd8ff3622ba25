"""The model server as a process changes from one version to another."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.processes.server.rest_client import ONE, connected, predict, states
from tests.processes.server.server_process import ServerProcess, add_version, until


@dataclass
class Load:
    """Clients that send requests without a pause, and their answers."""

    port: int
    answers: list[tuple[int, str | None]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, clients: int) -> Iterator[Load]:
        """Keep them asking inside the context."""
        with ThreadPoolExecutor(clients) as pool:
            for _ in range(clients):
                pool.submit(self._ask)
            try:
                yield self
            finally:
                self.stop.set()

    def versions(self) -> list[str | None]:
        """Return which versions answered, in order."""
        return [version for _, version in list(self.answers)]

    def _ask(self) -> None:
        try:
            with connected(self.port) as connection:
                while not self.stop.is_set():
                    self.answers.append(predict(connection))
        except Exception as error:
            self.errors.append(error)


def replaced(port: int) -> int:
    """Return the status for version 1, asked by its number."""
    with connected(port) as connection:
        connection.request("POST", "/v1/models/model/versions/1:predict", ONE)
        return connection.getresponse().status


def test_a_new_version_takes_over_under_load_without_a_failed_request(base: Path) -> None:
    """By the old or the new; the replaced one is 404 by its number, and the way back is as smooth."""
    with ServerProcess(base) as server, Load(server.port).running(clients=3) as load:
        until(lambda: len(load.answers) > 100)
        add_version(base, 2)
        assert server.event("VersionServed") == {"event": "VersionServed", "version": 2}
        until(lambda: load.versions()[-50:] == ["2"] * 50)
        assert states(server.port) == {"2": "AVAILABLE", "1": "END"}
        assert replaced(server.port) == 404
        shutil.rmtree(base / "model" / "2")
        assert server.event("VersionServed") == {"event": "VersionServed", "version": 1}
        until(lambda: load.versions()[-50:] == ["1"] * 50)

    assert load.errors == []
    assert {status for status, _ in load.answers} == {200}


def test_a_version_that_cannot_be_loaded_is_reported_until_it_is_whole(base: Path) -> None:
    """A copy that stops half-way; the old one answers, and the new one takes over when the rest follows."""
    source, target = base / "model" / "1", base / "model" / "2"
    with ServerProcess(base) as server, connected(server.port) as connection:
        target.mkdir()
        shutil.copy(source / "saved_model.pb", target)
        until(lambda: states(server.port).get("2") == "LOADING")
        assert str(target) in server.event("VersionFailed")["problem"]
        assert states(server.port) == {"2": "END", "1": "AVAILABLE"}
        assert predict(connection) == (200, "1")

        shutil.copytree(source / "variables", target / "variables")
        assert server.event("VersionServed")["version"] == 2
        assert predict(connection) == (200, "2")


def test_memory_does_not_grow_with_requests_or_versions(base: Path) -> None:
    """Neither is kept; a few megabytes of slack are for memory that is allocated once."""
    with ServerProcess(base) as server, connected(server.port) as connection:
        process = psutil.Process(server.process.pid)
        for version in (2, 3):
            add_version(base, version)
            server.event("VersionServed")
        for _ in range(500):
            predict(connection)
        before = process.memory_info().rss
        for version in range(4, 8):
            add_version(base, version)
            server.event("VersionServed")
            for _ in range(500):
                predict(connection)

        assert process.memory_info().rss - before < 8 << 20
