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
import threading
from collections.abc import Callable, Sequence
from dataclasses import fields

from aiohttp import web

from mnist_dash.domain import Role
from mnist_dash.errors import EngineError
from mnist_dash.local.gateway.app import GatewayApp, HttpServer
from mnist_dash.local.gateway.balancer import UpstreamPool
from mnist_dash.local.gateway.protocol import Event, EventName, RoutingUpdate
from mnist_dash.local.gateway.proxy import Proxy, Timeouts

SHUTDOWN_SECONDS = 2.0
_BACKLOG = 1024
_OPEN_FILES = 10_240
"""A thousand idle connections are more than the 256 or 1,024 open files that systems grant unasked."""

log = logging.getLogger(__name__)


async def serve(sock: socket.socket, patience: Timeouts) -> None:
    """Answer on a listening socket until SIGTERM, by the orders that come in on stdin."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with Proxy(patience) as relay:
        entrance = GatewayApp(relay, UpstreamPool(_announce), patience)
        runner = web.ServerRunner(HttpServer(entrance))
        await runner.setup()
        await web.SockSite(runner, sock, backlog=_BACKLOG).start()
        _announce(Event(EventName.LISTENING, port=sock.getsockname()[1]))
        _obey(lambda line: loop.call_soon_threadsafe(_take, entrance, line))
        _quiet_collector()
        await stop.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.cleanup(), SHUTDOWN_SECONDS)


def _announce(event: Event) -> None:
    sys.stdout.buffer.write(event.to_line())
    sys.stdout.buffer.flush()


def _take(entrance: GatewayApp, line: bytes) -> None:
    """Apply one line of stdin; between two requests, since both run on the event loop."""
    try:
        order = RoutingUpdate.from_line(line)
    except EngineError as error:
        log.error("refused an order: %s", error)
        _announce(Event(EventName.REFUSED, problem=str(error)))
    else:
        current, new = (len(order.table.of(role)) for role in Role)
        if entrance.apply(order):  # else it was said again, to hear whether anyone listens
            log.info("order %d: split %d, current %d, new %d", order.id, order.table.split, current, new)


def _obey(take: Callable[[bytes], object]) -> None:
    """Read stdin in a thread, which ends the process at the end of file even if the event loop were stuck."""

    def read() -> None:
        # Not sys.stdin: a thread that waits in it holds a lock that the interpreter wants at its end.
        with open(0, "rb", closefd=False) as lines:
            for line in lines:
                take(line)
        os._exit(0)

    threading.Thread(target=read, name="orders", daemon=True).start()


def _quiet_collector() -> None:
    """Take all that was imported out of the garbage collector's rounds, which hold up requests."""
    gc.collect()
    gc.freeze()


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    desired = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < desired:
        resource.setrlimit(resource.RLIMIT_NOFILE, (desired, hard))


def _socket(options: argparse.Namespace) -> socket.socket:
    """The inherited socket, or a new one; raises EngineError if there is none to be had."""
    try:
        if options.fd is not None:
            return socket.socket(fileno=options.fd)
        return socket.create_server((options.host, options.port), backlog=_BACKLOG)
    except (OSError, ValueError) as error:
        inherited = options.fd is not None
        where = f"file descriptor {options.fd}" if inherited else f"{options.host}:{options.port}"
        raise EngineError(f"The gateway cannot listen on {where}: {error}.", "Choose another one.") from error


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mnist_dash.local.gateway", description="Divide traffic over replicas."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="an inherited, listening TCP socket")
    where.add_argument("--port", type=port_number, help="a port to listen on; 0 takes any free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    for wait in fields(Timeouts):
        flag = f"--{wait.name.replace('_', '-')}-seconds"
        parser.add_argument(
            flag, dest=wait.name, type=float, default=wait.default, help="default: %(default)s"
        )
    return parser.parse_args(argv)


def port_number(text: str) -> int:
    """A port from its text; raises ValueError if there is no such port."""
    port = int(text)
    if not 0 <= port < 65536:
        raise ValueError
    return port


def main(argv: Sequence[str] | None = None) -> None:
    """Run the gateway until SIGTERM or the end of stdin."""
    options = _arguments(argv)
    try:
        sock = _socket(options)
    except EngineError as error:
        sys.exit(str(error))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    _allow_many_connections()
    patience = Timeouts(**{wait.name: getattr(options, wait.name) for wait in fields(Timeouts)})
    asyncio.run(serve(sock, patience))  # uvloop was measured to gain nothing here


if __name__ == "__main__":
    main()
