"""Attribute a prediction to the model that gave it, where the answer does not name it; never by a guess.

Three things identify the model: the release in the answer, that only one role is possible, or that one of
the two models gives the same probabilities for the same image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mnist_dash.domain import Prediction, Release, Role, Route, Snapshot

NEAR = 0.01
"""The largest difference between logarithms of one model's probabilities: processors round differently."""
FAR = 0.1
"""The smallest difference from another model that decides."""
SMALLEST = 1e-30
"""Smaller float32 probabilities are not exact, and count as this one."""


def attribute_by_snapshot(prediction: Prediction, snapshot: Snapshot, route: Route) -> Prediction:
    """Return the prediction with its role, as far as its release or the forced route determines it.

    While a promotion has both roles on one release, only a forced route determines the role.
    """
    role = role_of(prediction, snapshot)
    if not role and (not prediction.release or len(_roles_of_release(prediction, snapshot)) > 1):
        role = _only_possible_role(snapshot, route)
    return _with_role(prediction, role, snapshot) if role else prediction


def role_of(prediction: Prediction, snapshot: Snapshot) -> Role | None:
    """Return the role that the prediction names, or that its release has; None if it names neither."""
    roles = _roles_of_release(prediction, snapshot)
    return prediction.role or (roles[0] if len(roles) == 1 else None)


def _roles_of_release(prediction: Prediction, snapshot: Snapshot) -> list[Role]:
    """Return the roles of the release that answered: two while a promotion has both point at it."""
    return [d.role for d in (snapshot.current, snapshot.new) if d and d.release is prediction.release]


def _only_possible_role(snapshot: Snapshot, route: Route) -> Role | None:
    """Return the only role that can have answered: a New that is absent or has no share gets no request.

    New may become ready before the snapshot shows it, so a request forced to New decides nothing then.
    """
    if route is Route.NEW:
        return Role.NEW if snapshot.has_ready_new else None
    is_current = not (snapshot.trouble or snapshot.has_ready_new or snapshot.split_observed)
    return Role.CURRENT if route is Route.CURRENT or is_current else None


def attribute_by_answers(
    prediction: Prediction, current: Prediction, new: Prediction, before: Snapshot, after: Snapshot
) -> Prediction:
    """Return the prediction with the role of the model that gives the same answer; `shared` if both do.

    `before` was observed before the prediction and `after` after the answers of both models: if the roles
    moved in between, the answers decide nothing.
    """
    if _releases(before) != _releases(after):
        return prediction
    distances = {Role.CURRENT: _distance(prediction, current), Role.NEW: _distance(prediction, new)}
    nearest, other = sorted(distances, key=distances.__getitem__)
    if distances[nearest] > NEAR:
        return prediction
    if distances[other] <= FAR:
        return replace(prediction, shared=True)
    model = after.of(nearest)
    contradicted = prediction.release and model and model.release is not prediction.release
    return prediction if contradicted else _with_role(prediction, nearest, after)


def is_same_model(first: Prediction, second: Prediction) -> bool:
    """Whether two answers for one image can be from one model, by their probabilities."""
    return _distance(first, second) <= NEAR


def _distance(first: Prediction, second: Prediction) -> float:
    """Return the largest difference of the logarithms, which differ even where both models are quite sure."""
    values = np.maximum([first.probabilities, second.probabilities], SMALLEST)
    return float(np.abs(np.diff(np.log(values), axis=0)).max())


def _releases(snapshot: Snapshot) -> tuple[Release | None, ...]:
    return tuple(d.release if d else None for d in (snapshot.current, snapshot.new))


def _with_role(prediction: Prediction, role: Role, snapshot: Snapshot) -> Prediction:
    model = snapshot.of(role)
    if not model:
        return replace(prediction, role=role)
    version = model.version if prediction.version is None else prediction.version
    return replace(prediction, role=role, release=prediction.release or model.release, version=version)
