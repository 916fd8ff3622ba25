"""How the page starts and ends: wrong settings, an engine that cannot start, notices, the server's end."""

from __future__ import annotations

import asyncio

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mnist_dash.errors import EngineError, SettingsError
from mnist_dash.panels import lifecycle
from mnist_dash.service import Dashboard
from mnist_dash.settings import Settings
from tests import fakes
from tests.fakes import FakeEngine, snapshot
from tests.page.conftest import APP, Page

WRONG_PORT = SettingsError("--gateway-port: 'x' is not a port number from 0 to 65535.")
NO_GATEWAY = EngineError("The gateway did not start.", "Is another program using its port?")


def script_open(monkeypatch: pytest.MonkeyPatch, outcome: Exception | Dashboard) -> None:
    """Have the next `open_dashboard` return the dashboard, or raise the error."""

    def open_dashboard(_: Settings) -> Dashboard:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(Settings, "from_env", Settings)
    monkeypatch.setattr(lifecycle, "open_dashboard", open_dashboard)


def test_a_wrong_setting_is_shown_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of the controls."""
    script_open(monkeypatch, WRONG_PORT)
    page = Page()
    assert str(WRONG_PORT) in page.text
    assert not page.has("predict")


def test_a_wrong_setting_ends_the_program_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the terminal, before anything starts."""
    script_open(monkeypatch, WRONG_PORT)
    with pytest.raises(SystemExit) as ended:
        lifecycle.start()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{WRONG_PORT}\n"


def test_an_engine_that_cannot_start_does_not_end_the_program(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may start later; the terminal shows the reason."""
    script_open(monkeypatch, NO_GATEWAY)
    lifecycle.start()
    assert str(NO_GATEWAY) in caplog.text


def test_the_page_tries_to_open_the_dashboard_until_it_can(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    """It shows the reason, and then works without a reload."""
    script_open(monkeypatch, NO_GATEWAY)
    page = Page()
    assert str(NO_GATEWAY) in page.text
    assert "tries again" in page.text
    script_open(monkeypatch, fakes.dashboard(engine)[0])
    assert page.run().has("predict")


def test_the_dashboard_is_closed_when_the_server_ends(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    """No process outlives the server."""
    script_open(monkeypatch, fakes.dashboard(engine)[0])
    lifecycle.start()

    async def serve() -> None:
        async with lifecycle.lifespan(st.App(APP)):
            assert not engine.closed

    asyncio.run(serve())
    assert engine.closed


def test_notices_of_the_start_are_shown(page: Page, engine: FakeEngine) -> None:
    """Another port than the usual one must be known."""
    engine.observed = snapshot(notices=("Port 8080 is taken: the gateway uses 8081.",))
    assert "Port 8080 is taken: the gateway uses 8081." in page.run().text


def test_an_unexpected_error_is_shown_without_a_traceback() -> None:
    """The page says what to do; the traceback is in the terminal."""

    def page() -> None:
        from mnist_dash.panels import lifecycle

        assert lifecycle.show_unexpected_error(RuntimeError("secret"))

    at = AppTest.from_function(page).run()
    assert not at.exception
    assert "Reload the page" in at.error[0].value
    assert "secret" not in at.error[0].value
