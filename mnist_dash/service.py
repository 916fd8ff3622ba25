"""The `Engine` seam and `Dashboard`, the thin service that the page and notebooks talk to."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

from mnist_dash import attribution, preconditions, route_check
from mnist_dash.domain import (
    MAX_REPLICAS,
    MIN_REPLICAS,
    Change,
    ChangeContext,
    Comparison,
    Deploy,
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
from mnist_dash.errors import EngineError, ServingError
from mnist_dash.serving.client import ServingClient
from mnist_dash.settings import EngineKind, Settings
from mnist_dash.storage.location import Progress

POLL_SECONDS = 0.05


class Engine(Protocol):
    """Where the models run. Verbs return as soon as the change is accepted; `snapshot` tells how far it is.

    Every method may be called from any thread.
    """

    @property
    def gateway(self) -> Gateway:
        """Where the gateway answers."""

    @property
    def in_cluster(self) -> bool:
        """Whether it runs in a cluster, where a change can be previewed and others may change things too."""

    def check(self, base: str, progress: Progress | None = None, /) -> ModelCheck:
        """Look at a SavedModel without changing anything; raises ModelError if it is unfit.

        `progress` is told the bytes that have been fetched and all there are, where it has to be fetched.
        """

    def apply(self, change: Change, context: ChangeContext) -> None:
        """Accept a change; raises EngineError, before anything has changed, if it cannot be carried out.

        A deployment of a role that is deployed rolls it over. Removing New sets the split to 0. A split is
        held at 0 until New has a ready replica. A promotion, and taking it back, swaps the roles' pointers
        and sets the split to 0; nothing restarts.
        """

    def preview(self, change: Change, /) -> str:
        """What a change would change, as a unified difference of YAML; empty where there is no such thing."""

    def snapshot(self) -> Snapshot:
        """The latest observation; never blocks on the outside."""

    def objects(self) -> tuple[EngineObject, ...]:
        """Everything that runs, with its last log lines."""

    def manifests(self) -> str:
        """All that was applied, as one YAML file; empty where there is no such thing."""

    def history(self) -> tuple[HistoryEntry, ...]:
        """What was asked for, newest first."""

    def diagnose_route(self, probes: Sequence[Probe]) -> tuple[Finding, ...]:
        """What the answers to probes say about the gateway, and what is wrong with what was applied."""

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Model bases to offer for a deployment."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""


class Dashboard:
    """What a data scientist can do, on whichever engine; usable as a context manager, from any thread."""

    def __init__(
        self, engine: Engine, serving: ServingClient, *, context: ChangeContext | None = None
    ) -> None:
        self._engine = engine
        self._serving = serving
        self._context = context or ChangeContext()
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="mnist-dash-compare")

    def on_behalf_of(self, by: str = "", *, take_over: bool = False) -> Dashboard:
        """The same dashboard for changes on behalf of a user, or with taking over what others own.

        `by` is remembered in the history. It shares everything with this one: close only one of them.
        """
        other = copy.copy(self)
        other._context = ChangeContext(by, take_over)
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop what runs here (local engine) or let go of it (cluster); may be called twice."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._serving.close()
        self._engine.close()

    @property
    def gateway_url(self) -> str:
        """What curl or any TensorFlow Serving client may use, without `/v1/models/...`."""
        return self._engine.gateway.url

    @property
    def gateway(self) -> Gateway:
        """The same with where to connect, if the host of the URL does not resolve."""
        return self._engine.gateway

    @property
    def in_cluster(self) -> bool:
        """Whether the models run in a cluster rather than on this computer."""
        return self._engine.in_cluster

    def snapshot(self) -> Snapshot:
        """What is observed, with its age; cheap, and never blocked by what happens outside."""
        return self._engine.snapshot()

    def check(self, base: str, progress: Progress | None = None) -> ModelCheck:
        """Look at a model base and try the model, changing nothing; raises ModelError with the next step.

        What may be fit but cannot be looked at from here comes back as a check whose `unverified` says why.
        """
        return self._engine.check(base, progress)

    def apply(self, change: Change) -> None:
        """Apply a change; raises EngineError, before anything has changed, if it cannot be applied."""
        if reason := preconditions.why_not(self.snapshot(), change):
            raise EngineError(reason)
        self._engine.apply(change, self._context)

    def deploy(
        self, role: Role, base: str | ModelCheck, replicas: int = 1, *, expected: Release | None = None
    ) -> ModelCheck:
        """Deploy or re-deploy a role's model with 1 to 8 replicas; returns at once with what the check found.

        A check that was made already is not made again. `expected` is the release that the role is taken to
        be: if it is another one by now, because somebody else promoted, nothing changes. Raises ModelError or
        EngineError before anything has changed if the model or a value is unfit.
        """
        if not MIN_REPLICAS <= replicas <= MAX_REPLICAS:
            raise EngineError(f"{replicas} replicas cannot be deployed.", "Choose from 1 to 8.")
        check = self.check(base) if isinstance(base, str) else base
        self._expect(role, expected)
        self.apply(Deploy(role, check, replicas))
        return check

    def remove(self, role: Role, *, expected: Release | None = None) -> None:
        """Stop and forget a role's model. Raises EngineError if there is none, or another than `expected`."""
        self._expect(role, expected)
        self.apply(Remove(role))

    def set_split(self, percent: int) -> None:
        """Set the percentage of requests that New receives, 0 to 100; held at 0 until New is ready.

        Raises EngineError for another number, and where the strategy cannot work.
        """
        if not 0 <= percent <= 100:
            raise EngineError(f"A split of {percent} % does not exist.", "Choose from 0 to 100.")
        self.apply(SetSplit(percent))

    def promote(self, expected: Release | None = None) -> None:
        """Make New the Current, and the Current the New; afterwards all traffic goes to the new Current.

        Raises EngineError if New is another release than `expected`, because somebody else promoted
        meanwhile, and if New has no ready replica. A promotion that was interrupted is finished.
        """
        self._expect(Role.NEW, expected)
        self.apply(Promote())

    def undo_promote(self) -> None:
        """Take the last promotion back; all traffic goes to the model that was Current before it."""
        self.apply(UndoPromote())

    def _expect(self, role: Role, release: Release | None) -> None:
        model = self.snapshot().of(role)
        if release and model and model.release is not release:
            raise EngineError("The roles were swapped meanwhile.", "Look at what is deployed now.")

    def preview(self, change: Change) -> str:
        """What a change would change in the cluster, as a unified difference; empty on the local engine.

        Raises EngineError if it cannot be carried out.
        """
        if reason := preconditions.why_not(self.snapshot(), change):
            raise EngineError(reason)
        return self._engine.preview(change)

    def wait_settled(self, timeout: float = 60.0, *, sleep: Callable[[float], None] = time.sleep) -> Snapshot:
        """Block until what is observed is what is desired; raises EngineError with the cause otherwise.

        `timeout` is in seconds. A deployment that has failed ends the wait at once.
        """
        deadline = time.monotonic() + timeout
        while not (snapshot := self.snapshot()).settled:
            for deployment in filter(None, (snapshot.current, snapshot.new)):
                if deployment.state is State.FAILED:
                    problem = f"{deployment.role.label} failed. {deployment.cause}"
                    raise EngineError(problem.strip(), deployment.next_step)
            if time.monotonic() > deadline:
                raise EngineError(f"Not settled after {timeout:g} s. {waiting_for(snapshot)}".strip())
            sleep(POLL_SECONDS)
        return snapshot

    def predict(self, image: Image, route: Route = Route.SPLIT) -> Prediction:
        """Ask about one digit, (28, 28) float32 in [0, 1], through the gateway; raises ServingError.

        Where the answer does not say who gave it, both models are asked too, and the one is named that says
        the very same.
        """
        before = self.snapshot()
        try:
            said = self._serving.predict(image, route)
        except ServingError as error:
            raise self._explained(error, route) from error
        return said if said.role else self._attributed(said, image, route, before)

    def _explained(self, error: ServingError, route: Route) -> ServingError:
        """With what is known of the engine, if that tells why nobody answered."""
        reason = preconditions.why_not_predict(self.snapshot(), route)
        return ServingError(error.problem, reason) if reason else error

    def _attributed(self, said: Prediction, image: Image, route: Route, before: Snapshot) -> Prediction:
        known = attribution.attribute_by_snapshot(said, self.snapshot(), route)
        if known.role:
            return known
        try:
            current, new = self._ask_both(image)
        except ServingError:
            return said  # it was answered all the same
        return attribution.attribute_by_answers(said, current, new, before, self.snapshot())

    def compare(self, image: Image) -> Comparison:
        """Ask both models about one digit at the same time; raises ServingError if either does not answer."""
        try:
            answers = self._ask_both(image)
        except ServingError as error:
            raise self._explained(error, Route.NEW) from error
        current, new = (
            answer if answer.role else attribution.attribute_by_snapshot(answer, self.snapshot(), route)
            for answer, route in zip(answers, (Route.CURRENT, Route.NEW), strict=True)
        )
        if new.role is not Role.NEW:  # what a gateway does while New has nobody
            raise ServingError(
                "New did not answer: the gateway sent its request to Current.",
                "Wait for a ready replica of New.",
            )
        return Comparison(current, new)

    def _ask_both(self, image: Image) -> tuple[Prediction, Prediction]:
        try:
            current = self._pool.submit(self._serving.predict, image, Route.CURRENT)
            new = self._pool.submit(self._serving.predict, image, Route.NEW)
        except RuntimeError:  # the pool was shut down
            raise EngineError("The dashboard has been closed.", "Start it again.") from None
        return current.result(), new.result()

    def objects(self) -> tuple[EngineObject, ...]:
        """Everything that the engine runs, with the last log lines of each."""
        return self._engine.objects()

    def manifests(self) -> str:
        """All objects that were applied as one YAML file, for GitOps; empty on the local engine."""
        return self._engine.manifests()

    def history(self) -> tuple[HistoryEntry, ...]:
        """Who asked for what and when, newest first."""
        return self._engine.history()

    def test_route(self) -> tuple[Finding, ...]:
        """Send probes with and without the route header, and say in words what the gateway does."""
        return self._engine.diagnose_route(route_check.send_probes(self._serving.predict))

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Model bases to offer for a deployment."""
        return self._engine.suggestions()


def waiting_for(snapshot: Snapshot) -> str:
    """What a snapshot that is not settled waits for, in words."""
    causes = [
        f"{d.role.label}: {d.cause or d.state.value}"
        for d in (snapshot.current, snapshot.new)
        if d and d.state is not State.READY
    ]
    return " ".join(filter(None, [snapshot.trouble, *causes, snapshot.waiting_for]))


def open_dashboard(settings: Settings) -> Dashboard:
    """Start the engine that the settings name and return the dashboard on it; close it when done.

    Raises SettingsError where the engine cannot be had, EngineError where it cannot start.
    """
    engine: Engine
    if settings.engine is EngineKind.KUBERNETES:
        from mnist_dash.cluster.engine import KubernetesEngine

        engine = KubernetesEngine.start(settings)
    else:
        from mnist_dash.local.engine import LocalEngine

        engine = LocalEngine.start(settings)
    return Dashboard(engine, ServingClient(engine.gateway))
