"""A namespace with several dashboards on it, as a team has that rolls models out together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mnist_dash.cluster.engine import KubernetesEngine
from mnist_dash.cluster.promotion import INTERRUPTED_SECONDS
from mnist_dash.domain import ModelCheck, Role, Snapshot
from mnist_dash.service import Dashboard
from mnist_dash.serving.client import ServingClient
from mnist_dash.settings import RouterKind, Settings
from tests.cluster.bed.api_server import Object, path_of
from tests.cluster.bed.bed import Bed
from tests.contract.environments import Buckets, cluster_settings

APPS, NETWORKING = "apps/v1", "networking.k8s.io/v1"
PATIENCE = 60.0
"""Seconds within which everything must be observed."""


@dataclass
class Rollout:
    """The namespace; `close()` closes its dashboards."""

    bed: Bed
    namespace: str
    router: RouterKind = RouterKind.INGRESS
    _open: list[Dashboard] = field(default_factory=list)

    @cached_property
    def settings(self) -> Settings:
        """Those of a user with the rights of `docs/role.yaml`."""
        return cluster_settings(self.bed, self.namespace, self.router)

    @cached_property
    def shelf(self) -> Buckets:
        """The namespace's bucket."""
        return Buckets(self.bed.storage, self.namespace)

    @cached_property
    def models(self) -> tuple[ModelCheck, ModelCheck]:
        """The linear and the convolutional model in the namespace's bucket, with their checks."""
        shape = (-1, 28, 28, 1)
        return (
            ModelCheck(self.shelf.put("linear"), 1, shape, 0.92),
            ModelCheck(self.shelf.put("cnn"), 1, shape, 0.99),
        )

    def open(self, *, interrupted_after: float = INTERRUPTED_SECONDS, **changes: Any) -> Dashboard:
        """Open a dashboard with other settings than usual."""
        settings = replace(self.settings, **changes)
        engine = KubernetesEngine.start(settings, interrupted_after=interrupted_after)
        dash = Dashboard(engine, ServingClient(engine.gateway))
        self._open.append(dash)
        return dash

    def open_with_both(self, **changes: Any) -> Dashboard:
        """Open one with linear as Current and convolutional as New, settled, split 0."""
        dash = self.open(**changes)
        for role, model in zip(Role, self.models, strict=True):
            dash.deploy(role, model)
        dash.wait_settled()
        return dash

    def kubeconfig(self, server: str) -> str:
        """The same user's kubeconfig, with another address of the API server."""
        there = Path(self.settings.kubeconfig).read_text()
        path = self.bed.folder / f"{self.bed.new_name()}.kubeconfig"
        path.write_text(there.replace(self.bed.control_plane.url, server))
        return str(path)

    def close(self) -> None:
        """Close the dashboards."""
        for dash in self._open:
            dash.close()

    def path(self, api: str, kind: str, name: str = "") -> str:
        """Where an object of the namespace is, or all of its kind."""
        metadata = {"name": name, "namespace": self.namespace}
        return path_of({"apiVersion": api, "kind": kind, "metadata": metadata}).rstrip("/")

    def live(self, api: str, kind: str, name: str) -> Object:
        """An object as it is."""
        return self.bed.api.get(self.path(api, kind, name))

    def all_live(self, api: str, kind: str) -> list[Object]:
        """All objects of a kind as they are."""
        items: list[Object] = self.bed.api.get(self.path(api, kind))["items"]
        return items

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        """What kubectl prints as an administrator; it must succeed."""
        done = self.bed.kubectl("--namespace", self.namespace, *argv, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


def await_snapshot(
    dash: Dashboard, reached: Callable[[Snapshot], object], timeout: float = PATIENCE
) -> Snapshot:
    """Wait for the first snapshot with a property, and return it."""
    deadline = time.monotonic() + timeout
    while not reached(snapshot := dash.snapshot()):
        assert time.monotonic() < deadline, snapshot
        time.sleep(0.02)
    return snapshot


def end(dash: Dashboard) -> None:
    """Close a dashboard, and wait until it sends no more requests to the cluster."""
    dash.close()
    engine = dash._engine
    assert isinstance(engine, KubernetesEngine)
    engine._thread.join(PATIENCE)
