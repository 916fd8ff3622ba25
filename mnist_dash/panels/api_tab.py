"""Below: how to call the gateway from outside the page, and a test of where it leads."""

from __future__ import annotations

from typing import Final

import streamlit as st

from mnist_dash.domain import MODEL_NAME, Role, Route
from mnist_dash.errors import MnistDashError
from mnist_dash.panels import snippets
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import plain, show_problem
from mnist_dash.service import Dashboard

ROUTES: Final = {
    Route.SPLIT: "As the strategy says",
    Route.CURRENT: "Always Current",
    Route.NEW: "Always New",
}
SEVEN, DRAWING = "A seven", "The drawing on the canvas"
REFRESH_SECONDS: Final = 1.0
BY_ANSWER: Final = """Twenty calls, counted by their answers, because an ingress controller does not name the
model. **Always Current** and **Always {new}** show which answer is whose."""


def show(dash: Dashboard) -> None:
    """Show curl and Python calls ready to paste, for each digit and route, and the test of the route."""
    new = dash.snapshot().role_title(Role.NEW)
    with st.container(horizontal=True, gap="large"):
        route = st.radio(
            "Who is to answer",
            list(ROUTES),
            format_func=lambda route: ROUTES[route].replace(Role.NEW.label, new),
            key="call-route",
            horizontal=True,
        )
        digit = st.radio("What to send", [SEVEN, DRAWING], key="call-digit", horizontal=True)
    # The drawing changes without a run of the whole page.
    every = REFRESH_SECONDS if digit == DRAWING else None
    st.fragment(_show_calls, run_every=every)(dash, route, digit)
    _test_route(dash)


def _show_calls(dash: Dashboard, route: Route, digit: str) -> None:
    """Show the calls; with the drawing they follow it."""
    picture = session().picture if digit == DRAWING else None
    what = "a seven" if picture is None else "the drawing"
    if digit == DRAWING and picture is None:
        what = "a seven, because the canvas is empty,"
    body = snippets.body_for(dash.snapshot(), route, picture)
    left, right = st.columns(2)
    with left:
        st.markdown(f"**curl** asks about {what} and shows the whole answer.")
        st.code(snippets.curl(dash.gateway, route, body), language="bash", wrap_lines=True)
        by_answer = BY_ANSWER.format(new=dash.snapshot().role_title(Role.NEW))
        st.markdown(by_answer if dash.in_cluster else "Twenty calls, counted by who answered.")
        counted = snippets.counted(dash.gateway, route, by_answer=dash.in_cluster)
        st.code(counted, language="bash", wrap_lines=True)
    with right:
        st.markdown("**Python** with the standard library alone, or any TensorFlow Serving client.")
        st.code(snippets.python(dash.gateway, route, body), language="python", wrap_lines=True)
        metadata = f"{dash.gateway.url}/v1/models/{MODEL_NAME}/metadata"
        st.caption(f"The numbers are nested as in the model's signature: see `{metadata}`.")


@st.fragment
def _test_route(dash: Dashboard) -> None:
    """Send probes on a click; the findings stay until the next click."""
    st.markdown("Send about a hundred requests, with and without the header, to see who answers.")
    if st.button("Test the route", key="test-route", icon=":material/route:"):
        session().findings = ()
        try:
            with st.spinner("Asking the models"):
                session().findings = dash.test_route()
        except MnistDashError as error:
            show_problem(error)
    for finding in session().findings:
        icon = ":green[:material/check_circle:]" if finding.passed else ":red[:material/error:]"
        verdict = "Right" if finding.passed else "Wrong"  # for those who do not see the icon's colour
        text = f"{icon} **{verdict}.** {plain(finding.message)}  \n{plain(finding.next_step)}"
        st.markdown(text.rstrip())
