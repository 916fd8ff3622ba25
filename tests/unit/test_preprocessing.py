"""A drawing becomes a digit like those of MNIST."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino  # type: ignore[import-untyped]  # ships no type hints
import pytest
from PIL import Image, ImageDraw

import mnist_dash
from mnist_dash.dataset import load_digits
from mnist_dash.errors import DrawingError
from mnist_dash.preprocessing import CENTRE, DIGIT, has_far_dot, ink_box, ink_of, prepare

CANVAS = 280
CNN = Path(mnist_dash.__file__).parent / "data" / "models" / "cnn" / "model" / "1"

Drawing = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]


def canvas(*lines: tuple[float, ...], brush: int = 20, size: tuple[int, int] = (CANVAS, CANVAS)) -> Drawing:
    """Draw polylines (x, y, x, y, ...) with a round brush in white on a black RGBA canvas."""
    image = Image.new("RGBA", size, "black")
    draw = ImageDraw.Draw(image)
    for line in lines:
        draw.line(line, fill="white", width=brush, joint="curve")
        for x, y in zip(line[::2], line[1::2], strict=True):
            draw.circle((x, y), brush / 2, fill="white")
    return np.asarray(image)


def seven(left: float, top: float, height: float, brush: int = 20) -> Drawing:
    """Draw a seven that is 0.6 as wide as it is high."""
    width = 0.6 * height
    return canvas((left, top, left + width, top, left + width / 4, top + height), brush=brush)


def extent(field: Field) -> tuple[int, int]:
    """How many rows and columns of a prepared digit have ink."""
    return int((field.max(axis=1) > 0).sum()), int((field.max(axis=0) > 0).sum())


def centre(field: Field) -> tuple[float, float]:
    """The centre of mass in (row, column), counted from the field's edge."""
    places = np.arange(28) + 0.5
    return float(np.average(places, weights=field.sum(axis=1))), float(
        np.average(places, weights=field.sum(axis=0))
    )


def test_a_prepared_digit_is_a_28_by_28_field_of_float32_from_0_to_1() -> None:
    """Shape, dtype and range are what the models were trained on, the strongest ink being 1."""
    field = prepare(seven(100, 60, 150))
    assert field.shape == (28, 28)
    assert field.dtype == np.float32
    assert (field.min(), field.max()) == (0, 1)


@pytest.mark.parametrize(
    ("drawing", "rows", "columns"),
    [
        pytest.param(canvas((100, 40, 100, 220)), 20, 2, id="upright stroke"),
        pytest.param(canvas((40, 100, 220, 100)), 2, 20, id="lying stroke"),
        pytest.param(canvas((60, 60, 159, 159, 60, 258)), 20, 11, id="twice as high as wide"),
    ],
)
def test_the_longest_side_becomes_20_pixels_and_the_aspect_is_kept(
    drawing: Drawing, rows: int, columns: int
) -> None:
    """Either side may cover one pixel more, as a digit is centred to fractions of a pixel."""
    assert extent(prepare(drawing)) in [(rows + i, columns + j) for i in (0, 1) for j in (0, 1)]


@pytest.mark.parametrize("height", [40, 90, 150, 230], ids="height {}".format)
@pytest.mark.parametrize("corner", [(0, 0), (20, 35), (130, 15)], ids=str)
def test_the_centre_of_mass_is_placed_as_in_mnist(corner: tuple[int, int], height: int) -> None:
    """Wherever a digit is drawn and however large, even over the canvas's edge, it is centred."""
    assert centre(prepare(seven(*corner, height))) == pytest.approx((CENTRE, CENTRE), abs=0.1)


def test_mnist_has_its_centre_of_mass_at_pixel_14() -> None:
    """The constant is what MNIST's own digits show, not the field's geometric centre at 14.0."""
    centres = [centre(image) for image in load_digits().images]
    assert np.mean(centres, axis=0) == pytest.approx((CENTRE, CENTRE), abs=0.05)


def test_a_lopsided_drawing_stays_in_the_field() -> None:
    """A heavy head and a long thin tail are not pushed over the edge by centring the mass."""
    head = canvas((60, 60, 60, 61), brush=70)
    tail = canvas((60, 60, 60, 270), brush=3)
    field = prepare(np.maximum(head, tail))
    assert extent(field)[0] >= DIGIT


def test_moving_a_drawing_changes_nothing() -> None:
    """Two drawings that differ only in their place are the same digit."""
    moved = np.roll(seven(60, 40, 150), (37, 51), axis=(0, 1))
    np.testing.assert_allclose(prepare(moved), prepare(seven(60, 40, 150)), atol=1e-4)


def test_a_thin_brush_gives_full_ink() -> None:
    """A brush of 3 pixels covers a fifth of a pixel of the field, and is still not faint."""
    assert prepare(seven(60, 40, 200, brush=3)).max() == 1


@pytest.mark.parametrize("convert", [lambda c: c[..., 0], lambda c: c[..., :3]], ids=["grey", "RGB"])
def test_grey_and_rgb_are_as_good_as_rgba(convert: Callable[[Drawing], Drawing]) -> None:
    """A drawing without alpha, or without colour, gives the same digit."""
    drawing = seven(60, 40, 150)
    np.testing.assert_allclose(prepare(convert(drawing)), prepare(drawing), atol=1e-6)


def test_transparent_pixels_are_background() -> None:
    """A white pixel counts only as far as it is opaque."""
    drawing = seven(60, 40, 150)
    transparent = np.dstack([np.full((CANVAS, CANVAS, 3), 255, np.uint8), drawing[..., 0]])
    np.testing.assert_allclose(prepare(transparent), prepare(drawing), atol=1e-6)


@pytest.mark.parametrize("size", [(140, 140), (560, 560), (400, 300)], ids=str)
def test_the_canvas_may_have_any_size(size: tuple[int, int]) -> None:
    """Nothing depends on 280 by 280."""
    width, height = size
    drawing = canvas((width / 4, height / 4, width / 4, 3 * height / 4), brush=width // 14, size=size)
    assert 20 <= extent(prepare(drawing))[0] <= 21


def test_faint_noise_does_not_widen_the_digit() -> None:
    """An almost black background, as a picture file may have, is not ink."""
    noise = np.random.default_rng(0).integers(0, 20, (CANVAS, CANVAS), np.uint8)
    drawing = ink_of(seven(60, 40, 150)[..., 0])
    assert ink_box(np.maximum(drawing, ink_of(noise))) == ink_box(drawing)


@pytest.mark.parametrize("dots", [[(260, 260)], [(140, 250)], [(250, 40)], [(40, 250), (250, 250)]], ids=str)
def test_a_dot_far_from_the_digit_is_left_out(dots: list[tuple[int, int]]) -> None:
    """A stray click on any side would make a small digit still smaller."""
    clicks = canvas(*((x, y, x + 4, y) for x, y in dots))
    drawing = np.maximum(seven(90, 60, 60), clicks)
    np.testing.assert_array_equal(prepare(drawing), prepare(seven(90, 60, 60)))
    assert has_far_dot(drawing)
    assert not has_far_dot(seven(90, 60, 60))


def test_a_dot_near_the_digit_is_part_of_it() -> None:
    """As a stroke that was not drawn to its end."""
    with_dot = np.maximum(seven(60, 60, 150), canvas((180, 210, 180, 210)))
    assert not np.array_equal(prepare(with_dot), prepare(seven(60, 60, 150)))
    assert not has_far_dot(with_dot)


@pytest.mark.parametrize(
    ("drawing", "problem"),
    [
        pytest.param(np.zeros((CANVAS, CANVAS, 4), np.uint8), "empty", id="transparent"),
        pytest.param(canvas(), "empty", id="black"),
        pytest.param(canvas((140, 140, 140, 140)), "a dot", id="click with the brush"),
        pytest.param(canvas((140, 140, 140, 140), brush=4), "a dot", id="click with a thin brush"),
        pytest.param(canvas((140, 140, 144, 144)), "a dot", id="click with a moving mouse"),
        pytest.param(canvas((40, 40, 40, 40), (250, 250, 250, 250)), "a dot", id="two clicks"),
        pytest.param(canvas((20, 20, 20, 20), (250, 250, 250, 250), brush=2), "specks", id="specks"),
    ],
)
def test_a_drawing_without_a_digit_is_refused(drawing: Drawing, problem: str) -> None:
    """The error names what was found, nothing, a dot or specks, and asks for a digit."""
    with pytest.raises(DrawingError, match=problem) as raised:
        prepare(drawing)
    assert raised.value.next_step.startswith("Draw a digit first")


@pytest.mark.parametrize(
    "drawing",
    [
        pytest.param(np.zeros((28, 28, 2), np.uint8), id="two channels"),
        pytest.param(np.zeros((1, 280, 280, 4), np.uint8), id="a batch"),
        pytest.param(np.zeros(784, np.uint8), id="flat"),
        pytest.param(np.zeros((0, 280, 4), np.uint8), id="no rows"),
    ],
)
def test_a_drawing_of_another_shape_is_refused(drawing: npt.NDArray[Any]) -> None:
    """The error names its shape and those that are accepted."""
    with pytest.raises(DrawingError, match=r"has the shape .*Pass \(height, width, 4\) RGBA"):
        prepare(drawing)


def test_a_drawing_of_another_dtype_is_refused() -> None:
    """Floats could be 0 to 1 or 0 to 255, and the range is not guessed."""
    with pytest.raises(DrawingError, match=r"dtype float64\. Pass an array of uint8"):
        prepare(np.ones((CANVAS, CANVAS)))


def test_the_drawing_is_not_changed() -> None:
    """The canvas's array belongs to the caller."""
    drawing = seven(60, 40, 150)
    kept = drawing.copy()
    prepare(drawing)
    np.testing.assert_array_equal(drawing, kept)


@pytest.fixture(scope="module")
def cnn() -> Callable[[Field], npt.NDArray[np.int64]]:
    """The bundled CNN: images (n, 28, 28) -> digits (n,)."""
    core = openvino.Core()
    model = core.compile_model(core.read_model(CNN), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: np.argmax(model(images[..., None])[0], axis=1)


def enlarged(image: Field, rng: np.random.Generator, resampling: Image.Resampling) -> Drawing:
    """Put a digit, 4 to 8 times as large, somewhere on a canvas."""
    side = int(28 * rng.uniform(4, 8))
    large = Image.fromarray((image * 255).round().astype(np.uint8)).resize((side, side), resampling)
    whole = Image.new("RGBA", (CANVAS, CANVAS), "black")
    whole.paste(large, (int(rng.integers(CANVAS - side)), int(rng.integers(CANVAS - side))))
    return np.asarray(whole)


@pytest.mark.parametrize(
    "resampling", [Image.Resampling.NEAREST, Image.Resampling.BICUBIC], ids=lambda r: r.name
)
def test_enlarged_mnist_digits_are_recognised_like_the_originals(
    cnn: Callable[[Field], npt.NDArray[np.int64]], resampling: Image.Resampling
) -> None:
    """200 digits, 4 to 8 times as large and anywhere on the canvas, within half a point of the originals."""
    digits = load_digits().sample(200)
    rng = np.random.default_rng(7)
    prepared = np.stack([prepare(enlarged(image, rng, resampling)) for image in digits.images])
    original = np.mean(cnn(digits.images) == digits.labels)
    assert original >= 0.99
    assert np.mean(cnn(prepared) == digits.labels) >= original - 0.005


@pytest.mark.parametrize("brush", [6, 20, 34], ids="brush {}".format)
@pytest.mark.parametrize("height", [70, 150, 240], ids="height {}".format)
def test_a_drawn_seven_is_a_seven(
    cnn: Callable[[Field], npt.NDArray[np.int64]], height: int, brush: int
) -> None:
    """Thin and thick brushes, small and large digits are recognised."""
    assert cnn(prepare(seven(60, 25, height, brush))[None]) == [7]
