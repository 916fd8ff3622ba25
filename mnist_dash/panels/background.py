"""Calls that may take long, made in threads of the dashboard: the page waits for them for a moment only."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Any, Final

import streamlit as st

AT_ONCE_SECONDS: Final = 0.2
"""How long the script waits for a result. A call that takes longer is shown as running."""
POLL_SECONDS: Final = 0.25


def is_done(result: Future[Any], seconds: float = 0.0) -> bool:
    """Whether a call has ended, or does so within this time."""
    return not wait([result], seconds).not_done


@st.fragment(run_every=POLL_SECONDS)
def rerun_once_done(result: Future[Any]) -> None:
    """Run the page again as soon as a call has ended; draws nothing itself."""
    if result.done():
        st.rerun()
