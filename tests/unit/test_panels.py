"""The pure functions of the panels."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import Image

from mnist_dash.domain import Role
from mnist_dash.panels import browser_tab, diff, drawing, history, objects, theme
from mnist_dash.panels.session import Session
from tests.fakes import FakeEngine, deployment, snapshot


@pytest.mark.parametrize(
    ("base", "shown"),
    [
        ("/models/cnn", "/models/cnn"),
        ("gs://my-bucket/mnist", "gs://my-bucket/mnist"),
        ("/home/ada/.venv/lib/python3.11/site-packages/mnist_dash/data/models/cnn", "…/models/cnn"),
        ("/a/very/long/way/to/a/folder/named/mnist/", "…/named/mnist"),
        ("gs://acme-models-of-europe/digits/mnist-of-november-2026/cnn-augmented", "…/cnn-augmented"),
        (
            "gs://bucket/a-name-that-is-by-itself-too-long-for-the-card-2026-11",
            "…elf-too-long-for-the-card-2026-11",
        ),
    ],
)
def test_a_long_base_is_shortened_to_its_end(base: str, shown: str) -> None:
    """The end distinguishes two bases."""
    assert theme.shortened(base) == shown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("5 * 3 costs $5", r"5 \* 3 costs \$5"),
        ("see [GPU] <base>", r"see \[GPU\] \<base\>"),
        ("the folder that holds `<base>/model`", "the folder that holds `<base>/model`"),
        ("nothing special: it's 100 %.", "nothing special: it's 100 %."),
    ],
)
def test_foreign_text_is_shown_as_it_is(text: str, markdown: str) -> None:
    """A model server's log is no markdown; an error's backticks are."""
    assert theme.plain(text) == markdown


def test_each_role_has_a_colour_and_an_icon_of_its_own() -> None:
    """Roles differ in more than colour."""
    assert len(set(theme.COLOUR_NAME.values())) == len(Role)
    assert len(set(theme.ICON.values())) == len(Role)


@pytest.mark.parametrize(
    ("split", "is_former", "words"),
    [
        (0, False, "Current only"),
        (1, False, "Canary, 1 % to New"),
        (100, False, "New only"),
        (1, True, "Canary, 1 % to Former"),
        (100, True, "Former only"),
    ],
)
def test_a_split_is_named_after_its_strategy(split: int, is_former: bool, words: str) -> None:
    """As in the radio, with the percentage of a canary."""
    assert theme.describe_split(split, snapshot(can_undo_promote=is_former)) == words


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("UTC", "09:00:00"), ("America/New_York", "04:00:00"), ("Pacific/Kiritimati", "28 Nov 23:00")],
)
def test_a_time_has_a_date_only_if_that_is_not_today_for_the_viewer(zone: str, shown: str) -> None:
    """Three hours later, it is the next day on Kiritimati alone."""
    at = datetime(2026, 11, 28, 9, tzinfo=UTC).timestamp()
    assert history.time_of_day(at, at + 3 * 3600, ZoneInfo(zone)) == shown


def test_the_same_state_is_previewed_once() -> None:
    """Replicas that come and go are no reason to ask the cluster again."""
    known = diff.basis_of(snapshot())
    assert diff.basis_of(snapshot(taken_at=9.0, new=deployment(Role.NEW, ready=0))) == known
    assert diff.basis_of(snapshot(split_desired=50)) != known
    assert diff.basis_of(snapshot(new=deployment(Role.NEW, desired=3))) != known


def test_each_sheet_of_paper_differs_from_the_one_before() -> None:
    """The browser accepts an initial drawing only if it is a new one, even if both are blank."""
    session = Session()
    first = drawing.make_sheet(session)
    session.start_sheet()
    assert drawing.make_sheet(session) != first
    assert drawing.make_sheet(session)["objects"] == []


@pytest.mark.parametrize(
    ("words", "found"),
    [("", 3), ("replica", 2), ("GREEN-1", 1), ("9001", 1), ("replica warmed", 1), ("nonsense", 0)],
)
def test_the_filter_searches_all_words_of_an_object(words: str, found: int) -> None:
    """Name, kind, state, details and log, in any case and order."""
    assert len([item for item in FakeEngine().objects() if objects.matches(item, words)]) == found


def test_the_lines_of_a_log_have_the_viewers_time() -> None:
    """Lines without a time stay as they are."""
    log = "2026-08-07T14:03:22.123456789Z Reading.\n2026-08-07T22:00:00Z Done.\nno time"
    now = datetime(2026, 8, 7, 16, tzinfo=UTC).timestamp()
    assert objects.local_times(log, ZoneInfo("Asia/Tokyo"), now) == (
        "07 Aug 23:03 Reading.\n07:00:00 Done.\nno time"
    )


def png_of(stroke: slice, side: int = 280) -> str:
    """Return a canvas with a vertical stroke as a data URL."""
    pixels = np.zeros((side, side), np.uint8)
    pixels[side // 5 : -side // 5, stroke] = 255
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"


def test_a_kept_drawing_is_prepared_as_it_was_on_the_canvas() -> None:
    """Also on a screen with twice the pixels."""
    kept = browser_tab.read_drawing(png_of(slice(130, 150)))
    twice = browser_tab.read_drawing(png_of(slice(260, 300), side=560))
    assert kept
    assert twice
    assert kept.image.shape == (28, 28)
    assert kept.image.max() > 0.9
    assert np.abs(kept.image - twice.image).max() < 0.05
    assert not kept.has_far_dot


@pytest.mark.parametrize(
    "source",
    [
        None,
        7,
        "",
        "https://a.example/b.png",
        browser_tab.PNG + "AAAA",
        browser_tab.PNG + "?",
        png_of(slice(0)),
    ],
)
def test_what_is_no_kept_drawing_leaves_the_canvas_blank(source: object) -> None:
    """It comes from the browser, so anything may be in it."""
    assert browser_tab.read_drawing(source) is None
