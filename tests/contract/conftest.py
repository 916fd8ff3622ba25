"""The engines that the contract holds for, and model bases to try them with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image, ModelCheck, Role
from mnist_dash.local.desired_state import BUNDLED
from mnist_dash.savedmodel.check import check_model
from mnist_dash.service import Dashboard
from mnist_dash.settings import RouterKind
from tests.contract.environments import Ground, Shelf, in_cluster, on_this_machine

LOCAL, INGRESS, GATEWAY = "local", "ingress", "gateway"


@pytest.fixture(params=[LOCAL, INGRESS, GATEWAY])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """Where the models run: on this machine, or in a cluster behind an Ingress or a Gateway.

    Behind the Ingress the replicas do not say who they are, as TensorFlow Serving does not; behind the
    Gateway they do.
    """
    if request.param == LOCAL:
        ground = on_this_machine(tmp_path)
    else:
        bed, namespace = request.getfixturevalue("bed"), request.getfixturevalue("namespace")
        router = RouterKind(request.param)
        ground = in_cluster(bed, namespace, router, tmp_path, announced=request.param == GATEWAY)
    with ground.dash:
        yield ground


@pytest.fixture
def dash(ground: Ground) -> Dashboard:
    """A dashboard on a fresh engine with nothing deployed."""
    return ground.dash


@pytest.fixture
def shelf(ground: Ground) -> Shelf:
    """Where the models lie that this engine can deploy."""
    return ground.shelf


@pytest.fixture
def linear(shelf: Shelf) -> str:
    """A base of its own with the linear model as version 1."""
    return shelf.put("linear")


@pytest.fixture
def cnn(shelf: Shelf) -> str:
    """A base of its own with the convolutional model as version 1."""
    return shelf.put("cnn")


@pytest.fixture(scope="session")
def checked() -> dict[str, ModelCheck]:
    """What the check finds of the bundled models, for tests that are not about it: it takes two seconds."""
    return {base.name: check_model(str(base)) for base in BUNDLED.iterdir()}


@pytest.fixture
def both(dash: Dashboard, linear: str, cnn: str, checked: dict[str, ModelCheck]) -> Dashboard:
    """Linear as Current, convolutional as New, settled, split 0."""
    dash.deploy(Role.CURRENT, replace(checked["linear"], base=linear))
    dash.deploy(Role.NEW, replace(checked["cnn"], base=cnn))
    dash.wait_settled()
    return dash


@pytest.fixture(scope="session")
def image() -> Image:
    """A seven that every model knows."""
    digits = load_digits()
    image: Image = digits.images[int((digits.labels == 7).argmax())]
    return image
