"""The engines that the contract holds for, and model bases to try them with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mnist_dash.config import Settings
from mnist_dash.digits import load_digits
from mnist_dash.domain import Image
from mnist_dash.local.state import BUNDLED
from mnist_dash.service import Dashboard, open_dashboard

Open = Callable[[], Dashboard]


@pytest.fixture(params=["local"])
def dash(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dashboard]:
    """A dashboard on a fresh engine with nothing deployed."""
    assert request.param == "local"
    with open_dashboard(Settings(gateway_port=0, state_dir=tmp_path / "state", empty=True)) as dash:
        yield dash


@pytest.fixture
def linear(tmp_path: Path) -> str:
    """A base of its own with the linear model as version 1."""
    return str(shutil.copytree(BUNDLED / "linear", tmp_path / "linear"))


@pytest.fixture
def cnn(tmp_path: Path) -> str:
    """A base of its own with the convolutional model as version 1."""
    return str(shutil.copytree(BUNDLED / "cnn", tmp_path / "cnn"))


@pytest.fixture(scope="session")
def image() -> Image:
    """A seven that every model knows."""
    digits = load_digits()
    image: Image = digits.images[int((digits.labels == 7).argmax())]
    return image
