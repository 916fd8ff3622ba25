"""Below: how to call the gateway from outside the page."""

from __future__ import annotations

import shlex
from typing import Final

import streamlit as st

from mnist_dash.domain import MODEL_NAME, SERVED_BY_HEADER, Role, Route, Snapshot
from mnist_dash.service import Dashboard

PIXEL: Final = "float(5 < r < 24 and 5 < c < 22 and (r < 9 or abs(c + r / 2 - 23) < 2))"
"""One pixel of a seven in row r and column c, as Python: a bar, and a slanted stroke."""
SEVENS: Final = {
    (28, 28, 1): f"[[[{PIXEL}] for c in range(28)] for r in range(28)]",
    (28, 28): f"[[{PIXEL} for c in range(28)] for r in range(28)]",
    (784,): f"[{PIXEL} for r in range(28) for c in range(28)]",
}
"""The seven in one line, by the shape that a model takes."""
ROUTES: Final = tuple(Route)


def show(dash: Dashboard) -> None:
    """Show curl and Python calls that run as they are, for each route."""
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
    headers = headers_for(dash, route)
    seven = seven_for(dash.snapshot(), route)
    left, right = st.columns(2)
    with left:
        st.markdown("**curl** asks about a seven and shows who answered.")
        st.code(curl(dash.gateway_url, headers, seven), language="bash", wrap_lines=True)
        st.markdown("Twenty calls, counted by who answered.")
        st.code(counted(dash.gateway_url, headers), language="bash", wrap_lines=True)
    with right:
        st.markdown("**Python** without further packages, or any TensorFlow Serving client.")
        st.code(python(dash.gateway_url, headers, seven), language="python", wrap_lines=True)
        metadata = f"{dash.gateway_url}/v1/models/{MODEL_NAME}/metadata"
        st.caption(f"The numbers are nested as the deployed model takes them, which `{metadata}` tells.")


def headers_for(dash: Dashboard, route: Route) -> dict[str, str]:
    """What a client must send to reach the gateway, and to force the route."""
    return {**dash.gateway_headers, **route.headers}


def seven_for(snapshot: Snapshot, route: Route) -> str:
    """A seven as Python, nested as the model on the route takes it (on the split, as Current does)."""
    model = snapshot.of(Role.NEW if route is Route.NEW else Role.CURRENT)
    shape = model.input_shape[1:] if model else ()
    return SEVENS.get(shape, SEVENS[28, 28, 1])


def curl(url: str, headers: dict[str, str], seven: str) -> str:
    """One command that gets a prediction; the body is made by Python, since 784 numbers are no reading."""
    return "\n".join([_body(seven), f"curl -si {_address(url)} {_options(headers)}-d @seven.json"])


def counted(url: str, headers: dict[str, str]) -> str:
    """Twenty calls and who answered each."""
    call = f"curl -so /dev/null -D - {_address(url)} {_options(headers)}-d @seven.json"
    return f"for i in $(seq 20); do {call}; done |\n  grep -i {SERVED_BY_HEADER.lower()} | sort | uniq -c"


def python(url: str, headers: dict[str, str], seven: str) -> str:
    """A script that gets a prediction with the standard library alone."""
    return f"""\
import json, urllib.request

seven = {seven}
request = urllib.request.Request(
    {_address(url)!r},
    data=json.dumps({{"instances": [seven]}}).encode(),
    headers={ {"Content-Type": "application/json", **headers}!r},
)
with urllib.request.urlopen(request, timeout=10) as answer:
    print(answer.headers[{SERVED_BY_HEADER!r}])
    print(json.load(answer)["predictions"][0])"""


def _body(seven: str) -> str:
    program = f'import json; print(json.dumps({{"instances": [{seven}]}}))'
    return f"python3 -c {shlex.quote(program)} > seven.json"


def _address(url: str) -> str:
    return f"{url}/v1/models/{MODEL_NAME}:predict"


def _options(headers: dict[str, str]) -> str:
    return "".join(f"-H {shlex.quote(f'{name}: {value}')} " for name, value in headers.items())
