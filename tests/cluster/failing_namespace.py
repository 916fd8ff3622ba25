"""A namespace in which things go wrong on purpose, with a dashboard on it and models for it."""

from __future__ import annotations

import time

from mnist_dash.domain import Deployment, ModelCheck, Role, State
from mnist_dash.service import Dashboard
from tests.cluster.bed.api_server import Object
from tests.cluster.bed.bed import wait_until
from tests.cluster.rollout import APPS, PATIENCE, Rollout


class FailingNamespace(Rollout):
    """The namespace; `close()` closes its dashboards."""

    def model(self, name: str = "linear") -> ModelCheck:
        """Put a model into the bucket, with the result of its check."""
        return checked(self.shelf.put(name))

    def create(self, api: str, kind: str, name: str, **content: object) -> Object:
        """Create an object that is not the dashboard's."""
        metadata = {"name": name, "namespace": self.namespace}
        return self.bed.api.create({"apiVersion": api, "kind": kind, "metadata": metadata, **content})

    def create_quota(self, name: str, hard: dict[str, str]) -> str:
        """Create a ResourceQuota, wait until it has effect, and return its path."""
        self.create("v1", "ResourceQuota", name, spec={"hard": hard})
        path = self.path("v1", "ResourceQuota", name)
        wait_until(lambda: "hard" in self.bed.api.get(path).get("status", {}), f"the quota {name} has effect")
        return path

    def pods(self) -> list[Object]:
        """The Pods that are not being deleted."""
        return [pod for pod in self.all_live("v1", "Pod") if "deletionTimestamp" not in pod["metadata"]]

    def await_rollout(self, name: str) -> None:
        """Wait until Kubernetes counts a rollout as over: its Pods must stay ready for a while."""

        def is_over() -> bool:
            conditions = self.live(APPS, "Deployment", name)["status"].get("conditions", ())
            return any(item.get("reason") == "NewReplicaSetAvailable" for item in conditions)

        wait_until(is_over, f"{name} is rolled out")

    def ready_pods(self) -> int:
        """How many of them are ready."""
        conditions = [item for pod in self.pods() for item in pod["status"].get("conditions", ())]
        return sum(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def checked(base: str) -> ModelCheck:
    """The check of a linear model, whatever happens to the base afterwards."""
    return ModelCheck(base, version=1, input_shape=(-1, 28, 28, 1), accuracy=0.92)


def await_card(dash: Dashboard, state: State, text: str = "", *, role: Role = Role.CURRENT) -> Deployment:
    """Wait until a role's card shows the state, with this text in the cause, and return it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        card = dash.snapshot().of(role)
        if card and card.state is state and text in card.cause:
            return card
        assert time.monotonic() < deadline, f"Not {state} with {text!r} but {card}"
        time.sleep(0.05)


def await_recovery(dash: Dashboard, role: Role = Role.CURRENT) -> Deployment:
    """Wait until a role is ready, without a cause."""
    card = await_card(dash, State.READY, role=role)
    assert (card.cause, card.next_step, card.ready) == ("", "", card.desired)
    return card
