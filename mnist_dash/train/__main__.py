"""Train the two bundled models and choose the bundled digits.

Training needs the extra `train`: pip install -e '.[train]'.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mnist_dash.domain import MODEL_NAME
from mnist_dash.errors import MnistDashError
from mnist_dash.train import recipes
from mnist_dash.train.mnist import FILES, SOURCE, Labelled, choose_digits, read_mnist, write_digits

RECIPES = {recipe.name: recipe for recipe in (recipes.LINEAR, recipes.CNN)}
PRODUCTS = [*RECIPES, "digits"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the products that the command line asks for; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        training, test = read_mnist(options.mnist)
        for product in options.only:
            print(make(product, training, test, options), flush=True)
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
    add("--only", nargs="+", default=PRODUCTS, choices=PRODUCTS, help="what to make (default: all)")
    usual = f"passes over the training digits (default: {recipes.LINEAR.epochs} and {recipes.CNN.epochs})"
    add("--epochs", type=int, metavar="N", help=usual)
    out = Path("trained")
    add("--out", type=Path, default=out, metavar="DIR", help="where to write (default: %(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="random seed of training (default: %(default)s)")
    return parser


def make(product: str, training: Labelled, test: Labelled, options: argparse.Namespace) -> str:
    """Make the digits, or train, measure and export a SavedModel; return a line about it."""
    if product not in RECIPES:
        chosen, path = choose_digits(test), options.out / "digits.npz"
        write_digits(chosen, path)
        return f"digits: {len(chosen.labels):,} in {path.stat().st_size / 1000:.0f} kB -> {path}"
    folder, recipe = options.out / "models" / product / MODEL_NAME / "1", RECIPES[product]
    started = time.monotonic()
    model = recipes.train(recipe, training, options.epochs or recipe.epochs, options.seed)
    seconds = time.monotonic() - started
    right = recipes.accuracy(model, test)
    model.export(folder, verbose=False)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return (
        f"{product}: {right:.2%} of {len(test.labels):,} test digits,"
        f" {model.count_params():,} parameters, {size / 1000:,.0f} kB,"
        f" trained in {seconds:,.0f} s -> {folder}"
    )


if __name__ == "__main__":
    sys.exit(main())
