"""Settings from flags and environment variables, read once into a frozen value."""

from __future__ import annotations

import argparse
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


class EngineKind(StrEnum):
    """Where the models run."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


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
    switch: bool = False

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


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(text)
    return port


def _yes_or_no(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}[
        text.lower()
    ]


def _switch(text: str) -> bool:
    try:
        return _yes_or_no(text)
    except KeyError:
        raise ValueError(text) from None


def _folder(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not text or (path.exists() and not path.is_dir()):
        raise ValueError(text)
    return path


def _host(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", text, re.IGNORECASE):
        raise ValueError(text)
    return text


FLAGS: tuple[Flag, ...] = (
    Flag(
        "engine",
        EngineKind,
        "local or kubernetes",
        "kubernetes if an ingress host is given, else local",
        "where the models run",
    ),
    Flag(
        "ingress-host",
        _host,
        "a host name such as my.example.com",
        "none",
        "the host under which a cluster's ingress answers",
    ),
    Flag(
        "gateway-port",
        _port,
        "a port number from 0 to 65535",
        "8080",
        "port of the local gateway; the next free one is used if it is taken, 0 takes any free one",
    ),
    Flag(
        "state-dir",
        _folder,
        "a folder",
        "the user's data directory",
        "where the local engine remembers what was deployed",
    ),
    Flag(
        "empty",
        _switch,
        "one of 1, true, yes, 0, false, no",
        "off",
        "start with nothing deployed; the first change replaces what was remembered",
        switch=True,
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
            parser.add_argument(f"--{flag.name}", metavar=flag.wanted.upper().replace(" OR ", "|"), help=text)
    return parser


@dataclass(frozen=True)
class Settings:
    """What was asked for at the start."""

    engine: EngineKind = EngineKind.LOCAL
    ingress_host: str = ""
    gateway_port: int = 8080
    """0 takes any free port."""
    state_dir: Path = field(default_factory=lambda: user_data_path("mnist-dash", appauthor=False))
    empty: bool = False

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
        return cls(**values)
