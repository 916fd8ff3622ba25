"""What the values of settings may look like: each parser raises ValueError for what it does not take."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
_REPOSITORY = r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*"
_TAG = r":\w[\w.-]{0,127}"
_DIGEST = r"@sha256:[0-9a-f]{64}"
_ADDRESS = r"(?P<host>\[(?P<v6>[^]]+)\]|[^\s:/@\[\]]+):(?P<port>\d{1,5})"
_SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}


def _like(pattern: str) -> Callable[[str], str]:
    """A parser that takes what matches as a whole."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(text)
        return text

    return parse


label = _like(_LABEL)
"""A name of a namespace, say."""
name = _like(_NAME)
"""A name of most objects: labels with dots between them."""
name_in_namespace = _like(f"{_LABEL}/{_NAME}")
pinned_image = _like(rf"(?!.*:latest$){_REPOSITORY}(({_TAG})?{_DIGEST}|{_TAG})")
"""An image with a tag that is not latest, or with a digest."""


def port(text: str) -> int:
    """A port; 0 is any that is free."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def switch(text: str) -> bool:
    """Yes or no, in one of the usual ways."""
    if text.lower() not in _SWITCH:
        raise ValueError(text)
    return _SWITCH[text.lower()]


def some(text: str) -> str:
    """Anything but nothing."""
    if not text.strip():
        raise ValueError(text)
    return text


def folder(text: str) -> Path:
    """A folder, or what may become one."""
    path = file(text)
    if path.exists() and not path.is_dir():
        raise ValueError(text)
    return path


def file(text: str) -> Path:
    """A path at which a file may come to be later."""
    return Path(some(text)).expanduser().absolute()


def existing_file(text: str) -> Path:
    """A file that is there."""
    path = file(text)
    if not path.is_file():
        raise ValueError(text)
    return path


def host(text: str) -> str:
    """A host name: the rules of an Ingress and of a Gateway take no addresses, and no capitals."""
    small = text.lower()
    if not re.fullmatch(_NAME, small, re.ASCII) or len(small) > 253 or re.fullmatch(r"[\d.]+", small):
        raise ValueError(text)
    return small


def address(text: str) -> str:
    """HOST:PORT, with brackets round an IPv6 address."""
    found = re.fullmatch(_ADDRESS, text, re.ASCII)
    if not found or not 0 < int(found["port"]) <= 65535:
        raise ValueError(text)
    if found["v6"]:
        ipaddress.IPv6Address(found["v6"])
    return text
