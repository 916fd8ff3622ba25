"""In-memory stand-ins for the engine and the gateway of a `Dashboard`, with scripted states and failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mnist_dash import preconditions
from mnist_dash.dataset import load_digits
from mnist_dash.domain import (
    Change,
    ChangeContext,
    Deploy,
    Deployment,
    EngineObject,
    Finding,
    Gateway,
    HistoryEntry,
    Image,
    ModelCheck,
    Prediction,
    Probe,
    Promote,
    Release,
    Remove,
    Role,
    Route,
    SetSplit,
    Snapshot,
    State,
    Suggestion,
    UndoPromote,
)
from mnist_dash.errors import EngineError, MnistDashError, ServingError
from mnist_dash.service import Dashboard
from mnist_dash.serving.client import ServingClient
from mnist_dash.storage.location import Progress

LINEAR, CNN = "/models/linear", "/models/cnn"


def deployment(role: Role = Role.CURRENT, **changes: object) -> Deployment:
    """Return a ready deployment: Current is the linear model on blue, New the CNN on green."""
    current = role is Role.CURRENT
    ready = Deployment(
        role=role,
        release=Release.BLUE if current else Release.GREEN,
        base=LINEAR if current else CNN,
        desired=1,
        ready=1,
        state=State.READY,
        version=1,
        accuracy=0.924 if current else 0.995,
        digits=2000,
    )
    return replace(ready, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's business


def snapshot(**changes: object) -> Snapshot:
    """Return a snapshot with both models ready, Canary with 20 % on New."""
    both = Snapshot(
        taken_at=0.0,
        current=deployment(Role.CURRENT),
        new=deployment(Role.NEW),
        split_desired=20,
        split_observed=20,
    )
    return replace(both, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's business


def check_of(base: str, **changes: object) -> ModelCheck:
    """Return the check of a good model."""
    check = ModelCheck(base, 1, (-1, 28, 28, 1), 0.99, 2000)
    return replace(check, **changes)  # type: ignore[arg-type]  # as in `deployment`


@dataclass
class FakeEngine:
    """An engine that applies every change at once, unless `held`: then it waits for `settle()`.

    `observed` is the next snapshot. `refusal` is raised by changes and previews (a conflict until it is taken
    over), `unfit` by the check of a base; `unverified` says why a base cannot be read. `changes` and
    `contexts` record what was applied, without the expected release.
    """

    observed: Snapshot = field(default_factory=snapshot)
    gateway: Gateway = field(default_factory=lambda: Gateway("http://localhost:8080"))
    in_cluster: bool = False
    user: str = "ada"
    unfit: dict[str, MnistDashError] = field(default_factory=dict)
    unverified: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    refusal: MnistDashError | None = None
    held: bool = False
    closed: bool = False
    split_before: int = 0
    kept: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    changes: list[Change] = field(default_factory=list)
    contexts: list[ChangeContext] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    previewed: list[Change] = field(default_factory=list)
    probed: list[Probe] = field(default_factory=list)
    difference: str = ""
    applied: str = ""
    done: tuple[HistoryEntry, ...] = ()
    happened: tuple[HistoryEntry, ...] = ()
    findings: tuple[Finding, ...] = ()
    offered: tuple[Suggestion, ...] = (Suggestion("Linear", LINEAR), Suggestion("CNN", CNN))
    running: tuple[EngineObject, ...] = (
        EngineObject("gateway", "gateway", None, "running", {"port": "8080", "pid": "100"}, "listening"),
        EngineObject("replica", "blue-1", Role.CURRENT, "ready", {"port": "9001", "pid": "101"}, "loaded"),
        EngineObject("replica", "green-1", Role.NEW, "ready", {"port": "9002", "pid": "102"}, "warmed up"),
    )

    def check(self, base: str, progress: Progress | None = None) -> ModelCheck:
        """Return the check of a model base, fetched in two halves; raises what `unfit` says."""
        self.checked.append(base)
        if base in self.unfit:
            raise self.unfit[base]
        if base in self.unverified:
            return check_of(
                base, version=None, input_shape=(), accuracy=None, unverified=self.unverified[base]
            )
        if progress:
            progress(500_000, 1_000_000)
            progress(1_000_000, 1_000_000)
        return check_of(base, warnings=self.warnings)

    def apply(self, change: Change, context: ChangeContext) -> None:
        """Apply a change to the snapshot, if that is as expected."""
        self._refuse(context)
        preconditions.check_expected(self.observed, change, context.expected)
        self.changes.append(change)
        self.contexts.append(replace(context, expected=""))
        match change:
            case Deploy(role, check, replicas):
                self._deploy(role, check, replicas)
            case Remove(role):
                self._remove(role)
            case SetSplit(percent):
                self._set_split(percent)
            case Promote():
                self.split_before = self.observed.split_desired
                self._swap(0, can_undo=True)
            case UndoPromote():
                self._swap(self.split_before, can_undo=False)

    def preview(self, change: Change) -> str:
        self._refuse(ChangeContext())
        self.previewed.append(change)
        return self.difference

    def snapshot(self) -> Snapshot:
        return replace(self.observed, taken_at=time.time())

    def objects(self) -> tuple[EngineObject, ...]:
        return self.running

    def manifests(self) -> str:
        return self.applied

    def history(self) -> tuple[HistoryEntry, ...]:
        return self.done

    def events(self) -> tuple[HistoryEntry, ...]:
        return self.happened

    def diagnose_route(self, probes: Sequence[Probe]) -> tuple[Finding, ...]:
        """Return `findings`; the probes are recorded."""
        self.probed.extend(probes)
        return self.findings

    def note(self) -> str:
        return self.kept

    def keep_note(self, text: str, expected: str) -> bool:
        """Keep the note, unless it is not as expected."""
        with self.lock:
            if self.kept != expected:
                return False
            self.kept = text
            return True

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Return `offered`: the two bundled models."""
        return self.offered

    def close(self) -> None:
        """Record that it was closed."""
        self.closed = True

    def settle(self) -> None:
        """Finish what was held."""
        for role in Role:
            if model := self.observed.of(role):
                ready = replace(model, ready=model.desired, state=State.READY, cause="", next_step="")
                self._change(**{role.value: ready})
        self._change(split_observed=self.observed.split_desired, waiting_for="")

    def _refuse(self, context: ChangeContext) -> None:
        refusal = self.refusal
        if refusal and not (context.take_over and isinstance(refusal, EngineError) and refusal.can_take_over):
            raise refusal

    def _deploy(self, role: Role, check: ModelCheck, replicas: int) -> None:
        before = self.observed.of(role)
        model = deployment(role, base=check.base, desired=replicas, ready=replicas)
        generation = str(len(self.changes))
        model = replace(model, accuracy=check.accuracy, digits=check.digits, generation=generation)
        if before:
            model = replace(model, release=before.release)
        if self.held:
            state = State.UPDATING if before else State.STARTING
            model = replace(model, state=state, ready=before.ready if before else 0, cause="It is loading.")
        self._change(**{role.value: model}, can_undo_promote=False)

    def _remove(self, role: Role) -> None:
        split = {"split_desired": 0, "split_observed": 0} if role is Role.NEW else {}
        self._change(**{role.value: None}, can_undo_promote=False, **split)

    def _set_split(self, percent: int) -> None:
        observed = self.observed.split_observed if self.held else percent
        waiting = "Waiting for the gateway." if self.held else ""
        self._change(split_desired=percent, split_observed=observed, waiting_for=waiting)

    def _swap(self, split: int, *, can_undo: bool) -> None:
        current, new = self.observed.current, self.observed.new
        self._change(
            current=new and replace(new, role=Role.CURRENT),
            new=current and replace(current, role=Role.NEW),
            split_desired=split,
            split_observed=split,
            can_undo_promote=can_undo and current is not None,
            interrupted_promotion="",
        )

    def _change(self, **changes: object) -> None:
        self.observed = replace(self.observed, **changes)  # type: ignore[arg-type]  # as in `snapshot`


def sure_of(digit: int, share: float = 0.91) -> NDArray[np.float64]:
    """Return ten probabilities, with `share` on one digit and the rest spread evenly."""
    probabilities = np.full(10, (1 - share) / 9)
    probabilities[digit] = share
    return probabilities


class FakeServing(ServingClient):
    """Answers from the engine's snapshot; on the split, every n-th request goes to New as the split says.

    `answers` holds each role's probabilities; `error` is raised instead; `asked` records the requests,
    and `patience` how many seconds the last one would have waited.
    """

    def __init__(self, engine: FakeEngine, answers: dict[Role, NDArray[np.float64]] | None = None) -> None:
        self.engine = engine
        self.answers = answers or {Role.CURRENT: sure_of(7), Role.NEW: sure_of(7, 0.99)}
        self.error: MnistDashError | None = None
        self.asked: list[tuple[Image, Route]] = []
        self.closed = False
        self.patience = 0.0
        self._credit = 0

    def predict(self, image: Image, route: Route = Route.SPLIT, *, seconds: float = 15) -> Prediction:
        """Return the scripted answer of the role that the route and the split choose."""
        self.patience = seconds
        self.asked.append((image, route))
        if self.error:
            raise self.error
        role = self._choose(route)
        model = self.engine.observed.of(role) or deployment(role)
        answer = self.look_at(image, role)
        return Prediction(answer, role, model.release, model.version, f"{model.release}-1", 3.2)

    def look_at(self, _: Image, role: Role) -> NDArray[np.float64]:
        """Return the ten probabilities of a role's model for an image."""
        return self.answers[role]

    def predict_batch(
        self, images: NDArray[np.float32], route: Route = Route.SPLIT, *, seconds: float = 15
    ) -> list[Prediction]:
        """Predict one after the other."""
        return [self.predict(image, route, seconds=seconds) for image in images]

    def close(self) -> None:
        """Record that it was closed."""
        self.closed = True

    def _choose(self, route: Route) -> Role:
        if route is not Route.SPLIT:
            return Role(route.value)
        self._credit += self.engine.observed.split_observed
        if self._credit < 100:
            return Role.CURRENT
        self._credit -= 100
        return Role.NEW


class LabelledServing(FakeServing):
    """Models that know the bundled digits, except for every n-th, which they take for the next digit.

    `wrong` holds n for each role; a role that it does not name is always right. The first `failing_new`
    batches to New fail, and each batch takes `pause` seconds.
    """

    def __init__(self, engine: FakeEngine, wrong: dict[Role, int]) -> None:
        super().__init__(engine)
        self.wrong = wrong
        self.failing_new = 0
        self.pause = 0.0
        digits = load_digits()
        self._places = {image.tobytes(): place for place, image in enumerate(digits.images)}

    def predict_batch(
        self, images: NDArray[np.float32], route: Route = Route.SPLIT, *, seconds: float = 15
    ) -> list[Prediction]:
        """Predict one after the other."""
        time.sleep(self.pause)
        if route is Route.NEW and self.failing_new:
            self.failing_new -= 1
            raise ServingError("The model broke off.", "Try again.")
        return super().predict_batch(images, route, seconds=seconds)

    def look_at(self, image: Image, role: Role) -> NDArray[np.float64]:
        """Return the answer to one of the bundled digits; New is surer of it than Current."""
        place = self._places[image.tobytes()]
        is_wrong = role in self.wrong and place % self.wrong[role] == 0
        digit = (int(load_digits().labels[place]) + is_wrong) % 10
        return sure_of(digit, 0.99 if role is Role.NEW else 0.91)


def dashboard(
    engine: FakeEngine, answers: Sequence[NDArray[np.float64]] = ()
) -> tuple[Dashboard, FakeServing]:
    """Return a dashboard on the fakes; `answers` are Current's and New's probabilities."""
    serving = FakeServing(engine, dict(zip(Role, answers, strict=True)) if answers else None)
    return Dashboard(engine, serving), serving
