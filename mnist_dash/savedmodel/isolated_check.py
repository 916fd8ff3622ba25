"""The check of a model base in a process of its own: both ends of it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mnist_dash.domain import ModelCheck
from mnist_dash.errors import MnistDashError, ModelError
from mnist_dash.savedmodel.check import check_model
from mnist_dash.storage.key_file import client_for
from mnist_dash.storage.location import MAX_BYTES, Progress

WITH_PARENT = "--with-parent"
_QUIET = ["-W", "ignore::RuntimeWarning:runpy"]  # the package has imported the module by the time it is run


def check_model_isolated(
    base: str,
    timeout: float = 60,
    *,
    credentials: Path | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> ModelCheck:
    """Do as `check_model` does, in a process of its own: a file that crashes a library crashes only that.

    That process reads a bucket with the key file `credentials`, or else with the environment's credentials.
    `progress` is called in this thread. Raises ModelError also if the process ends before its time or takes
    longer than `timeout` seconds, the copying included.
    """
    command = [sys.executable, *_QUIET, "-m", "mnist_dash.savedmodel", WITH_PARENT]
    if credentials is not None:
        command += ["--credentials", str(credentials)]
    if max_bytes is not None:
        command += ["--max-bytes", str(max_bytes)]
    answer, reading = "", base.strip().startswith("gs:")
    with _child([*command, "--", base]) as (process, errors), _limited(process, timeout) as stopped:
        assert process.stdout is not None
        for line in process.stdout:
            if told := _progress_in(line):
                reading = told[0] < told[1]
                if progress:
                    progress(*told)
            else:
                answer = line
        code = process.wait()
        if stopped.is_set():
            raise _too_long(base, timeout, reading)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    return answer_of(base, subprocess.CompletedProcess(command, code, answer, said))


@contextmanager
def _child(
    command: Sequence[str],
) -> Iterator[tuple[subprocess.Popen[str], IO[bytes]]]:
    """The process and the file that takes its stderr; it ends when this process does."""
    stdin, lifeline = os.pipe()  # nothing is written to it; it ends when this process does
    try:
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            yield process, errors
    finally:
        os.close(stdin)
        os.close(lifeline)


@contextmanager
def _limited(process: subprocess.Popen[str], seconds: float) -> Iterator[threading.Event]:
    """Within, and for so long only, the process may run; the event tells whether that was too short."""
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        process.kill()

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        yield stopped
    finally:
        timer.cancel()
        process.kill()


def _progress_in(line: str) -> tuple[int, int] | None:
    """The bytes copied and the bytes in all, if that is what the line tells."""
    try:
        told = json.loads(line)
        return told["done_bytes"], told["total_bytes"]
    except (ValueError, KeyError, TypeError):
        return None


def _too_long(base: str, timeout: float, reading: bool) -> ModelError:
    what = f"{base} took longer than {timeout:g} s and was stopped."
    if reading:
        return ModelError(f"Reading {what}", "Check the network, then try again.", unverified=True)
    return ModelError(f"Checking {what}", "Try again; if it stays so, export the model again.")


def answer_of(base: str, done: subprocess.CompletedProcess[str]) -> ModelCheck:
    """What the process that checked `base` found; raises ModelError with its last words if it crashed."""
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        words = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        problem = f"Checking {base} ended with {_ending(done.returncode)}: {words[0]}."
        step = "The model's files are probably damaged: copy or export them again."
        raise ModelError(problem, step) from None
    if "problem" in answer:
        raise ModelError(answer["problem"], answer["next_step"], unverified=answer["unverified"])
    return ModelCheck(
        answer["base"],
        answer["version"],
        tuple(answer["input_shape"]),
        answer["accuracy"],
        tuple(answer["warnings"]),
    )


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def main(argv: Sequence[str] | None = None) -> int:
    """Check a model base; print its progress and then the ModelCheck, or the error, as lines of JSON."""
    options = _parser().parse_args(argv)
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        client = client_for(options.credentials)
        found = check_model(options.base, client=client, max_bytes=options.max_bytes, progress=_Teller())
    except MnistDashError as err:
        unverified = getattr(err, "unverified", True)  # a key that cannot be used says nothing of the model
        print(json.dumps({"problem": err.problem, "next_step": err.next_step, "unverified": unverified}))
        return 1
    print(json.dumps(dataclasses.asdict(found)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mnist_dash.savedmodel", description="Check a model base.", allow_abbrev=False
    )
    parser.add_argument(
        "base", metavar="BASE", help="a folder or gs://bucket/path with model/<version>/ in it"
    )
    parser.add_argument("--credentials", type=Path, metavar="FILE", help="the key to read a bucket with")
    parser.add_argument(
        "--max-bytes",
        type=int,
        default=MAX_BYTES,
        metavar="N",
        help="the most to copy (default: %(default)s)",
    )
    parser.add_argument(WITH_PARENT, action="store_true", help="end with stdin")
    return parser


class _Teller:
    """Prints how far the copying is, once for each percent."""

    def __init__(self) -> None:
        self._percent = -1

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // max(total, 1)
        if percent > self._percent:
            self._percent = percent
            print(json.dumps({"done_bytes": done, "total_bytes": total}), flush=True)


def _end_with_parent() -> None:
    os.read(0, 1)  # returns at the end of stdin only
    os._exit(1)
