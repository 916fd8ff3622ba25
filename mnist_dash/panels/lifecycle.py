"""The one dashboard that all browsers share, and how it starts and ends with the server."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st

from mnist_dash.dataset import load_digits
from mnist_dash.errors import MnistDashError, SettingsError
from mnist_dash.panels.theme import show_problem
from mnist_dash.service import Dashboard, open_dashboard
from mnist_dash.settings import Settings

RETRY_SECONDS = 3.0
LOADED_BY_THE_FIRST_PAGE = ("pandas", "plotly.io", "plotly.tools")
log = logging.getLogger("mnist_dash")


@st.cache_resource(show_spinner=False)  # opened before there is a page that could show one
def dashboard() -> Dashboard:
    """The dashboard, opened once for the server; after a SettingsError or EngineError it is tried anew."""
    return open_dashboard(Settings.from_env())


def start() -> None:
    """Open the dashboard before the first visitor comes; a wrong setting ends the program in one line.

    An engine that cannot start is told here and on the page, which goes on trying.
    """
    try:
        dashboard()
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except MnistDashError as error:
        log.error("%s", error)
    _warm_up()


def _warm_up() -> None:
    """Load what the first page would, and take it out of the garbage collector's sight.

    Streamlit collects all garbage after every run, however small, and would look through all modules again.
    """
    for module in LOADED_BY_THE_FIRST_PAGE:
        importlib.import_module(module)
    load_digits()
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Close the dashboard when the server ends."""
    try:
        yield {}
    finally:
        _close()


def _close() -> None:
    try:
        dashboard().close()
    except MnistDashError:
        log.debug("there was no engine to stop")


def tell_unforeseen(_: Exception) -> bool:
    """Say in words that something unforeseen happened; Streamlit writes the traceback to the terminal."""
    st.error(
        "Reload the page to go on. What happened is in the terminal in which the dashboard was started.",
        title="This part of the page failed",
        icon=":material/error:",
    )
    return True


def dashboard_or_stop() -> Dashboard:
    """The dashboard; where it cannot be had, the page says why, and ends here until it can."""
    try:
        return dashboard()
    except MnistDashError as error:
        show_problem(error)
        if not isinstance(error, SettingsError):
            _try_again()
        st.stop()


def for_visitor(dash: Dashboard, *, take_over: bool = False) -> Dashboard:
    """The dashboard for changes on behalf of this visitor, who is known by name only where people sign in."""
    return dash.on_behalf_of(_signed_in(), take_over=take_over)


def _signed_in() -> str:
    claims = st.user if st.user.get("is_logged_in") else {}
    return str(claims.get("email") or claims.get("name") or "")


@st.fragment(run_every=RETRY_SECONDS)
def _try_again() -> None:
    st.caption(f"The page tries again every {RETRY_SECONDS:g} seconds.")
    try:
        dashboard()
    except MnistDashError:
        return
    st.rerun()
