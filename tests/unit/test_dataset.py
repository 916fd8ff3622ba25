"""The bundled labelled digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mnist_dash import dataset
from mnist_dash.dataset import choose_digits, load_digits, write_digits
from mnist_dash.errors import SettingsError
from mnist_dash.train.mnist import Labelled


def labelled(of_each: int) -> Labelled:
    """Make blank images, each with its own number in the corner, of all ten classes one after another."""
    labels = np.repeat(np.arange(10, dtype=np.uint8), of_each)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(len(labels))
    return Labelled(images, labels)


def test_the_bundle_has_200_digits_of_each_class() -> None:
    """Shapes, dtypes and range are as promised, and the classes are even."""
    bundled = load_digits()
    assert bundled.images.shape == (2000, 28, 28)
    assert bundled.images.dtype == np.float32
    assert bundled.labels.shape == (2000,)
    assert bundled.labels.dtype == np.int64
    assert (bundled.images.min(), bundled.images.max()) == (0, 1)
    assert np.bincount(bundled.labels).tolist() == [200] * 10


def test_no_digit_is_bundled_twice() -> None:
    """A digit counted twice would be evidence counted twice."""
    assert len(np.unique(load_digits().images.reshape(2000, -1), axis=0)) == 2000


def test_the_bundle_is_small() -> None:
    """It is installed with the package, so it stays under 600 kB."""
    assert dataset.BUNDLED.stat().st_size < 600_000


def test_the_bundle_names_its_makers() -> None:
    """The file beside it attributes the digits and states their licence."""
    text = (dataset.BUNDLED.parent / "README.md").read_text(encoding="utf-8")
    for name in ("Yann LeCun", "Corinna Cortes", "Christopher J.C. Burges", "Share Alike 3.0"):
        assert name in text


def test_the_digits_are_loaded_once() -> None:
    """Every caller shares the same arrays."""
    assert load_digits() is load_digits()


@pytest.mark.parametrize("array", ["images", "labels"])
def test_the_digits_cannot_be_changed(array: str) -> None:
    """Shared arrays are read-only, those of a sample too."""
    for bundled in (load_digits(), load_digits().sample(20)):
        with pytest.raises(ValueError, match="read-only"):
            getattr(bundled, array)[0] = 1


@pytest.mark.parametrize("n", [10, 200, 2000])
def test_a_sample_is_balanced(n: int) -> None:
    """A tenth of it is of each class."""
    assert np.bincount(load_digits().sample(n).labels).tolist() == [n // 10] * 10


def test_a_sample_is_always_the_same() -> None:
    """Two checks of one model see the same digits, and a larger check sees those of the smaller one too."""
    np.testing.assert_array_equal(load_digits().sample(200).images, load_digits().sample(500).images[:200])


@pytest.mark.parametrize("n", [0, -1, 2001])
def test_a_sample_that_cannot_be_had_is_refused(n: int) -> None:
    """The error says how many there are."""
    with pytest.raises(ValueError, match=f"cannot take {n} of 2000 digits"):
        load_digits().sample(n)


def test_choosing_takes_as_many_of_each_class_in_rounds() -> None:
    """The choice goes round the classes, and each image keeps its label."""
    chosen = choose_digits(labelled(of_each=25), of_each=4)
    assert chosen.labels.tolist() == list(range(10)) * 4
    np.testing.assert_array_equal(chosen.images[:, 0, 0] // 25, chosen.labels)


def test_choosing_is_spread_and_repeatable() -> None:
    """The choice is the same each time, is not just the first ones, and holds no digit twice."""
    first, second = (choose_digits(labelled(of_each=25), of_each=10).images[:, 0, 0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len(set(first.tolist())) == 100
    assert set((first % 25).tolist()) > set(range(20))


def test_choosing_more_than_there_are_is_refused() -> None:
    """A class with too few digits is an error, not a smaller choice."""
    with pytest.raises(SettingsError, match="only 3 test digits; 4 of each"):
        choose_digits(labelled(of_each=3), of_each=4)


def test_what_was_written_is_what_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has the pixels and labels that were chosen, in [0, 1]."""
    chosen = choose_digits(labelled(of_each=25), of_each=2)
    write_digits(chosen, tmp_path / "new" / "digits.npz")
    monkeypatch.setattr(dataset, "BUNDLED", tmp_path / "new" / "digits.npz")
    loaded = load_digits.__wrapped__()
    np.testing.assert_allclose(loaded.images * 255, chosen.images, rtol=1e-6)
    assert loaded.labels.tolist() == chosen.labels.tolist()


def test_the_same_digits_make_the_same_file(tmp_path: Path) -> None:
    """Making the bundle again changes no byte of it."""
    for name in ("a.npz", "b.npz"):
        write_digits(choose_digits(labelled(of_each=25), of_each=2), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
