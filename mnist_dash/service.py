"""The `Engine` seam and `Dashboard`, the thin service that the page and notebooks talk to."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

from mnist_dash import rules
from mnist_dash.config import EngineKind, Settings
from mnist_dash.domain import (
    MAX_REPLICAS,
    MIN_REPLICAS,
    Comparison,
    EngineObject,
    Image,
    ModelCheck,
    Prediction,
    Release,
    Role,
    Route,
    Snapshot,
    State,
    Strategy,
    Suggestion,
)
from mnist_dash.errors import EngineError, ServingError, SettingsError
from mnist_dash.serving import ServingClient

POLL_SECONDS = 0.05


class Engine(Protocol):
    """Where the models run. Verbs return as soon as the change is accepted; `snapshot` tells how far it is.

    Every method may be called from any thread.
    """

    @property
    def gateway_url(self) -> str:
        """Scheme, host and port under which the gateway answers, without a trailing slash."""

    @property
    def gateway_headers(self) -> dict[str, str]:
        """Headers that a client must send to be routed there (a Host, say); often none."""

    def check(self, base: str) -> ModelCheck:
        """Look at a SavedModel without changing anything; raises ModelError if it is unfit."""

    def deploy(self, role: Role, check: ModelCheck, replicas: int) -> None:
        """Deploy the checked model, or roll an existing deployment of the role over to it."""

    def remove(self, role: Role) -> None:
        """Stop the role's model. Removing New sets the split to 0."""

    def set_split(self, percent: int) -> None:
        """Write the split; it is held at 0 until New has a ready replica."""

    def promote(self) -> None:
        """Swap the roles' pointers and set the split to 0; nothing restarts."""

    def undo_promote(self) -> None:
        """Swap the pointers back; the split is 0 afterwards too."""

    def snapshot(self) -> Snapshot:
        """The latest observation; never blocks on the outside."""

    def objects(self) -> tuple[EngineObject, ...]:
        """Everything that runs, with its last log lines."""

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Model bases to offer for a deployment."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""


class Dashboard:
    """What a data scientist can do, on whichever engine; usable as a context manager, from any thread."""

    def __init__(self, engine: Engine, serving: ServingClient) -> None:
        self._engine = engine
        self._serving = serving
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="mnist-dash-compare")

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
        return self._engine.gateway_url

    @property
    def gateway_headers(self) -> dict[str, str]:
        """Headers that such a client must send to be routed."""
        return self._engine.gateway_headers

    def snapshot(self) -> Snapshot:
        """What is observed, with its age; cheap, and never blocked by what happens outside."""
        return self._engine.snapshot()

    def check(self, base: str) -> ModelCheck:
        """Look at a model base and try the model, changing nothing; raises ModelError with the next step."""
        return self._engine.check(base)

    def deploy(self, role: Role, base: str, replicas: int = 1) -> ModelCheck:
        """Deploy or re-deploy a role's model with 1 to 8 replicas; returns at once with what the check found.

        Raises ModelError or EngineError before anything has changed if the model or a value is unfit.
        """
        if not MIN_REPLICAS <= replicas <= MAX_REPLICAS:
            raise EngineError(f"{replicas} replicas cannot be deployed.", "Choose from 1 to 8.")
        check = self.check(base)
        self._engine.deploy(role, check, replicas)
        return check

    def remove(self, role: Role) -> None:
        """Stop and forget a role's model. Raises EngineError if there is none."""
        _refuse(rules.why_not_remove(self.snapshot(), role))
        self._engine.remove(role)

    def set_split(self, percent: int) -> None:
        """Set the percentage of requests that New receives, 0 to 100; held at 0 until New is ready.

        Raises EngineError for another number, and where the strategy cannot work.
        """
        if not 0 <= percent <= 100:
            raise EngineError(f"A split of {percent} % does not exist.", "Choose from 0 to 100.")
        _refuse(rules.why_not_strategy(self.snapshot(), Strategy.from_split(percent)))
        self._engine.set_split(percent)

    def promote(self, expected: Release | None = None) -> None:
        """Make New the Current, and the Current the New; afterwards all traffic goes to the new Current.

        `expected` is the release that is to be promoted: if New is another one by now, because somebody else
        promoted, nothing changes. Raises EngineError then, and if New has no ready replica.
        """
        snapshot = self.snapshot()
        _refuse(rules.why_not_promote(snapshot))
        if expected and snapshot.new and snapshot.new.release is not expected:
            raise EngineError("The roles were swapped meanwhile.", "Look at what is deployed now.")
        self._engine.promote()

    def undo_promote(self) -> None:
        """Take the last promotion back; all traffic goes to the model that was Current before it."""
        _refuse(rules.why_not_undo_promote(self.snapshot()))
        self._engine.undo_promote()

    def wait_settled(self, timeout: float = 60.0, *, sleep: Callable[[float], None] = time.sleep) -> Snapshot:
        """Block until what is observed is what is wanted; raises EngineError with the cause otherwise.

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
        """Ask about one digit, (28, 28) float32 in [0, 1], through the gateway; raises ServingError."""
        return self._serving.predict(image, route)

    def compare(self, image: Image) -> Comparison:
        """Ask both models about one digit at the same time; raises ServingError if either does not answer."""
        try:
            current = self._pool.submit(self._serving.predict, image, Route.CURRENT)
            new = self._pool.submit(self._serving.predict, image, Route.NEW)
        except RuntimeError:  # the pool was shut down
            raise EngineError("The dashboard has been closed.", "Start it again.") from None
        comparison = Comparison(current=current.result(), new=new.result())
        if comparison.new.role is Role.CURRENT:  # what a gateway does while New has nobody
            raise ServingError(
                "New did not answer: the gateway sent its request to Current.",
                "Wait for a ready replica of New.",
            )
        return comparison

    def objects(self) -> tuple[EngineObject, ...]:
        """Everything that the engine runs, with the last log lines of each."""
        return self._engine.objects()

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


def _refuse(reason: str) -> None:
    if reason:
        raise EngineError(reason)


def open_dashboard(settings: Settings) -> Dashboard:
    """Start the engine that the settings name and return the dashboard on it; close it when done.

    Raises SettingsError where the engine cannot be had, EngineError where it cannot start.
    """
    if settings.engine is EngineKind.KUBERNETES:
        raise SettingsError(
            "The engine kubernetes is not available in this version.",
            "Leave --ingress-host out, or use --engine local.",
        )
    from mnist_dash.local.engine import LocalEngine

    engine = LocalEngine.start(settings)
    return Dashboard(engine, ServingClient(engine.gateway_url, headers=engine.gateway_headers))
