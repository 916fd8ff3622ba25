"""The test's control over the kubelet double: faults, other programs, names in answers."""

from __future__ import annotations

import enum
import threading
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field


class Fault(enum.Enum):
    """Faults of a container, on request."""

    OOM_KILLED = "ends with 137, OOMKilled, soon after each start"
    READINESS_FAILING = "each readiness probe fails with status 503"
    LIVENESS_FAILING = "each liveness probe fails with status 503, so that it is restarted"


@dataclass(frozen=True)
class PodOverride:
    """Overrides for the Pods of a namespace whose names start with `pods`."""

    namespace: str
    pods: str = ""
    faults: frozenset[Fault] = frozenset()
    announce: bool = False
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def applies_to(self, namespace: str, pod: str) -> bool:
        """Whether it applies to this Pod."""
        return namespace == self.namespace and pod.startswith(self.pods)


class KubeletControl:
    """The current overrides, of which the latest counts. Usable from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: tuple[PodOverride, ...] = ()

    def add(self, override: PodOverride) -> None:
        """Add an override, for later starts and probes."""
        with self._lock:
            self._control += (override,)

    def remove(self, namespace: str) -> None:
        """Remove all overrides of a namespace."""
        with self._lock:
            self._control = tuple(override for override in self._control if override.namespace != namespace)

    def for_pod(self, namespace: str, pod: str) -> PodOverride:
        """Return the combined overrides of one Pod."""
        fitting = [override for override in self._control if override.applies_to(namespace, pod)]
        return PodOverride(
            namespace,
            pod,
            frozenset[Fault]().union(*(override.faults for override in fitting)),
            any(override.announce for override in fitting),
            next((override.argv for override in reversed(fitting) if override.argv), ()),
            dict(ChainMap(*(dict(override.env) for override in reversed(fitting)))),
        )
