"""The common interface of both ways to divide the traffic: canary Ingresses or an HTTPRoute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mnist_dash.cluster.resources import Kind, Object
from mnist_dash.cluster.route_state import RouteConfig


class Routes(Protocol):
    """The objects that lead requests to the Services `mnist-current` and `mnist-new`."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of the objects."""

    @property
    def state_name(self) -> str:
        """The name of the object that keeps the state in its annotations."""

    def objects(self, config: RouteConfig) -> list[Object]:
        """Return the objects to apply."""

    def read(self, live: Sequence[Object]) -> RouteConfig | None:
        """Read the live objects; None while there is no object that keeps the state."""

    def find_faults(self, live: Sequence[Object]) -> tuple[str, ...]:
        """Return what keeps the live objects from working: a sentence and a next step each."""

    def is_weight_ours(self, live: Sequence[Object]) -> bool:
        """Whether the weight is still the one that the dashboard applied; True while there is none."""
