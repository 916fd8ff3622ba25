"""Calls to the gateway from outside the page, as any other client makes them."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mnist_dash.dataset import load_digits
from mnist_dash.domain import MODEL_NAME, SERVED_BY_HEADER

TIMEOUT = 10.0
HEADERS = {"Content-Type": "application/json"}


@dataclass
class Calls:
    """What came back from many calls."""

    roles: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Gateway:
    """A client of the gateway at `url` that always asks about the same digit."""

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc
        image = load_digits().images[0].reshape(28, 28, 1).tolist()
        self.body = json.dumps({"instances": [image]})

    def ask(self, times: int) -> Calls:
        """Ask one after the other on one connection."""
        calls = Calls()
        with self._connection() as connection:
            for _ in range(times):
                self._once(connection, calls)
        return calls

    @contextmanager
    def constant_load(self, threads: int = 2) -> Iterator[Calls]:
        """Keep asking from several threads until the block ends, with answers before and after it."""
        calls, stop = Calls(), threading.Event()
        workers = [threading.Thread(target=self._keep_asking, args=(calls, stop)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            _wait_for_answers(calls, threads)
            yield calls
            _wait_for_answers(calls, calls.roles.total() + 10 * threads)
        finally:
            stop.set()
            for worker in workers:
                worker.join()

    def _keep_asking(self, calls: Calls, stop: threading.Event) -> None:
        with self._connection() as connection:
            while not stop.wait(0.02):  # leaves the two cores to what is being tested
                self._once(connection, calls)

    def _once(self, connection: http.client.HTTPConnection, calls: Calls) -> None:
        try:
            connection.request("POST", f"/v1/models/{MODEL_NAME}:predict", self.body, HEADERS)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            calls.failures.append(repr(error))
            connection.close()
            return
        if answer.status == http.client.OK:
            calls.roles[_role(answer.headers[SERVED_BY_HEADER])] += 1
        else:
            calls.failures.append(f"{answer.status} {said!r}")

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
        try:
            yield connection
        finally:
            connection.close()


def _role(served_by: str) -> str:
    return "new" if "role=new" in served_by else "current"


def _wait_for_answers(calls: Calls, count: int, timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while calls.roles.total() < count and not calls.failures:
        assert time.monotonic() < deadline, calls
        time.sleep(0.01)
