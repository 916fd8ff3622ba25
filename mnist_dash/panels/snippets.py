"""Calls from outside the page, as text to be pasted: curl and Python, which run as they stand."""

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
PATH: Final = f"/v1/models/{MODEL_NAME}"
SEVEN_FILE: Final = "seven.json"
SHOWN: Final = 80
"""How many characters of an answer tell the models apart."""


def seven_for(snapshot: Snapshot, route: Route) -> str:
    """A seven as Python, nested as the model on the route takes it (on the split, as Current does)."""
    model = snapshot.of(Role.NEW if route is Route.NEW else Role.CURRENT)
    shape = model.input_shape[1:] if model else ()
    return SEVENS.get(shape, SEVENS[28, 28, 1])


def curl(gateway: Gateway, route: Route, seven: str) -> str:
    """Two lines that get a prediction; the body is made by Python, since 784 numbers are no reading."""
    program = f'import json; print(json.dumps({{"instances": [{seven}]}}))'
    return f"python3 -c {shlex.quote(program)} > {SEVEN_FILE}\ncurl -si {_call(gateway, route)}"


def counted(gateway: Gateway, route: Route, *, by_answer: bool) -> str:
    """Twenty calls, counted by who answered, or by the beginning of the answer where nobody says who did."""
    if by_answer:
        call = f"echo $(curl -s {_call(gateway, route)} | tr -d ' \\n' | cut -c -{SHOWN})"
        return f"for i in $(seq 20); do {call}; done |\n  sort | uniq -c"
    call = f"curl -so /dev/null -D - {_call(gateway, route)}"
    return f"for i in $(seq 20); do {call}; done |\n  grep -i {SERVED_BY_HEADER.lower()} | sort | uniq -c"


def python(gateway: Gateway, route: Route, seven: str) -> str:
    """A script that gets a prediction with the standard library alone."""
    return _python_to_address(gateway, route, seven) if gateway.address else _python(gateway, route, seven)


def _python(gateway: Gateway, route: Route, seven: str) -> str:
    trusting = _trusting(gateway)
    return f"""\
import json, {"ssl, " if trusting else ""}urllib.request

seven = {seven}
request = urllib.request.Request(
    {f"{gateway.url}{PATH}:predict"!r},
    data=json.dumps({{"instances": [seven]}}).encode(),
    headers={ {"Content-Type": "application/json", **route.headers}!r},
)
with urllib.request.urlopen(request, timeout=10{f", context={trusting}" if trusting else ""}) as answer:
{_printing("    ", says_who=True)}"""


def _python_to_address(gateway: Gateway, route: Route, seven: str) -> str:
    """Connects by itself, since the library connects to the host that it names."""
    there, host = urlsplit(f"//{gateway.address}"), urlsplit(gateway.url)
    trusting = _trusting(gateway) or "ssl.create_default_context()"
    secured = f"\nthere = {trusting}.wrap_socket(there, server_hostname={host.hostname!r})"
    secure = host.scheme == "https"
    return f"""\
import http.client, json, socket{", ssl" if secure else ""}

seven = {seven}
there = socket.create_connection({(there.hostname, there.port)!r}, timeout=10){secured if secure else ""}
gateway = http.client.HTTPConnection({host.netloc!r})
gateway.sock = there  # it is connected already, and says its own host
gateway.request(
    "POST",
    {f"{PATH}:predict"!r},
    json.dumps({{"instances": [seven]}}),
    { {"Content-Type": "application/json", **route.headers}!r},
)
answer = gateway.getresponse()
{_printing("", says_who=False)}"""


def _trusting(gateway: Gateway) -> str:
    return f"ssl.create_default_context(cafile={gateway.ca_file!r})" if gateway.ca_file else ""


def _printing(indent: str, *, says_who: bool) -> str:
    who = f"{indent}print(answer.headers[{SERVED_BY_HEADER!r}])\n" if says_who else ""
    return f'{who}{indent}print(json.load(answer)["predictions"][0])'


def _call(gateway: Gateway, route: Route) -> str:
    """The address and options of a call, for the shell."""
    options = [f"{gateway.url}{PATH}:predict"]
    if gateway.address:
        options += ["--connect-to", f"::{gateway.address}"]
    if gateway.ca_file:
        options += ["--cacert", gateway.ca_file]
    for name, value in route.headers.items():
        options += ["-H", f"{name}: {value}"]
    return shlex.join([*options, "-d", f"@{SEVEN_FILE}"])
