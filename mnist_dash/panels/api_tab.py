"""Below: how to call the gateway from outside the page, and whether it leads where it should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from mnist_dash.domain import MODEL_NAME, Finding, Route
from mnist_dash.errors import MnistDashError
from mnist_dash.panels import snippets
from mnist_dash.panels.session import session
from mnist_dash.panels.theme import plain, show_problem
from mnist_dash.service import Dashboard

ROUTES: Final = tuple(Route)
BY_WHO: Final = "Twenty calls, counted by who answered."
BY_ANSWER: Final = (
    "Twenty calls, counted by their answers, since an ingress controller does not say who gave them. "
    "**Always Current** and **Always New** show whose is which."
)


def show(dash: Dashboard) -> None:
    """Show curl and Python calls that run as they are, for each route, and the test of the route."""
    route = st.radio(
        "Who is to answer",
        ROUTES,
        format_func={
            Route.SPLIT: "As the strategy says",
            Route.CURRENT: "Always Current",
            Route.NEW: "Always New",
        }.__getitem__,
        key="call-route",
        horizontal=True,
    )
    seven = snippets.seven_for(dash.snapshot(), route)
    left, right = st.columns(2)
    with left:
        _curl(dash, route, seven)
    with right:
        st.markdown("**Python** without further packages, or any TensorFlow Serving client.")
        st.code(snippets.python(dash.gateway, route, seven), language="python", wrap_lines=True)
        metadata = f"{dash.gateway.url}/v1/models/{MODEL_NAME}/metadata"
        st.caption(f"The numbers are nested as the deployed model takes them, which `{metadata}` tells.")
    _test(dash)


def _curl(dash: Dashboard, route: Route, seven: str) -> None:
    st.markdown("**curl** asks about a seven and shows the whole answer.")
    st.code(snippets.curl(dash.gateway, route, seven), language="bash", wrap_lines=True)
    st.markdown(BY_ANSWER if dash.in_cluster else BY_WHO)
    counted = snippets.counted(dash.gateway, route, by_answer=dash.in_cluster)
    st.code(counted, language="bash", wrap_lines=True)


@st.fragment
def _test(dash: Dashboard) -> None:
    """Send probes when asked to; what was found stays until the next time."""
    st.markdown(
        "**Test the route**: about a hundred requests, with and without the header, show who answers."
    )
    pressed = st.button("Test the route", key="test-route", icon=":material/route:")
    if pressed:
        session().findings = ()
        try:
            with st.spinner("Asking the models"):
                session().findings = dash.test_route()
        except MnistDashError as error:
            show_problem(error)
    _findings(session().findings)


def _findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        icon = ":green[:material/check_circle:]" if finding.passed else ":red[:material/error:]"
        said = "Right" if finding.passed else "Wrong"  # for those who do not see the icon's colour
        st.markdown(f"{icon} **{said}.** {plain(finding.message)}  \n{plain(finding.next_step)}".rstrip())
