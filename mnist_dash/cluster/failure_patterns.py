"""Messages of Kubernetes and TensorFlow Serving, and the failures that they indicate."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from enum import Flag, auto
from functools import cached_property

MAX_QUOTED = 400
"""Characters of a foreign message that are quoted."""


class Source(Flag):
    """Where a message was found, with its format; LIMIT is the container's limit of memory."""

    LOG = auto()  # the last lines of a Pod that is not ready
    WAITING = auto()  # REASON IMAGE: MESSAGE of a container that cannot start
    ENDED = auto()  # REASON EXITCODE LIMIT: MESSAGE or last log line of a container that ended
    EVENT = auto()  # REASON: MESSAGE of an event about a Pod that is not ready
    POD = auto()  # REASON: MESSAGE of a Pod that is not scheduled
    REMOVED = auto()  # REASON: MESSAGE of a Pod that was removed
    DEPLOYMENT = auto()  # REASON: MESSAGE of a Deployment's condition that reports a problem


@dataclass(frozen=True)
class Symptom:
    """One message that may explain why a Deployment is not ready."""

    source: Source
    text: str
    lasting: bool = True
    """Whether it was seen for long enough, or often enough, not to pass by itself."""


@dataclass(frozen=True)
class Failure:
    """Why a Deployment is not ready."""

    text: str
    """Whole sentences."""
    next_step: str = ""
    failed: bool = False
    """Whether waiting does not help."""
    usual: bool = False
    """True for normal progress rather than a problem."""


@dataclass(frozen=True)
class FailurePattern:
    """A message and what it means; `text` and `next_step` may name the pattern's groups in braces."""

    source: Source
    pattern: str
    text: str
    """Without its full stop; a group at the end may be empty."""
    next_step: str = ""
    failed: bool = True
    early_text: str = ""
    """The text while the symptom may still pass by itself; empty if it is the same."""

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.MULTILINE)

    def match(self, symptom: Symptom) -> Failure | None:
        """The failure that a symptom indicates, by its last match; None if it is another."""
        if symptom.source not in self.source:
            return None
        matches = list(self._compiled.finditer(symptom.text))
        if not matches:
            return None
        groups = {name: shorten(value or "") for name, value in matches[-1].groupdict().items()}
        template = self.text if symptom.lasting else self.early_text or self.text
        text = template.format_map(groups).rstrip(": ")
        sentence = text if text.endswith((".", "?", "!")) else f"{text}."
        return Failure(sentence, self.next_step.format_map(groups), self.failed and symptom.lasting)


def shorten(message: str) -> str:
    """A foreign message on one line, of limited length, and without its full stop."""
    return textwrap.shorten(message, MAX_QUOTED, placeholder=" ...").rstrip(" .:;,")


KILLED = "The model server ended with exit code 137"
"""128 and the number of SIGKILL."""
SENTENCE = r"(?!Serving version |Version \d+ has taken over)(?:[A-Z]|gs://|/)[^\n]* [^\n]*[.?!]"
"""The last line of the project's own model server when it cannot serve: what is wrong, and what to do."""
_IMAGE = "Check the name and the tag given with `--image`."
_LOG = "Read the Pod's log and events in the Objects tab."
_KEY = (
    "Start the dashboard with the key of an account that may read the bucket (`--google-app-creds`), "
    "or give the Pods one by Workload Identity."
)
_VIEWER = "Ask the bucket's owner for the role Storage Object Viewer."
_ADMIN = "Ask the cluster's administrator. Kubernetes tries again by itself."
_PULL = r"^(?:ErrImagePull|ImagePullBackOff) (?P<image>\S*): "
_EARLY = "Waiting for a node that can take the Pod: {why}"
_UNSCHEDULABLE = r"^Unschedulable: (?P<why>%s.*?)(?:\.? (?:preemption|no new claims)\b.*)?$"
FAILURE_PATTERNS: tuple[FailurePattern, ...] = (
    # The node
    FailurePattern(
        Source.POD,
        r"^NodeNotReady (?P<node>\S+) (?P<since>\S+) (?P<until>\S+): ",
        "Node {node} has not answered since {since} UTC, so its replicas get no requests. "
        "At {until} UTC Kubernetes starts them elsewhere, if another node has room",
        "Find out why: `kubectl describe node {node}`. Or add another node.",
        failed=False,
    ),
    FailurePattern(
        Source.POD,
        r"^NodeNotReady (?P<node>\S+) (?P<since>\S+) ",
        "Node {node} has not answered since {since} UTC, so its replicas get no requests",
        "Find out why: `kubectl describe node {node}`.",
        failed=False,
    ),
    # The image
    FailurePattern(
        Source.WAITING,
        _PULL + r".*(?:toomanyrequests|429 Too Many)",
        "The registry's limit of pulls is exceeded for {image}",
        "Wait, or use a copy of the image in a registry of your own (`--image`).",
        failed=False,
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r".*(?:authoriz|unauthenticated|denied|[Ff]orbidden|insufficient_scope)",
        "Access to image {image} was denied: it needs a login, or does not exist",
        f"{_IMAGE} If it is private, give the namespace's service account a pull secret.",
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r"(?!.*no match).*(?:not found|manifest unknown|NotFound|does not exist)",
        "The image {image} was not found in its registry",
        _IMAGE,
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r".*(?:status code|unexpected status)\b.*: (?P<why>5\d\d .*)",
        "The registry of image {image} fails: {why}",
        "Wait: Kubernetes tries again by itself.",
        failed=False,
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r"(?:Back-off pulling image \S+ (?:ErrImagePull: )?)?(?P<why>.*)",
        "The image {image} cannot be pulled: {why}",
        f"{_IMAGE} Check that the nodes can reach its registry.",
    ),
    FailurePattern(
        Source.WAITING | Source.ENDED | Source.LOG,
        r"exec format error",
        "The image is built for another architecture than the node's (exec format error)",
        "Choose an image that is built for it (`--image`), or a node that the image is built for.",
    ),
    FailurePattern(
        Source.WAITING | Source.ENDED,
        r"^(?:RunContainerError \S*|StartError \d+ \S*): (?P<why>.*)",
        "The container cannot be started: {why}",
        "Check the image (`--image`): it has TensorFlow Serving's entry point.",
    ),
    # What the container needs before it starts
    FailurePattern(
        Source.WAITING | Source.EVENT,
        r'secret "(?P<name>[^"]+)" not found',
        "The Secret {name} with the key to the bucket is missing",
        "Re-deploy the model: the dashboard writes it again if it was started with `--google-app-creds`.",
    ),
    # What TensorFlow Serving says about the bucket
    FailurePattern(
        Source.LOG,
        r"Anonymous caller does not have|HTTP response code 401|UNAUTHENTICATED|invalid_grant|invalid_client"
        r"|Invalid JWT",
        "The bucket is not public, and the Pods have no valid credentials for it",
        _KEY,
    ),
    FailurePattern(
        Source.LOG,
        r"(?P<who>[^\s\"':]+@[^\s\"']+) does not have (?P<what>storage\.[\w.]+) access",
        "Permission denied: {who} may not read the bucket (it lacks {what})",
        _VIEWER,
    ),
    FailurePattern(
        Source.LOG,
        r"HTTP response code 403|PERMISSION_DENIED|Permission denied",
        "Permission denied: the Pods may not read the bucket (403)",
        _VIEWER,
    ),
    FailurePattern(
        Source.LOG,
        r"[Tt]he specified bucket (?:(?P<bucket>gs://\S+) was not found|does not exist)",
        "There is no such bucket {bucket}",
        "Check its name, then re-deploy.",
    ),
    FailurePattern(
        Source.LOG,
        r"Could not find base path (?P<path>\S+) for servable \S+(?: with error NOT_FOUND.*)?$",
        "There is no folder {path}",
        "Check the model base: it holds `model/<version>/`. Then re-deploy.",
    ),
    FailurePattern(
        Source.LOG,
        r"Could not find base path (?P<path>\S+) for servable \S+ with error (?P<why>.*)",
        "TensorFlow Serving cannot read {path}: {why}",
        "It tries again every second. Check the cluster's network, and the image (`--image`).",
        failed=False,
    ),
    FailurePattern(
        Source.LOG,
        r"No versions of servable \S+ found under base path (?P<path>\S+?)\.?(?:\s|$)",
        "There is no version in {path}: a folder named by a number",
        'Export the model there: model.export("{path}/1").',
    ),
    FailurePattern(
        Source.LOG,
        r"Loading servable: \{name: \S+ version: (?P<version>\d+)\} failed: (?P<why>.*)",
        "TensorFlow Serving cannot load version {version}: {why}",
        "Export the model again, or deploy another one.",
    ),
    # How the container ended
    FailurePattern(
        Source.ENDED,
        r"^OOMKilled \d+ (?P<limit>\S*): ",
        "The model server ran out of memory (OOMKilled): its limit is {limit}",
        "Deploy a smaller model, or raise the memory limit of the Deployment.",
    ),
    FailurePattern(
        Source.ENDED,
        rf"^\S+ 1 \S*: (?P<sentences>{SENTENCE})$",
        "{sentences}",
        "Fix the model or deploy another one. Restarts continue in the background.",
    ),
    FailurePattern(
        Source.EVENT,
        r"^Killing: Container \S+ failed (?P<kind>startup|liveness) probe",
        "The model server did not answer the {kind} probe and was killed",
        _LOG,
    ),
    FailurePattern(
        Source.ENDED,
        r"^\S+ (?P<code>\d+) \S*: (?P<why>.*)",
        "The model server ended with exit code {code}: {why}",
        _LOG,
    ),
    # Where the Pod is to run
    FailurePattern(
        Source.EVENT,
        r"^(?:TriggeredScaleUp|Nominated): ",
        "No node has room for the Pod; the cluster is adding one",
        failed=False,
    ),
    FailurePattern(
        Source.POD,
        _UNSCHEDULABLE % r"(?!.*Insufficient).*were unschedulable",
        "No node can take the Pod: {why}",
        "Allow Pods on a cordoned node again (`kubectl uncordon`), or add a node to the cluster.",
        early_text=_EARLY,
    ),
    FailurePattern(
        Source.POD,
        _UNSCHEDULABLE % r"(?!.*Insufficient).*node\.kubernetes\.io/(?:unreachable|not-ready)",
        "No node can take the Pod: {why}",
        "A node does not answer: find out why (`kubectl describe nodes`), or add another one.",
        early_text=_EARLY,
    ),
    FailurePattern(
        Source.POD,
        _UNSCHEDULABLE % "",
        "No node can take the Pod: {why}",
        "Make room (remove a model, deploy fewer replicas), or add a node to the cluster.",
        early_text=_EARLY,
    ),
    # What the cluster does not admit
    FailurePattern(
        Source.DEPLOYMENT,
        r"exceeded quota: (?P<quota>\S+), (?P<why>requested: .*)",
        "The quota {quota} has no room for another Pod: {why}",
        "Deploy fewer replicas, remove a model, or have the quota raised.",
    ),
    # Pod Security, admission webhooks and policies, limit ranges: their own messages name them
    FailurePattern(
        Source.DEPLOYMENT,
        r"^(?:ReplicaFailure|ReplicaSetCreateError) \S+: (?:pods \"\S+\" is forbidden: )?(?P<why>.*)",
        "Kubernetes cannot create the Pods: {why}",
        _ADMIN,
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r"^Paused",
        "The rollout is paused, which the dashboard does not do",
        "Run `kubectl rollout resume`, or re-deploy.",
    ),
    # Pods that were removed, and are replaced
    FailurePattern(
        Source.REMOVED,
        r"^(?P<reason>[^:]*): (?P<why>.*)",
        "A Pod was removed and is being replaced ({reason}): {why}",
        failed=False,
    ),
    # Progress
    FailurePattern(
        Source.EVENT,
        r"^Unhealthy: (?:Readi|Live)ness probe failed: .*(?:deadline exceeded|Client\.Timeout|i/o timeout)",
        "The model server does not answer: its probes time out",
        _LOG,
    ),
    FailurePattern(
        Source.EVENT,
        r"^Unhealthy: (?P<kind>Readiness|Liveness) probe failed: (?P<why>.*)",
        "The model is not served yet. {kind} probe failed: {why}",
        _LOG,
    ),
    FailurePattern(
        Source.WAITING, r"^ContainerCreating (?P<image>\S*): Pulling", "Pulling image {image}", failed=False
    ),
    # The default, from here on: what Kubernetes says
    FailurePattern(
        Source.EVENT,
        r"^(?P<reason>Failed(?:Mount|AttachVolume|MapVolume|CreatePodSandBox)): (?P<why>.*)",
        "{reason}: {why}",
        _ADMIN,
        failed=False,
    ),
    FailurePattern(
        Source.WAITING, r"^(?:ContainerCreating|PodInitializing) ", "Creating the container", failed=False
    ),
    FailurePattern(Source.POD, r"^Unbound: ", "Waiting for a node", failed=False),
    FailurePattern(
        Source.WAITING | Source.POD, r"^(?P<reason>\S+)(?: \S*)?: (?P<why>.*)", "{reason}: {why}", _LOG
    ),
)
"""The most specific first: the first pattern that any symptom matches counts."""
