"""Run exec plug-ins of a kubeconfig: programs that print credentials, as `gke-gcloud-auth-plugin` does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from kubernetes.config import ConfigException, exec_provider, kube_config

from mnist_dash.errors import EngineError

SECONDS: Final = 20
"""Time limit of a plug-in; the package's own runner has none."""
RENEW_EARLY: Final = timedelta(minutes=1)
LOG_IN_AGAIN: Final = "Log in again (on GKE: gcloud auth login), and check that kubectl get pods works."
EXTENSION: Final = "client.authentication.k8s.io/exec"
_FIELDS: Final = ("token", "clientCertificateData", "clientKeyData")
MOST_CHARACTERS: Final = 400
"""Of a plug-in's message."""
_ERROR_LINE: Final = re.compile(r"^.*\b(error|fatal)\b", re.IGNORECASE | re.MULTILINE)
_provider_module: Any = exec_provider  # without annotations


class Credential(NamedTuple):
    """A token, or a client certificate with its key (PEM)."""

    token: str
    certificate: str
    key: str
    expires: datetime | None


class ExecPlugin:
    """One plug-in, run again when its credential is about to expire; safe to use from several threads."""

    def __init__(self, settings: dict[str, Any], folder: str, cluster: dict[str, Any]) -> None:
        """Take a user's `exec` settings and the cluster of a kubeconfig; raises ConfigException."""
        lists = [settings.get("args", []), settings.get("env", [])]
        if not all(isinstance(value, list) for value in lists):
            raise ConfigException("args or env of its exec plug-in is not a list")
        for variable in lists[1]:
            variable.setdefault("value", "")
        node: Any = kube_config.ConfigNode("exec", settings)  # type: ignore[no-untyped-call]  # not annotated
        provider = _provider_module.ExecProvider(node, folder)
        self._api_version, self._arguments, self._env = provider.api_version, provider.args, provider.env
        self._folder = folder
        spec: dict[str, Any] = {"interactive": False}
        if settings.get("provideClusterInfo") is True:
            extensions = {item["name"]: item["extension"] for item in cluster.get("extensions") or []}
            spec["cluster"] = {key: value for key, value in cluster.items() if key != "extensions"}
            spec["cluster"] |= {"config": extensions[EXTENSION]} if EXTENSION in extensions else {}
        info = {"apiVersion": self._api_version, "kind": "ExecCredential", "spec": spec}
        self._env["KUBERNETES_EXEC_INFO"] = json.dumps(info, default=str)
        self._install_hint = " ".join(str(settings.get("installHint") or "Install it.").split())
        self._credential: Credential | None = None
        self._lock = threading.Lock()

    def credential(self) -> Credential:
        """Return the credential, kept until it is about to expire; raises EngineError."""
        with self._lock:
            kept = self._credential
            if kept is None or (kept.expires and kept.expires - RENEW_EARLY <= datetime.now(UTC)):
                kept = self._credential = self._parse(self._run())
            return kept

    def _run(self) -> str:
        program, *arguments = self._arguments
        folder, env = self._folder, self._env
        if os.path.dirname(program):  # relative to the kubeconfig, as for kubectl
            program = os.path.join(folder, program)
        path = shutil.which(program, path=env.get("PATH"))
        if path is None:
            raise self._error("is not installed", self._install_hint)
        options: Any = {"stdin": subprocess.DEVNULL, "capture_output": True, "errors": "replace"}
        try:
            done = subprocess.run([path, *arguments], cwd=folder, env=env, timeout=SECONDS, **options)
        except subprocess.TimeoutExpired:
            raise self._error(f"did not end within {SECONDS} seconds", LOG_IN_AGAIN) from None
        except OSError as err:
            raise self._error(f"cannot be run: {err.strerror}", LOG_IN_AGAIN) from err
        if done.returncode != 0:
            problem = f"failed with status {done.returncode}: {_find_message(done.stderr)}"
            raise self._error(problem, LOG_IN_AGAIN)
        return str(done.stdout)

    def _parse(self, output: str) -> Credential:
        try:
            answer = json.loads(output)
            status = answer["status"]
            token, certificate, key = (str(status.get(name) or "") for name in _FIELDS)
            time = status.get("expirationTimestamp")
            expires = datetime.fromisoformat(time).astimezone(UTC) if time else None
            if answer["apiVersion"] == self._api_version and (token or (certificate and key)):
                return Credential(token, certificate, key, expires)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass  # reported like a missing token
        problem = f"printed no {self._api_version} ExecCredential with a token or a certificate"
        raise self._error(problem, "Update the plug-in.")

    def _error(self, problem: str, next_step: str) -> EngineError:
        name = os.path.basename(self._arguments[0])
        return EngineError(f"The log-in plug-in {name} {problem}.", next_step)


def _find_message(output: str) -> str:
    """Return the output; of a long one, the part that starts with its first error, or else its end."""
    text = " ".join(output.split()).rstrip(".") or "no message"
    if len(text) <= MOST_CHARACTERS:
        return text
    match = _ERROR_LINE.search(output)
    if match is None:
        return text[-MOST_CHARACTERS:].lstrip()
    return " ".join(output[match.start() :].split())[:MOST_CHARACTERS]
