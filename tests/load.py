"""Constant load on a gateway while something changes behind it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from mnist_dash.domain import Image, Prediction, Route
from mnist_dash.errors import ServingError
from mnist_dash.service import Dashboard
from mnist_dash.serving.client import ServingClient

Client = Dashboard | ServingClient


@dataclass
class Load:
    """The answers and failures of many requests."""

    answers: list[Prediction] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def roles(self) -> Counter[str]:
        """The number of answers by role."""
        return Counter(str(answer.role) for answer in self.answers)


def ask(client: Client, image: Image, times: int, route: Route = Route.SPLIT) -> Load:
    """Send requests in sequence."""
    return Load([client.predict(image, route) for _ in range(times)])


@contextmanager
def constant_load(
    client: Client, image: Image, route: Route = Route.SPLIT, threads: int = 2, pause: float = 0
) -> Iterator[Load]:
    """Send requests from several threads until the block ends, with answers before and after it.

    Each thread waits `pause` seconds between two requests. None is repeated, as the page's own would be.
    """
    if isinstance(client, Dashboard):
        client = client._serving
    load, stop = Load(), threading.Event()

    def send_requests() -> None:
        while not stop.wait(pause):
            try:
                load.answers.append(client.predict(image, route))
            except ServingError as error:
                load.failures.append(str(error))

    workers = [threading.Thread(target=send_requests, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        _wait_for_answers(load, threads)
        yield load
        _wait_for_answers(load, len(load.answers) + 10 * threads)
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def _wait_for_answers(load: Load, count: int, timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while len(load.answers) < count and not load.failures and time.monotonic() < deadline:
        time.sleep(0.01)


def within_five_deviations(hits: int, draws: int, percent: int) -> bool:
    """Whether the count of hits is within five standard deviations of the expected one."""
    share = percent / 100
    return bool(abs(hits - draws * share) <= 5 * np.sqrt(draws * share * (1 - share)))
