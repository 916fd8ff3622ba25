"""`Dashboard`, the thin service that the page and notebooks use, on any engine."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Self, TypeVar

from mnist_dash import preconditions, route_check
from mnist_dash.dataset import Digits, load_digits
from mnist_dash.disagreements import Disagreements, DisagreementSearch
from mnist_dash.domain import (
    DIGITS,
    MAX_REPLICAS,
    MIN_REPLICAS,
    Change,
    ChangeContext,
    Comparison,
    Deploy,
    EngineObject,
    EventKind,
    Finding,
    Gateway,
    HistoryEntry,
    Image,
    ModelCheck,
    Prediction,
    Promote,
    Remove,
    Role,
    Route,
    SetSplit,
    Snapshot,
    State,
    Suggestion,
    UndoPromote,
    describe,
)
from mnist_dash.engine import Engine
from mnist_dash.errors import EngineError
from mnist_dash.evidence.canary_check import CanaryCheck, CheckOptions, DigitSource, Guard
from mnist_dash.evidence.check_run import CanaryChecks, CheckRun
from mnist_dash.evidence.drawing_answers import DrawingAnswers
from mnist_dash.evidence.drawings import DrawingStore
from mnist_dash.evidence.labelled_drawings import DrawingTally, LabelledDrawings, RecordedPrediction
from mnist_dash.evidence.rollout import DEFAULT_REQUESTS, DEFAULT_STEPS, Rollout, RolloutPlan
from mnist_dash.evidence.rollout_run import LEASE_SECONDS, Rollouts
from mnist_dash.evidence.verdict import Terms
from mnist_dash.promotion_review import PromotionReview
from mnist_dash.served_models import ModelPair
from mnist_dash.serving.client import ServingClient
from mnist_dash.serving.recording_client import RecordingClient
from mnist_dash.storage.location import Progress
from mnist_dash.timeline import EventLog, newest_first
from mnist_dash.traffic import (
    KEPT,
    AnswerStore,
    Traffic,
    TrafficSetup,
    count_unknown_errors,
    read_traffic,
    summarize_models,
)
from mnist_dash.traffic_generator import DEFAULT_RATE, SENDERS, TrafficGenerator

POLL_SECONDS = 0.05
CALLS = 32
"""Most calls of `submit` under way at once."""
PROGRESS_SECONDS = 1.0
Result = TypeVar("Result")


class Dashboard:
    """All that a data scientist does, on either engine; a context manager, usable from any thread."""

    def __init__(self, engine: Engine, serving: ServingClient, drawings: DrawingStore | None = None) -> None:
        self._engine = engine
        self._serving = serving
        self._context = ChangeContext()
        self._pool = ThreadPoolExecutor(2 * CALLS, thread_name_prefix="mnist-dash-compare")
        self._calls = ThreadPoolExecutor(CALLS, thread_name_prefix="mnist-dash-call")
        self._background = ThreadPoolExecutor(SENDERS, thread_name_prefix="mnist-dash-background")
        self._answers = AnswerStore()
        self._events = EventLog()
        """What no engine knows: refused changes and lost requests."""
        self._client = RecordingClient(serving, engine.snapshot, self._pool, self._answers, self._events)
        self._generator = TrafficGenerator(self._client.send, load_digits, self._background.submit)
        self._drawings = drawings or DrawingStore()
        self._drawing_answers = DrawingAnswers(self._drawings, serving, engine.snapshot, self._pool)
        self._drawing_calls = ThreadPoolExecutor(1, thread_name_prefix="mnist-dash-drawings")
        self._checks = CanaryChecks(
            self._load_digits, serving, engine.snapshot, self._answers, self._record_check
        )
        self._rollouts = Rollouts(
            engine,
            self._checks,
            lambda change, by, expected: self.on_behalf_of(by).apply(change, expected=expected),
            LEASE_SECONDS if engine.in_cluster else 0.0,  # no other dashboard has this local engine
        )
        self._search = DisagreementSearch(
            serving.predict_batch, engine.snapshot, load_digits, self._background.submit
        )

    def on_behalf_of(self, by: str = "", *, take_over: bool = False) -> Dashboard:
        """Return a view of this dashboard that makes changes for a user, and may take over others' fields.

        `by` is recorded in the history. The view shares everything with this dashboard: close only one.
        """
        other = copy.copy(self)
        other._context = ChangeContext(by, take_over)
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the models (local engine) or disconnect (cluster); may be called twice."""
        self._generator.close()
        self._rollouts.close()
        self._checks.close()
        for pool in (self._background, self._calls, self._drawing_calls, self._pool):
            pool.shutdown(wait=False, cancel_futures=True)
        self._drawings.close()
        self._serving.close()
        self._engine.close()

    @property
    def gateway(self) -> Gateway:
        """The URL for curl or any TensorFlow Serving client, and how to connect to it."""
        return self._engine.gateway

    @property
    def in_cluster(self) -> bool:
        """Whether the models run in a cluster rather than on this computer."""
        return self._engine.in_cluster

    def snapshot(self) -> Snapshot:
        """Return the latest observation; cheap, and never waits for the network."""
        snapshot, drawings = self._engine.snapshot(), self._drawings.notices
        notices = (*drawings, *filter(None, [self._rollouts.problem]))
        return replace(snapshot, notices=(*snapshot.notices, *notices)) if notices else snapshot

    def check(self, base: str, progress: Progress | None = None) -> ModelCheck:
        """Load and try the model of a base, changing nothing; raises ModelError if it is unfit.

        A model that may be fit but cannot be read from here returns a check whose `unverified` says why.
        """
        return self._engine.check(base, progress)

    def apply(self, change: Change, *, expected: str = "") -> bool:
        """Apply a change; returns at once. Raises EngineError before anything has changed.

        `expected` is the `Snapshot.etag` of the role (New, where the change names none) that the change was
        chosen for: if somebody else deployed there or promoted since, nothing changes. Returns False, and
        changes nothing either, if the change is an undo that has already been made.
        """
        with self._recording_refusal(change):
            snapshot = self.snapshot()
            if preconditions.is_done(snapshot, change, expected):
                return False
            if reason := preconditions.why_not(snapshot, change):
                raise EngineError(reason)
            self._engine.apply(change, replace(self._context, expected=expected))
        return True

    @contextmanager
    def _recording_refusal(self, change: Change) -> Iterator[None]:
        try:
            yield
        except EngineError as error:
            by = self._context.by or self._engine.user
            what = f"{describe(change, self.snapshot())}. {error.problem}"
            self._events.add(HistoryEntry(time.time(), by, what, EventKind.REFUSED))
            raise

    def deploy(
        self, role: Role, base: str | ModelCheck, replicas: int = 1, *, expected: str = ""
    ) -> ModelCheck:
        """Deploy or re-deploy a role's model with 1 to 8 replicas; returns its check at once.

        A check that is passed as `base` is not repeated. Raises ModelError or EngineError, before anything
        has changed, if the model or a value is unfit or the role is not as `expected`.
        """
        if not MIN_REPLICAS <= replicas <= MAX_REPLICAS:
            raise EngineError(f"{replicas} replicas cannot be deployed.", "Choose from 1 to 8.")
        check = self.check(base) if isinstance(base, str) else base
        self.apply(Deploy(role, check, replicas), expected=expected)
        return check

    def remove(self, role: Role, *, expected: str = "") -> None:
        """Stop a role's model. Raises EngineError if there is none, or not the `expected` one."""
        self.apply(Remove(role), expected=expected)

    def set_split(self, percent: int) -> None:
        """Set the percentage of requests that New receives, 0 to 100; held at 0 until New is ready.

        Raises EngineError for another number, and if a model is missing.
        """
        if not 0 <= percent <= 100:
            raise EngineError(f"A split of {percent} % does not exist.", "Choose from 0 to 100.")
        self.apply(SetSplit(percent))

    def promote(self, expected: str = "") -> None:
        """Swap Current and New, with all traffic on the new Current; finishes an interrupted promotion.

        Raises EngineError if New is not as `expected`, or has no ready replica.
        """
        self.apply(Promote(), expected=expected)

    def undo_promote(self, *, expected: str = "") -> None:
        """Take the last promotion back, with the split that was set before it.

        Does nothing if the model that had the etag `expected` is Current again already. Raises EngineError if
        there is no promotion to take back, or the former model has no ready replica.
        """
        self.apply(UndoPromote(), expected=expected)

    def preview(self, change: Change) -> str:
        """Return a change as a unified diff of YAML, empty on the local engine; raises EngineError."""
        if reason := preconditions.why_not(self.snapshot(), change):
            raise EngineError(reason)
        return self._engine.preview(change)

    def wait_settled(self, timeout: float = 60.0) -> Snapshot:
        """Block until the observed state is the desired one; raises EngineError with the cause otherwise.

        `timeout` is in seconds. A failed deployment ends the wait at once.
        """
        deadline = time.monotonic() + timeout
        while not (snapshot := self.snapshot()).settled:
            awaited = [d for d in (snapshot.current, snapshot.new) if d and d.state is not State.READY]
            causes = [f"{model.role.label}: {model.cause or model.state.value}" for model in awaited]
            for model in awaited:
                if model.state is State.FAILED:
                    raise EngineError(f"{model.role.label} failed. {model.cause}".strip(), model.next_step)
            if time.monotonic() > deadline:
                reasons = filter(None, [snapshot.trouble, *causes, snapshot.waiting_for])
                raise EngineError(f"Not settled after {timeout:g} s. {' '.join(reasons)}".strip())
            time.sleep(POLL_SECONDS)
        return snapshot

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Run a call of this dashboard in a thread of its own, for a caller who need not wait for the result.

        Raises EngineError once the dashboard is closed.
        """
        try:
            return self._calls.submit(call)
        except RuntimeError:
            raise EngineError("The dashboard has been closed.", "Start it again.") from None

    def predict(self, image: Image, route: Route = Route.SPLIT, *, truth: int | None = None) -> Prediction:
        """Classify one digit, (28, 28) float32 in [0, 1], through the gateway; raises ServingError.

        If the answer names no model, both models are asked too, and the one with the same answer is named.
        A request that meets a dying replica is repeated once. The answer appears in `traffic()`; `truth` is
        the digit's label, if it has one.
        """
        prediction = self._client.predict(image, route, truth)
        self._record(image, route, truth, prediction)
        return prediction

    def compare(self, image: Image, *, truth: int | None = None) -> Comparison:
        """Ask both models about one digit at the same time; raises ServingError if one does not answer.

        A request that meets a dying replica is repeated once. Both outcomes appear in `traffic()`; `truth` is
        the digit's label, if it has one.
        """
        comparison = self._client.compare(image, truth)
        self._record(image, Route.CURRENT, truth, comparison.current)
        self._record(image, Route.NEW, truth, comparison.new)
        return comparison

    def _record(self, image: Image, route: Route, truth: int | None, prediction: Prediction) -> None:
        model = self.snapshot().of(prediction.role) if prediction.role else None
        self._drawings.add_prediction(image, route, prediction, model.name if model else "", truth)

    def predictions(self, count: int = 20, newest: int | None = None) -> list[RecordedPrediction]:
        """Return up to `count` answers of `predict` and `compare`, newest first; the last 100,000 are kept.

        They begin with the number `newest` or, by default, with the last one.
        """
        return self._drawings.find_predictions(newest, count)

    @property
    def prediction_numbers(self) -> tuple[int, int]:
        """The numbers of the oldest and the newest of `predictions`, without a gap; (1, 0) without any."""
        return self._drawings.find_ends()

    def label(self, image: Image, truth: int | None) -> Future[None]:
        """Say which digit a drawing is, (28, 28) in [0, 1], or take that back with None.

        Both models are then asked about it in the background: the result is done once they have answered, or
        cannot. Raises EngineError for another digit, and if the label cannot be kept.
        """
        if truth not in (None, *range(DIGITS)):
            raise EngineError(f"{truth} is not a digit.", "Choose from 0 to 9, or None.")
        if not self._drawings.label(image, truth):
            raise EngineError(self._drawings.problem or "The label was lost.", "Try again.")
        try:
            return self._drawing_calls.submit(self._drawing_answers.ask)
        except RuntimeError:
            raise EngineError("The dashboard has been closed.", "Start it again.") from None

    def find_label(self, image: Image) -> int | None:
        """Return which digit a visitor has said that a drawing is, or None."""
        return self._drawings.find_label(image)

    def drawings(self) -> LabelledDrawings:
        """Return all labelled drawings with both models' answers, in the order in which they got a label."""
        return self._drawings.load()

    def count_drawings(self) -> int:
        """Return the number of labelled drawings."""
        return self._drawings.count()

    def clear_drawings(self) -> None:
        """Delete all labelled drawings, and all predictions of the history, whoever made them."""
        self._drawings.clear()

    @property
    def tally(self) -> DrawingTally:
        """How the two deployed models did on the labelled drawings that both have answered."""
        return self._drawings.read_tally(self.snapshot())

    @property
    def drawings_problem(self) -> str:
        """Why the last drawing was not kept, as a sentence; empty if it was."""
        return self._drawings.problem

    def start_traffic(self, rate: int = DEFAULT_RATE) -> None:
        """Send the bundled labelled digits through the gateway, 1 to 50 per second, or change the rate.

        It stops by itself after 10 minutes, and 10 seconds after the last call of `traffic`. Raises
        EngineError for another rate.
        """
        self._generator.start(rate)

    def stop_traffic(self) -> None:
        """Send no further digits; may be called twice."""
        self._generator.stop()

    @property
    def is_sending_traffic(self) -> bool:
        """Whether digits are being sent; cheap, and does not keep them going as `traffic` does."""
        return self._generator.is_running

    def traffic(self) -> Traffic:
        """Return the last answers, of `predict` and `compare` too, with each model's figures.

        It keeps the traffic going: somebody looks at it.
        """
        self._generator.note_viewer()
        return read_traffic(self._generator, self._answers, TrafficSetup.from_snapshot(self.snapshot()))

    def find_disagreements(self, timeout: float = 0.0) -> Disagreements:
        """Return the bundled digits about which the models differ, as far as they have been found.

        The first call for two models starts a search in the background, which asks both about all digits.
        Waits up to `timeout` seconds for a first disagreement.
        """
        return self._search.read(timeout)

    def review_promotion(self, *, retry: bool = True) -> PromotionReview:
        """Return what is known of both models: accuracy, agreement, and the stored answers of each.

        As `find_disagreements`, it starts the search for digits that the models answer differently; one that
        failed is started again if `retry` is True.
        """
        snapshot, answers = self.snapshot(), self._answers.last(KEPT)
        models = ModelPair.from_snapshot(snapshot)
        can_ask = models.current and models.new
        return PromotionReview(
            snapshot.current,
            snapshot.new,
            self._search.read(retry=retry) if can_ask else Disagreements(),
            summarize_models(answers, models, time.time()),
            count_unknown_errors(answers, models),
        )

    def _load_digits(self, source: DigitSource) -> Digits:
        return load_digits() if source is DigitSource.MNIST else self._drawings.load_digits()

    def _record_check(self, check: CanaryCheck) -> None:
        by = check.by or self._engine.user
        self._events.add(HistoryEntry(time.time(), by, check.summary, EventKind.CHECKED))

    def start_check(self, options: CheckOptions | None = None) -> None:
        """Start a canary check in the background, which asks both models until there is a verdict.

        It runs until it ends or `stop_check` is called; read its state from `canary_check`. Raises
        EngineError if another check is running, or if one of the models cannot be asked.
        """
        self._start_check(options or CheckOptions())

    def _start_check(self, options: CheckOptions) -> CheckRun:
        if self._rollouts.is_active:
            raise EngineError("A rollout is under way.", "Wait until it ends, or abort it.")
        return self._checks.start(options, self._context.by)

    def stop_check(self) -> None:
        """End the check under way, if any; what was done is kept and counts."""
        self._checks.stop(self._context.by)

    @property
    def canary_check(self) -> CanaryCheck | None:
        """The check or rollout under way, or else the last one; None before the first."""
        return self._rollouts.check

    def check_canary(
        self,
        digits: int | None = None,
        *,
        level: float = 0.05,
        margin: float = 0.02,
        guard: Guard | None = None,
        source: DigitSource = DigitSource.MNIST,
        progress: Callable[[CanaryCheck], None] | None = None,
    ) -> CanaryCheck:
        """Ask both models until there is a verdict, or about 50 to 2,000 `digits`; return how it ended.

        `level` bounds the probability of calling one of two equally good models better; a difference of the
        accuracies below `margin`, 0 to 1, does not matter. `source` may be the labelled drawings. `progress`
        is called with the check as it grows.
        An interrupt (Ctrl-C) stops the check. Raises EngineError as `start_check` does.
        """
        options = CheckOptions(digits, Terms(level, margin), guard or Guard(), source=source)
        run = self._start_check(options)
        check = run.check
        try:
            while check.is_running:
                check = run.wait_for_news(check, PROGRESS_SECONDS)
                if progress:
                    progress(check)
        except BaseException:
            run.stop()
            raise
        return check

    def start_rollout(self, plan: RolloutPlan | None = None) -> None:
        """Start an automatic rollout of New in the background: step by step, and promotion in the end.

        It survives a restart, and on a cluster another dashboard continues it. Raises EngineError if a check
        or another rollout is under way, or if one of the models cannot be asked.
        """
        self._rollouts.start(plan or RolloutPlan(), self._context.by or self._engine.user)

    @property
    def rollout(self) -> Rollout | None:
        """The rollout under way, or else the last one; None before the first."""
        return self._rollouts.last

    def pause_rollout(self) -> None:
        """Ask no further digits; the split stays as it is. Does nothing if no rollout runs."""
        self._rollouts.pause(f"Paused by {self._context.by or self._engine.user}.")

    def resume_rollout(self) -> None:
        """Continue the paused step; raises EngineError if other models are deployed now."""
        self._rollouts.resume()

    def skip_rollout_step(self) -> None:
        """Continue with the next step at once, or after the last one with the promotion if it is allowed."""
        self._rollouts.skip()

    def abort_rollout(self) -> None:
        """End the rollout, with all requests to Current; a split that was set by hand stays as it is."""
        self._rollouts.abort(f"Aborted by {self._context.by or self._engine.user}.")

    def roll_out(
        self,
        steps: Sequence[int] = DEFAULT_STEPS,
        *,
        requests: int = DEFAULT_REQUESTS,
        level: float = 0.05,
        margin: float = 0.02,
        guard: Guard | None = None,
        progress: Callable[[Rollout], None] | None = None,
    ) -> Rollout:
        """Roll New out automatically; return the rollout once it has ended or was paused.

        At each of the steps, splits in percent, New has to answer so many `requests`. In the end it becomes
        the Current if it is better, or if there is no difference that matters. `progress` is called with the
        rollout as it progresses. An interrupt (Ctrl-C) pauses it: `resume_rollout` continues it, and
        `abort_rollout` sends all requests to Current. Raises EngineError as `start_rollout` does.
        """
        options = CheckOptions(None, Terms(level, margin), guard or Guard())
        self.start_rollout(RolloutPlan(tuple(steps), requests, options))
        last = None
        try:
            while (rollout := self.rollout) and rollout.is_driven:
                if progress and rollout != last:
                    progress(rollout)
                last = rollout
                time.sleep(POLL_SECONDS)
        except BaseException:
            self.pause_rollout()
            raise
        if rollout is None:
            raise EngineError("The state of the rollout was lost.", "Check what is deployed now.")
        if progress:
            progress(rollout)
        return rollout

    def objects(self) -> tuple[EngineObject, ...]:
        """Return everything that the engine runs, with the last log lines of each."""
        return self._engine.objects()

    def manifests(self) -> str:
        """Return all applied objects as one YAML file, for GitOps; empty on the local engine."""
        return self._engine.manifests()

    def history(self) -> tuple[HistoryEntry, ...]:
        """Return who asked for what and when, newest first."""
        return self._engine.history()

    def timeline(self) -> tuple[HistoryEntry, ...]:
        """Return the history with what happened: to models, to requests, and to changes that were refused."""
        return newest_first(self.history(), self._engine.events(), self._events.entries())

    def test_route(self) -> tuple[Finding, ...]:
        """Send probes with and without the route header, and return what they show of the gateway."""
        return self._engine.diagnose_route(route_check.send_probes(self._serving.predict))

    def suggestions(self) -> tuple[Suggestion, ...]:
        """List model bases to offer for a deployment."""
        return self._engine.suggestions()
