"""Kubeconfig files for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_dash.cluster.kubeconfig import connect
from mnist_dash.errors import EngineError
from mnist_dash.settings import Settings

EXEC_API = "client.authentication.k8s.io/v1"
UNVERIFIED = {"insecure-skip-tls-verify": True}


def config(
    server: str,
    cluster: dict[str, Any] | None = None,
    *,
    user: dict[str, Any] | None = None,
    name: str = "dev",
) -> dict[str, Any]:
    """A kubeconfig with one of each."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": f"{name}-cluster", "cluster": {"server": server, **(cluster or {})}}],
        "contexts": [{"name": name, "context": {"cluster": f"{name}-cluster", "user": f"{name}-user"}}],
        "users": [{"name": f"{name}-user", "user": {"token": "t-1"} if user is None else user}],
    }


def write(path: Path, content: Any) -> Path:
    """A file with YAML, or with a text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def script(path: Path, text: str) -> str:
    """A program of the shell."""
    write(path, f"#!/bin/sh\n{text}\n").chmod(0o755)
    return str(path)


def plugged(server: str, command: str, **settings: Any) -> dict[str, Any]:
    """A kubeconfig whose user logs in with a program."""
    return config(server, UNVERIFIED, user={"exec": {"command": command, "apiVersion": EXEC_API, **settings}})


def printing(**answer: Any) -> str:
    """Of a plug-in: prints what it gives."""
    text = json.dumps({"apiVersion": EXEC_API, "kind": "ExecCredential", "status": answer})
    return f"cat <<'END'\n{text}\nEND"


def connect_error(path: Path | str, **settings: Any) -> EngineError:
    """The error of connecting."""
    with pytest.raises(EngineError) as caught:
        connect(Settings(kubeconfig=str(path), **settings))
    return caught.value
