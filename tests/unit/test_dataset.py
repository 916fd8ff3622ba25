"""The bundled labelled digits."""

from __future__ import annotations

import numpy as np
import pytest

from mnist_dash import dataset
from mnist_dash.dataset import load_digits


def test_the_bundle_has_200_digits_of_each_class() -> None:
    """Shapes, dtypes and range are as documented."""
    bundled = load_digits()
    assert bundled.images.shape == (2000, 28, 28)
    assert bundled.images.dtype == np.float32
    assert bundled.labels.shape == (2000,)
    assert bundled.labels.dtype == np.int64
    assert (bundled.images.min(), bundled.images.max()) == (0, 1)
    assert np.bincount(bundled.labels).tolist() == [200] * 10
    assert len(np.unique(bundled.images.reshape(2000, -1), axis=0)) == 2000  # none counts twice
    assert dataset.BUNDLED.stat().st_size < 600_000  # it is installed with the package


def test_the_bundle_names_its_makers() -> None:
    """The README beside it attributes the digits and states their licence."""
    text = (dataset.BUNDLED.parent / "README.md").read_text(encoding="utf-8")
    for name in ("Yann LeCun", "Corinna Cortes", "Christopher J.C. Burges", "Share Alike 3.0"):
        assert name in text


@pytest.mark.parametrize("array", ["images", "labels"])
def test_the_digits_are_loaded_once_and_cannot_be_changed(array: str) -> None:
    """Shared arrays are read-only, those of a sample too."""
    assert load_digits() is load_digits()
    for bundled in (load_digits(), load_digits().sample(20)):
        with pytest.raises(ValueError, match="read-only"):
            getattr(bundled, array)[0] = 1


@pytest.mark.parametrize("n", [10, 200, 2000])
def test_a_sample_is_balanced_and_always_the_same(n: int) -> None:
    """A tenth of it is of each class, and a larger check of a model includes a smaller check's digits."""
    assert np.bincount(load_digits().sample(n).labels).tolist() == [n // 10] * 10
    np.testing.assert_array_equal(load_digits().sample(n).images, load_digits().images[:n])
