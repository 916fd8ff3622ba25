"""Run a model server: `python -m mnist_dash.local.server`."""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import uvicorn

from mnist_dash import subprocesses
from mnist_dash.domain import MODEL_NAME, SERVED_BY_HEADER
from mnist_dash.errors import MnistDashError, SettingsError
from mnist_dash.local.server.mirror import Mirror, mirrored
from mnist_dash.local.server.rest import RestApi
from mnist_dash.local.server.versions import Listener, Versions, VersionWatcher
from mnist_dash.savedmodel.model import Model


class Reporter(Listener, Protocol):
    """Is told of all that those outside may want to know."""

    def listening(self, host: str, port: int, version: int) -> None:
        """The model is loaded and connections are accepted."""

    def ending(self) -> None:
        """It was told to end, and soon takes no more requests."""


class ForPeople:
    """One line on stdout when it is ready, and what happens later on stderr."""

    def listening(self, host: str, port: int, version: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        print(f"Serving version {version} at http://{shown}:{port}/v1/models/model", flush=True)

    def ending(self) -> None:
        pass  # whoever told it to knows

    def version(self, version: int) -> None:
        log(f"Version {version} has taken over.")

    def trouble(self, problem: str) -> None:
        log(problem)


class ForSupervisor:
    """One JSON object for each event, on what was stdout; all that anyone else prints goes to stderr."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)  # native libraries print to descriptor 1, whatever sys.stdout is

    def listening(self, host: str, port: int, version: int) -> None:
        log(f"Serving version {version} on {host}:{port}.")
        self._write(event="listening", port=port, version=version)

    def ending(self) -> None:
        self._write(event="ending")

    def version(self, version: int) -> None:
        log(f"Version {version} has taken over.")
        self._write(event="version", version=version)

    def trouble(self, problem: str) -> None:
        log(problem)
        self._write(event="trouble", problem=problem)

    def _write(self, **event: str | int) -> None:
        with contextlib.suppress(
            BrokenPipeError
        ):  # who reads no more has ended, and then so will this process
            os.write(self._descriptor, json.dumps(event).encode() + b"\n")


def log(line: str) -> None:
    """Write one line to stderr."""
    print(line, file=sys.stderr, flush=True)


LAST_CALL_SECONDS = 0.25
"""For how long a supervised server takes requests after SIGTERM: the gateway has to learn of it first."""
DRAIN_SECONDS = 4
"""For how long requests may go on after SIGTERM."""
IDLE_SECONDS = 300
"""After which an idle connection is closed: later than clients do it, or a request could meet the closing."""
BIG_AT_ONCE = 2
"""Threads for big requests."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    model_base: str
    """A folder or `gs://bucket/path`."""
    port: int
    host: str
    served_by: str
    """Of every answer's X-Served-By header; without one if empty."""
    supervised: bool

    @classmethod
    def from_argv(cls, argv: Sequence[str]) -> Options:
        """Read the flags; argparse ends the process if they are wrong."""
        parser = argparse.ArgumentParser(
            prog="python -m mnist_dash.local.server",
            description="Serve one MNIST model as TensorFlow Serving would.",
            allow_abbrev=False,
        )
        parser.add_argument(
            "--model-base",
            required=True,
            metavar="BASE",
            help="holds model/<version>/; a folder or gs://bucket/path",
        )
        parser.add_argument("--port", type=port, required=True, metavar="P", help="0 takes any free one")
        parser.add_argument(
            "--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)"
        )
        parser.add_argument(
            "--served-by",
            type=header,
            default="",
            metavar="TEXT",
            help=f"the header {SERVED_BY_HEADER} of every answer (default: none)",
        )
        parser.add_argument("--supervised", action="store_true", help="report on stdout, end with stdin")
        return cls(**vars(parser.parse_args(argv)))


def port(text: str) -> int:
    """The number of a port; raises ValueError if it is none. (argparse shows this function's name.)"""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def header(text: str) -> str:
    """The value of a header; raises ValueError if it cannot be one. (argparse shows this function's name.)"""
    if not (text.isascii() and text.isprintable()):
        raise ValueError(text)
    return text


class _HttpServer(uvicorn.Server):
    """uvicorn, but for what it does with signals, and for telling when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # uvicorn would end with the signal itself instead of exit code 0

    def ask_to_end(self, *_: object) -> None:
        """Answer what is under way and end, at once if asked again; takes what a signal handler is given."""
        self.force_exit = self.should_exit
        self.should_exit = True


def main(argv: Sequence[str] = sys.argv[1:]) -> int:
    """Serve until told to end; returns the exit code."""
    options = Options.from_argv(argv)
    reporter = ForSupervisor() if options.supervised else ForPeople()
    try:
        _serve(options, reporter)
    except MnistDashError as error:
        log(" ".join(str(error).split()))
        return 1
    return 0


def _serve(options: Options, reporter: Reporter) -> None:
    if not options.model_base.startswith("gs:"):
        _serve_folder(Path(options.model_base) / MODEL_NAME, options, reporter)
        return
    with mirrored(options.model_base) as mirror:
        _serve_folder(mirror.folder, options, reporter, mirror)


def _serve_folder(folder: Path, options: Options, reporter: Reporter, mirror: Mirror | None = None) -> None:
    versions = Versions()
    watcher = VersionWatcher(folder, versions, _load, reporter, shown=str(mirror.source) if mirror else "")
    stop = threading.Event()

    def ready() -> None:
        served = versions.served
        assert served is not None
        reporter.listening(options.host, listener.getsockname()[1], served.version)
        threading.Thread(target=watcher.run, args=(stop,), name="versions", daemon=True).start()
        if mirror:
            threading.Thread(target=mirror.run, args=(stop, reporter), name="mirror", daemon=True).start()

    executor = ThreadPoolExecutor(BIG_AT_ONCE, thread_name_prefix="big")
    server = _HttpServer(_http_config(RestApi(versions, executor), options.served_by), ready)
    _heed_the_end(server.ask_to_end, reporter if options.supervised else None)
    listener = _bound(options.host, options.port)
    if mirror:
        mirror.fill()
    watcher.load_first()
    try:
        server.run(sockets=[listener])
    except OSError as error:
        raise _cannot_listen(options.host, options.port, error) from error
    finally:
        stop.set()
        executor.shutdown(wait=False, cancel_futures=True)


def _load(folder: Path) -> Model:
    model = Model.load(folder)
    # What lives as long as the model is not looked through again by the garbage collector: its full
    # collections were 20 ms pauses.
    gc.collect()
    gc.freeze()
    return model


def _http_config(app: RestApi, served_by: str) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        headers=[(SERVED_BY_HEADER, served_by)] if served_by else [],
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    config.load()  # its imports must be done before the garbage is frozen
    return config


def _heed_the_end(ask_to_end: Callable[..., None], supervisor: Reporter | None) -> None:
    if not supervisor:
        signal.signal(signal.SIGTERM, ask_to_end)
        signal.signal(signal.SIGINT, ask_to_end)
        return

    def last_call(*_: object) -> None:
        supervisor.ending()
        threading.Timer(LAST_CALL_SECONDS, ask_to_end).start()

    signal.signal(signal.SIGTERM, last_call)
    # Ctrl-C goes to the whole terminal: what it means is for the supervisor to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    subprocesses.exit_with_parent(ask_to_end=ask_to_end)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the port but does not listen yet: nobody connects before the model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        if port:  # two sockets may be given the same free port if they may reuse it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(
            f"Port {port} on {host} is taken.", "Choose another --port, or 0 for any free one."
        )
    return SettingsError(
        f"Cannot listen on port {port} of {host}: {error}.", "Choose another --host or --port."
    )


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # at once: a thread may be in the middle of a big request that nobody waits for
    os._exit(code)
