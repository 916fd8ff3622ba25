"""The `variables` folder of a SavedModel: whether everything that belongs there is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mnist_dash.errors import ModelError

FOLDER_NAME = "variables"
INDEX_NAME = "variables.index"
COPY = "Copy the whole SavedModel there, its `variables` folder too, or export it again."

_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")


def check_variables(folder: Path, needed: bool) -> None:
    """Check that the variables of a version folder are complete and readable; raises ModelError.

    A model without variables (`needed` is false) may do without the folder, as TensorFlow says.
    """
    variables = folder / FOLDER_NAME
    try:
        names = {path.name for path in variables.iterdir()}
        # Opened and closed: who may not read a file should be told so, and not that it is damaged.
        for name in _wanted(names) if needed or INDEX_NAME in names else ():
            (variables / name).open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as err:
        if needed or Path(err.filename) != variables:
            raise ModelError(f"The variables of {folder} are missing: no {err.filename}.", COPY) from err
    except OSError as err:
        step = "Let the user who runs the dashboard read it."
        raise ModelError(f"{err.filename} cannot be read: {err.strerror}.", step) from err


def _wanted(names: Iterable[str]) -> Iterator[str]:
    """The files that must be there, as the names of those that are there tell."""
    yield INDEX_NAME
    totals = [int(match[1]) for name in names if (match := _SHARD.fullmatch(name))]
    total = max(totals, default=1)
    yield from (f"variables.data-{number:05}-of-{total:05}" for number in range(total))
