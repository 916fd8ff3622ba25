"""What others say in a form of their own, put in plain words: the scheduler, quotas, probes."""

from __future__ import annotations

import re

_TAINT = r"\1 with a taint that the Pod does not tolerate"
_LACKS = (
    (r"(\d+) Insufficient (\S+)", r"\1 without enough free \2"),
    (r"(\d+) Too many pods", r"\1 with too many Pods"),
    (r"(\d+) node\(s\) had untolerated taint(?:\(s\))?(?: (\{.*\}))?", rf"{_TAINT} \2"),
    (r"(\d+) node\(s\) had taints? (?:\{.*\}, )?that the pod didn't tolerate", _TAINT),
    (r"(\d+) node\(s\) didn't match Pod's node affinity/selector", r"\1 that its node selector leaves out"),
    (r"(\d+) node\(s\) were unschedulable", r"\1 closed to new Pods (cordoned)"),
    (r"(\d+) node\(s\) (.*)", r"\1 that \2"),
)
"""What the scheduler says of some of the nodes, and the same for everybody."""


def lacking(said: str) -> str:
    """What the scheduler found wanting, from `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) ...`."""
    found = re.search(r"^\d+/(\d+) nodes are available: (.*?)(?:\. (?:preemption|no new claims)\b.*)?$", said)
    if not found:
        return f"No node can take the Pod: {said}."
    lacks = ", ".join(_lack(part) for part in re.split(r", (?=\d+ )", found[2].rstrip(".")))
    nodes = "the only node" if found[1] == "1" else f"{found[1]} nodes"
    return f"No node can take the Pod; of {nodes}: {lacks}."


def _lack(part: str) -> str:
    for pattern, plain in _LACKS:
        if found := re.fullmatch(pattern, part):
            return found.expand(plain).strip()
    return part


def probe(said: str) -> str:
    """A failing probe, from `Readiness probe failed: HTTP probe failed with statuscode: 404`."""
    kind, _, why = said.partition(" probe ")
    if status := re.search(r"statuscode: (\d+)", why):
        why = f"HTTP {status[1]}"
    elif "connection refused" in why:
        why = "nothing listens on its port"
    elif "context deadline exceeded" in why or "Client.Timeout" in why:
        why = "no answer in time"
    else:
        why = why.removeprefix("failed: ")
    return f"The model is not served yet: the {kind.lower()} probe fails ({why})."


def room(said: str) -> str:
    """What a quota says, from `compute, requested: cpu=1, used: cpu=2, limited: cpu=2`."""
    found = re.match(r"(\S+), requested: (.*), used: (.*), limited: (.*)", said)
    if not found:
        return f"The namespace's quota forbids another Pod: {said}."
    name, asked, used, limit = found.groups()
    return (
        f"The namespace's quota {name} has no room for another Pod: "
        f"it needs {asked}, in use is {used} of {limit}."
    )
