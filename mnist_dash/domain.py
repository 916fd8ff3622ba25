"""The words of the product as frozen values and enums; the enums' values are what goes over the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # not at run time: the gateway's process has no other use for numpy, and starts sooner
    import numpy as np
    from numpy.typing import NDArray

MODEL_NAME = "model"
"""The name under which every model is served: `<base>/model/<version>/`, `/v1/models/model`."""
DIGITS = 10
FIELD = 28
"""The height and the width of a digit in pixels."""
ROUTE_HEADER = "X-Mnist-Route"
"""Sends one request to one role, whatever the strategy: `always` is New, `never` is Current."""
SERVED_BY_HEADER = "X-Served-By"
"""Who answered: `role=new, release=green, replica=green-1`, a dictionary of tokens as in RFC 8941."""
VERSION_HEADER = "X-Model-Version"
"""The version that answered."""
MIN_REPLICAS, MAX_REPLICAS = 1, 8
MIN_CANARY, MAX_CANARY, DEFAULT_CANARY = 1, 99, 20

Image: TypeAlias = "NDArray[np.float32]"
"""One digit, (28, 28) float32 in [0, 1], prepared as MNIST was: white ink on black."""


class Role(StrEnum):
    """What a model is to the user."""

    CURRENT = "current"
    NEW = "new"

    @property
    def label(self) -> str:
        """The word on the page: Current or New."""
        return self.value.capitalize()


class Release(StrEnum):
    """A physical deployment: a role points at one, and promoting swaps the pointers."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Release:
        """The other one of the two."""
        return Release.GREEN if self is Release.BLUE else Release.BLUE


class Route(StrEnum):
    """How one request is sent: as the strategy says, or forced to one role by a header."""

    SPLIT = "split"
    CURRENT = "current"
    NEW = "new"

    @property
    def headers(self) -> dict[str, str]:
        """What a request must carry to be sent that way."""
        return {ROUTE_HEADER: FORCING[self]} if self in FORCING else {}


FORCING = {Route.CURRENT: "never", Route.NEW: "always"}
"""The route header's values, as the canary annotations of ingress-nginx have them."""


class State(StrEnum):
    """How a deployment is doing."""

    STARTING = "starting"
    READY = "ready"
    UPDATING = "updating"
    DEGRADED = "degraded"
    FAILED = "failed"


class Strategy(StrEnum):
    """The three ways to divide the traffic; each is a range of the split."""

    CURRENT_ONLY = "Current only"
    NEW_ONLY = "New only"
    CANARY = "Canary"

    @classmethod
    def from_split(cls, split: int) -> Strategy:
        """The strategy that a split of 0 to 100 percent is called."""
        return {0: cls.CURRENT_ONLY, 100: cls.NEW_ONLY}.get(split, cls.CANARY)


@dataclass(frozen=True)
class Gateway:
    """Where the gateway answers."""

    url: str
    """Scheme, host and port, without a trailing slash."""
    address: str = ""
    """HOST:PORT to connect to where the URL's host does not resolve; empty where it does."""
    ca_file: str = ""
    """PEM file of the authorities to trust for https; empty for the usual ones."""


@dataclass(frozen=True)
class ModelCheck:
    """What was found when a SavedModel was looked at, loaded and tried."""

    base: str
    version: int | None
    """None if the model could not be looked at."""
    input_shape: tuple[int, ...]
    """Shape of the signature's input, -1 where it is free; empty if it could not be looked at."""
    accuracy: float | None
    """Share of the bundled check digits that it got right, 0 to 1; None if it was not tried."""
    warnings: tuple[str, ...] = ()
    unverified: str = ""
    """Why the model could not be looked at from here, though it may well be fit; empty if it was."""


@dataclass(frozen=True)
class Deployment:
    """One role's model as it was observed."""

    role: Role
    release: Release
    base: str
    desired: int
    ready: int
    state: State
    version: int | None = None
    """The version that answers now, or None while nothing does."""
    accuracy: float | None = None
    """Of the quick check, 0 to 1."""
    input_shape: tuple[int, ...] = ()
    """Of the model's signature, -1 where it is free; empty while it is not known."""
    cause: str = ""
    """Why it is not ready, in words; empty when it is."""
    next_step: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What was observed at one moment."""

    taken_at: float
    """Seconds since the epoch."""
    current: Deployment | None = None
    new: Deployment | None = None
    split_desired: int = 0
    split_observed: int = 0
    waiting_for: str = ""
    """What keeps the split observed from being the split desired, in words; empty when they agree."""
    can_undo_promote: bool = False
    interrupted_promotion: str = ""
    """That a promotion stopped half-way, in words: `promote` finishes it, `undo_promote` takes it back."""
    drift: tuple[str, ...] = ()
    """What is not as the dashboard wrote it: somebody changed it (by kubectl, say); a sentence each."""
    trouble: str = ""
    """What is wrong with the engine itself (its gateway is being restarted, say); empty when nothing is."""
    notices: tuple[str, ...] = ()
    """What the user should know about how the dashboard started (another port, a damaged state file)."""

    def of(self, role: Role) -> Deployment | None:
        """The deployment of one role, or None if nothing is deployed there."""
        return self.current if role is Role.CURRENT else self.new

    @property
    def strategy(self) -> Strategy:
        """The strategy that is desired."""
        return Strategy.from_split(self.split_desired)

    @property
    def settled(self) -> bool:
        """Whether what is observed is what is desired."""
        ready = all(d is None or d.state is State.READY for d in (self.current, self.new))
        moving = self.trouble or self.waiting_for or self.split_observed != self.split_desired
        return ready and not moving


@dataclass(frozen=True)
class Prediction:
    """One answer: the ten probabilities and who gave them."""

    probabilities: NDArray[np.float64]
    """(10,), in [0, 1], summing to 1 within rounding."""
    role: Role | None
    """None where the gateway does not say and both models give this answer."""
    release: Release | None
    version: int | None
    replica: str
    milliseconds: float
    """From sending the request to having read the answer."""
    shared: bool = False
    """Whether both models give this very answer, and nobody says which of them did: `role` is None then."""

    @property
    def digit(self) -> int:
        """The most probable digit."""
        return int(self.probabilities.argmax())

    @property
    def confidence(self) -> float:
        """The probability of that digit."""
        return float(self.probabilities.max())


@dataclass(frozen=True)
class Comparison:
    """Both models' answers to one drawing."""

    current: Prediction
    new: Prediction

    @property
    def agree(self) -> bool:
        """Whether both name the same digit."""
        return self.current.digit == self.new.digit


@dataclass(frozen=True)
class EngineObject:
    """One thing that the engine runs: a process here, an object in a cluster."""

    kind: str
    name: str
    role: Role | None
    state: str
    details: dict[str, str] = field(default_factory=dict)
    log: str = ""
    """The last lines that it wrote."""
    events: tuple[str, ...] = ()
    """What happened to it, a sentence each with its time, newest first."""
    yaml: str = ""
    """What was applied, as a cluster takes it; empty for a process."""


@dataclass(frozen=True)
class HistoryEntry:
    """One change that was asked for."""

    at: float
    """Seconds since the epoch."""
    by: str
    """Who asked for it: the signed-in user, or whom the engine knows."""
    what: str
    """The change in words: `Promote New`."""


@dataclass(frozen=True)
class Probe:
    """What came back when a few requests were sent on one route to test it."""

    route: Route
    answers: tuple[Prediction, ...] = ()
    problem: str = ""
    """Why there are no more answers, in words; empty if all were answered."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found when the route to the models was tested."""

    passed: bool
    message: str
    next_step: str = ""


@dataclass(frozen=True)
class ChangeContext:
    """On whose behalf a change is made, and how far it may go."""

    by: str = ""
    """The signed-in user; empty for whom the engine knows itself."""
    take_over: bool = False
    """Whether fields that somebody else owns in the cluster are taken over."""


@dataclass(frozen=True)
class Deploy:
    """The change that deploys a checked model."""

    role: Role
    check: ModelCheck
    replicas: int


@dataclass(frozen=True)
class Remove:
    """The change that stops a role's model."""

    role: Role


@dataclass(frozen=True)
class SetSplit:
    """The change of the percentage that New receives."""

    percent: int


@dataclass(frozen=True)
class Promote:
    """The change that makes New the Current, or finishes an interrupted promotion."""


@dataclass(frozen=True)
class UndoPromote:
    """The change that takes a promotion back, whether it is done or was interrupted."""


Change: TypeAlias = Deploy | Remove | SetSplit | Promote | UndoPromote
"""What can be asked of an engine, as a value: to be carried out, previewed, or remembered."""


def describe(change: Change) -> str:
    """A change as the history tells it."""
    match change:
        case Deploy(role, check, replicas):
            version = f" version {check.version}" if check.version is not None else ""
            copies = "1 replica" if replicas == 1 else f"{replicas} replicas"
            return f"Deploy {check.base}{version} as {role.label} with {copies}"
        case Remove(role):
            return f"Remove {role.label}"
        case SetSplit(percent):
            return f"Send {percent} % of the requests to New"
        case Promote():
            return "Make New the Current"
        case UndoPromote():
            return "Take the promotion back"


@dataclass(frozen=True)
class Suggestion:
    """A model base that the deploy dialog offers."""

    label: str
    base: str
