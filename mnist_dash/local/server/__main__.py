"""Serve one MNIST model as TensorFlow Serving would."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn

from mnist_dash.domain import MODEL_NAME
from mnist_dash.errors import MnistDashError, SettingsError
from mnist_dash.local import protocol
from mnist_dash.local.server.rest import RestApi
from mnist_dash.local.server.versions import Versions, VersionWatcher
from mnist_dash.savedmodel.model import Model
from mnist_dash.settings import port
from mnist_dash.subprocesses import exit_with_parent

LAST_CALL_SECONDS = 0.25
"""How long a supervised server accepts requests after SIGTERM: the gateway must stop using it first."""
DRAIN_SECONDS = 4
"""How long running requests may take after SIGTERM."""
IDLE_SECONDS = 300
"""After which an idle connection is closed: later than clients do it, or a request could meet the closing."""


class Reporter:
    """Prints each event for people and, if supervised, writes it as a line to the original stdout."""

    def __init__(self, supervised: bool) -> None:
        self._descriptor = os.dup(1) if supervised else None
        if supervised:
            os.dup2(2, 1)  # native libraries print to descriptor 1, whatever sys.stdout is

    def __call__(self, event: protocol.ProcessEvent) -> None:
        match event:
            case protocol.VersionServed(version):
                print(f"Version {version} has taken over.", file=sys.stderr, flush=True)
            case protocol.VersionFailed(problem):
                print(problem, file=sys.stderr, flush=True)
        if self._descriptor is not None:
            # A reader that is gone is a supervisor that has died; then this process ends, too.
            with contextlib.suppress(BrokenPipeError):
                os.write(self._descriptor, protocol.event_line(event))


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers, and with a call when it is ready."""

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
        """Finish running requests and end; when called again, end at once. Usable as a signal handler."""
        self.force_exit = self.should_exit
        self.should_exit = True


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; argparse ends the process if it is wrong."""
    parser = argparse.ArgumentParser(
        "python -m mnist_dash.local.server", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--model-base", type=Path, required=True, help="a folder that holds model/<version>/")
    parser.add_argument("--port", type=port, required=True, metavar="P", help="0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--supervised", action="store_true", help="report on stdout, end with stdin")
    return parser.parse_args(argv)


def main(argv: Sequence[str] = sys.argv[1:]) -> int:
    """Serve until asked to end; returns the exit code."""
    arguments = parse_arguments(argv)
    try:
        _serve(arguments, Reporter(arguments.supervised))
    except MnistDashError as error:
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)
        return 1
    return 0


def _serve(arguments: argparse.Namespace, report: Reporter) -> None:
    host, versions, stop = arguments.host, Versions(), threading.Event()
    watcher = VersionWatcher(arguments.model_base / MODEL_NAME, versions, _load, report)

    def report_ready() -> None:
        number = listener.getsockname()[1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{number}/v1/models/{MODEL_NAME}"
        assert versions.served
        print(f"Serving version {versions.served.version} at {url}", flush=True)
        report(protocol.Listening(number, versions.served.version))
        threading.Thread(target=watcher.run, args=(stop,), name="versions", daemon=True).start()

    executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="big")
    server = _HttpServer(_http_config(RestApi(versions, executor)), report_ready)
    _end_on_request(server.ask_to_end, report if arguments.supervised else None)
    try:
        listener = _bind(host, arguments.port)
        watcher.load_first()
        server.run(sockets=[listener])
    except OSError as error:
        problem = f"Cannot listen on port {arguments.port} of {host}: {error.strerror}."
        raise SettingsError(problem, "Choose another --host or --port; port 0 is any free one.") from error
    finally:
        stop.set()
        executor.shutdown(wait=False, cancel_futures=True)


def _load(folder: Path) -> Model:
    model = Model.load(folder)
    # The garbage collector need not look again at objects that live as long as the model: its full
    # collections were 20 ms pauses.
    gc.collect()
    gc.freeze()
    return model


def _http_config(app: RestApi) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    config.load()  # its imports must be done before the garbage is frozen
    return config


def _end_on_request(ask_to_end: Callable[..., None], report: Reporter | None) -> None:
    """End on SIGTERM or SIGINT; if supervised (`report` is given), on SIGTERM or when the parent dies."""
    if not report:
        signal.signal(signal.SIGTERM, ask_to_end)
        signal.signal(signal.SIGINT, ask_to_end)
        return

    def last_call(*_: object) -> None:
        report(protocol.Ending())
        threading.Timer(LAST_CALL_SECONDS, ask_to_end).start()

    signal.signal(signal.SIGTERM, last_call)
    # Ctrl-C reaches every process of a terminal: the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_with_parent(ask_to_end=ask_to_end)


def _bind(host: str, number: int) -> socket.socket:
    """Bind a socket without listening: no client connects before the model is loaded."""
    found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol_number, _, address = found[0]
    listener = socket.socket(family, kind, protocol_number)
    if number:  # the system may give one free port to two sockets that may reuse it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # at once: a thread may be in the middle of a big request that no client waits for
    os._exit(code)
