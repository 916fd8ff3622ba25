"""Where the contract is tried: each engine with a place for models that it can reach."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Protocol

import yaml

from mnist_dash import open_dashboard
from mnist_dash.domain import EngineObject
from mnist_dash.local.desired_state import BUNDLED
from mnist_dash.service import Dashboard
from mnist_dash.settings import EngineKind, RouterKind, Settings
from tests.cluster.bed.bed import Bed
from tests.cluster.bed.cloud_storage import CloudStorage
from tests.models import folder_of

ROLE = Path(__file__).parents[2] / "docs" / "role.yaml"
RULES = yaml.safe_load(ROLE.read_text())["rules"]


class Shelf(Protocol):
    """Holds model bases; models go by name: linear and cnn, or one of tests/data."""

    def put(self, model: str) -> str:
        """A new base with the model as version 1."""

    def add_version(self, base: str, model: str, version: int) -> None:
        """Put a model beside the others, all at once."""

    def break_version(self, base: str, version: int = 1) -> None:
        """Take the file away without which a version cannot be loaded."""


@dataclass
class Ground:
    """An engine with nothing deployed, and its models."""

    dash: Dashboard
    shelf: Shelf
    names_replicas: bool
    """Whether an answer tells which replica gave it."""
    signal: Callable[[EngineObject, Signals], None]
    """Sends a signal to the process of a replica."""
    reopen: Callable[[], Dashboard]
    """Opens another dashboard on the same state."""


def version_folder(model: str) -> Path:
    """The SavedModel of that name, not to be changed."""
    bundled = BUNDLED / model / "model" / "1"
    return bundled if bundled.is_dir() else folder_of(model)


class Folders:
    """Model bases in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._count = itertools.count(1)

    def put(self, model: str) -> str:
        base = self._root / f"{model}-{next(self._count)}"
        shutil.copytree(version_folder(model), base / "model" / "1")
        return str(base)

    def add_version(self, base: str, model: str, version: int) -> None:
        versions = Path(base) / "model"
        shutil.copytree(version_folder(model), versions / "next")
        os.rename(versions / "next", versions / str(version))

    def break_version(self, base: str, version: int = 1) -> None:
        (Path(base) / "model" / str(version) / "saved_model.pb").unlink()


def on_this_machine(tmp_path: Path) -> Ground:
    """The local engine."""
    settings = Settings(gateway_port=0, state_dir=tmp_path / "state", empty=True)
    dash = open_dashboard(settings)

    def send(replica: EngineObject, number: Signals) -> None:
        os.kill(int(replica.details["Process"]), number)

    again = partial(open_dashboard, replace(settings, empty=False))
    return Ground(dash, Folders(tmp_path / "models"), names_replicas=True, signal=send, reopen=again)


class Buckets:
    """Model bases in Cloud Storage."""

    def __init__(self, storage: CloudStorage, bucket: str) -> None:
        self._storage = storage
        self._bucket = bucket
        self._count = itertools.count(1)

    def put(self, model: str) -> str:
        base = f"gs://{self._bucket}/{model}-{next(self._count)}"
        self.add_version(base, model, 1)
        return base

    def add_version(self, base: str, model: str, version: int) -> None:
        self._storage.put(base, version_folder(model), version)

    def break_version(self, base: str, version: int = 1) -> None:
        self._storage.delete(f"{base}/model/{version}/saved_model.pb")


def in_cluster(bed: Bed, namespace: str, router: RouterKind, state_dir: Path, *, announced: bool) -> Ground:
    """The Kubernetes engine in a namespace of its own."""
    if announced:
        bed.kubelet.announce(namespace)
    settings = cluster_settings(bed, namespace, router, state_dir=state_dir)
    dash = open_dashboard(settings)

    def send(replica: EngineObject, number: Signals) -> None:
        bed.kubelet.signal(namespace, replica.name, number)

    shelf, again = Buckets(bed.storage, namespace), partial(open_dashboard, settings)
    return Ground(dash, shelf, names_replicas=announced, signal=send, reopen=again)


def cluster_settings(bed: Bed, namespace: str, router: RouterKind, **changes: object) -> Settings:
    """What a user of that namespace starts the dashboard with, who has the rights of `docs/role.yaml`."""
    entrance = bed.entrances.ingress if router is RouterKind.INGRESS else bed.entrances.gateway
    settings = Settings(
        engine=EngineKind.KUBERNETES,
        ingress_host=bed.host(namespace),
        ingress_address=entrance,
        kubeconfig=str(bed.user(namespace, RULES).kubeconfig),
        namespace=namespace,
        ingress_class=bed.ingress_class,
        router=router,
        gateway=bed.gateway if router is RouterKind.GATEWAY else "",
    )
    return replace(settings, **changes)  # type: ignore[arg-type]  # the test's business
