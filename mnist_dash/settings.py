"""The settings of a start: command-line flags, environment variables and their defaults."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from platformdirs import user_data_path

from mnist_dash.errors import SettingsError

_ANYTHING = r"(?s:.*\S.*)"
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_HOST = rf"(?=.{{1,253}}$)(?![\d.]+$){_NAME}"
_REPOSITORY = r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*"
_TAG = r":\w[\w.-]{0,127}"
_DIGEST = r"@sha256:[0-9a-f]{64}"
_IMAGE = rf"(?!.*:latest$){_REPOSITORY}(({_TAG})?{_DIGEST}|{_TAG})"
_ADDRESS = r"(?P<host>\[(?P<v6>[^]]+)\]|[^\s:/@\[\]]+):(?P<port>\d{1,5})"
_SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}


class EngineKind(StrEnum):
    """Where the models run."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


class Scheme(StrEnum):
    """The protocol of the cluster's entrance."""

    HTTP = "http"
    HTTPS = "https"


class RouterKind(StrEnum):
    """What divides the traffic on a cluster: an Ingress with canary annotations, or an HTTPRoute."""

    INGRESS = "ingress"
    GATEWAY = "gateway"


# The parsers below raise ValueError or KeyError for a text that they do not accept.


def _matching(pattern: str) -> Callable[[str], str]:
    """Return a parser of texts that match the pattern as a whole."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(text)
        return text

    return parse


def _host(text: str) -> str:
    """Parse a host name: an Ingress and a Gateway accept neither IP addresses nor capitals."""
    return _matching(_HOST)(text.lower())


def port(text: str) -> int:
    """Parse a port; 0 takes any free one. (argparse shows this function's name.)"""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def _address(text: str) -> str:
    """Parse HOST:PORT, with brackets around an IPv6 address."""
    found = re.fullmatch(_ADDRESS, text, re.ASCII)
    if not found or port(found["port"]) == 0:
        raise ValueError(text)
    if found["v6"]:
        ipaddress.IPv6Address(found["v6"])
    return text


def _file(text: str) -> Path:
    """Parse a path; its file may be created later."""
    return Path(_matching(_ANYTHING)(text)).expanduser().absolute()


def _existing_file(text: str) -> Path:
    path = _file(text)
    if not path.is_file():
        raise ValueError(text)
    return path


def _folder(text: str) -> Path:
    """Parse the path of a folder, which may be created later."""
    path = _file(text)
    if path.exists() and not path.is_dir():
        raise ValueError(text)
    return path


@dataclass(frozen=True)
class Flag:
    """One setting: `--name VALUE` on the command line or `MNIST_DASH_NAME` in the environment."""

    name: str
    value: str
    """The placeholder of the value in the help text; empty for a switch."""
    parse: Callable[[str], Any]
    expected: str
    """What a value must be, as the error message says it."""
    default: str
    """The default in words, for --help and docs/reference.md."""
    help: str

    @property
    def field(self) -> str:
        """The name of its field in `Settings`."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return f"MNIST_DASH_{self.field.upper()}"

    def read(self, text: str, source: str) -> Any:
        """Return the value of `text` from `source` (the flag or the variable). Raises SettingsError."""
        try:
            return self.parse(text)
        except (ValueError, KeyError):
            raise SettingsError(f"{source}: {text!r} is not {self.expected}.") from None


# fmt: off
FLAGS: tuple[Flag, ...] = (
    Flag("engine", "local|kubernetes", EngineKind, "local or kubernetes",
         "kubernetes if an ingress host is given, else local", "where the models run"),
    Flag("gateway-port", "PORT", port, "a port number from 0 to 65535",
         "8080", "port of the local gateway; the next free one is used if it is taken, 0 takes any free one"),
    Flag("state-dir", "FOLDER", _folder, "a folder",
         "the user's data directory",
         "where the local engine remembers what was deployed, and where drawings are kept"),
    Flag("empty", "", lambda text: _SWITCH[text.lower()], "one of 1, true, yes, 0, false, no",
         "off",
         "start the local engine with nothing deployed; the first change replaces what was remembered"),
    Flag("ingress-host", "HOST", _host, "a host name such as my.example.com",
         "none",
         "the host under which the cluster's ingress or Gateway answers; giving it chooses the cluster"),
    Flag("google-app-creds", "FILE", _file, "the path of a file",
         "none: Workload Identity, or public buckets",
         "JSON key file with which the cluster, and the dashboard, read models from Cloud Storage"),
    Flag("kubeconfig", "FILE", _matching(_ANYTHING), "the path of a kubeconfig",
         "`$KUBECONFIG`, then `~/.kube/config`, then the account of the Pod it runs in",
         "how to reach the cluster"),
    Flag("context", "NAME", _matching(_ANYTHING), "the name of a context",
         "the kubeconfig's current one", "which context of the kubeconfig to use"),
    Flag("namespace", "NAME", _matching(_LABEL),
         "the name of a namespace: up to 63 small letters, digits and hyphens",
         "mnist", "where everything is made; it is created if it is missing"),
    Flag("ingress-class", "NAME", _matching(_NAME),
         "the name of an IngressClass: small letters, digits, hyphens and dots",
         "nginx", "which ingress controller serves the host"),
    Flag("scheme", "http|https", Scheme, "http or https",
         "http", "protocol of the host"),
    Flag("ca-file", "FILE", _existing_file, "a file that exists",
         "the usual authorities", "PEM file of the authorities that sign the host's certificate"),
    Flag("ingress-address", "HOST:PORT", _address, "HOST:PORT, such as 203.0.113.7:80 or [2001:db8::7]:443",
         "what the host resolves to",
         "where to connect if the host does not resolve here; requests still name the host"),
    Flag("image", "IMAGE", _matching(_IMAGE),
         "an image with a pinned release, such as tensorflow/serving:2.19.0 (not latest)",
         "tensorflow/serving:2.19.0", "the TensorFlow Serving image that the cluster runs"),
    Flag("router", "ingress|gateway", RouterKind, "ingress or gateway",
         "ingress", "what divides the traffic: an Ingress with canary annotations, or an HTTPRoute"),
    Flag("gateway", "NAMESPACE/NAME", _matching(f"{_LABEL}/{_NAME}"), "NAMESPACE/NAME of a Gateway",
         "none", "the Gateway that the HTTPRoute belongs to"),
)
# fmt: on


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message[0].upper()}{message[1:]}.", "See: streamlit run app.py -- --help")


def _argument_parser() -> _Parser:
    parser = _Parser(
        prog="streamlit run app.py --",
        description="Roll out a new MNIST model beside the current one, live in the browser.",
        allow_abbrev=False,
    )
    for flag in FLAGS:
        text = f"{flag.help} (default: {flag.default}; environment: {flag.variable})"
        kind: Any = {"metavar": flag.value} if flag.value else {"action": "store_const", "const": "1"}
        parser.add_argument(f"--{flag.name}", help=text, **kind)
    return parser


@dataclass(frozen=True)
class Settings:
    """The settings of a start; raises SettingsError if they contradict each other."""

    engine: EngineKind = EngineKind.LOCAL
    ingress_host: str = ""
    gateway_port: int = 8080
    """0 takes any free port."""
    state_dir: Path = field(default_factory=lambda: user_data_path("mnist-dash", appauthor=False))
    empty: bool = False
    google_app_creds: Path | None = None
    kubeconfig: str = ""
    """Path of one file, or several with the path separator between them; empty for the default search."""
    context: str = ""
    namespace: str = "mnist"
    ingress_class: str = "nginx"
    scheme: Scheme = Scheme.HTTP
    ca_file: Path | None = None
    ingress_address: str = ""
    """HOST:PORT to connect to; empty to resolve the ingress host."""
    image: str = "tensorflow/serving:2.19.0"
    router: RouterKind = RouterKind.INGRESS
    gateway: str = ""
    """NAMESPACE/NAME."""

    def __post_init__(self) -> None:
        if self.engine is EngineKind.LOCAL:
            return  # settings of a cluster are ignored
        if not self.ingress_host:
            step = "Name the host under which the cluster answers, or use --engine local."
            raise SettingsError("--engine kubernetes needs --ingress-host.", step)
        if self.ca_file and self.scheme is Scheme.HTTP:
            raise SettingsError("--ca-file needs --scheme https.", "Add it, or leave --ca-file out.")
        if self.router is RouterKind.GATEWAY and not self.gateway:
            raise SettingsError("--router gateway needs a Gateway.", "Add --gateway NAMESPACE/NAME.")
        if self.gateway and self.router is RouterKind.INGRESS:
            raise SettingsError("--gateway needs --router gateway.", "Add it, or leave --gateway out.")

    @classmethod
    def from_env(
        cls, argv: Sequence[str] = sys.argv[1:], environ: Mapping[str, str] = os.environ
    ) -> Settings:
        """Read flags, then environment variables, then defaults; raises SettingsError."""
        given = vars(_argument_parser().parse_args(list(argv)))
        values: dict[str, Any] = {}
        for flag in FLAGS:
            if (text := given[flag.field]) is not None:
                values[flag.field] = flag.read(text, f"--{flag.name}")
            elif (text := environ.get(flag.variable)) is not None:
                values[flag.field] = flag.read(text, flag.variable)
        on_cluster = bool(values.get("ingress_host"))
        values.setdefault("engine", EngineKind.KUBERNETES if on_cluster else EngineKind.LOCAL)
        values.setdefault("kubeconfig", environ.get("KUBECONFIG", ""))
        return cls(**values)
