"""The product's vocabulary as frozen values and enums; enum values are the strings on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # not at run time: the gateway's process starts sooner without numpy
    import numpy as np
    from numpy.typing import NDArray

MODEL_NAME = "model"
"""The name of every served model: `<base>/model/<version>/`, `/v1/models/model`."""
DIGITS = 10
FIELD = 28
"""The height and the width of a digit in pixels."""
ROUTE_HEADER = "X-Mnist-Route"
"""Request header that forces one role, whatever the strategy: `always` is New, `never` is Current."""
SERVED_BY_HEADER = "X-Served-By"
"""Response header that names the model: `role=new, release=green, replica=green-1` (RFC 8941)."""
VERSION_HEADER = "X-Model-Version"
"""Response header with the version that answered."""
MIN_REPLICAS, MAX_REPLICAS = 1, 8
MIN_CANARY, MAX_CANARY, DEFAULT_CANARY = 1, 99, 20

NOTHING = "nothing"
"""The etag of a role without a model."""

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
        """The other release."""
        return Release.GREEN if self is Release.BLUE else Release.BLUE


class Route(StrEnum):
    """Where one request goes: as the strategy says, or forced to one role by a header."""

    SPLIT = "split"
    CURRENT = "current"
    NEW = "new"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that force the route; none on the split."""
        return {ROUTE_HEADER: FORCING[self]} if self in FORCING else {}


FORCING = {Route.CURRENT: "never", Route.NEW: "always"}
"""The values of the route header, as in ingress-nginx's canary annotations."""


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
        """Return the strategy of a split of 0 to 100 percent."""
        return {0: cls.CURRENT_ONLY, 100: cls.NEW_ONLY}.get(split, cls.CANARY)


@dataclass(frozen=True)
class Gateway:
    """The gateway's address."""

    url: str
    """Scheme, host and port, without a trailing slash."""
    address: str = ""
    """HOST:PORT to connect to if the URL's host does not resolve; empty if it does."""
    ca_file: str = ""
    """PEM file of the authorities to trust for https; empty for the usual ones."""


@dataclass(frozen=True)
class ModelCheck:
    """The result of reading, loading and trying a SavedModel."""

    base: str
    version: int | None
    """None if the model could not be read."""
    input_shape: tuple[int, ...]
    """Shape of the signature's input, -1 where it is free; empty if the model could not be read."""
    accuracy: float | None
    """Share of the bundled digits classified correctly, 0 to 1; None if the model was not tried."""
    digits: int = 0
    """The number of digits that it was tried on: all, unless it is very slow."""
    warnings: tuple[str, ...] = ()
    unverified: str = ""
    """Why the model could not be read from here, though it may be fit; empty if it was read."""
    signature: str = ""
    """The signature that a request must name; empty for `serving_default`."""


@dataclass(frozen=True)
class Replacement:
    """The model that is to take over from one that still answers."""

    base: str
    desired: int
    ready: int


@dataclass(frozen=True)
class Deployment:
    """One role's model as observed: the one that answers, or that starts while none does."""

    role: Role
    release: Release
    base: str
    desired: int
    """The replicas asked for last."""
    ready: int
    """The replicas of this model that get requests."""
    state: State
    version: int | None = None
    """The version that answers now, or None while nothing does."""
    accuracy: float | None = None
    digits: int = 0
    input_shape: tuple[int, ...] = ()
    signature: str = ""
    """All four as in its check; None, 0 and empty while unknown."""
    cause: str = ""
    """Why it is not ready, as a sentence; empty when it is."""
    next_step: str = ""
    warnings: tuple[str, ...] = ()
    generation: str = ""
    """Another one after each deployment to the role, from the moment that it is accepted."""
    replacement: Replacement | None = None
    """What a re-deploy under way is to put in its place."""

    @property
    def name(self) -> str:
        """The model's short name: the last component of its base."""
        return name_of(self.base)


def title_of(role: Role, *, is_former: bool) -> str:
    """Return the word for a role; `is_former` is whether New is what the last promotion replaced."""
    return "Former" if role is Role.NEW and is_former else role.label


def name_of(base: str) -> str:
    """Return a model's short name: the last component of its base."""
    return base.rstrip("/").rpartition("/")[2]


def distinct_names(first: str, second: str) -> tuple[str, str]:
    """Return the short names of two bases, with their parent folders if the last components are equal."""
    names = [[part for part in base.split("/") if part] for base in (first, second)]
    parts = next((n for n in range(1, max(map(len, names)) + 1) if names[0][-n:] != names[1][-n:]), 1)
    return "/".join(names[0][-parts:]), "/".join(names[1][-parts:])


@dataclass(frozen=True)
class Snapshot:
    """Everything observed at one moment."""

    taken_at: float
    """Seconds since the epoch."""
    current: Deployment | None = None
    new: Deployment | None = None
    split_desired: int = 0
    split_observed: int = 0
    waiting_for: str = ""
    """Why the observed split is not the desired one, as a sentence; empty when it is."""
    can_undo_promote: bool = False
    """Whether New is the former Current, to which an undo would return."""
    becoming_current: Release | None = None
    """The release that a promotion under way, or its undo, is making the Current."""
    interrupted_promotion: str = ""
    """A sentence if a promotion stopped half-way: `promote` finishes it, `undo_promote` takes it back."""
    drift: tuple[str, ...] = ()
    """Changes by others (with kubectl, say) to what the dashboard wrote, a sentence each."""
    trouble: str = ""
    """A problem of the engine itself (its gateway is being restarted, say); empty if there is none."""
    notices: tuple[str, ...] = ()
    """Notes about the start of the dashboard (another port, a damaged state file)."""

    def of(self, role: Role) -> Deployment | None:
        """Return the deployment of a role, or None."""
        return self.current if role is Role.CURRENT else self.new

    def etag(self, role: Role) -> str:
        """Return a text that changes when a role gets or loses a model: by a deploy, a removal or a swap."""
        model = self.of(role)
        return f"{model.release} {model.generation}" if model else NOTHING

    def role_title(self, role: Role) -> str:
        """Return the word for a role on the page: after a promotion New is Former, until a deploy there."""
        return title_of(role, is_former=self.can_undo_promote)

    def title_strategy(self, strategy: Strategy) -> str:
        """Return the word for a strategy on the page: after a promotion it is `Former only`."""
        return strategy.replace(Role.NEW.label, self.role_title(Role.NEW))

    def name_of(self, role: Role) -> str:
        """Return the name of a role's model, with what tells it from the other role's if that has the same.

        Without a model it is the role's title.
        """
        model = self.of(role)
        if model is None:
            return self.role_title(role)
        other = self.new if role is Role.CURRENT else self.current
        if other is None or other.name != model.name:
            return model.name
        if other.base != model.base:
            return distinct_names(model.base, other.base)[0]
        if other.version != model.version and model.version is not None:
            return f"{model.name} version {model.version}"
        return f"{model.name} ({self.role_title(role)})"

    @property
    def is_answered(self) -> bool:
        """Whether requests are answered: without a ready Current they fail, whatever the split."""
        return self.current is not None and self.current.ready > 0

    @property
    def has_ready_new(self) -> bool:
        """Whether New can answer."""
        return self.new is not None and self.new.ready > 0

    @property
    def has_both_ready(self) -> bool:
        """Whether Current and New can answer."""
        return self.has_ready_new and self.current is not None and self.current.ready > 0

    @property
    def strategy(self) -> Strategy:
        """The desired strategy."""
        return Strategy.from_split(self.split_desired)

    @property
    def settled(self) -> bool:
        """Whether the observed state is the desired one."""
        ready = all(d is None or d.state is State.READY for d in (self.current, self.new))
        moving = self.trouble or self.waiting_for or self.split_observed != self.split_desired
        return ready and not moving


@dataclass(frozen=True)
class Prediction:
    """One answer: the ten probabilities and the model that gave them."""

    probabilities: NDArray[np.float64]
    """(10,), in [0, 1], summing to 1 within rounding."""
    role: Role | None
    """None if unknown: the gateway does not name the model, and both may have answered."""
    release: Release | None
    version: int | None
    replica: str
    milliseconds: float
    """Time from sending the request to having read the answer."""
    shared: bool = False
    """Whether both models give this same answer and nothing names the one that did; `role` is None then."""

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
        """Whether both answers are the same digit."""
        return self.current.digit == self.new.digit


@dataclass(frozen=True)
class EngineObject:
    """Something that the engine runs: a local process, or an object in a cluster."""

    kind: str
    name: str
    role: Role | None
    state: str
    details: dict[str, str] = field(default_factory=dict)
    log: str = ""
    """The last lines of its log."""
    events: tuple[str, ...] = ()
    """Its events, a sentence each with the time, newest first."""
    yaml: str = ""
    """The applied manifest; empty for a process."""


class EventKind(StrEnum):
    """What an entry of the history is about; the values are titles."""

    CHANGE = "Change"
    REFUSED = "Refused"
    ENDED = "Replica ended"
    REPLACED = "Replica replaced"
    READY = "Ready"
    FAILED = "Failed"
    VERSION = "Version loaded"
    HELD = "Split held"
    SPLIT = "Split in force"
    LOST = "Requests lost"
    CHECKED = "Canary check"


@dataclass(frozen=True)
class HistoryEntry:
    """One change that was asked for, or one event."""

    at: float
    """Seconds since the epoch; of several that are counted together, the last one's."""
    by: str
    """Who asked for it: the signed-in user, or the user that the engine runs as; empty for an event."""
    what: str
    """The change, as `describe` returns it: `Make New the Current`; or what happened, as a sentence."""
    kind: EventKind = EventKind.CHANGE
    role: Role | None = None
    """The role of the model that the event is about; None for other entries."""
    model: str = ""
    """That model's name."""
    count: int = 1
    """How often it happened."""
    since: float = 0.0
    """When it happened first, if it happened more than once; else 0."""


@dataclass(frozen=True)
class Probe:
    """The answers to a few requests that test one route."""

    route: Route
    answers: tuple[Prediction, ...] = ()
    problem: str = ""
    """Why there are no more answers; empty if all requests were answered."""


@dataclass(frozen=True)
class Finding:
    """One result of the route test."""

    passed: bool
    message: str
    next_step: str = ""


@dataclass(frozen=True)
class ChangeContext:
    """On whose behalf a change is made, and whether it may take over fields."""

    by: str = ""
    """The signed-in user; empty for the user that the engine runs as."""
    take_over: bool = False
    """Whether to take over fields that others own in the cluster."""
    expected: str = ""
    """The `Snapshot.etag` that the change was chosen for; empty for any."""


@dataclass(frozen=True)
class Deploy:
    """Deploy a checked model."""

    role: Role
    check: ModelCheck
    replicas: int


@dataclass(frozen=True)
class Remove:
    """Stop a role's model."""

    role: Role


@dataclass(frozen=True)
class SetSplit:
    """Set the percentage of requests that New receives."""

    percent: int


@dataclass(frozen=True)
class Promote:
    """Make New the Current, or finish an interrupted promotion."""


@dataclass(frozen=True)
class UndoPromote:
    """Take a promotion back, whether it is done or was interrupted."""


Change: TypeAlias = Deploy | Remove | SetSplit | Promote | UndoPromote
"""A request to an engine, as a value: to apply, preview or record."""


def name_split(split: int, snapshot: Snapshot | None = None) -> str:
    """Name a split of 0 to 100 percent as the page's controls do: `Canary 20 %`, `New only`."""
    strategy = Strategy.from_split(split)
    title = snapshot.title_strategy(strategy) if snapshot else str(strategy)
    return f"{title} {split} %" if strategy is Strategy.CANARY else title


def describe(change: Change, snapshot: Snapshot | None = None) -> str:
    """Describe a change in the words of its button; with the `snapshot` before it, models have names."""
    is_former = snapshot is not None and snapshot.can_undo_promote
    match change:
        case Deploy(role, check, replicas):
            version = f" version {check.version}" if check.version is not None else ""
            return f"Deploy {name_of(check.base)}{version} as {role.label} with {count_replicas(replicas)}"
        case Remove(role):
            return f"Remove {snapshot.role_title(role) if snapshot else role.label}"
        case SetSplit(percent):
            return f"Set strategy: {name_split(percent, snapshot)}"
        case Promote():
            return f"Make {snapshot.role_title(Role.NEW) if snapshot else Role.NEW.label} the Current"
        case UndoPromote():
            return (
                f"Roll back to {snapshot.name_of(Role.NEW)}"
                if snapshot and is_former
                else "Take the promotion back"
            )


def count_replicas(count: int) -> str:
    """Return `1 replica` or `2 replicas`."""
    return "1 replica" if count == 1 else f"{count} replicas"


@dataclass(frozen=True)
class Suggestion:
    """A model base that the deploy dialog offers."""

    label: str
    base: str
