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

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_REPOSITORY = r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*"
_TAG = r":\w[\w.-]{0,127}"
_DIGEST = r"@sha256:[0-9a-f]{64}"
_ADDRESS = r"(?P<host>\[(?P<v6>[^]]+)\]|[^\s:/@\[\]]+):(?P<port>\d{1,5})"
_SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}


def _like(pattern: str) -> Callable[[str], str]:
    """A parser that takes what matches as a whole."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(text)
        return text

    return parse


label = _like(_LABEL)
"""A name of a namespace, say."""
name = _like(_NAME)
"""A name of most objects: labels with dots between them."""
name_in_namespace = _like(f"{_LABEL}/{_NAME}")
pinned_image = _like(rf"(?!.*:latest$){_REPOSITORY}(({_TAG})?{_DIGEST}|{_TAG})")
"""An image with a tag that is not latest, or with a digest."""


def port(text: str) -> int:
    """A port; 0 is any that is free."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def switch(text: str) -> bool:
    """Yes or no, in one of the usual ways."""
    if text.lower() not in _SWITCH:
        raise ValueError(text)
    return _SWITCH[text.lower()]


def some(text: str) -> str:
    """Anything but nothing."""
    if not text.strip():
        raise ValueError(text)
    return text


def folder(text: str) -> Path:
    """A folder, or what may become one."""
    path = file(text)
    if path.exists() and not path.is_dir():
        raise ValueError(text)
    return path


def file(text: str) -> Path:
    """A path at which a file may come to be later."""
    return Path(some(text)).expanduser().absolute()


def existing_file(text: str) -> Path:
    """A file that is there."""
    path = file(text)
    if not path.is_file():
        raise ValueError(text)
    return path


def host(text: str) -> str:
    """A host name: the rules of an Ingress and of a Gateway take no addresses, and no capitals."""
    small = text.lower()
    if not re.fullmatch(_NAME, small, re.ASCII) or len(small) > 253 or re.fullmatch(r"[\d.]+", small):
        raise ValueError(text)
    return small


def address(text: str) -> str:
    """HOST:PORT, with brackets round an IPv6 address."""
    found = re.fullmatch(_ADDRESS, text, re.ASCII)
    if not found or not 0 < int(found["port"]) <= 65535:
        raise ValueError(text)
    if found["v6"]:
        ipaddress.IPv6Address(found["v6"])
    return text


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
        port,
        "a port number from 0 to 65535",
        "8080",
        "port of the local gateway; the next free one is used if it is taken, 0 takes any free one",
        "PORT",
    ),
    Flag(
        "state-dir",
        folder,
        "a folder",
        "the user's data directory",
        "where the local engine remembers what was deployed",
        "FOLDER",
    ),
    Flag(
        "empty",
        switch,
        "one of 1, true, yes, 0, false, no",
        "off",
        "start the local engine with nothing deployed; the first change replaces what was remembered",
    ),
    Flag(
        "ingress-host",
        host,
        "a host name such as my.example.com",
        "none",
        "the host under which the cluster's ingress or Gateway answers; giving it chooses the cluster",
        "HOST",
    ),
    Flag(
        "google-app-creds",
        file,
        "the path of a file",
        "none: Workload Identity, or public buckets",
        "JSON key file with which the cluster, and the dashboard, read models from Cloud Storage",
        "FILE",
    ),
    Flag(
        "kubeconfig",
        some,
        "the path of a kubeconfig",
        "`$KUBECONFIG`, then `~/.kube/config`, then the account of the Pod it runs in",
        "how to reach the cluster",
        "FILE",
    ),
    Flag(
        "context",
        some,
        "the name of a context",
        "the kubeconfig's current one",
        "which context of the kubeconfig to use",
        "NAME",
    ),
    Flag(
        "namespace",
        label,
        "the name of a namespace: up to 63 small letters, digits and hyphens",
        "mnist",
        "where everything is made; it is created if it is missing",
        "NAME",
    ),
    Flag(
        "ingress-class",
        name,
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
        existing_file,
        "a file that exists",
        "the usual authorities",
        "PEM file of the authorities that sign the host's certificate",
        "FILE",
    ),
    Flag(
        "ingress-address",
        address,
        "HOST:PORT, such as 203.0.113.7:80 or [2001:db8::7]:443",
        "what the host resolves to",
        "where to connect if the host does not resolve here; it still names the host",
        "HOST:PORT",
    ),
    Flag(
        "image",
        pinned_image,
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
        name_in_namespace,
        "NAMESPACE/NAME of a Gateway",
        "none",
        "the Gateway that the HTTPRoute belongs to",
        "NAMESPACE/NAME",
    ),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message[0].upper()}{message[1:]}.", "See: streamlit run app.py -- --help")


def _parser() -> _Parser:
    parser = _Parser(
        prog="streamlit run app.py --",
        description="Roll out a new MNIST model beside the current one, live in the browser.",
        allow_abbrev=False,
    )
    for flag in FLAGS:
        text = f"{flag.help} (default: {flag.default}; environment: {flag.variable})"
        if flag.switch:
            parser.add_argument(f"--{flag.name}", action="store_const", const="1", help=text)
        else:
            parser.add_argument(f"--{flag.name}", metavar=flag.value, help=text)
    return parser


@dataclass(frozen=True)
class Settings:
    """What was asked for at the start; raises SettingsError if the parts do not go together."""

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
            return  # what is said of a cluster is not used
        if not self.ingress_host:
            step = "Name the host under which the cluster answers, or use --engine local."
            raise SettingsError("--engine kubernetes needs --ingress-host.", step)
        if self.ca_file and self.scheme is Scheme.HTTP:
            step = "Add --scheme https, or leave --ca-file out."
            raise SettingsError("--ca-file is for https, and the scheme is http.", step)
        if self.router is RouterKind.GATEWAY and not self.gateway:
            step = "Say which: --gateway NAMESPACE/NAME."
            raise SettingsError("--router gateway needs the Gateway that its route belongs to.", step)
        if self.gateway and self.router is RouterKind.INGRESS:
            step = "Add --router gateway, or leave --gateway out."
            raise SettingsError("--gateway is for --router gateway, and the router is ingress.", step)

    @classmethod
    def from_env(
        cls, argv: Sequence[str] = sys.argv[1:], environ: Mapping[str, str] = os.environ
    ) -> Settings:
        """Read flags, then environment variables, then defaults; raises SettingsError in one line."""
        given = vars(_parser().parse_args(list(argv)))
        values: dict[str, Any] = {}
        for flag in FLAGS:
            if (text := given[flag.field]) is not None:
                values[flag.field] = flag.read(text, f"--{flag.name}")
            elif (text := environ.get(flag.variable)) is not None:
                values[flag.field] = flag.read(text, flag.variable)
        in_a_cluster = bool(values.get("ingress_host"))
        values.setdefault("engine", EngineKind.KUBERNETES if in_a_cluster else EngineKind.LOCAL)
        values.setdefault("kubeconfig", environ.get("KUBECONFIG", ""))
        return cls(**values)
