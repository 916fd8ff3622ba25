"""Which model answered, where the answer itself does not say; never a guess.

Told by the release in the answer, by there being one possible role, or by asking both models about the same
picture: who gives the same probabilities gave the answer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mnist_dash.domain import Prediction, Release, Role, Route, Snapshot

NEAR = 0.01
"""How far the logarithms of one model's probabilities may lie apart: replicas run on unlike processors."""
FAR = 0.1
"""How far those of another model must lie away for a verdict."""
LEAST = 1e-30
"""Below this a float32 probability is no longer exact, so it counts as this."""


def from_snapshot(said: Prediction, snapshot: Snapshot, route: Route) -> Prediction:
    """The answer with its role, as far as the release that answered or the route that was forced tells it.

    While a promotion has both roles on one release, only a forced route tells the role.
    """
    role = by_release(said, snapshot)
    if not role and (not said.release or len(_roles_of(said, snapshot)) > 1):
        role = _only_possible(snapshot, route)
    return _named(said, role, snapshot) if role else said


def by_release(said: Prediction, snapshot: Snapshot) -> Role | None:
    """The role that the answer names, or that its release has; None if it names neither."""
    roles = _roles_of(said, snapshot)
    return said.role or (roles[0] if len(roles) == 1 else None)


def _roles_of(said: Prediction, snapshot: Snapshot) -> list[Role]:
    """The roles of the release that answered: both while a promotion has both of them point at it."""
    deployed = (snapshot.current, snapshot.new)
    return [d.role for d in deployed if d and said.release and d.release is said.release]


def _only_possible(snapshot: Snapshot, route: Route) -> Role | None:
    """The role that alone can have answered: no request reaches a New that is not there or gets no share.

    A request that is forced to New may find it ready sooner than the snapshot does, so there is no telling.
    """
    has_new = snapshot.new is not None and snapshot.new.ready > 0
    if route is Route.CURRENT:
        return Role.CURRENT
    if route is Route.NEW:
        return Role.NEW if has_new else None
    up_to_date = not snapshot.trouble
    return Role.CURRENT if up_to_date and not has_new and snapshot.split_observed == 0 else None


def from_answers(
    said: Prediction, current: Prediction, new: Prediction, before: Snapshot, after: Snapshot
) -> Prediction:
    """The answer with the role of the model that gives the same; `shared` if both do.

    `before` was observed before the answer and `after` after the three: if the roles moved in between, the
    answers tell nothing.
    """
    if _releases(before) != _releases(after):
        return said
    apart = {Role.CURRENT: _apart(said, current), Role.NEW: _apart(said, new)}
    nearest, other = sorted(apart, key=apart.__getitem__)
    if apart[nearest] > NEAR:
        return said
    if apart[other] <= FAR:
        return replace(said, shared=True)
    model = after.of(nearest)
    contradicted = said.release and model and model.release is not said.release
    return said if contradicted else _named(said, nearest, after)


def same(one: Prediction, other: Prediction) -> bool:
    """Whether two answers to one picture are one model's, as far as their probabilities tell."""
    return _apart(one, other) <= NEAR


def _apart(one: Prediction, other: Prediction) -> float:
    """The largest distance of the logarithms, which tell models apart even where both are quite sure."""
    return float(np.abs(_logarithms(one) - _logarithms(other)).max())


def _logarithms(said: Prediction) -> NDArray[np.float64]:
    logarithms: NDArray[np.float64] = np.log(np.maximum(said.probabilities, LEAST))
    return logarithms


def _releases(snapshot: Snapshot) -> tuple[Release | None, ...]:
    return tuple(d.release if d else None for d in (snapshot.current, snapshot.new))


def _named(said: Prediction, role: Role, snapshot: Snapshot) -> Prediction:
    model = snapshot.of(role)
    if not model:
        return replace(said, role=role)
    version = model.version if said.version is None else said.version
    return replace(said, role=role, release=said.release or model.release, version=version)
