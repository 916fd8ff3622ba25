"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler, as they run on a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeAlias

import urllib3

from tests.cluster.bed.api_server import ApiServer, ApiServerError
from tests.cluster.bed.certificates import Authority
from tests.cluster.bed.network import NODE_ADDRESS
from tests.cluster.bed.processes import Programs, wait_until

USERS = tuple(f"user-{number}" for number in range(1, 1001))
"""Users without rights; a test grants them by RBAC."""

Flags: TypeAlias = dict[str, str | Path]
_ETCD, _ETCD_PEER = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
_CONTROLLERS = "*,-node-lifecycle-controller,-node-ipam-controller"
"""All but two, because the node's lease is never renewed."""


def token_of(user: str) -> str:
    """Return the bearer token of a user."""
    return f"token-of-{user}"


class ControlPlane:
    """Starts the four programs and waits until they serve; `programs.stop()` stops them."""

    url = "https://127.0.0.1:6443"

    def __init__(self, binary: Path, programs: Programs, authority: Authority) -> None:
        self._binary = binary
        self._programs = programs
        self._authority = authority
        self._folder = programs.folder
        self.admin = ApiServer(self.url, authority.file, token_of("admin"))
        self.kubeconfig = self.write_kubeconfig("admin")
        self._start_etcd()
        self._start_api_server()
        programs.wait_for("kube-apiserver", self._is_ready)
        self._start_controllers()
        wait_until(self._has_default_account, "the controllers have created the default ServiceAccount", 60)

    def write_kubeconfig(self, user: str) -> Path:
        """Write a kubeconfig of a user."""
        path = self._folder / f"{user}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self._authority.file)}
        context = {"cluster": "bed", "user": user}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bed", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token_of(user)}}],
            "contexts": [{"name": "bed", "context": context}],
            "current-context": "bed",
        }
        path.write_text(json.dumps(config, indent=2))
        return path

    def _start_etcd(self) -> None:
        flags: Flags = {
            "data-dir": self._folder / "etcd",
            "listen-client-urls": _ETCD,
            "advertise-client-urls": _ETCD,
            "listen-peer-urls": _ETCD_PEER,
            "initial-advertise-peer-urls": _ETCD_PEER,
            "initial-cluster": f"default={_ETCD_PEER}",
            "unsafe-no-fsync": "true",
            "log-level": "error",
        }
        self._start("etcd", flags)

    def _start_api_server(self) -> None:
        tokens = self._folder / "tokens.csv"
        rows = [f'{token_of("admin")},admin,admin,"system:masters"']
        tokens.write_text("\n".join(rows + [f"{token_of(user)},{user},{user}" for user in USERS]) + "\n")
        own = self._authority.issue("kube-apiserver", "127.0.0.1", "localhost", NODE_ADDRESS)
        signing = self._authority.issue("service-accounts", "service-accounts.invalid")
        flags: Flags = {
            "etcd-servers": _ETCD,
            "tls-cert-file": own.certificate,
            "tls-private-key-file": own.key,
            "cert-dir": self._folder / "api-server",
            "secure-port": self.url.rpartition(":")[2],
            "bind-address": "127.0.0.1",
            "advertise-address": NODE_ADDRESS,
            "endpoint-reconciler-type": "none",
            "kubelet-preferred-address-types": "InternalIP",
            "service-cluster-ip-range": "10.96.0.0/16",
            "service-account-issuer": "https://bed.invalid",
            "service-account-key-file": signing.key,
            "service-account-signing-key-file": signing.key,
            # Else the node starts with a taint that its lifecycle controller would have to take away.
            "disable-admission-plugins": "TaintNodesByCondition",
            "authorization-mode": "RBAC",
            "token-auth-file": tokens,
            "enable-priority-and-fairness": "false",
            "max-requests-inflight": "0",
            "max-mutating-requests-inflight": "0",
        }
        self._start("kube-apiserver", flags)

    def _start_controllers(self) -> None:
        common: Flags = {
            "kubeconfig": self.kubeconfig,
            "authorization-kubeconfig": self.kubeconfig,
            "authentication-kubeconfig": self.kubeconfig,
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
        }
        controllers: Flags = {
            "controllers": _CONTROLLERS,
            "service-account-private-key-file": self._folder / "certificates" / "service-accounts.key",
        }
        self._start("kube-controller-manager", common | controllers)
        self._start("kube-scheduler", common)

    def _start(self, part: str, flags: Flags) -> None:
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        self._programs.start(part, [self._binary, part, *arguments])

    def _is_ready(self) -> bool:
        try:
            return self.admin.get("/readyz") == {"message": "ok"}
        except (ApiServerError, urllib3.exceptions.HTTPError):
            return False

    def _has_default_account(self) -> bool:
        return self.admin.find("/api/v1/namespaces/default/serviceaccounts/default") is not None
