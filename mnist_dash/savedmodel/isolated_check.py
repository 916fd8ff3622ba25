"""Check a model base in a process of its own, so that a crashing library cannot take the dashboard down.

`python -m mnist_dash.savedmodel.isolated_check BASE` prints the result as JSON.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from mnist_dash.domain import ModelCheck
from mnist_dash.errors import MnistDashError, ModelError
from mnist_dash.savedmodel.check import check_model
from mnist_dash.storage.key_file import client_for
from mnist_dash.storage.location import BucketLocation, Progress, location_of
from mnist_dash.subprocesses import ChildProcess, Exited, exit_with_parent

_MODULE = "mnist_dash.savedmodel.isolated_check"


def check_model_isolated(
    base: str, timeout: float = 60, *, credentials: Path | None = None, progress: Progress | None = None
) -> ModelCheck:
    """Run `check_model` in a process of its own.

    That process reads a bucket with the key file `credentials`, or else with the environment's credentials.
    `progress` is called in this thread. Raises ModelError also if the process crashes or takes longer than
    `timeout` seconds, the copying included.
    """
    argv = [sys.executable, "-m", _MODULE, "--with-parent"]
    argv += ["--credentials", str(credentials)] if credentials else []
    deadline = time.monotonic() + timeout
    is_copying = isinstance(location_of(base), BucketLocation)
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    child = ChildProcess("check", [*argv, "--", base], json.loads, lambda _, event: events.put(event))
    try:
        while True:
            match events.get(timeout=max(0.0, deadline - time.monotonic())):
                case {"done_bytes": done, "total_bytes": total}:
                    is_copying = done < total
                    if progress:
                        progress(done, total)
                case {"problem": _, "suggestions": suggestions} as error:
                    raise ModelError(**error | {"suggestions": tuple(suggestions)})
                case {"input_shape": shape, "warnings": warnings} as found:
                    return ModelCheck(**found | {"input_shape": tuple(shape), "warnings": tuple(warnings)})
                case Exited(reason):
                    step = "The model's files are probably damaged: copy or export them again."
                    raise ModelError(f"The check of {base} crashed: {reason}", step)
    except queue.Empty:
        problem = f"{base} took longer than {timeout:g} s and was stopped."
        if is_copying:
            step = "Check the network, then try again."
            raise ModelError(f"Reading {problem}", step, unverified=True) from None
        step = "Try again; if it happens again, export the model again."
        raise ModelError(f"Checking {problem}", step) from None
    finally:
        child.kill()
        child.wait(timeout=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Check a model base; print its progress and then the ModelCheck, or the error, as lines of JSON."""
    parser = argparse.ArgumentParser(f"python -m {_MODULE}", description="Check a model base.")
    parser.add_argument("base", metavar="BASE", help="a model base: a folder or gs://bucket/path")
    parser.add_argument("--credentials", type=Path, metavar="FILE", help="the key file to read a bucket with")
    parser.add_argument("--with-parent", action="store_true", help="end with stdin")
    options = parser.parse_args(argv)
    if options.with_parent:
        exit_with_parent()

    def show(done: int, total: int) -> None:
        _print_progress(100 * done // max(total, 1), total)

    try:
        check = check_model(options.base, client=client_for(options.credentials), progress=show)
    except ModelError as error:
        _print(**vars(error))
        return 1
    except MnistDashError as error:  # a key file that cannot be used says nothing about the model
        _print(**vars(ModelError(error.problem, error.next_step, unverified=True)))
        return 1
    _print(**asdict(check))
    return 0


@cache
def _print_progress(percent: int, total: int) -> None:
    """Print the progress of copying, once for each percent, thanks to the cache."""
    _print(done_bytes=total * percent // 100, total_bytes=total)


def _print(**document: Any) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    sys.exit(main())
