"""The settings there are: their names, values, defaults and help, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mnist_dash.config import parse
from mnist_dash.errors import SettingsError


class EngineKind(StrEnum):
    """Where the models run."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


class Scheme(StrEnum):
    """How the cluster's entrance is spoken to."""

    HTTP = "http"
    HTTPS = "https"


class RouterKind(StrEnum):
    """What divides the traffic on a cluster: an Ingress with canary annotations, or an HTTPRoute."""

    INGRESS = "ingress"
    GATEWAY = "gateway"


@dataclass(frozen=True)
class Flag:
    """One setting: `--name VALUE` on the command line or `MNIST_DASH_NAME` in the environment."""

    name: str
    parse: Callable[[str], Any]
    wanted: str
    """What a value must be, as the error message says it."""
    default: str
    """The default in words, for the help text and the README."""
    help: str
    value: str = ""
    """What stands for the value in the help text; empty for a switch."""

    @property
    def switch(self) -> bool:
        """Whether it stands alone on the command line."""
        return not self.value

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return f"MNIST_DASH_{self.field.upper()}"

    def read(self, text: str, source: str) -> Any:
        """The value of `text`, which came from `source` (the flag or the variable). Raises SettingsError."""
        try:
            return self.parse(text)
        except ValueError:
            raise SettingsError(f"{source}: {text!r} is not {self.wanted}.") from None


FLAGS: tuple[Flag, ...] = (
    Flag(
        "engine",
        EngineKind,
        "local or kubernetes",
        "kubernetes if an ingress host is given, else local",
        "where the models run",
        "local|kubernetes",
    ),
    Flag(
        "gateway-port",
        parse.port,
        "a port number from 0 to 65535",
        "8080",
        "port of the local gateway; the next free one is used if it is taken, 0 takes any free one",
        "PORT",
    ),
    Flag(
        "state-dir",
        parse.folder,
        "a folder",
        "the user's data directory",
        "where the local engine remembers what was deployed",
        "FOLDER",
    ),
    Flag(
        "empty",
        parse.switch,
        "one of 1, true, yes, 0, false, no",
        "off",
        "start the local engine with nothing deployed; the first change replaces what was remembered",
    ),
    Flag(
        "ingress-host",
        parse.host,
        "a host name such as my.example.com",
        "none",
        "the host under which the cluster's ingress or Gateway answers; giving it chooses the cluster",
        "HOST",
    ),
    Flag(
        "google-app-creds",
        parse.file,
        "the path of a file",
        "none: Workload Identity, or public buckets",
        "JSON key file with which the cluster, and the dashboard, read models from Cloud Storage",
        "FILE",
    ),
    Flag(
        "kubeconfig",
        parse.some,
        "the path of a kubeconfig",
        "`$KUBECONFIG`, then `~/.kube/config`, then the account of the Pod it runs in",
        "how to reach the cluster",
        "FILE",
    ),
    Flag(
        "context",
        parse.some,
        "the name of a context",
        "the kubeconfig's current one",
        "which context of the kubeconfig to use",
        "NAME",
    ),
    Flag(
        "namespace",
        parse.label,
        "the name of a namespace: up to 63 small letters, digits and hyphens",
        "mnist",
        "where everything is made; it is created if it is missing",
        "NAME",
    ),
    Flag(
        "ingress-class",
        parse.name,
        "the name of an IngressClass: small letters, digits, hyphens and dots",
        "nginx",
        "which ingress controller serves the host",
        "NAME",
    ),
    Flag(
        "scheme",
        Scheme,
        "http or https",
        "http",
        "how the host is spoken to",
        "http|https",
    ),
    Flag(
        "ca-file",
        parse.existing_file,
        "a file that exists",
        "the usual authorities",
        "PEM file of the authorities that sign the host's certificate",
        "FILE",
    ),
    Flag(
        "ingress-address",
        parse.address,
        "HOST:PORT, such as 203.0.113.7:80 or [2001:db8::7]:443",
        "what the host resolves to",
        "where to connect if the host does not resolve here; it still names the host",
        "HOST:PORT",
    ),
    Flag(
        "image",
        parse.pinned_image,
        "an image with a pinned release, such as tensorflow/serving:2.19.0 (not latest)",
        "tensorflow/serving:2.19.0",
        "the TensorFlow Serving image that the cluster runs",
        "IMAGE",
    ),
    Flag(
        "router",
        RouterKind,
        "ingress or gateway",
        "ingress",
        "what divides the traffic: an Ingress with canary annotations, or an HTTPRoute",
        "ingress|gateway",
    ),
    Flag(
        "gateway",
        parse.name_in_namespace,
        "NAMESPACE/NAME of a Gateway",
        "none",
        "the Gateway that the HTTPRoute belongs to",
        "NAMESPACE/NAME",
    ),
)
