"""Traefik twice: as an ingress controller that reads canary annotations, and for the Gateway API."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import urllib3
import yaml

from tests.cluster.bed.api_server import ApiServer, Object, path_of
from tests.cluster.bed.certificates import Authority
from tests.cluster.bed.control_plane import ControlPlane
from tests.cluster.bed.processes import Programs, wait_until
from tests.cluster.bed.requirements import Binaries

INGRESS_CLASS = "nginx"
GATEWAY_NAMESPACE, GATEWAY_NAME = "bed", "web"
GATEWAY = f"{GATEWAY_NAMESPACE}/{GATEWAY_NAME}"
DOMAIN = "example.com"
"""The parent domain of the tests' host names."""
_GATEWAY_API = "gateway.networking.k8s.io/v1"
_INGRESS_PORT, _INGRESS_TLS_PORT, _INGRESS_ADMIN_PORT = 18000, 18443, 18009
_GATEWAY_PORT, _GATEWAY_ADMIN_PORT = 18100, 18109
_ADDRESS = "127.0.0.1"
_COMMON = (
    "--global.checknewversion=false",
    "--global.sendanonymoususage=false",
    "--api.insecure=true",
    "--ping=true",
    "--log.level=INFO",
    "--log.nocolor=true",
    "--providers.providersthrottleduration=0s",
)


@dataclass(frozen=True)
class Entrances:
    """The addresses of the controllers, as HOST:PORT."""

    ingress: str = f"{_ADDRESS}:{_INGRESS_PORT}"
    ingress_tls: str = f"{_ADDRESS}:{_INGRESS_TLS_PORT}"
    """Has a certificate of the bed's authority for `*.example.com`."""
    gateway: str = f"{_ADDRESS}:{_GATEWAY_PORT}"


class Traefik:
    """Starts both controllers; `programs.stop()` stops them."""

    def __init__(
        self, binaries: Binaries, programs: Programs, control_plane: ControlPlane, authority: Authority
    ) -> None:
        self._binary = binaries.traefik
        self._programs = programs
        self._env = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)}
        self._api = control_plane.admin
        self._start_ingress(authority)
        _install_crds(self._api, binaries.gateway_crds)
        self._start_gateway()
        programs.wait_for("traefik-ingress", partial(_answers_ping, _INGRESS_ADMIN_PORT))
        programs.wait_for("traefik-gateway", partial(_answers_ping, _GATEWAY_ADMIN_PORT))
        programs.wait_for(
            "traefik-gateway", partial(_has_condition, self._api, path_of(_gateway()[-1]), "Programmed")
        )

    def _start_ingress(self, authority: Authority) -> None:
        pair = authority.issue("ingress", f"*.{DOMAIN}")
        certificate = {"certFile": str(pair.certificate), "keyFile": str(pair.key)}
        served = {"tls": {"stores": {"default": {"defaultCertificate": certificate}}}}
        dynamic = self._programs.folder / "traefik-ingress.yaml"
        dynamic.write_text(yaml.safe_dump(served))
        self._api.apply(ingress_class(INGRESS_CLASS))
        self._start(
            "ingress",
            f"--entrypoints.web.address={_ADDRESS}:{_INGRESS_PORT}",
            f"--entrypoints.websecure.address={_ADDRESS}:{_INGRESS_TLS_PORT}",
            "--entrypoints.websecure.http.tls=true",
            f"--entrypoints.traefik.address={_ADDRESS}:{_INGRESS_ADMIN_PORT}",
            "--providers.kubernetesingressnginx=true",
            f"--providers.file.filename={dynamic}",
        )

    def _start_gateway(self) -> None:
        for obj in _gateway():
            self._api.apply(obj)
        self._start(
            "gateway",
            f"--entrypoints.web.address={_ADDRESS}:{_GATEWAY_PORT}",
            f"--entrypoints.traefik.address={_ADDRESS}:{_GATEWAY_ADMIN_PORT}",
            "--providers.kubernetesgateway=true",
        )

    def _start(self, name: str, *flags: str) -> None:
        self._programs.start(f"traefik-{name}", [self._binary, *_COMMON, *flags], self._env)


def ingress_class(name: str) -> Object:
    """Return an IngressClass that the ingress controller serves."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }


def _gateway() -> tuple[Object, ...]:
    listener = {
        "name": "web",
        "port": _GATEWAY_PORT,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATEWAY_NAMESPACE}},
        {
            "apiVersion": _GATEWAY_API,
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": _GATEWAY_API,
            "kind": "Gateway",
            "metadata": {"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE},
            "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
        },
    )


def _install_crds(api: ApiServer, folder: Path) -> None:
    found = [obj for file in sorted(folder.glob("*.yaml")) for obj in _documents(file)]
    for crd in found:
        api.create(crd)
    for crd in found:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
        wait_until(partial(_has_condition, api, path, "Established"), f"{path} is established")


def _documents(file: Path) -> list[Object]:
    documents = yaml.load_all(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [obj for obj in documents if obj and obj["kind"] == "CustomResourceDefinition"]


def _has_condition(api: ApiServer, path: str, condition: str) -> bool:
    conditions = api.get(path).get("status", {}).get("conditions", ())
    return any(c["type"] == condition and c["status"] == "True" for c in conditions)


def _answers_ping(port: int) -> bool:
    try:
        return (
            urllib3.request("GET", f"http://{_ADDRESS}:{port}/ping", timeout=2, retries=False).status == 200
        )
    except urllib3.exceptions.HTTPError:
        return False
