"""The thin service between page and engine: what it refuses, and what it waits for."""

from __future__ import annotations

import pytest

from mnist_dash.config import EngineKind, Settings
from mnist_dash.domain import Release, Role, State
from mnist_dash.errors import EngineError, SettingsError
from mnist_dash.service import open_dashboard
from tests.fakes import FakeEngine, dashboard, deployment, snapshot


def test_an_engine_that_is_not_there_is_refused_with_what_to_do() -> None:
    """In this version there is one."""
    with pytest.raises(SettingsError, match="use --engine local"):
        open_dashboard(Settings(engine=EngineKind.KUBERNETES))


def test_waiting_ends_at_once_with_the_cause_of_a_failure() -> None:
    """Nobody waits a minute for what has failed already."""
    engine = FakeEngine()
    engine.now = snapshot(
        new=deployment(Role.NEW, state=State.FAILED, cause="No file.", next_step="Mend it.")
    )
    with pytest.raises(EngineError, match=r"New failed\. No file\. Mend it\."):
        dashboard(engine)[0].wait_settled()


def test_waiting_in_vain_says_what_was_waited_for() -> None:
    """The roles' causes, and what keeps the split."""
    engine = FakeEngine()
    starting = deployment(Role.NEW, ready=0, state=State.STARTING, cause="Loading the model.")
    engine.now = snapshot(new=starting, split_observed=0, waiting_for="New is not ready.")
    with pytest.raises(EngineError, match=r"0 s\. New: Loading the model\. New is not ready\."):
        dashboard(engine)[0].wait_settled(timeout=0)


def test_waiting_returns_the_settled_snapshot() -> None:
    """What was seen then, not what is a moment later."""
    assert dashboard(FakeEngine())[0].wait_settled() == snapshot()


def test_only_the_expected_release_is_promoted() -> None:
    """Somebody else may have promoted since the question was asked."""
    engine = FakeEngine()
    with pytest.raises(EngineError, match="swapped meanwhile"):
        dashboard(engine)[0].promote(Release.BLUE)
    assert engine.calls == []
    dashboard(engine)[0].promote(Release.GREEN)
    assert engine.calls == [("promote",)]
