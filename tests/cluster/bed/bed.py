"""The test-bed: a cluster with ingress, Gateway and Cloud Storage, all of real parts but for the kubelet."""

from __future__ import annotations

import itertools
import os
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubernetes import client, config

from tests.cluster.bed.api_server import Object
from tests.cluster.bed.certificates import Authority
from tests.cluster.bed.cloud_storage import CloudStorage
from tests.cluster.bed.control_plane import USERS, ControlPlane
from tests.cluster.bed.faults import FaultProxy, google_error, kubernetes_error
from tests.cluster.bed.kubelet import Kubelet
from tests.cluster.bed.processes import Programs, wait_until
from tests.cluster.bed.requirements import find, missing, program
from tests.cluster.bed.traefik import DOMAIN, GATEWAY, INGRESS_CLASS, Entrances, Traefik

__all__ = ["Bed", "User", "wait_until"]

Rule = Object
"""A rule of a Role: `{"apiGroups": [...], "resources": [...], "verbs": [...]}`."""


@dataclass(frozen=True)
class User:
    """Somebody with rights of their own."""

    name: str
    kubeconfig: Path


class Bed:
    """Starts everything (about 4 s); `stop()` ends it.

    This process must be in the bed's network (`network.py`).
    """

    entrances = Entrances()
    """Where ingress and Gateway listen."""
    ingress_class = INGRESS_CLASS
    gateway = GATEWAY
    """The Gateway that takes routes from all namespaces, as NAMESPACE/NAME."""

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
        """The administrator's view in plain dictionaries."""
        self.ca_file = self._authority.file
        """What trusts the API server, the proxies and the ingress's HTTPS."""
        self.kubeconfig = self.control_plane.kubeconfig
        """The administrator's kubeconfig."""

    def stop(self) -> None:
        """End everything; nothing is left behind."""
        self.kubelet.stop()
        self._programs.stop()

    # Who may do what

    def client(self, kubeconfig: Path | None = None) -> client.ApiClient:
        """The kubernetes package's client, by default the administrator's."""
        configuration = client.Configuration()
        load: Callable[..., None] = config.load_kube_config  # it has no types
        load(str(kubeconfig or self.kubeconfig), client_configuration=configuration)
        return client.ApiClient(configuration)

    def write_kubeconfig(self, user: str = "admin", server: str = "", namespace: str = "") -> Path:
        """A new kubeconfig of `admin`, `second-admin` or one of `USERS`; `server` may be a proxy's URL."""
        name = f"{user}-{secrets.token_hex(4)}"
        return self.control_plane.write_kubeconfig(user, server, namespace, name)

    def user(
        self, namespace: str, rules: Sequence[Rule] = (), cluster_rules: Sequence[Rule] = (), server: str = ""
    ) -> User:
        """Somebody new who may do what `rules` say in a namespace, and anywhere what `cluster_rules` say."""
        with self._lock:
            name = next(self._users)
        if rules:
            self.grant(name, rules, namespace)
        if cluster_rules:
            self.grant(name, cluster_rules)
        return User(name, self.write_kubeconfig(name, server, namespace))

    def grant(self, user: str, rules: Sequence[Rule], namespace: str = "") -> None:
        """Let a user do what the rules say, in a namespace or everywhere."""
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

    # What a test has for itself

    def new_name(self) -> str:
        """A name that no other test has, for a namespace, a bucket or a host."""
        with self._lock:
            return f"t{next(self._numbers)}-{secrets.token_hex(3)}"

    @contextmanager
    def namespace(self, create: bool = True) -> Iterator[str]:
        """A namespace for one test; afterwards it is deleted, which is not waited for.

        With `create=False` it is only a name, for a test that makes the namespace itself.
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
        """The host name that belongs to a namespace; the HTTPS certificate is good for it."""
        return f"{namespace}.{DOMAIN}"

    @contextmanager
    def proxy(self) -> Iterator[FaultProxy]:
        """A fault-injecting proxy before the API server; `write_kubeconfig(server=proxy.url)` leads to it."""
        pair = self._authority.issue(f"proxy-{secrets.token_hex(4)}", "127.0.0.1")
        proxy = FaultProxy(self.control_plane.url, kubernetes_error, pair, self.ca_file)
        try:
            yield proxy
        finally:
            proxy.stop()

    @contextmanager
    def storage_proxy(self) -> Iterator[FaultProxy]:
        """A fault-injecting proxy in front of Cloud Storage; STORAGE_EMULATOR_HOST may be its `url`."""
        proxy = FaultProxy(self.storage.url, google_error)
        try:
            yield proxy
        finally:
            proxy.stop()

    def kubectl(self, *argv: str, user: str = "admin", stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user; its exit code and output are the test's to judge."""
        found = program("kubectl")
        assert found, "There is no kubectl: install `.[test]`."
        env = {**os.environ, "KUBECONFIG": str(self.write_kubeconfig(user)), "HOME": str(self.folder)}
        return subprocess.run(
            [found, *argv], input=stdin, env=env, capture_output=True, text=True, timeout=60, check=False
        )
