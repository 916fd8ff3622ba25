"""Run a canary check, or a step of a rollout: ask about labelled digits, by the split and each model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mnist_dash.dataset import Digits
from mnist_dash.domain import Image, Role, Snapshot
from mnist_dash.errors import EngineError, MnistDashError
from mnist_dash.evidence.canary_check import (
    GUARD_ENDED,
    CanaryCheck,
    CheckOptions,
    CheckSetup,
    DigitSource,
    FailedRequest,
    find_alarm,
    judge_in_order,
)
from mnist_dash.evidence.paired_answers import (
    Asked,
    Asking,
    Images,
    NoPair,
    Pair,
    PairReader,
    SplitAnswer,
    ask_split,
    attribute,
    make_row,
)
from mnist_dash.evidence.verdict import Counts, judge
from mnist_dash.traffic import AnswerStore

BATCH: Final = 50
"""Digits in one request to a model: a verdict comes at most so many digits late."""
PATIENCE_SECONDS: Final = 60.0
"""How long a check waits for a model whose replicas restart."""
CONFIRM_SECONDS: Final = 10.0
"""How long it waits for an observation after the last answers: a cluster at rest is polled every 5 s."""
RETRY_SECONDS: Final = 0.2
FAILED: Final = "The check failed. The traceback is in the terminal that runs the dashboard."


def start_check(options: CheckOptions, snapshot: Snapshot, digits: Digits, by: str) -> CanaryCheck:
    """Return a check of what is deployed; raises EngineError if both models cannot be asked now."""
    setup, verdict = CheckSetup.from_snapshot(snapshot), judge(Counts(), options.terms)
    planned = min(options.digits or len(digits), len(digits))
    return CanaryCheck(options, setup, by, time.time(), planned, verdict, asked=digits)


def why_check_ends(check: CanaryCheck) -> str:
    """Return why a check has reached its end; empty if it has not."""
    if check.options.digits is None and check.verdict.is_decided:
        return "Ended with the verdict."
    if check.digits_asked < check.planned:
        return ""
    return f"All {check.planned:,} digits were asked." if check.planned > 1 else "The only digit was asked."


class CheckRun:
    """One check: `run` blocks until it ends; `check` may be read, and `stop` called, from any thread.

    `why_end` returns why it has reached its end. Until then, digits are asked again once all were asked, for
    the sake of their requests.
    """

    def __init__(
        self,
        check: CanaryCheck,
        asking: Asking,
        snapshot: Callable[[], Snapshot],
        answers: AnswerStore,
        why_end: Callable[[CanaryCheck], str] = why_check_ends,
    ) -> None:
        self.check = check
        self._why_end_reached = why_end
        self._digits = check.asked
        self._asking = asking
        self._reader = PairReader(asking, check.setup)
        self._snapshot = snapshot
        self._answers = answers
        self._stopping = threading.Event()
        self._stopped = ""
        self._changed = threading.Condition()
        self._started = time.monotonic() - check.seconds
        self._unconfirmed: list[tuple[float, CanaryCheck]] = []
        """The check before each batch that no later observation confirms, with the time of its answers."""

    @property
    def confirmed(self) -> CanaryCheck:
        """The check without the answers that no later observation has confirmed."""
        check = self.check  # first, because a batch is noted as unconfirmed before it is added
        return next((before for _, before in self._unconfirmed), check)

    def stop(self, reason: str = "Stopped.") -> None:
        """End the check soon; what was done is kept."""
        self._stopped = self._stopped or reason
        self._stopping.set()

    def wait_for_news(self, seen: CanaryCheck, timeout: float) -> CanaryCheck:
        """Return the check once it differs from what was seen, or after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.check is not seen, timeout)
            return self.check

    def run(self) -> None:
        """Ask until there is a verdict, the digits are used up, something changes, or `stop` is called."""
        ended = FAILED
        try:
            with ThreadPoolExecutor(self.check.options.concurrency, "mnist-dash-check") as pool:
                ended = self._ask_all(pool)
            ended = self._await_confirmation() or ended
        except MnistDashError as error:
            ended = str(error)
        finally:
            self._publish(self.check, is_running=False, ended=ended)

    def _ask_all(self, pool: ThreadPoolExecutor) -> str:
        """Ask about one batch after another; return why it ended."""
        order = np.random.default_rng(self.check.options.seed).permutation(len(self._digits))
        ended = self._why_end()
        while not ended:
            start, end = self.check.digits_asked, self.check.planned
            if start >= end:
                start = len(self.check.repeats) % end
            ended = self._ask_batch(pool, order[start : min(start + BATCH, end)]) or self._why_end()
        return ended

    def _why_end(self) -> str:
        if change := self._confirm():
            return change
        return (self.check.alarm and GUARD_ENDED) or self._why_end_reached(self.check) or self._stopped

    def _ask_batch(self, pool: ThreadPoolExecutor, places: NDArray[np.int64]) -> str:
        """Ask about some digits, and add what came; return why the check cannot go on, or nothing."""
        images, labels = self._digits.images[places], self._digits.labels[places]
        asked = self._reader.submit(pool, images)
        singles = [
            pool.submit(self._ask_split, image, int(label))
            for image, label in zip(images, labels, strict=True)
        ]
        pair, problem = self._await_pair(pool, images, asked)
        self._add(places, pair, [single.result() for single in singles])
        return problem

    def _ask_split(self, image: Image, truth: int) -> SplitAnswer | None:
        """Ask as the strategy says, unless the check is to end."""
        if self._stopping.is_set():
            return None
        return ask_split(self._asking, image, truth, self._snapshot())

    def _await_pair(self, pool: ThreadPoolExecutor, images: Images, asked: Asked) -> tuple[Pair | None, str]:
        """Return both models' answers, asked again while replicas restart, or why there are none."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while isinstance(read := self._reader.read(asked), NoPair):
            self._add_failures(read.failures)
            if problem := self._await_both_models(deadline, read.problem):
                return None, problem
            asked = self._reader.submit(pool, images)
        return read, ""

    def _await_both_models(self, deadline: float, problem: str) -> str:
        """Wait a moment, and until both models are ready; return why the check ends instead, or nothing."""
        self._publish(self.check, waiting_for=problem)
        while True:
            if reason := self._why_end():
                return reason
            if time.monotonic() > deadline:
                return f"The check ended after {PATIENCE_SECONDS:g} s without an answer. {problem}"
            self._stopping.wait(RETRY_SECONDS)
            if self._snapshot().has_both_ready and not self._stopping.is_set():
                return ""

    def _add(
        self, places: NDArray[np.int64], pair: Pair | None, answers: Sequence[SplitAnswer | None]
    ) -> None:
        """Add a batch; without both models' answers only the failures of the split count."""
        now, labels = self._snapshot(), self._digits.labels[places]
        answers = [answer and attribute(answer, pair, index, now) for index, answer in enumerate(answers)]
        for answer in filter(None, answers):
            self._answers.add(answer.as_traffic())
        failures = [answer.failure for answer in answers if answer and answer.failure]
        self._add_failures([replace(failed, role=failed.role or self._only_role()) for failed in failures])
        if not pair:
            return
        rows = [
            make_row(int(place), int(labels[index]), pair, index, answers[index])
            for index, place in enumerate(places)
        ]
        check = self.check
        self._unconfirmed.append((time.time(), check))
        grown = replace(check, batches=check.batches + 1)
        if check.digits_asked < check.planned:
            verdict = judge_in_order(rows, check.verdict)
            grown = replace(grown, rows=(*check.rows, *rows), verdict=verdict)
        else:
            grown = replace(grown, repeats=(*check.repeats, *rows))
        self._publish(grown, alarm=find_alarm(grown))

    def _only_role(self) -> Role | None:
        """Return the role that gets all requests of the split; None if both get some."""
        return {0: Role.CURRENT, 100: Role.NEW}.get(self.check.setup.split)

    def _add_failures(self, failures: Sequence[FailedRequest]) -> None:
        if failures:
            grown = replace(self.check, failures=(*self.check.failures, *failures))
            self._publish(grown, alarm=find_alarm(grown))

    def _confirm(self) -> str:
        """Return what the latest observation shows to have changed, or nothing.

        Answers are confirmed by a later observation of the same models, and dropped if it shows others: even
        those that name a release and a version may be of another model base.
        """
        snapshot, setup = self._snapshot(), self.check.setup
        if change := setup.describe_model_change(snapshot):
            if self._unconfirmed:
                self._publish(self._unconfirmed[0][1])
            self._unconfirmed.clear()
            return change
        self._unconfirmed = [item for item in self._unconfirmed if item[0] >= snapshot.taken_at]
        return setup.describe_split_change(snapshot)

    def _await_confirmation(self) -> str:
        """Wait until the last answers are confirmed; return the change if they are not."""
        deadline = time.monotonic() + CONFIRM_SECONDS
        while self._unconfirmed and time.monotonic() < deadline:
            change = self._confirm()
            if change and not self._unconfirmed:
                return change
            if self._unconfirmed:
                time.sleep(RETRY_SECONDS)
        return ""

    def _publish(self, check: CanaryCheck, **changes: object) -> None:
        with self._changed:
            seconds = time.monotonic() - self._started
            changes = {"waiting_for": "", **changes}
            self.check = replace(check, seconds=seconds, **changes)  # type: ignore[arg-type]  # its fields
            self._changed.notify_all()


class CanaryChecks:
    """The checks of a dashboard: one at a time, in a thread of its own; the last one is kept."""

    def __init__(
        self,
        digits: Callable[[DigitSource], Digits],
        asking: Asking,
        snapshot: Callable[[], Snapshot],
        answers: AnswerStore,
        on_end: Callable[[CanaryCheck], None] = lambda _: None,
    ) -> None:
        self._digits = digits
        self._on_end = on_end
        self._asking = asking
        self._snapshot = snapshot
        self._answers = answers
        self._lock = threading.Lock()
        self._closed = False
        self._run: CheckRun | None = None

    @property
    def last(self) -> CanaryCheck | None:
        """The check under way, or else the last one; None before the first."""
        return self._run.check if self._run else None

    def start(self, options: CheckOptions, by: str) -> CheckRun:
        """Start a check; raises EngineError if one is running, or if both models cannot be asked now."""
        digits = self._digits(options.source)
        if not len(digits):
            problem = "There is no labelled drawing yet."
            raise EngineError(problem, "Predict a drawing, and say which digit it was.")
        run = self.prepare(start_check(options, self._snapshot(), digits, by))
        threading.Thread(target=self._run_to_end, args=(run,), name="mnist-dash-check", daemon=True).start()
        return run

    def prepare(self, check: CanaryCheck, why_end: Callable[[CanaryCheck], str] = why_check_ends) -> CheckRun:
        """Return a run that the caller has to start; raises EngineError if a check is running."""
        with self._lock:
            if self._closed:
                raise EngineError("The dashboard has been closed.", "Start it again.")
            if self._run and self._run.check.is_running:
                raise EngineError("A check is running already.", "Wait until it ends, or stop it.")
            self._run = CheckRun(check, self._asking, self._snapshot, self._answers, why_end)
            return self._run

    def _run_to_end(self, run: CheckRun) -> None:
        try:
            run.run()
        finally:
            self._on_end(run.check)

    def stop(self, by: str = "") -> None:
        """End the check under way, if any; what was done is kept."""
        if self._run:
            self._run.stop(f"Stopped by {by}." if by else "Stopped.")

    def close(self) -> None:
        """Stop for good."""
        self._closed = True
        self.stop()
