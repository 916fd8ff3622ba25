"""Train the two bundled models and choose the bundled digits.

Training needs the extra `train`: pip install -e '.[train]'.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from mnist_dash.domain import MODEL_NAME
from mnist_dash.errors import MnistDashError
from mnist_dash.train import recipes
from mnist_dash.train.mnist import FILES, SOURCE, Mnist, choose_digits, read_mnist, write_digits


class Product(StrEnum):
    """What the command can make."""

    LINEAR = "linear"
    CNN = "cnn"
    DIGITS = "digits"


RECIPES = {Product.LINEAR: recipes.LINEAR, Product.CNN: recipes.CNN}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the products that the command line asks for; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        mnist = read_mnist(options.mnist)
        for product in options.only:
            print(make(product, mnist, options), flush=True)
    except MnistDashError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m mnist_dash.train", description=__doc__)
    add = parser.add_argument
    files = f"folder with {', '.join(FILES)} from {SOURCE} (default: %(default)s)"
    add("--mnist", type=Path, default=Path("mnist"), metavar="DIR", help=files)
    products = list(Product)
    what = "what to make (default: all)"
    add("--only", nargs="+", type=Product, default=products, choices=products, help=what)
    usual = f"passes over the training digits (default: {recipes.LINEAR.epochs} and {recipes.CNN.epochs})"
    add("--epochs", type=positive, metavar="N", help=usual)
    out = Path("trained")
    add("--out", type=Path, default=out, metavar="DIR", help="where to write (default: %(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="random seed of training (default: %(default)s)")
    return parser


def positive(text: str) -> int:
    """Read a whole number of at least 1; raises ValueError for anything else."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def make(product: Product, mnist: Mnist, options: argparse.Namespace) -> str:
    """Make the digits, or train, measure and export a SavedModel; return a line about it."""
    if product is Product.DIGITS:
        chosen, path = choose_digits(mnist.test), options.out / "digits.npz"
        write_digits(chosen, path)
        return f"digits: {len(chosen.labels):,} in {path.stat().st_size / 1000:.0f} kB -> {path}"
    folder, recipe = options.out / "models" / product / MODEL_NAME / "1", RECIPES[product]
    started = time.monotonic()
    model = recipes.train(recipe, mnist.train, options.epochs or recipe.epochs, options.seed)
    seconds = time.monotonic() - started
    right = recipes.accuracy(model, mnist.test)
    model.export(folder, verbose=False)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return (
        f"{product}: {right:.2%} of {len(mnist.test.labels):,} test digits,"
        f" {model.count_params():,} parameters, {size / 1000:,.0f} kB,"
        f" trained in {seconds:,.0f} s -> {folder}"
    )
