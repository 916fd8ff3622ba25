"""What a test orders from the kubelet double: faults, other programs, names in answers."""

from __future__ import annotations

import enum
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Fault(enum.Enum):
    """What can be wrong with a container, on request."""

    OOM_KILLED = "ends with 137, OOMKilled, soon after each start"
    SLOW_START = "the program is started only after some seconds, as if it loaded a big model"
    READINESS_FAILING = "each readiness probe fails with status 503"
    LIVENESS_FAILING = "each liveness probe fails with status 503, so that it is restarted"
    STARTUP_FAILING = "each startup probe fails with status 503, so that it is restarted"


@dataclass(frozen=True)
class Order:
    """What is asked for the Pods of a namespace whose names start with `pods`."""

    namespace: str
    pods: str = ""
    faults: frozenset[Fault] = frozenset()
    seconds: float = 0.0
    """How slow a slow start is."""
    announce: bool = False
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def fits(self, namespace: str, pod: str) -> bool:
        """Whether it is about this Pod."""
        return namespace == self.namespace and pod.startswith(self.pods)


class Orders:
    """All that is ordered at the moment; the later order counts. Usable from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: tuple[Order, ...] = ()

    def add(self, order: Order) -> None:
        """Take an order; it holds for containers started, and probes made, from then on."""
        with self._lock:
            self._orders += (order,)

    def withdraw(self, namespace: str) -> None:
        """Forget all orders for a namespace."""
        with self._lock:
            self._orders = tuple(order for order in self._orders if order.namespace != namespace)

    def for_pod(self, namespace: str, pod: str) -> Order:
        """All that is ordered for one Pod, in one."""
        fitting = [order for order in self._orders if order.fits(namespace, pod)]
        return Order(
            namespace,
            pod,
            frozenset[Fault]().union(*(order.faults for order in fitting)),
            max((order.seconds for order in fitting), default=0.0),
            any(order.announce for order in fitting),
            next((order.argv for order in reversed(fitting) if order.argv), ()),
            _merged([order.env for order in fitting]),
        )


def _merged(all_env: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {name: value for env in all_env for name, value in env.items()}
