"""The bundled labelled digits: 2,000 of MNIST's test digits, for quick checks and for evidence."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mnist_dash.domain import DIGITS
from mnist_dash.errors import SettingsError
from mnist_dash.train.mnist import Labelled

BUNDLED: Final = Path(__file__).parent / "data" / "digits.npz"
OF_EACH: Final = 200
CHOICE_SEED: Final = 0


@dataclass(frozen=True, eq=False)
class Digits:
    """Digits that are balanced however many are taken from the front: they go round 0, 1, ... 9, 0, 1, ..."""

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
        """The first `n` digits, always the same ones: n / 10 of each class, within one.

        Raises ValueError unless `n` is 1 to as many as there are.
        """
        if not 1 <= n <= len(self):
            raise ValueError(f"cannot take {n} of {len(self)} digits")
        return Digits(self.images[:n], self.labels[:n])


@functools.cache
def load_digits() -> Digits:
    """Load the 2,000 bundled digits, 200 of each class; none of them was used in training the models."""
    with np.load(BUNDLED) as stored:
        return Digits(stored["images"] / np.float32(255), stored["labels"].astype(np.int64))


def choose_digits(data: Labelled, of_each: int = OF_EACH) -> Labelled:
    """Choose `of_each` digits of every class at random with a fixed seed, in rounds of 0 to 9.

    Chosen from the whole file, since the first half of MNIST's test digits is easier than the second.
    Raises SettingsError if a class has too few.
    """
    fewest = np.bincount(data.labels, minlength=DIGITS).min()
    if fewest < of_each:
        raise SettingsError(
            f"Of one class there are only {fewest} test digits; {of_each} of each are wanted.",
            "Use MNIST's own test digits.",
        )
    rng = np.random.default_rng(CHOICE_SEED)
    classes = [np.flatnonzero(data.labels == digit) for digit in range(DIGITS)]
    chosen = np.stack([rng.choice(members, of_each, replace=False) for members in classes], axis=1).ravel()
    return Labelled(data.images[chosen], data.labels[chosen])


def write_digits(data: Labelled, path: Path) -> None:
    """Write the chosen digits as `load_digits` reads them: compressed, uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, images=data.images, labels=data.labels)
