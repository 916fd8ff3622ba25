"""Sending the requests."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from mnist_dash.digits import load_digits
from mnist_dash.domain import Image, Prediction, Probe, Route
from mnist_dash.errors import MnistDashError
from mnist_dash.probes.tally import ASKED

SECONDS: Final = 10.0
"""When no further request is sent."""
DIGITS_IN_PICTURE: Final = 50

Predict = Callable[[Image, Route], Prediction]


def send(predict: Predict, *, clock: Callable[[], float] = time.monotonic) -> tuple[Probe, ...]:
    """Ask a few times on every route; what goes wrong stands in the probe.

    No request is sent after 10 s. `predict` is called from three threads at once.
    """
    picture, until = telling_picture(), clock() + SECONDS

    def probe(route: Route) -> Probe:
        answers: list[Prediction] = []
        problem = ""
        for _ in range(ASKED[route]):
            if clock() > until:
                return Probe(route, tuple(answers), problem or "The time for the test was up.")
            try:
                answers.append(predict(picture, route))
            except MnistDashError as error:
                problem = str(error)
        return Probe(route, tuple(answers), problem)

    with ThreadPoolExecutor(len(ASKED), thread_name_prefix="mnist-dash-probe") as pool:
        return tuple(pool.map(probe, ASKED))


@functools.cache
def telling_picture() -> Image:
    """Many digits on top of each other: no model is sure about them, so that two hardly answer alike."""
    picture: Image = load_digits().images[:DIGITS_IN_PICTURE].mean(axis=0)
    picture.setflags(write=False)
    return picture
