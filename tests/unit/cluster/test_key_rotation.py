"""The key file for the bucket, which may change while the dashboard runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_dash.cluster.manifests import key_hash
from mnist_dash.cluster.operations import KeyFile
from mnist_dash.errors import EngineError
from tests.gcs import write_key

OTHERS = frozenset({"0" * 64})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fit key file."""
    return write_key(tmp_path / "key.json")


def test_no_key_file_is_no_problem() -> None:
    """The Pods then have Workload Identity, or the bucket is public."""
    key = KeyFile(None)
    assert (key.read(), key.problem, key.replacement(OTHERS)) == (None, "", None)


def test_a_bad_key_file_is_reported_and_refused(path: Path) -> None:
    """With the path, and never with its content."""
    path.write_text("{")
    key = KeyFile(path)
    assert str(path) in key.problem
    assert key.replacement(OTHERS) is None
    with pytest.raises(EngineError, match="JSON"):
        key.read()


def test_a_key_that_the_pods_have_is_not_given_again(path: Path) -> None:
    """Nothing rolls at a start."""
    assert KeyFile(path).replacement(frozenset({key_hash(path.read_bytes())})) is None


def test_a_key_that_changed_while_no_dashboard_ran_is_given(path: Path) -> None:
    """And one that changes while it runs."""
    key = KeyFile(path)
    assert key.replacement(OTHERS) == path.read_bytes()
    key.deployed = path.read_bytes()
    assert key.replacement(OTHERS) is None
    write_key(path, client_email="other@my-project.iam.gserviceaccount.com")
    assert key.replacement(OTHERS) == path.read_bytes()


def test_pods_without_a_key_are_not_given_one(path: Path) -> None:
    """Not before the next deployment."""
    assert KeyFile(path).replacement(frozenset()) is None
