"""Run the gateway: `python -m mnist_dash.local.gateway`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import fields

import uvloop
from aiohttp import web

from mnist_dash.local.gateway.app import GatewayApp
from mnist_dash.local.gateway.balancer import UpstreamPool
from mnist_dash.local.gateway.proxy import Proxy, Timeouts
from mnist_dash.local.protocol import Listening, ProcessEvent, event_line
from mnist_dash.subprocesses import exit_with_parent

SHUTDOWN_SECONDS = 2.0
_BACKLOG = 1024
_OPEN_FILES = 10_240
"""A thousand idle connections need more than the 256 or 1,024 open files that systems grant by default."""


async def serve(listener: socket.socket, timeouts: Timeouts) -> None:
    """Answer on a listening socket until SIGTERM, by the routing updates that come in on stdin."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with contextlib.aclosing(Proxy(timeouts)) as proxy:
        app = GatewayApp(proxy, UpstreamPool(_report), timeouts)
        runner = web.ServerRunner(app)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        _report(Listening(listener.getsockname()[1]))
        # An update is applied between two requests, since both run on the event loop.
        exit_with_parent(lambda line: loop.call_soon_threadsafe(app.apply, line))
        # The imports stay out of the garbage collector's rounds, which hold up requests.
        gc.collect()
        gc.freeze()
        await stop.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.cleanup(), SHUTDOWN_SECONDS)


def _report(event: ProcessEvent) -> None:
    os.write(1, event_line(event))


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    desired = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < desired:
        resource.setrlimit(resource.RLIMIT_NOFILE, (desired, hard))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the gateway until SIGTERM or the end of stdin."""
    parser = argparse.ArgumentParser(
        prog="python -m mnist_dash.local.gateway", description="Divide traffic over replicas."
    )
    parser.add_argument("--fd", type=int, required=True, help="an inherited, listening TCP socket")
    for wait in fields(Timeouts):
        flag = f"--{wait.name.replace('_', '-')}-seconds"
        parser.add_argument(
            flag, dest=wait.name, type=float, default=wait.default, help="default: %(default)s"
        )
    options = vars(parser.parse_args(argv))
    listener = socket.socket(fileno=options.pop("fd"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    _allow_many_connections()
    uvloop.run(serve(listener, Timeouts(**options)))


if __name__ == "__main__":
    main()
