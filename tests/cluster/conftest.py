"""Fixtures of the tests of dashboards on the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image

if TYPE_CHECKING:  # their import takes a second, which only cluster tests should pay
    from tests.cluster.bed.bed import Bed
    from tests.cluster.rollout import Rollout


@pytest.fixture
def rollout(bed: Bed, namespace: str) -> Iterator[Rollout]:
    """An empty namespace, behind the ingress."""
    from tests.cluster.rollout import Rollout

    rollout = Rollout(bed, namespace)
    yield rollout
    rollout.close()


@pytest.fixture(scope="session")
def image() -> Image:
    """A seven that every model recognises."""
    digits = load_digits()
    seven: Image = digits.images[int((digits.labels == 7).argmax())]
    return seven
