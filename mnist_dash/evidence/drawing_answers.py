"""Ask both models about the drawings that visitors have labelled."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

import numpy as np

from mnist_dash.domain import Snapshot
from mnist_dash.errors import MnistDashError
from mnist_dash.evidence.canary_check import CheckSetup
from mnist_dash.evidence.drawings import DrawingStore
from mnist_dash.evidence.paired_answers import Asking, NoPair, PairReader

BATCH: Final = 50
CONFIRM_SECONDS: Final = 10.0
"""How long to wait for an observation after the answers: a cluster at rest is polled every 5 s."""
RETRY_SECONDS: Final = 0.05


class DrawingAnswers:
    """Asks about drawings that have no answers yet. Not thread-safe: `ask` is called in one thread only."""

    def __init__(
        self, store: DrawingStore, asking: Asking, snapshot: Callable[[], Snapshot], pool: Executor
    ) -> None:
        self._store = store
        self._asking = asking
        self._snapshot = snapshot
        self._pool = pool
        self._reader: tuple[CheckSetup, PairReader] | None = None
        """The last one, which knows whether its two models ever gave different answers."""

    def ask(self) -> None:
        """Ask both models, and record their answers; what fails is asked about again by the next call."""
        if not (images := self._store.find_unanswered(BATCH)):
            return
        try:
            setup = CheckSetup.from_snapshot(self._snapshot())
        except MnistDashError:
            return  # one of the models cannot be asked now
        if not self._reader or self._reader[0] != setup:
            self._reader = setup, PairReader(self._asking, setup)
        _, reader = self._reader
        pair = reader.read(reader.submit(self._pool, np.stack(images)))
        if isinstance(pair, NoPair) or not self._is_confirmed(setup):
            return
        for image, current, new in zip(images, pair.current, pair.new, strict=True):
            self._store.add_answers(image, setup.current, setup.new, (current, new))

    def _is_confirmed(self, setup: CheckSetup) -> bool:
        """Whether an observation after the answers shows the same models, whose versions are known."""
        answered = time.time()
        deadline = time.monotonic() + CONFIRM_SECONDS
        while (snapshot := self._snapshot()).taken_at < answered and time.monotonic() < deadline:
            time.sleep(RETRY_SECONDS)
        is_same = snapshot.taken_at >= answered and not setup.describe_model_change(snapshot)
        return is_same and None not in (setup.current.version, setup.new.version)
