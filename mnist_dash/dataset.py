"""The bundled labelled digits: 2,000 of MNIST's test digits, for quick checks and for evidence."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

BUNDLED: Final = Path(__file__).parent / "data" / "digits.npz"


@dataclass(frozen=True, eq=False)
class Digits:
    """Labelled digits in rounds of 0, 1, ... 9, so that any number of them from the front is balanced."""

    images: npt.NDArray[np.float32]
    """(n, 28, 28) in [0, 1], read-only."""
    labels: npt.NDArray[np.int64]
    """(n,), 0 to 9, read-only."""

    def __post_init__(self) -> None:
        self.images.setflags(write=False)
        self.labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, n: int) -> Digits:
        """Return the first `n` digits, always the same: n / 10 of each class, give or take 1."""
        return Digits(self.images[:n], self.labels[:n])

    def after(self, n: int) -> Digits:
        """Return the digits that are not in the sample of `n`."""
        return Digits(self.images[n:], self.labels[n:])


@functools.cache
def load_digits() -> Digits:
    """Load the 2,000 bundled digits, 200 of each class; the models were not trained on them."""
    with np.load(BUNDLED) as stored:
        return Digits(stored["images"] / np.float32(255), stored["labels"].astype(np.int64))
