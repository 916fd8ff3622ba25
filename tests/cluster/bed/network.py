"""A network namespace for the tests, in which all of 10.77.0.0/16 is on `lo`.

A real API server refuses loopback addresses for Pods, so they need others to which this machine can bind.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

NODE_ADDRESS = "10.77.0.1"
NETMASK = "255.255.0.0"

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP_RUNNING = 0x1 | 0x40
_IFNAMSIZ = 16


def enter() -> None:
    """Move this process into a new network; raises OSError if the machine does not allow it.

    The process must have one thread only. Its later children are in the network too, which reaches
    127.0.0.1 but nothing outside.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _unshare(_CLONE_NEWNET)
    except PermissionError:  # not root, or without its rights, which a user namespace gives
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        _map_ids(user, group)
    _bring_up_loopback()


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def _map_ids(user: int, group: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack(f"{_IFNAMSIZ}sh14x", b"lo", _IFF_UP_RUNNING)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)
        for command, address in ((_SIOCSIFADDR, NODE_ADDRESS), (_SIOCSIFNETMASK, NETMASK)):
            fcntl.ioctl(control, command, _address_request(b"lo:0", address))


def _address_request(interface: bytes, address: str) -> bytes:
    """A `struct ifreq` with a `sockaddr_in`."""
    return struct.pack(f"{_IFNAMSIZ}sHH4s8x", interface, socket.AF_INET, 0, socket.inet_aton(address))
