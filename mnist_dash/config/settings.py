"""Settings from flags and environment variables, read once into a frozen value."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from platformdirs import user_data_path

from mnist_dash.config.flags import FLAGS, EngineKind, RouterKind, Scheme
from mnist_dash.errors import SettingsError


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
