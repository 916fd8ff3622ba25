"""Calls from outside the page, ready to paste: curl and Python."""

from __future__ import annotations

import base64
import shlex
import zlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from mnist_dash.domain import FIELD, MODEL_NAME, SERVED_BY_HEADER, Gateway, Image, Role, Route, Snapshot
from mnist_dash.signature import shape_for

SEVEN: Final = "float(5 < r < 24 and 5 < c < 22 and (r < 9 or abs(c + r / 2 - 23) < 2))"
"""One pixel of a seven in row r and column c, as Python: a bar, and a slanted stroke."""
INK: Final = "ink[28 * r + c] / 255"
"""One pixel of a drawing, likewise."""
USUAL_SHAPE: Final = (28, 28, 1)
NESTED: Final = {
    USUAL_SHAPE: "[[[{pixel}] for c in range(28)] for r in range(28)]",
    (28, 28): "[[{pixel} for c in range(28)] for r in range(28)]",
    (1, 28, 28): "[[[{pixel} for c in range(28)] for r in range(28)]]",
    (784,): "[{pixel} for r in range(28) for c in range(28)]",
    (784, 1): "[[{pixel}] for r in range(28) for c in range(28)]",
    (1, 784): "[[{pixel} for r in range(28) for c in range(28)]]",
}
"""All pixels in one line, by the shape that a model takes."""
PATH: Final = f"/v1/models/{MODEL_NAME}:predict"
BODY_FILE: Final = "digit.json"


@dataclass(frozen=True)
class Body:
    """The body of a request, as Python; 784 numbers would be unreadable."""

    modules: tuple[str, ...]
    """What it imports besides `json`."""
    ink: str
    """A statement for `ink`, the pixels of a drawing; empty for the seven."""
    document: str
    """The expression of the body."""


def body_for(snapshot: Snapshot, route: Route, picture: Image | None = None) -> Body:
    """Return the body with a picture, or a seven for None, as the model on the route takes it.

    On the split it is for Current.
    """
    model = snapshot.of(Role.NEW if route is Route.NEW else Role.CURRENT)
    shape = USUAL_SHAPE
    if model and model.input_shape:
        shape = shape_for(np.zeros((1, FIELD, FIELD), np.float32), model.input_shape).shape[1:]
    digit = NESTED[shape].format(pixel=SEVEN if picture is None else INK)
    signature = f'"signature_name": "{model.signature}", ' if model and model.signature else ""
    document = f'{{{signature}"instances": [{digit}]}}'
    return Body((), "", document) if picture is None else Body(("base64", "zlib"), _ink(picture), document)


def _ink(picture: Image) -> str:
    packed = zlib.compress((picture * 255).round().astype(np.uint8).tobytes(), 9)
    return f'ink = zlib.decompress(base64.b64decode("{base64.b64encode(packed).decode()}"))'


def curl(gateway: Gateway, route: Route, body: Body) -> str:
    """Return two lines that write a body and get a prediction."""
    modules = ", ".join(sorted(("json", *body.modules)))
    program = f"import {modules}; {body.ink}{'; ' if body.ink else ''}print(json.dumps({body.document}))"
    return f"python3 -c {shlex.quote(program)} > {BODY_FILE}\ncurl -si {_curl_arguments(gateway, route)}"


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
    return shlex.join([*arguments, "-d", f"@{BODY_FILE}"])


def python(gateway: Gateway, route: Route, body: Body) -> str:
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
    modules = ["http.client", "json", *body.modules, *["socket"] * bool(connect), *["ssl"] * secure]
    ink = f"{body.ink}  # 28x28 bytes\n" if body.ink else ""
    return f"""\
import {", ".join(sorted(modules))}

{ink}body = {body.document}
gateway = http.client.{"HTTPS" if secure else "HTTP"}Connection({url.netloc!r}, timeout=10{extra}){connect}
gateway.request("POST", {PATH!r}, json.dumps(body), {headers!r})
response = gateway.getresponse()
print(response.headers[{SERVED_BY_HEADER!r}])
print(json.load(response)["predictions"][0])"""
