"""Read MNIST as it is distributed, in four gzipped IDX files, and choose the digits to bundle."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mnist_dash.domain import DIGITS, FIELD
from mnist_dash.errors import SettingsError

FILES: Final = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
SOURCE: Final = "https://storage.googleapis.com/cvdf-datasets/mnist/"
OF_EACH: Final = 200
CHOICE_SEED: Final = 0


@dataclass(frozen=True)
class Labelled:
    """Images (n, 28, 28) and their labels (n,), both uint8; 0 is the background and 255 full ink."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


def read_mnist(folder: Path) -> tuple[Labelled, Labelled]:
    """Read the 60,000 training digits and the 10,000 test digits of MNIST; raises SettingsError."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise SettingsError(
            f"The MNIST folder {folder} lacks {', '.join(missing)}.",
            f"Put {', '.join(FILES)} from {SOURCE} in it, or give their folder with --mnist.",
        )
    train_images, train_labels, test_images, test_labels = (folder / name for name in FILES)
    return read_labelled(train_images, train_labels), read_labelled(test_images, test_labels)


def read_labelled(images_path: Path, labels_path: Path) -> Labelled:
    """Read a file of images and the file of their labels; raises SettingsError if the two do not fit."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    fit = images.shape[1:] == (FIELD, FIELD) and labels.shape == images.shape[:1]
    if not fit or len(labels) == 0 or labels.max() > 9:
        raise SettingsError(
            f"{images_path} has the shape {images.shape} and {labels_path} the shape {labels.shape}, not"
            " (n, 28, 28) and (n,) with n at least 1 and labels 0 to 9.",
            f"Download both again from {SOURCE}.",
        )
    return Labelled(images, labels)


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes into an array of the shape it states.

    The format is two zero bytes, 8 for the type, the number of dimensions, each as a big-endian 32-bit
    integer, then the data in C order. Raises SettingsError for anything else.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
        zeros, kind, dimensions = struct.unpack_from(">HBB", raw)
        shape = struct.unpack_from(f">{dimensions}I", raw, 4)
        if (zeros, kind) != (0, 8):
            raise ValueError("it is not an IDX file of unsigned bytes")
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        problem = f"{path} cannot be read as gzipped IDX: {error}."
        raise SettingsError(problem, f"Download it again from {SOURCE}.") from error


def choose_digits(data: Labelled, of_each: int = OF_EACH) -> Labelled:
    """Choose `of_each` digits of every class at random with a fixed seed, in rounds of 0 to 9.

    They come from the whole file, because the first half of MNIST's test digits is easier than the second.
    Raises SettingsError if a class has too few.
    """
    fewest = np.bincount(data.labels, minlength=DIGITS).min()
    if fewest < of_each:
        problem = f"A class has only {fewest} test digits; {of_each} of each are needed."
        raise SettingsError(problem, "Use MNIST's own test digits.")
    rng = np.random.default_rng(CHOICE_SEED)
    classes = [np.flatnonzero(data.labels == digit) for digit in range(DIGITS)]
    chosen = np.stack([rng.choice(members, of_each, replace=False) for members in classes], axis=1).ravel()
    return Labelled(data.images[chosen], data.labels[chosen])


def write_digits(data: Labelled, path: Path) -> None:
    """Write the chosen digits as `load_digits` reads them: compressed, uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, images=data.images, labels=data.labels)
