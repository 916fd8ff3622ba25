"""Open the one dashboard that all browsers share, and close it with the server."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import streamlit as st
from streamlit.config import is_manually_set

from mnist_dash import open_dashboard
from mnist_dash.dataset import load_digits
from mnist_dash.errors import MnistDashError, SettingsError
from mnist_dash.panels.theme import show_problem
from mnist_dash.service import Dashboard
from mnist_dash.settings import Settings

RETRY_SECONDS = 3.0
PRELOADED = ("pandas", "plotly.io", "plotly.tools")
"""Modules that the first page imports late."""
log = logging.getLogger("mnist_dash")


@st.cache_resource(show_spinner=False)  # opened before there is a page that could show one
def dashboard() -> Dashboard:
    """Return the server's one dashboard; after a SettingsError or EngineError the next call tries again."""
    return open_dashboard(Settings.from_env())


def listen_on_localhost() -> None:
    """Start the program again with the address localhost, unless the user has set `server.address`.

    Whoever reaches the page can deploy, and without .streamlit/config.toml Streamlit listens everywhere.
    It binds its socket before it imports app.py, so that changing its option here would be too late.
    """
    if "run" in sys.orig_argv and not is_manually_set("server.address"):
        end = sys.orig_argv.index("run") + 1
        os.closerange(3, 1024)  # its socket, which a new program would inherit
        flags = ["--server.address", "localhost"]
        os.execv(sys.executable, [*sys.orig_argv[:end], *flags, *sys.orig_argv[end:]])


def start() -> None:
    """Open the dashboard before the first visitor comes; a wrong setting ends the program in one line.

    An engine that cannot start is reported here and on the page, which keeps trying.
    """
    try:
        dashboard()
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except MnistDashError as error:
        log.error("%s", error)
    for module in PRELOADED:
        importlib.import_module(module)
    load_digits()
    gc.collect()
    gc.freeze()  # Streamlit collects all garbage after every run, and would visit every module each time


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Close the dashboard when the server ends."""
    try:
        yield {}
    finally:
        with suppress(MnistDashError):  # there was no engine to start
            dashboard().close()


def show_unexpected_error(_: Exception) -> bool:
    """Show that a part of the page failed; Streamlit writes the traceback to the terminal."""
    st.error(
        "Reload the page. The traceback is in the terminal that runs the dashboard.",
        title="This part of the page failed",
        icon=":material/error:",
    )
    return True


def dashboard_or_stop() -> Dashboard:
    """Return the dashboard; where it cannot be opened, show the reason and end the page until it can."""
    try:
        return dashboard()
    except MnistDashError as error:
        show_problem(error)
        if not isinstance(error, SettingsError):
            _retry()
        st.stop()


@st.fragment(run_every=RETRY_SECONDS)
def _retry() -> None:
    st.caption(f"The page tries again every {RETRY_SECONDS:g} seconds.")
    with suppress(MnistDashError):
        dashboard()
        st.rerun()
