"""Visitors' drawings: what is kept, how both models did, and what happens to a file that is no good."""

from __future__ import annotations

import csv
import io
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # ships no py.typed
import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Image, Prediction, Release, Role, Route, Snapshot
from mnist_dash.errors import EngineError
from mnist_dash.evidence import drawings
from mnist_dash.evidence.canary_check import DigitSource
from mnist_dash.evidence.drawings import DrawingStore
from mnist_dash.evidence.labelled_drawings import DrawingTally
from mnist_dash.evidence.verdict import Outcome
from mnist_dash.served_models import ServedModel
from mnist_dash.service import Dashboard
from tests.fakes import CNN, LINEAR, FakeEngine, LabelledServing, deployment, snapshot, sure_of

IMAGES = load_digits().images
CURRENT, NEW = ServedModel(LINEAR, Release.BLUE, 1), ServedModel(CNN, Release.GREEN, 1)
PROMOTED = Snapshot(0.0, deployment(Role.CURRENT, base=CNN), deployment(Role.NEW, base=LINEAR))


def answer(digit: int, role: Role | None = Role.NEW) -> Prediction:
    """Return an answer of a model."""
    return Prediction(sure_of(digit), role, None, 1, "", 3.2)


def add_labelled(store: DrawingStore, image: Image, truth: int, current: int, new: int) -> None:
    """Label a drawing, and add both models' answers."""
    assert store.label(image, truth)
    store.add_answers(image, CURRENT, NEW, (answer(current), answer(new)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in a folder that does not exist yet."""
    return tmp_path / "state" / "drawings.db"


@pytest.fixture
def store(path: Path) -> Iterator[DrawingStore]:
    """A store in that file."""
    with closing(DrawingStore(path)) as store:
        yield store


def test_a_labelled_drawing_is_kept_with_both_answers(store: DrawingStore, path: Path) -> None:
    """Over a restart: its pixels, its label, who answered, and both models with their probabilities."""
    store.add_prediction(IMAGES[4], Route.SPLIT, answer(4), "cnn", None)
    add_labelled(store, IMAGES[4], 4, 1, 4)
    store.close()
    with closing(DrawingStore(path)) as again:
        kept = again.load()
    np.testing.assert_array_equal(kept.images[0], np.rint(IMAGES[4] * 255).astype(np.uint8))
    assert kept.labels.tolist() == [4]
    np.testing.assert_array_equal(kept.current_probabilities, [sure_of(1)])
    np.testing.assert_array_equal(kept.new_probabilities, [sure_of(4)])
    (row,) = kept.rows
    assert (row.truth, row.current, row.new, row.answered_by) == (4, 1, 4, Role.NEW)
    assert (row.current_base, row.current_version, row.new_base, row.new_version) == (LINEAR, 1, CNN, 1)
    assert abs(time.time() - row.at) < 60


def test_the_pixels_that_come_back_are_those_that_the_models_got(store: DrawingStore) -> None:
    """To the last bit, so that a check asks about the same drawings."""
    for image in IMAGES[:50]:
        store.label(image, 0)
    np.testing.assert_array_equal(store.load_digits().images, IMAGES[:50])


def test_a_label_can_be_corrected_and_taken_back(store: DrawingStore) -> None:
    """A correction keeps the place of the drawing; both models are asked again then."""
    add_labelled(store, IMAGES[0], 3, 3, 5)
    add_labelled(store, IMAGES[1], 1, 1, 1)
    store.label(IMAGES[0], 5)
    assert store.find_label(IMAGES[0]) == 5
    assert store.load().labels.tolist() == [5, 1]
    assert store.load().rows[0].current is None
    assert np.isnan(store.load().current_probabilities[0]).all()
    store.label(IMAGES[0], None)
    store.label(IMAGES[2], None)
    assert store.find_label(IMAGES[0]) is None
    assert (store.count(), store.load().labels.tolist()) == (1, [1])


def test_the_tally_is_about_the_deployed_models_in_either_order(store: DrawingStore) -> None:
    """A promotion swaps them; another version or base has a tally of its own; corrections count once."""
    for place, (truth, current, new) in enumerate([(1, 1, 1), (2, 3, 2), (4, 9, 4), (7, 7, 1), (8, 3, 3)]):
        add_labelled(store, IMAGES[place], truth, current, new)
        add_labelled(store, IMAGES[place], truth, current, new)
    store.label(IMAGES[9], 9)
    assert store.read_tally(snapshot()) == DrawingTally(5, 2, 3, 2, 1)
    assert store.read_tally(PROMOTED) == DrawingTally(5, 3, 2, 1, 2)
    other = snapshot(new=deployment(Role.NEW, version=2))
    assert store.read_tally(other) == store.read_tally(snapshot(new=None)) == DrawingTally()
    assert store.count() == 6
    store.label(IMAGES[1], None)
    assert store.read_tally(snapshot()) == DrawingTally(4, 2, 2, 1, 1)


@pytest.mark.parametrize(
    ("tally", "text", "meaning"),
    [
        (
            DrawingTally(1, 1, 1),
            "drawing: New 1, Current 1. No evidence yet.",
            "Not enough evidence yet: about",
        ),
        (DrawingTally(24, 19, 23, 4), "24 drawings: New 23, Current 19. 4.4 : 1 for New.", "Not enough"),
        (DrawingTally(24, 23, 19, 0, 4), "drawings: New 19, Current 23. 4.4 : 1 for Current.", "Not enough"),
        (
            DrawingTally(20, 10, 18, 8),
            "New 18, Current 10. New is better.",
            "New is better: of 8 digits that",
        ),
        (DrawingTally(20, 18, 10, 0, 8), "New 10, Current 18. Current is better.", "Current is better: of 8"),
        (DrawingTally(500, 500, 500), "Current 500. No difference that matters.", "the accuracies differ by"),
    ],
)
def test_the_tally_says_what_it_means(tally: DrawingTally, text: str, meaning: str) -> None:
    """By the e-value and the verdicts of the check."""
    assert f"{tally} {tally.odds}".startswith("On your ")
    assert f"{tally} {tally.odds}".endswith(text)
    assert meaning in tally.meaning


def test_the_history_shows_predictions_newest_first_with_their_labels(store: DrawingStore) -> None:
    """From MNIST, or from a visitor, who may say it later."""
    for place in range(30):
        truth = place if place == 28 else None
        store.add_prediction(IMAGES[place], Route.SPLIT, answer(place % 10), "cnn", truth)
    store.label(IMAGES[29], 9)
    assert store.find_ends() == (1, 30)
    page = store.find_predictions(None, 20)
    assert [prediction.number for prediction in page] == list(range(30, 10, -1))
    assert [prediction.truth for prediction in page[:3]] == [9, 28, None]
    assert (page[0].role, page[0].model, page[0].digit, page[0].milliseconds) == (Role.NEW, "cnn", 9, 3.2)
    np.testing.assert_array_equal(page[0].image, IMAGES[29])
    assert [prediction.number for prediction in store.find_predictions(10, 20)] == list(range(10, 0, -1))


def test_only_the_last_predictions_are_kept(store: DrawingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labelled drawings stay."""
    monkeypatch.setattr(drawings, "KEPT", 3)
    for place in range(5):
        store.add_prediction(IMAGES[place], Route.SPLIT, answer(0), "cnn", None)
        store.label(IMAGES[place], 0)
    assert store.find_ends() == (3, 5)
    assert (len(store.find_predictions(None, 20)), store.count()) == (3, 5)


def test_history_and_tally_take_as_many_steps_with_100000_drawings(store: DrawingStore) -> None:
    """Counted by SQLite itself, in units of its virtual machine's instructions."""
    reads: dict[str, Callable[[], object]] = {
        "history": lambda: store.find_predictions(None, 20),
        "older history": lambda: store.find_predictions(40, 20),
        "ends": store.find_ends,
        "tally": lambda: store.read_tally(snapshot()),
        "count": store.count,
        "label of a drawing": lambda: store.find_label(IMAGES[0]),
        "unanswered": lambda: store.find_unanswered(50),
        "a label": lambda: store.label(IMAGES[0], 1),
        "a prediction": lambda: store.add_prediction(IMAGES[0], Route.SPLIT, answer(0), "cnn", None),
    }
    for place in range(60):
        store.add_prediction(IMAGES[place], Route.SPLIT, answer(0), "cnn", None)
        add_labelled(store, IMAGES[place], 0, 0, 0)
    few = {name: count_steps(store, read) for name, read in reads.items()}
    fill(store, 100_000)
    assert store.count() > 100_000
    reads["a prediction"]()  # makes room for more than one
    many = {name: count_steps(store, read) for name, read in reads.items()}
    assert {name: many[name] for name in reads if many[name] > few[name] + 20} == {}, few


def count_steps(store: DrawingStore, read: Callable[[], object]) -> int:
    """Return how many steps of ten instructions SQLite takes for it."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    store._db.set_progress_handler(count, 10)
    read()
    store._db.set_progress_handler(None, 10)
    return steps


def fill(store: DrawingStore, count: int) -> None:
    """Add so many predictions and as many labelled drawings, by copying one of each."""
    numbers = f"WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    with store._db:
        store._db.execute("BEGIN")
        for table, columns, copied in (
            ("predictions", "image, at, route, role, model, digit, confidence, milliseconds, truth", "1"),
            ("drawings", "image, truth, at, answered_by, pair, current, new, NULL, NULL", "pair > 0"),
        ):
            store._db.execute(
                f"INSERT INTO {table} {numbers} SELECT (SELECT max(id) FROM {table}) + i, randomblob(16), "
                f"{columns} FROM n, (SELECT * FROM {table} WHERE {copied} LIMIT 1)"
            )


def test_several_threads_and_dashboards_share_a_file(store: DrawingStore, path: Path) -> None:
    """Nothing is lost, and nothing is counted twice."""
    with closing(DrawingStore(path)) as other:

        def draw(each: DrawingStore, first: int) -> None:
            for place in range(first, first + 25):
                add_labelled(each, IMAGES[place], 1, 1, 2)

        threads = [
            threading.Thread(target=draw, args=(each, first))
            for each, first in ((store, 0), (store, 25), (other, 50), (other, 75))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.count() == other.count() == 100
        assert other.read_tally(snapshot()) == DrawingTally(100, 100, 0, 0, 100)


def test_a_file_that_is_none_of_sqlites_is_set_aside(path: Path) -> None:
    """With all that was in it, and beside one that was set aside before; the notice names it."""
    path.parent.mkdir()
    for name in ("drawings.damaged.db", "drawings.damaged1.db"):
        path.write_text(f"precious {name}" * 100)
        with closing(DrawingStore(path)) as store:
            aside = path.with_name(name)
            assert aside.read_text() == f"precious {name}" * 100
            assert store.notices == (
                f"The file of the drawings was damaged and is now {aside}. A new one is used.",
            )
            assert store.label(IMAGES[0], 5)
        path.unlink()


def test_a_file_that_turns_out_to_be_damaged_later_makes_room_too(path: Path) -> None:
    """Its beginning may be readable; the next drawing is kept again."""
    with closing(DrawingStore(path)) as store:
        for image in IMAGES[:200]:
            store.label(image, 5)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with closing(DrawingStore(path)) as store:
        for image in IMAGES[:3]:
            store.label(image, 6)
        assert store.load().labels.tolist()[-1] == 6
        assert "was damaged and is now" in store.notices[0]
    assert path.with_name("drawings.damaged.db").stat().st_size == len(whole)


def test_a_file_of_a_newer_release_is_left_alone(path: Path) -> None:
    """Drawings are kept in memory then, and a notice says so."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with closing(DrawingStore(path)) as store:
        assert store.label(IMAGES[0], 5)
        assert store.count() == 1
        (notice,) = store.notices
        assert notice.startswith("Drawings are kept only until the dashboard ends: ")
        assert "a newer release of MNIST Dash has written it" in notice
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_folder_that_cannot_be_used_costs_no_prediction(tmp_path: Path) -> None:
    """As a read-only one: here a file is in its place."""
    (tmp_path / "state").write_text("")
    with closing(DrawingStore(tmp_path / "state" / "drawings.db")) as store:
        assert store.label(IMAGES[0], 5)
        assert "drawings.db cannot be used (" in store.notices[0]


def test_a_full_disk_costs_the_drawing_only(store: DrawingStore) -> None:
    """The problem is said, and is gone with the next drawing that is kept."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    full = [store.label(image, 1) for image in IMAGES[:40]]
    assert full[-1] is False
    assert store.problem == "Drawings are not kept: database or disk is full."
    kept = full.count(True)
    assert store.count() == len(store.load()) == kept
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert store.label(IMAGES[50], 1)
    assert store.problem == ""


def test_clear_deletes_everything(store: DrawingStore) -> None:
    """The tally too."""
    store.add_prediction(IMAGES[0], Route.SPLIT, answer(0), "cnn", None)
    add_labelled(store, IMAGES[0], 1, 1, 1)
    store.clear()
    assert (store.count(), len(store.load()), store.find_ends()) == (0, 0, (1, 0))
    assert store.read_tally(snapshot()) == DrawingTally()
    assert store.load_digits().images.shape == (0, 28, 28)


@pytest.fixture
def engine() -> FakeEngine:
    """An engine in memory, with both models ready."""
    return FakeEngine()


@pytest.fixture
def dash(engine: FakeEngine) -> Iterator[Dashboard]:
    """A dashboard on models in memory, of which Current is wrong about every tenth digit."""
    with Dashboard(engine, LabelledServing(engine, {Role.CURRENT: 10})) as dash:
        yield dash


def label_digits(dash: Dashboard, count: int) -> None:
    """Label the first bundled digits as if they were drawings, and wait for both models' answers."""
    digits = load_digits()
    for image, truth in zip(digits.images[:count], digits.labels, strict=False):
        dash.predict(image)
        dash.label(image, int(truth)).result(30)


def test_a_notebook_gets_the_labelled_drawings(dash: Dashboard) -> None:
    """As arrays, and as rows that fit pandas; the role that answered is of the request on the split."""
    label_digits(dash, 11)
    labelled = dash.drawings()
    assert labelled.images.shape == (11, 28, 28)
    assert labelled.labels.tolist() == load_digits().labels[:11].tolist()
    table = pd.DataFrame(labelled.rows)
    assert (table["new"] == table["truth"]).all()
    assert (table["current"] != table["truth"]).tolist() == [True, *[False] * 9, True]
    assert table["answered_by"].tolist() == [row.role for row in dash.predictions(11)][::-1]
    assert str(dash.tally) == "On your 11 drawings: New 11, Current 9."
    assert dash.count_drawings() == 11


def test_what_two_models_have_not_answered_is_asked_about_after_the_next_label(
    dash: Dashboard, engine: FakeEngine
) -> None:
    """Without a New model a label is kept all the same."""
    engine.observed = snapshot(new=None, split_desired=0, split_observed=0)
    dash.label(IMAGES[1], 1).result(30)
    assert dash.drawings().rows[0].current is None
    engine.observed = snapshot()
    assert dash.tally == DrawingTally()
    dash.label(IMAGES[2], 2).result(30)
    assert str(dash.tally) == "On your 2 drawings: New 2, Current 2."


def test_answers_of_another_model_are_not_recorded(engine: FakeEngine) -> None:
    """If an observation after the answers shows that it has been deployed meanwhile."""

    class SwappedServing(LabelledServing):
        def predict_batch(self, *args: object, **kwargs: object) -> list[Prediction]:
            answers = super().predict_batch(*args, **kwargs)  # type: ignore[arg-type]  # passed on
            engine.observed = snapshot(new=deployment(Role.NEW, base="/models/other"))
            return answers

    with Dashboard(engine, SwappedServing(engine, {})) as dash:
        dash.label(IMAGES[0], 1).result(30)
        assert dash.drawings().rows[0].new is None


def test_a_label_that_is_no_digit_or_cannot_be_kept_is_refused(dash: Dashboard) -> None:
    """With the reason."""
    with pytest.raises(EngineError, match="10 is not a digit"):
        dash.label(IMAGES[0], 10)
    dash.close()
    with pytest.raises(EngineError, match="Drawings are not kept"):
        dash.label(IMAGES[0], 1)


def test_a_check_can_be_about_the_drawings(dash: Dashboard) -> None:
    """From one on; its rows, its report and the history say which they were."""
    with pytest.raises(EngineError, match="no labelled drawing yet"):
        dash.check_canary(source=DigitSource.DRAWINGS)
    label_digits(dash, 70)
    check = dash.check_canary(100, source=DigitSource.DRAWINGS)
    assert (len(check.rows), check.planned, check.ended) == (70, 70, "All 70 digits were asked.")
    assert check.verdict.outcome is Outcome.NEW_IS_BETTER
    assert [row.place for row in check.rows] == np.random.default_rng(28).permutation(70).tolist()
    for row in check.rows:
        np.testing.assert_array_equal(check.asked.images[row.place], IMAGES[row.place])
    report = check.to_html()
    assert "Your drawings, a fixed number" in report
    assert "a visitor says" in report
    assert "source=DigitSource.DRAWINGS" in report
    (entry,) = dash.timeline()
    assert entry.what.startswith(
        "cnn version 1 as New against linear version 1 as Current, 70 labelled drawings."
    )
    assert (entry.by, entry.kind) == ("ada", "Canary check")


def test_the_files_for_retraining_hold_pixels_and_labels(dash: Dashboard, tmp_path: Path) -> None:
    """As numpy reads them without pickle, and as CSV with a column for each pixel."""
    label_digits(dash, 3)
    dash.label(IMAGES[1], None)
    labelled = dash.drawings()
    labelled.save(tmp_path / "drawings.npz")
    with np.load(tmp_path / "drawings.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["images"], labelled.images)
        assert (stored["images"].dtype, stored["labels"].tolist()) == (np.uint8, labelled.labels.tolist())
        assert stored["new_base"].tolist() == [CNN, CNN]
        assert stored["current_version"].tolist() == [1, 1]
        assert stored["new_probabilities"].shape == (2, 10)
    labelled.save(tmp_path / "drawings.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "drawings.csv").read_text())))
    assert [int(row["truth"]) for row in rows] == labelled.labels.tolist()
    assert [int(rows[1][f"pixel{number}"]) for number in range(784)] == labelled.images[1].ravel().tolist()
    dash.clear_drawings()
    with np.load(io.BytesIO(dash.drawings().to_npz()), allow_pickle=False) as stored:
        assert stored["images"].shape == (0, 28, 28)


def test_both_answers_of_a_comparison_are_in_the_history(dash: Dashboard) -> None:
    """Each with its role; the label of one of MNIST's digits is known."""
    dash.compare(IMAGES[0], truth=5)
    assert [(row.role, row.model, row.truth) for row in dash.predictions()] == [
        (Role.NEW, "cnn", 5),
        (Role.CURRENT, "linear", 5),
    ]
    assert dash.prediction_numbers == (1, 2)
    dash.label(IMAGES[0], 5).result(30)
    assert dash.drawings().rows[0].answered_by is None


def test_a_damaged_file_is_a_notice_of_the_page(engine: FakeEngine, path: Path) -> None:
    """Beside those of the engine."""
    path.parent.mkdir()
    path.write_text("damaged" * 1000)
    engine.observed = replace(engine.observed, notices=("Port 8080 is taken.",))
    with Dashboard(engine, LabelledServing(engine, {}), DrawingStore(path)) as dash:
        first, second = dash.snapshot().notices
        assert first == "Port 8080 is taken."
        assert "drawings.damaged.db" in second
