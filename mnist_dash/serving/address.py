"""Connecting to an address while speaking to the host of a URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from mnist_dash.domain import Gateway

CONNECTIONS = 16


class AddressAdapter(HTTPAdapter):
    """Connects to the gateway's address, if it has one; certificate and SNI stay those of its host."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(pool_maxsize=CONNECTIONS)
        self._address = urlsplit(f"//{gateway.address}")

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        """Scheme, host and port to connect to, and what TLS has to know."""
        where, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if not self._address.hostname:
            return where, tls
        named = {"server_hostname": where["host"]} if where["scheme"] == "https" else {}
        return {**where, "host": self._address.hostname, "port": self._address.port}, {**tls, **named}
