"""Exec plug-ins of a kubeconfig: programs that print a token, as `gke-gcloud-auth-plugin` does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mnist_dash.errors import EngineError

SECONDS: Final = 20
"""How long a plug-in may take; it must not ask anything."""
EARLY: Final = timedelta(minutes=1)
"""How long before its end a token is renewed."""
_INSTALL = {
    "gke-gcloud-auth-plugin": "Install it: gcloud components install gke-gcloud-auth-plugin",
    "aws": "Install the AWS CLI: https://docs.aws.amazon.com/cli",
    "aws-iam-authenticator": "Install it: https://github.com/kubernetes-sigs/aws-iam-authenticator",
    "kubelogin": "Install it: https://github.com/Azure/kubelogin",
    "kubectl-oidc_login": "Install it: kubectl krew install oidc-login",
}
_LOGIN = {
    "gke-gcloud-auth-plugin": "Log in again: gcloud auth login.",
    "aws": "Log in again: aws sso login.",
    "kubelogin": "Log in again: az login.",
}


@dataclass(frozen=True)
class Credential:
    """What a plug-in gave: a token, or a client certificate with its key (PEM)."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires: datetime | None = None


class ExecPlugin:
    """One plug-in, run again when what it gave is about to expire; for any number of threads."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], folder: str, api: str, *, install_hint: str = ""
    ) -> None:
        """A program with its arguments and its whole environment, with KUBERNETES_EXEC_INFO.

        `folder` is the kubeconfig's, `api` the version to answer in, `install_hint` what the kubeconfig says.
        """
        self._command = tuple(command)
        self._install_hint = install_hint
        self._env = dict(env)
        self._folder = folder
        self._api = api
        self._credential: Credential | None = None
        self._running = threading.Lock()

    @property
    def name(self) -> str:
        """The program, without its folder."""
        return self._command[0].replace("\\", "/").rpartition("/")[2].removesuffix(".exe")

    def credential(self) -> Credential:
        """What it gives, which is kept until it expires; raises EngineError."""
        with self._running:
            if self._credential is None or _expires_soon(self._credential):
                self._credential = self._parsed(self._run())
            return self._credential

    def _run(self) -> str:
        program = self._program()
        if program is None:
            raise self._missing()
        try:
            done = subprocess.run(
                [program, *self._command[1:]],
                env=self._env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            problem = f"The log-in plug-in {self.name} did not end within {SECONDS} seconds."
            raise EngineError(problem, f"Perhaps it asks something: {self._by_hand}") from None
        except OSError as err:
            problem = f"The log-in plug-in {self.name} cannot be run: {err.strerror}."
            raise EngineError(problem, self._by_hand) from err
        if done.returncode != 0:
            said = _last_words(done.stderr) or "it said nothing"
            problem = f"The log-in plug-in {self.name} failed with status {done.returncode}: {said}"
            raise EngineError(_sentence(problem), _LOGIN.get(self.name, self._by_hand))
        return done.stdout

    def _program(self) -> str | None:
        """Its path: on the PATH, or, if it is named with a folder, as seen from the kubeconfig."""
        command = self._command[0]
        if os.path.dirname(command):
            command = os.path.join(self._folder, command)
        return shutil.which(command, path=self._env.get("PATH"))

    def _missing(self) -> EngineError:
        problem = f"The kubeconfig logs in with the plug-in {self.name}, which is not installed."
        step = _INSTALL.get(self.name) or " ".join(self._install_hint.split())
        return EngineError(problem, _sentence(step or "Install it, or make sure that it lies on the PATH"))

    @property
    def _by_hand(self) -> str:
        return "See whether kubectl get pods works in a terminal."

    def _parsed(self, text: str) -> Credential:
        try:
            answer = json.loads(text)
            status = answer["status"]
            api = answer["apiVersion"]
            expires = _time(status.get("expirationTimestamp"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._useless("what it prints is no ExecCredential") from None
        if api != self._api:
            raise self._useless(f"it answers in {api}, not in {self._api} as the kubeconfig has it")
        if status.get("token"):
            return Credential(token=status["token"], expires=expires)
        if status.get("clientCertificateData") and status.get("clientKeyData"):
            certificate, key = status["clientCertificateData"], status["clientKeyData"]
            return Credential(certificate=certificate, key=key, expires=expires)
        raise self._useless("it gives neither a token nor a client certificate with its key")

    def _useless(self, why: str) -> EngineError:
        return EngineError(f"The log-in plug-in {self.name} is of no use: {why}.", "Update it.")


def exec_info(api: str, cluster: Mapping[str, Any] | None) -> str:
    """The value of KUBERNETES_EXEC_INFO; with the cluster if the plug-in wants to know it."""
    spec: dict[str, Any] = {"interactive": False}
    if cluster is not None:
        plain = {key: value for key, value in cluster.items() if key != "extensions"}
        own = [
            one.get("extension")
            for one in cluster.get("extensions") or []
            if one.get("name") == "client.authentication.k8s.io/exec"
        ]
        spec["cluster"] = plain | ({"config": own[0]} if own else {})
    return json.dumps({"apiVersion": api, "kind": "ExecCredential", "spec": spec})


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _expires_soon(credential: Credential) -> bool:
    expires = credential.expires
    return expires is not None and expires - EARLY <= datetime.now(expires.tzinfo)


def _last_words(text: str) -> str:
    """The last three lines that say something."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return " ".join(lines[-3:])[-400:]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
