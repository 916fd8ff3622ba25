"""Messages of Kubernetes and TensorFlow Serving, and the failures that they indicate."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

LONGEST = 400
"""Characters of foreign words that are passed on at most."""


class Source(StrEnum):
    """Where words were found, each with what stands in front of them."""

    LOG = "log"
    """The last lines of a Pod that is not ready, as they are."""
    WAITING = "waiting"
    """REASON IMAGE: MESSAGE of a container that cannot start."""
    ENDED = "ended"
    """REASON EXITCODE LIMIT: MESSAGE or last log line of a container that ended; LIMIT is of its memory."""
    EVENT = "event"
    """REASON: MESSAGE of an event about a Pod that is not ready."""
    POD = "pod"
    """REASON: MESSAGE of a Pod's own state or condition."""
    DEPLOYMENT = "deployment"
    """REASON: MESSAGE of a Deployment's condition that tells of trouble."""


@dataclass(frozen=True)
class Symptom:
    """Words that were found."""

    source: Source
    words: str
    lasting: bool = True
    """Whether it was seen for long enough, or often enough, to believe that it stays so."""


@dataclass(frozen=True)
class Failure:
    """Why a Deployment is not ready."""

    text: str
    """In whole sentences."""
    next_step: str = ""
    failed: bool = False
    """Whether it will not get better by waiting."""
    usual: bool = False
    """Whether it is but the usual course of things, with nothing more special known."""


@dataclass(frozen=True)
class FailurePattern:
    """Words by which a cause is known; `text` and `next_step` may name the pattern's groups in braces."""

    source: Source
    pattern: str
    text: str | Callable[[str], str]
    """A function is given the group `said`."""
    next_step: str = ""
    failed: bool = True

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.MULTILINE)

    def read(self, evidence: Symptom) -> Failure | None:
        """The cause that the evidence tells of, by what it says last; None if it is another."""
        if evidence.source is not self.source:
            return None
        found = list(self._compiled.finditer(evidence.words))
        if not found:
            return None
        groups = {name: tidy(value or "") for name, value in found[-1].groupdict().items()}
        text = self.text.format_map(groups) if isinstance(self.text, str) else self.text(groups["said"])
        return Failure(text, self.next_step.format_map(groups), self.failed and evidence.lasting)


def tidy(words: str) -> str:
    """Foreign words on one line, not too many of them, and without the full stop that ours put after them."""
    return textwrap.shorten(words, LONGEST, placeholder=" ...").rstrip(" .:;,")


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


SENTENCE = r"(?!Serving version |Version \d+ has taken over)(?:[A-Z]|gs://|/)[^\n]* [^\n]*[.?!]"
"""A line that the project's own model server ends with: it tells what is wrong, and what to do."""
_LOG = "Read the Pod's log in the Objects tab."
_VIEWER = "Ask the bucket's owner for the role Storage Object Viewer."
_KEY = (
    "Start the dashboard with the key of an account that may read the bucket (`--google-app-creds`), "
    "or let the Pods have one by Workload Identity."
)
_IMAGE = "Check the name and the tag given with `--image`."
_UNREACHABLE = (
    "no such host|i/o timeout|connection refused|TLS handshake timeout|x509: [^:]*|network is unreachable"
)
_PULL = r"^(?:ErrImagePull|ImagePullBackOff) (?P<image>\S*): "
FAILURE_PATTERNS: tuple[FailurePattern, ...] = (
    # The image, which nothing else can be known without
    FailurePattern(
        Source.WAITING,
        _PULL + r".*no match(?:ing manifest)? for (?:platform|linux/)",
        "The image {image} does not exist for the architecture of the node.",
        "Choose an image that is built for it, or a node that the image is built for.",
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r".*toomanyrequests",
        "The registry lets nobody pull {image} from there for now: too many were pulled.",
        "Wait, or use a copy of the image in a registry of your own (`--image`).",
        failed=False,
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r".*(?:authoriz|unauthenticated|denied|[Ff]orbidden|insufficient_scope)",
        "The registry does not hand out the image {image}: it needs a login (unauthorised), or is not there.",
        f"{_IMAGE} If it is private, give the namespace's service account a pull secret.",
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r".*(?:not found|manifest unknown|NotFound|does not exist)",
        "The image {image} was not found in its registry.",
        _IMAGE,
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + rf".*?(?P<why>{_UNREACHABLE})",
        "The node cannot reach the registry of {image} ({why}).",
        "Check the registry's name given with `--image`, and the cluster's network.",
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r"(?:Back-off pulling image \S+)?$",
        "The image {image} cannot be pulled.",
        _IMAGE,
    ),
    FailurePattern(
        Source.WAITING,
        _PULL + r"(?:Back-off pulling image \S+ (?:ErrImagePull: )?)?(?P<why>.*)",
        "The image {image} cannot be pulled: {why}.",
        _IMAGE,
    ),
    FailurePattern(
        Source.WAITING,
        r"^InvalidImageName (?P<image>\S*): ",
        "{image} is not the name of an image.",
        "Give one with `--image`, such as tensorflow/serving:2.19.0.",
    ),
    FailurePattern(
        Source.WAITING,
        r"^ErrImageNeverPull (?P<image>\S*): ",
        "The image {image} is not on the node, and may not be pulled.",
        "Load it onto the nodes, or choose another one with `--image`.",
    ),
    FailurePattern(
        Source.WAITING,
        r"^(?:ImageInspectError|RegistryUnavailable|SignatureValidationFailed) (?P<image>\S*): (?P<why>.*)",
        "The image {image} cannot be used: {why}.",
        _IMAGE,
    ),
    *(
        FailurePattern(
            source,
            r"exec format error",
            "The image is built for another architecture than the node's (exec format error).",
            "Choose an image that is built for it, or a node that the image is built for.",
        )
        for source in (Source.WAITING, Source.ENDED, Source.LOG)
    ),
    # What the container wants before it starts
    *(
        FailurePattern(
            source,
            r'secret "(?P<name>[^"]+)" not found',
            "The Secret {name} with the key to the bucket is missing.",
            "Re-deploy the model: the dashboard writes it anew if it was started with `--google-app-creds`.",
        )
        for source in (Source.WAITING, Source.EVENT)
    ),
    *(
        FailurePattern(
            source,
            pattern,
            "The Secret with the key to the bucket has no entry {name}.",
            "Re-deploy the model: the dashboard writes it anew if it was started with `--google-app-creds`.",
        )
        for source, pattern in (
            (Source.EVENT, r"references non-existent secret key: (?P<name>\S+)"),
            (Source.WAITING, r"couldn't find key (?P<name>\S+) in Secret"),
        )
    ),
    FailurePattern(
        Source.WAITING,
        r"container has runAsNonRoot and image",
        "The image wants to run as root, and that is not allowed here.",
        "Choose an image that runs as another user with `--image`.",
    ),
    FailurePattern(
        Source.WAITING,
        r"^(?:CreateContainerConfigError|CreateContainerError|RunContainerError) \S*: (?P<why>.*)",
        "The container cannot be started: {why}.",
        "Mend that in the cluster; it is tried again by itself.",
    ),
    # What TensorFlow Serving says about the bucket
    FailurePattern(
        Source.LOG,
        r"Anonymous caller does not have storage\.",
        "The bucket is not public, and the Pods have no credentials to read it with (401).",
        _KEY,
    ),
    FailurePattern(
        Source.LOG,
        r"(?P<who>[^\s\"':]+@[^\s\"']+) does not have (?P<what>storage\.[\w.]+) access",
        "Permission denied: {who} may not read the bucket (it lacks {what}).",
        _VIEWER,
    ),
    FailurePattern(
        Source.LOG,
        r"invalid_grant|invalid_client|Invalid JWT",
        "Google does not accept the Pods' key: it was deleted, or a clock is wrong.",
        _KEY,
    ),
    FailurePattern(
        Source.LOG,
        r"HTTP response code 401|UNAUTHENTICATED",
        "The bucket is not public, and the Pods have no valid credentials to read it with (401).",
        _KEY,
    ),
    FailurePattern(
        Source.LOG,
        r"HTTP response code 403|PERMISSION_DENIED|Permission denied",
        "Permission denied: the Pods may not read the bucket (403).",
        _VIEWER,
    ),
    FailurePattern(
        Source.LOG,
        r"File system scheme '(?P<scheme>\w+)' not implemented",
        "The image's TensorFlow Serving cannot read {scheme}:// addresses.",
        "Choose an image that can with `--image`, such as tensorflow/serving:2.19.0.",
    ),
    FailurePattern(
        Source.LOG,
        r"[Tt]he specified bucket (?P<bucket>gs://\S+) was not found",
        "There is no bucket {bucket}.",
        "Check its name, then re-deploy.",
    ),
    FailurePattern(
        Source.LOG,
        r"[Tt]he specified bucket does not exist",
        "There is no such bucket.",
        "Check its name, then re-deploy.",
    ),
    FailurePattern(
        Source.LOG,
        r"filesystem access error: .*libcurl code \d+ meaning '(?P<why>[^\n]*?)'[,.]",
        "Cloud Storage cannot be reached from the Pod ({why}).",
        "Check the cluster's network; it is tried again every second.",
        failed=False,
    ),
    FailurePattern(
        Source.LOG,
        r"Could not find base path (?P<path>\S+) for servable",
        "There is no folder {path}.",
        "Check the model base: it holds `model/<version>/`. Then re-deploy.",
    ),
    FailurePattern(
        Source.LOG,
        r"No versions of servable \S+ found under base path (?P<path>\S+?)\.?(?:\s|$)",
        "No version was found in {path}: that is a folder named by a number.",
        'Export the model there: model.export("{path}/1").',
    ),
    FailurePattern(
        Source.LOG,
        r"Loading servable: \{name: \S+ version: (?P<version>\d+)\} failed: (?P<why>.*)",
        "TensorFlow Serving cannot load version {version}: {why}.",
        "Export the model anew, or deploy another one.",
    ),
    FailurePattern(
        Source.LOG,
        r"Failed to start the server\. Error: (?P<why>.*)",
        "TensorFlow Serving does not start: {why}.",
        _LOG,
    ),
    # How the container ended
    FailurePattern(
        Source.ENDED,
        r"^OOMKilled \d+ (?P<limit>\S*): ",
        "The model server ran out of memory (OOMKilled): its limit is {limit}.",
        "Deploy a smaller model, or raise the memory limit of the Deployment.",
    ),
    FailurePattern(
        Source.ENDED,
        r"^(?:StartError|ContainerCannotRun) \d+ \S*: (?P<why>.*)",
        "The container cannot be started: {why}.",
        _IMAGE,
    ),
    # The project's own model server ends with whole sentences, which say what to do as well
    FailurePattern(
        Source.ENDED,
        rf"^\S+ 1 \S*: (?P<said>{SENTENCE})$",
        lambda said: said if said.endswith(("?", "!")) else f"{said}.",
        "Mend the model or deploy another one; starting is tried again in the meantime.",
    ),
    FailurePattern(
        Source.EVENT,
        r"^Killing: Container \S+ failed (?P<kind>startup|liveness) probe",
        "The model server did not answer the {kind} probe and was ended.",
        _LOG,
    ),
    FailurePattern(
        Source.ENDED,
        r"^\S+ 137 (?P<limit>\S*): ",
        "The model server was killed (exit code 137), most often for want of memory: its limit is {limit}.",
        "Deploy a smaller model, or raise the memory limit of the Deployment.",
    ),
    FailurePattern(
        Source.ENDED,
        r"^\S+ (?P<code>\d+) \S*: (?P<why>.+)",
        "The model server ended with exit code {code}. It says: {why}.",
        _LOG,
    ),
    FailurePattern(
        Source.ENDED, r"^\S+ (?P<code>\d+) ", "The model server ended with exit code {code}.", _LOG
    ),
    # Where the Pod is to run
    FailurePattern(
        Source.EVENT,
        r"^(?:TriggeredScaleUp|Nominated): ",
        "No node has room for the Pod; the cluster is adding one.",
        failed=False,
    ),
    FailurePattern(
        Source.POD,
        r"^Unschedulable: (?P<said>.*)",
        lacking,
        "Make room (remove a model, deploy fewer replicas), or let the cluster have another node.",
    ),
    FailurePattern(
        Source.POD,
        r"^SchedulingGated: (?P<why>.*)",
        "The Pod is held back by a scheduling gate: {why}.",
        "Ask whoever put it there.",
    ),
    FailurePattern(
        Source.EVENT, r"^FailedMount: (?P<why>.*)", "A volume cannot be mounted: {why}.", failed=False
    ),
    FailurePattern(
        Source.EVENT,
        r"^FailedCreatePodSandBox: (?P<why>.*)",
        "The node cannot set up the Pod: {why}.",
        "Ask the cluster's administrator to look at the node.",
        failed=False,
    ),
    # What the cluster does not let in
    FailurePattern(
        Source.DEPLOYMENT,
        r"exceeded quota: (?P<said>.*)",
        room,
        "Deploy fewer replicas, remove a model, or have the quota raised.",
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r"failed quota: (?P<name>\S+): (?P<why>.*)",
        "The namespace's quota {name} forbids the Pods: {why}.",
        "Have the quota changed.",
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r'violates PodSecurity "(?P<level>[^"]+)": (?P<why>.*)',
        "Pod Security {level} of the namespace forbids the Pods: {why}.",
        "Use another namespace, or have its level changed.",
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r'admission webhook "(?P<who>[^"]+)" denied the request:? (?P<why>.*)',
        "The admission webhook {who} forbids the Pods: {why}.",
        "Ask whoever runs it what it demands.",
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r'failed calling webhook "(?P<who>[^"]+)": (?P<why>.*)',
        "No Pod can be made, as the admission webhook {who} does not answer: {why}.",
        "Ask the cluster's administrator to mend it; it is tried again by itself.",
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r"[Pp]olicy ['\"](?P<who>[^'\"]+)['\"](?: with binding '[^']+')? denied request: (?P<why>.*)",
        "The admission policy {who} forbids the Pods: {why}.",
        "Ask whoever wrote it what it demands.",
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r"is forbidden: \[?(?P<why>(?:maximum|minimum) \S+ usage per .*?)\]?$",
        "A LimitRange of the namespace forbids the Pods: {why}.",
        "Have it changed, or use another namespace.",
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r"^(?:ReplicaFailure|ReplicaSetCreateError) \S+: (?P<why>.*)",
        "The cluster refuses to make the Pods: {why}.",
        "Ask the cluster's administrator.",
    ),
    FailurePattern(
        Source.DEPLOYMENT,
        r"^Paused",
        "The rollout is paused; somebody else did that.",
        "Go on with `kubectl rollout resume`, or re-deploy.",
    ),
    # What befell Pods that are replaced by now
    FailurePattern(
        Source.POD,
        r"^Evicted: (?P<why>.*)",
        "A Pod was evicted from its node: {why}. Another one takes its place.",
        failed=False,
    ),
    FailurePattern(
        Source.POD,
        r"^(?:PreemptionByScheduler|Preempting): ",
        "A Pod had to make room for a more important one; another one takes its place.",
        failed=False,
    ),
    FailurePattern(
        Source.POD,
        r"^(?:NodeLost|DeletionByTaintManager|DeletionByPodGC): ",
        "The node of a Pod was lost; another Pod takes its place.",
        failed=False,
    ),
    FailurePattern(
        Source.POD,
        r"^(?:EvictionByEvictionAPI|TerminationByKubelet): ",
        "A node is being emptied; another Pod takes the place of the one on it.",
        failed=False,
    ),
    FailurePattern(
        Source.POD,
        r"^(?P<reason>OutOf\w+|UnexpectedAdmissionError|NodeAffinity|Terminated|NodeShutdown): (?P<why>.*)",
        "A node turned a Pod away ({reason}): {why}. Another one takes its place.",
        failed=False,
    ),
    # What merely takes time
    FailurePattern(Source.EVENT, r"^Unhealthy: (?P<said>(?:Readiness|Liveness) probe .*)", probe, _LOG),
    FailurePattern(
        Source.WAITING,
        r"^ContainerCreating (?P<image>\S*): Pulling",
        "The image {image} is being pulled.",
        failed=False,
    ),
    FailurePattern(
        Source.WAITING,
        r"^(?:ContainerCreating|PodInitializing) ",
        "The container is being made.",
        failed=False,
    ),
    FailurePattern(Source.POD, r"^Unbound: ", "The Pod waits for a node.", failed=False),
)
"""The most specific first: the first sign that any evidence bears counts."""
