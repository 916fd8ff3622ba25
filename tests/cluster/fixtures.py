"""The cluster that tests share, and each test's namespace in it: a plugin that tests/conftest.py loads.

def test_something(bed: Bed, namespace: str) -> None:
    bed.storage.put(f"gs://{namespace}/mnist", BUNDLED / "linear" / "model" / "1", version=1)
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.bed.requirements import enter_network

if TYPE_CHECKING:  # their import takes a second, which only cluster tests should pay
    from tests.cluster.bed.bed import Bed
    from tests.cluster.bed.faults import FaultProxy

TESTS = Path(__file__).parents[1]
WITHOUT_BED = ("unit", "processes", "page", "project")
"""Folders of tests that use no cluster."""
WHY_NO_BED = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Enter the bed's network while this process has one thread, unless no selected test needs it."""
    selected = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    if all(any(path.is_relative_to(TESTS / name) for name in WITHOUT_BED) for path in selected):
        config.stash[WHY_NO_BED] = "These tests were started without a cluster."
    else:
        config.stash[WHY_NO_BED] = enter_network()


@pytest.fixture(scope="session")
def shared_bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """The cluster, started once, for fixtures that outlive a test. Tests use `bed`."""
    if reason := request.config.stash[WHY_NO_BED]:
        pytest.skip(reason)
    from tests.cluster.bed.bed import Bed

    bed = Bed()
    yield bed
    bed.stop()


@pytest.fixture
def bed(shared_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Bed:
    """The cluster (`bed.py`), which takes about 4 s to start.

    During the test, this process finds the bed's Cloud Storage by STORAGE_EMULATOR_HOST, as the Pods do.
    """
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", shared_bed.storage.url)
    return shared_bed


@pytest.fixture
def namespace(bed: Bed) -> Iterator[str]:
    """The name of the test's own empty namespace, and perhaps of its bucket."""
    with bed.namespace() as name:
        yield name


@pytest.fixture
def proxy(bed: Bed) -> Iterator[FaultProxy]:
    """A proxy before the API server."""
    with bed.proxy() as proxy:
        yield proxy
