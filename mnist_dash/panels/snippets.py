"""Calls from outside the page, ready to paste: curl and Python."""

from __future__ import annotations

import shlex
from typing import Final
from urllib.parse import urlsplit

from mnist_dash.domain import MODEL_NAME, SERVED_BY_HEADER, Gateway, Role, Route, Snapshot

PIXEL: Final = "float(5 < r < 24 and 5 < c < 22 and (r < 9 or abs(c + r / 2 - 23) < 2))"
"""One pixel of a seven in row r and column c, as Python: a bar, and a slanted stroke."""
SEVENS: Final = {
    (28, 28, 1): f"[[[{PIXEL}] for c in range(28)] for r in range(28)]",
    (28, 28): f"[[{PIXEL} for c in range(28)] for r in range(28)]",
    (784,): f"[{PIXEL} for r in range(28) for c in range(28)]",
}
"""The seven in one line, by the shape that a model takes."""
PATH: Final = f"/v1/models/{MODEL_NAME}:predict"
SEVEN_FILE: Final = "seven.json"


def seven_for(snapshot: Snapshot, route: Route) -> str:
    """Return a seven as Python, nested as the model on the route takes it (on the split, as Current does)."""
    model = snapshot.of(Role.NEW if route is Route.NEW else Role.CURRENT)
    shape = model.input_shape[1:] if model else ()
    return SEVENS.get(shape, SEVENS[28, 28, 1])


def curl(gateway: Gateway, route: Route, seven: str) -> str:
    """Return two lines that get a prediction; Python writes the body, since 784 numbers are unreadable."""
    program = f'import json; print(json.dumps({{"instances": [{seven}]}}))'
    return f"python3 -c {shlex.quote(program)} > {SEVEN_FILE}\ncurl -si {_curl_arguments(gateway, route)}"


def counted(gateway: Gateway, route: Route, *, by_answer: bool) -> str:
    """Return twenty calls, counted by the server, or by the answer where no header names the server."""
    arguments = _curl_arguments(gateway, route)
    if by_answer:
        # The first 80 characters of an answer tell the models apart.
        call = f"echo $(curl -s {arguments} | tr -d ' \\n' | cut -c -80)"
        return f"for i in $(seq 20); do {call}; done |\n  sort | uniq -c"
    call = f"curl -so /dev/null -D - {arguments}"
    return f"for i in $(seq 20); do {call}; done |\n  grep -i {SERVED_BY_HEADER.lower()} | sort | uniq -c"


def _curl_arguments(gateway: Gateway, route: Route) -> str:
    arguments = [f"{gateway.url}{PATH}"]
    if gateway.address:
        arguments += ["--connect-to", f"::{gateway.address}"]
    if gateway.ca_file:
        arguments += ["--cacert", gateway.ca_file]
    for name, value in route.headers.items():
        arguments += ["-H", f"{name}: {value}"]
    return shlex.join([*arguments, "-d", f"@{SEVEN_FILE}"])


def python(gateway: Gateway, route: Route, seven: str) -> str:
    """Return a script that gets a prediction with the standard library alone, wherever the host resolves."""
    url = urlsplit(gateway.url)
    secure = url.scheme == "https"
    context = f"ssl.create_default_context(cafile={gateway.ca_file or None!r})"
    extra, connect = (f", context={context}", "") if secure else ("", "")
    if gateway.address:
        address = urlsplit(f"//{gateway.address}")
        sock = f"socket.create_connection({(address.hostname, address.port)!r}, timeout=10)"
        if secure:
            sock = f"{context}.wrap_socket({sock}, server_hostname={url.hostname!r})"
        connect = f"\ngateway.sock = {sock}  # connected already; the host above is only sent as the header"
    headers = {"Content-Type": "application/json", **route.headers}
    return f"""\
import http.client, json{", socket" if connect else ""}{", ssl" if secure else ""}

seven = {seven}
gateway = http.client.{"HTTPS" if secure else "HTTP"}Connection({url.netloc!r}, timeout=10{extra}){connect}
gateway.request("POST", {PATH!r}, json.dumps({{"instances": [seven]}}), {headers!r})
response = gateway.getresponse()
print(response.headers[{SERVED_BY_HEADER!r}])
print(json.load(response)["predictions"][0])"""
