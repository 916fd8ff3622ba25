"""The test-bed: a cluster with ingress, Gateway and Cloud Storage, of real parts except for the kubelet."""

from __future__ import annotations

import itertools
import os
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.bed.api_server import Object
from tests.cluster.bed.certificates import Authority
from tests.cluster.bed.cloud_storage import CloudStorage
from tests.cluster.bed.control_plane import USERS, ControlPlane
from tests.cluster.bed.faults import FaultProxy
from tests.cluster.bed.kubelet import Kubelet
from tests.cluster.bed.processes import Programs, wait_until
from tests.cluster.bed.requirements import find, missing, program
from tests.cluster.bed.traefik import DOMAIN, GATEWAY, INGRESS_CLASS, Entrances, Traefik

__all__ = ["Bed", "User", "wait_until"]

Rule = Object
"""A rule of a Role: `{"apiGroups": [...], "resources": [...], "verbs": [...]}`."""


@dataclass(frozen=True)
class User:
    """A user with RBAC rules of its own."""

    name: str
    kubeconfig: Path


class Bed:
    """Starts all parts, in about 4 s.

    This process must be in the bed's network (`network.py`).
    """

    entrances = Entrances()
    """The addresses of ingress and Gateway."""
    ingress_class = INGRESS_CLASS
    gateway = GATEWAY
    """The Gateway that accepts routes from all namespaces, as NAMESPACE/NAME."""

    def __init__(self) -> None:
        binaries = find()
        assert binaries, missing()
        self.folder = Path(tempfile.mkdtemp(prefix="mnist-dash-bed-"))
        self._programs = Programs(self.folder)
        self._numbers = itertools.count(1)
        self._users = iter(USERS)
        self._lock = threading.Lock()
        try:
            self._authority = Authority(self.folder / "certificates")
            self.storage = CloudStorage(binaries.storage, self._programs)
            self.control_plane = ControlPlane(binaries.control_plane, self._programs, self._authority)
            in_pods = {"STORAGE_EMULATOR_HOST": self.storage.url}
            self.kubelet = Kubelet(self.control_plane.admin, self._programs, self._authority, in_pods)
            Traefik(binaries, self._programs, self.control_plane, self._authority)
        except BaseException:
            self._programs.stop()
            raise
        self.api = self.control_plane.admin
        """The API server as the administrator sees it."""
        self.ca_file = self._authority.file
        """The certificate authority of the API server, the proxies and the ingress's HTTPS."""
        self.kubeconfig = self.control_plane.kubeconfig
        """The administrator's kubeconfig."""

    def stop(self) -> None:
        """Stop all parts, and remove their files."""
        self.kubelet.stop()
        self._programs.stop()

    # Users and their rights

    def user(self, namespace: str, rules: Sequence[Rule] = (), cluster_rules: Sequence[Rule] = ()) -> User:
        """Return a new user with `rules` in a namespace, and `cluster_rules` everywhere."""
        with self._lock:
            name = next(self._users)
        if rules:
            self.grant(name, rules, namespace)
        if cluster_rules:
            self.grant(name, cluster_rules)
        return User(name, self.control_plane.write_kubeconfig(name))

    def grant(self, user: str, rules: Sequence[Rule], namespace: str = "") -> None:
        """Grant rules to a user, in a namespace or everywhere."""
        kind = "Role" if namespace else "ClusterRole"
        name = f"{user}-{secrets.token_hex(4)}"
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        group = "rbac.authorization.k8s.io"
        api = f"{group}/v1"
        self.api.create({"apiVersion": api, "kind": kind, "metadata": metadata, "rules": list(rules)})
        binding = {
            "apiVersion": api,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        self.api.create(binding)

    # Resources of one test

    def new_name(self) -> str:
        """Return a unique name for a namespace, a bucket or a host."""
        with self._lock:
            return f"t{next(self._numbers)}-{secrets.token_hex(3)}"

    @contextmanager
    def namespace(self, create: bool = True) -> Iterator[str]:
        """Create a namespace for one test, and delete it afterwards without waiting.

        With `create=False` the test creates the namespace itself.
        """
        name = self.new_name()
        if create:
            self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            wait_until(lambda: self.api.find(account) is not None, f"{name} has its ServiceAccount")
        try:
            yield name
        finally:
            self.api.delete(f"/api/v1/namespaces/{name}")
            self.kubelet.clear(name)

    def host(self, namespace: str) -> str:
        """Return the host name of a namespace, which the HTTPS certificate covers."""
        return f"{namespace}.{DOMAIN}"

    @contextmanager
    def proxy(self) -> Iterator[FaultProxy]:
        """Run a fault-injecting proxy before the API server."""
        pair = self._authority.issue(f"proxy-{secrets.token_hex(4)}", "127.0.0.1")
        proxy = FaultProxy(self.control_plane.url, pair, self.ca_file)
        try:
            yield proxy
        finally:
            proxy.stop()

    def kubectl(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator, whatever its exit code."""
        found = program("kubectl")
        assert found, "There is no kubectl: install `.[test]`."
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)}
        return subprocess.run(
            [found, *argv], input=stdin, env=env, capture_output=True, text=True, timeout=60, check=False
        )
