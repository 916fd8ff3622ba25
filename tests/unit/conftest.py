"""The unit tests run without other processes and without the network: what tries to use them fails."""

from __future__ import annotations

import socket
import subprocess
from typing import Any, NoReturn

import pytest


class OutsideError(AssertionError):
    """A unit test tried to leave its process."""


@pytest.fixture(autouse=True)
def _inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts a process, or binds or connects a socket."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OutsideError("Unit tests use no process and no network; move this one to tests/processes.")

    def close_and_refuse(sock: socket.socket, *_: Any) -> NoReturn:
        sock.close()  # whoever opened it closes it after an OSError only
        refuse()

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    for name in ("bind", "connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, close_and_refuse)
