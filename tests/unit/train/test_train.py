"""The training command, as far as it needs no TensorFlow."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mnist_dash import dataset
from mnist_dash.dataset import load_digits
from mnist_dash.errors import SettingsError
from mnist_dash.train.__main__ import build_parser, main
from mnist_dash.train.mnist import FILES, Labelled, choose_digits, read_idx, read_mnist, write_digits
from mnist_dash.train.recipes import batches, change_stroke, distort, keep, transform

Array = npt.NDArray[np.uint8]


def write_idx(path: Path, array: Array, kind: int = 8) -> Path:
    """Write an array as a gzipped IDX file."""
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    return path


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A folder with a tiny MNIST: two digits of each class to train with, 200 to test with."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for (images, labels), of_each in ((FILES[:2], 2), (FILES[2:], 200)):
        write_idx(folder / images, np.zeros((10 * of_each, 28, 28), np.uint8))
        write_idx(folder / labels, np.tile(np.arange(10, dtype=np.uint8), of_each))
    return folder


def seven() -> Array:
    """The first bundled seven."""
    digits = load_digits()
    image = digits.images[digits.labels == 7][0]
    whole: Array = np.rint(image * 255).astype(np.uint8)
    return whole


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 4)], ids=str)
def test_an_idx_file_gives_the_array_it_holds(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Every number of dimensions comes back in its shape and order."""
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.testing.assert_array_equal(read_idx(write_idx(tmp_path / "x.gz", array)), array)


@pytest.mark.parametrize(
    "content",
    [
        *(b"not gzip", gzip.compress(bytes(100))[:20], gzip.compress(b"")),
        gzip.compress(struct.pack(">HBBI", 0, 8, 1, 9) + bytes(5)),
        gzip.compress(struct.pack(">HBBI", 0, 9, 1, 1) + bytes(1)),
    ],
    ids=["not gzipped", "cut off", "nothing", "fewer values than stated", "signed bytes"],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, content: bytes) -> None:
    """The error names the file and says what to do."""
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"x\.gz cannot be read as gzipped IDX: .*Download it again from"):
        read_idx(path)


def test_mnist_is_read_in_its_two_parts(mnist: Path) -> None:
    """The training files and the test files are not mixed up."""
    training, test = read_mnist(mnist)
    assert (training.images.shape, test.images.shape) == ((20, 28, 28), (2000, 28, 28))
    assert (training.labels.shape, test.labels.shape) == ((20,), (2000,))


def test_missing_files_are_named(mnist: Path) -> None:
    """The problem names what is missing; the next step names the four files and where they are."""
    (mnist / FILES[1]).unlink()
    with pytest.raises(SettingsError) as raised:
        read_mnist(mnist)
    assert raised.value.problem == f"The MNIST folder {mnist} lacks {FILES[1]}."
    assert all(name in raised.value.next_step for name in (*FILES, "--mnist"))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        pytest.param(np.zeros((20, 28, 28)), np.zeros(19), id="another number of labels"),
        pytest.param(np.zeros((20, 28, 28)), np.full(20, 10), id="labels above 9"),
        pytest.param(np.zeros((0, 28, 28)), np.zeros(0), id="no digits"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(
    mnist: Path, images: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]
) -> None:
    """They are an error, not a shorter data set."""
    write_idx(mnist / FILES[0], images.astype(np.uint8))
    write_idx(mnist / FILES[1], labels.astype(np.uint8))
    with pytest.raises(SettingsError, match=r"the shape .*n at least 1 and labels 0 to 9"):
        read_mnist(mnist)


def labelled(of_each: int) -> Labelled:
    """Make blank images, each with its own number in the corner, of all ten classes one after another."""
    labels = np.repeat(np.arange(10, dtype=np.uint8), of_each)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(len(labels))
    return Labelled(images, labels)


def test_choosing_is_spread_repeatable_and_balanced() -> None:
    """The same digits each time, not just the first ones, in rounds of all classes, each with its label."""
    chosen, again = (choose_digits(labelled(of_each=25), of_each=10) for _ in range(2))
    numbers = chosen.images[:, 0, 0]
    np.testing.assert_array_equal(numbers, again.images[:, 0, 0])
    assert len(set(numbers.tolist())) == 100
    assert set((numbers % 25).tolist()) > set(range(20))
    assert chosen.labels.tolist() == list(range(10)) * 10
    np.testing.assert_array_equal(numbers // 25, chosen.labels)


def test_choosing_more_than_there_are_is_refused() -> None:
    """A class with too few digits is an error, not a smaller choice."""
    with pytest.raises(SettingsError, match="only 3 test digits; 4 of each"):
        choose_digits(labelled(of_each=3), of_each=4)


def test_written_digits_are_loaded_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels, in [0, 1], and labels that were chosen; making the file again changes no byte of it."""
    chosen = choose_digits(labelled(of_each=25), of_each=2)
    write_digits(chosen, tmp_path / "new" / "digits.npz")
    monkeypatch.setattr(dataset, "BUNDLED", tmp_path / "new" / "digits.npz")
    loaded = load_digits.__wrapped__()
    np.testing.assert_allclose(loaded.images * 255, chosen.images, rtol=1e-6)
    assert loaded.labels.tolist() == chosen.labels.tolist()
    write_digits(chosen, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == dataset.BUNDLED.read_bytes()


def test_the_command_makes_the_bundled_digits(
    mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--only digits` writes 2,000 test digits without TensorFlow, and says so."""
    assert main(["--mnist", str(mnist), "--only", "digits", "--out", str(tmp_path)]) == 0
    with np.load(tmp_path / "digits.npz") as stored:
        assert np.bincount(stored["labels"]).tolist() == [200] * 10
    assert capsys.readouterr().out.startswith("digits: 2,000 in ")


def test_the_command_without_mnist_names_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback: an exit status and the four names."""
    assert main(["--mnist", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert all(name in error for name in FILES)


def test_the_command_without_tensorflow_says_how_to_install_it(
    mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing extra is one line with the command that brings it."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert main(["--mnist", str(mnist), "--only", "linear", "--out", str(tmp_path / "out")]) == 1
    assert "pip install -e '.[train]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [["--epochs", "x"], ["--only", "svm"], ["--seed", "a"]], ids=str)
def test_a_wrong_flag_is_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The command line's error names the flag and the value."""
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(wrong)
    error = capsys.readouterr().err
    assert wrong[0] in error
    assert wrong[1] in error


def test_batches_use_every_digit_once_in_each_pass_with_its_label() -> None:
    """Two passes of 10 digits in batches of 5 see each digit twice, in another order and in [0, 1]."""
    images = np.zeros((10, 28, 28), np.uint8)
    images[:, 14, 14] = np.arange(10) * 25
    made = batches(Labelled(images, np.arange(10, dtype=np.uint8)), 5, seed=3, change=keep)
    passes = []
    for _ in range(2):
        (first, some), (second, others) = next(made), next(made)
        passes.append([*some.tolist(), *others.tolist()])
        pixels = np.concatenate([first, second])[:, 14, 14]
        np.testing.assert_allclose(pixels, np.array(passes[-1], np.float32) * 25 / 255, rtol=1e-6)
    assert [sorted(labels) for labels in passes] == [list(range(10))] * 2
    assert passes[0] != passes[1]


def test_few_digits_make_small_batches() -> None:
    """Three digits come as a batch of three where eight are wanted, instead of never."""
    data = Labelled(np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8))
    assert sorted(next(batches(data, 8, seed=3, change=keep))[1].tolist()) == [0, 1, 2]


def test_the_same_seed_gives_the_same_batches() -> None:
    """Training can be repeated."""
    data = Labelled(np.stack([seven()] * 8), np.full(8, 7, np.uint8))
    (first, _), (same, _), (other, _) = (next(batches(data, 8, seed, distort)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_a_distorted_digit_is_another_picture_of_the_same_size() -> None:
    """It looks different each time, and is still a (28, 28) digit with strong ink."""
    rng = np.random.default_rng(0)
    images = [distort(seven(), rng) for _ in range(20)]
    assert {(image.shape, image.dtype) for image in images} == {((28, 28), np.dtype(np.uint8))}
    assert len({image.tobytes() for image in images}) == 20
    assert min(image.max() for image in images) > 120


def test_a_transform_that_changes_nothing_gives_the_digit_back() -> None:
    """The finer field, averaged again, is the digit but for interpolation."""
    same = transform(seven(), degrees=0, slant=0, scale=1, shift=np.zeros(2)).reduce(2)
    assert np.abs(np.asarray(same, int) - seven()).mean() < 5


def test_a_shift_moves_the_digit_right_and_down() -> None:
    """Whole pixels move exactly, x before y."""
    still, moved = (
        np.asarray(transform(seven(), degrees=0, slant=0, scale=1, shift=np.array(shift)).reduce(2))
        for shift in ((0.0, 0.0), (2.0, 1.0))
    )
    np.testing.assert_array_equal(moved[1:, 2:], still[:-1, :-2])


def test_a_larger_scale_makes_a_larger_digit() -> None:
    """Scaling grows the digit instead of shrinking it."""
    small, large = (
        np.asarray(transform(seven(), degrees=0, slant=0, scale=scale, shift=np.zeros(2))).sum(dtype=int)
        for scale in (0.8, 1.1)
    )
    assert large > 1.5 * small


@pytest.mark.parametrize(("step", "width"), [(-1, 2), (0, 4), (1, 6), (3, 10)])
def test_a_stroke_step_moves_both_edges(step: int, width: int) -> None:
    """A stroke of 4 pixels becomes 2 pixels thicker with each step."""
    stroke = np.zeros((56, 56), np.uint8)
    stroke[:, 20:24] = 255
    changed = np.asarray(change_stroke(Image.fromarray(stroke), step))
    assert (changed[28] > 0).sum() == width
