"""The model's folder is watched for another version."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_dash.errors import ModelError
from mnist_dash.local.server.versions import (
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    Versions,
    VersionState,
    VersionWatcher,
)
from tests.unit.local.server.fake_model import FakeModel


class Loader:
    """Loads what has a file `model`; a folder without one is broken, as a half-copied one is."""

    def __init__(self) -> None:
        self.tried: list[int] = []
        self.on_load: Callable[[Path], None] = lambda _: None

    def __call__(self, folder: Path) -> FakeModel:
        self.tried.append(int(folder.name))
        self.on_load(folder)
        if not (folder / "model").exists():
            raise ModelError(f"{folder.name} is broken.", "Mend it.")
        return FakeModel(int(folder.name))


class Bench:
    """A watcher, its folder, and what it told, with a clock that stands still until told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions = Versions()
        self.loader = Loader()
        self.told: list[str] = []
        self.now = 100.0
        self.watcher = VersionWatcher(folder, self.versions, self.loader, self, clock=lambda: self.now)

    def version(self, version: int) -> None:
        self.told.append(f"version {version}")

    def trouble(self, problem: str) -> None:
        self.told.append(problem)

    def put(self, name: int | str, file: str = "model") -> None:
        (self.folder / str(name)).mkdir(parents=True, exist_ok=True)
        (self.folder / str(name) / file).write_text(file)

    def drop(self, name: int | str) -> None:
        shutil.rmtree(self.folder / str(name))

    def poll(self, times: int = 2, after: float = 0.0) -> None:
        self.now += after
        for _ in range(times):
            self.watcher.poll()

    @property
    def served(self) -> int | None:
        return self.versions.served.version if self.versions.served else None

    @property
    def states(self) -> dict[int, VersionState]:
        return {status.version: status.state for status in self.versions.statuses()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Version 1 is served."""
    bench = Bench(tmp_path / "model")
    bench.put(1)
    bench.watcher.load_first()
    return bench


def test_the_highest_version_is_loaded_first(tmp_path: Path) -> None:
    """By number, not by name; what is no number or no folder is no version."""
    bench = Bench(tmp_path)
    for name in (9, 10, "11a", "-12", "tmp", "٣"):
        bench.put(name)
    (tmp_path / "99").write_text("a file")

    assert bench.watcher.load_first() == 10
    assert bench.loader.tried == [10]


@pytest.mark.parametrize(
    ("make", "problem"),
    [(lambda _: None, "does not exist."), (lambda folder: folder.mkdir(), "holds no numbered version.")],
)
def test_no_version_at_the_start_is_an_error(
    tmp_path: Path, make: Callable[[Path], None], problem: str
) -> None:
    """It says what is missing, and where it should be."""
    folder = tmp_path / "model"
    make(folder)

    with pytest.raises(ModelError) as error:
        Bench(folder).watcher.load_first()
    assert error.value.problem == f"{folder} {problem}"
    assert str(folder / "1") in error.value.next_step


def test_an_older_version_stands_in_for_a_broken_one_at_the_start(tmp_path: Path) -> None:
    """A restart must not take away what would go on answering without it; the trouble is told."""
    bench = Bench(tmp_path)
    bench.put(1)
    bench.put(2, "something else")

    assert bench.watcher.load_first() == 1
    assert bench.served == 1
    assert bench.told == ["2 is broken. Mend it."]


def test_versions_that_are_all_broken_at_the_start_are_an_error(tmp_path: Path) -> None:
    """The highest one's, since that is the one wanted."""
    bench = Bench(tmp_path)
    bench.put(1, "something else")
    bench.put(2, "something else")

    with pytest.raises(ModelError, match="2 is broken"):
        bench.watcher.load_first()


def test_a_higher_version_takes_over_once_its_files_rest(bench: Bench) -> None:
    """Two looks: one to see it, one to see that nothing has changed."""
    bench.put(2)
    bench.poll(1)
    assert (bench.served, bench.states) == (1, {2: VersionState.LOADING, 1: VersionState.AVAILABLE})

    bench.poll(1)
    assert (bench.served, bench.told) == (2, ["version 2"])
    assert bench.states == {2: VersionState.AVAILABLE, 1: VersionState.END}


def test_nothing_is_loaded_while_nothing_changes(bench: Bench) -> None:
    """Looking costs no loading."""
    bench.poll(10)

    assert (bench.loader.tried, bench.told) == ([1], [])


def test_a_lower_version_is_not_desired(bench: Bench) -> None:
    """Only the highest answers."""
    bench.put(0)
    bench.poll(3)

    assert (bench.served, bench.loader.tried) == (1, [1])


def test_a_version_that_is_copied_file_by_file_takes_over_when_it_is_whole(bench: Bench) -> None:
    """Until then it does not load, and that is no trouble."""
    for file in ("a", "b", "c"):
        bench.put(2, file)
        bench.poll(3, after=PATIENCE_SECONDS - 0.1)
    assert (bench.served, bench.told) == (1, [])

    bench.put(2)
    bench.poll()
    assert (bench.served, bench.told) == (2, ["version 2"])


def test_a_version_that_stays_broken_is_told_once_and_the_old_one_serves(bench: Bench) -> None:
    """After the patience that a copy deserves."""
    bench.put(2, "something else")
    bench.poll(3)
    assert bench.told == []

    bench.poll(5, after=PATIENCE_SECONDS)
    assert (bench.served, bench.told) == (1, ["2 is broken. Mend it."])
    assert [s.error for s in bench.versions.statuses()] == ["2 is broken. Mend it.", ""]
    assert bench.loader.tried == [1, 2]


def test_a_broken_version_is_tried_again_when_its_files_change(bench: Bench) -> None:
    """Mended, it takes over."""
    bench.put(2, "something else")
    bench.poll(3, after=PATIENCE_SECONDS)
    bench.put(2)
    bench.poll()

    assert bench.served == 2


def test_a_broken_version_is_tried_again_now_and_then(bench: Bench) -> None:
    """What was wrong may not have been its files."""
    bench.put(2, "something else")
    bench.poll(3)
    for _ in range(3):
        bench.poll(3, after=RETRY_SECONDS)

    assert bench.loader.tried == [1, 2, 2, 2, 2]


def test_files_that_change_while_they_are_read_are_read_again(bench: Bench) -> None:
    """What was loaded may be neither the one nor the other."""
    bench.put(2)
    bench.loader.on_load = lambda _: bench.put(2, f"more{len(bench.loader.tried)}")
    bench.poll()
    assert bench.served == 1

    bench.loader.on_load = lambda _: None
    bench.poll()
    assert bench.served == 2


def test_a_file_that_was_written_anew_has_changed_even_if_it_is_as_long(bench: Bench) -> None:
    """The time tells."""
    bench.put(2, "something else")
    bench.poll(3)
    os.utime(bench.folder / "2" / "something else", ns=(1, 1))
    bench.poll()

    assert bench.loader.tried == [1, 2, 2]


def test_an_error_nobody_thought_of_does_not_end_the_watching(bench: Bench) -> None:
    """It is trouble with the new version; the old one serves."""

    def fail(_: Path) -> None:
        raise MemoryError

    bench.loader.on_load = fail
    bench.put(2)
    bench.poll()
    bench.poll(1, after=PATIENCE_SECONDS)

    assert (bench.served, bench.told) == (1, [f"{bench.folder / '2'} cannot be loaded: MemoryError."])


def test_a_still_higher_version_is_taken_instead_of_a_broken_one(bench: Bench) -> None:
    """Only the highest is wanted."""
    bench.put(2, "something else")
    bench.poll(3)
    bench.put(3)
    bench.poll()

    assert (bench.served, bench.told) == (3, ["version 3"])
    assert bench.states == {3: VersionState.AVAILABLE, 1: VersionState.END}


def test_the_highest_of_those_left_takes_over_from_a_deleted_version(bench: Bench) -> None:
    """TensorFlow Serving does so."""
    bench.put(2)
    bench.put(3)
    bench.poll()
    bench.drop(3)
    bench.poll(1)
    assert bench.served == 3

    bench.poll(1)
    assert (bench.served, bench.told) == (2, ["version 3", "version 2"])


def test_nothing_is_served_when_no_version_is_left_until_one_appears(bench: Bench) -> None:
    """TensorFlow Serving unloads the last version, too."""
    bench.drop(1)
    bench.poll()
    assert bench.states == {1: VersionState.END}
    assert bench.versions.find(None) is None
    assert bench.told == [f"{bench.folder} holds no version any more, so nothing is served."]

    bench.put(1)
    bench.poll()
    assert (bench.served, bench.told[1:]) == (1, ["version 1"])


def test_all_stays_as_it_is_when_the_folder_itself_is_gone(bench: Bench) -> None:
    """It may be a disk that is away for a moment; TensorFlow Serving waits, too."""
    shutil.rmtree(bench.folder)
    bench.poll(5)

    assert (bench.served, bench.told) == (1, [])


def test_the_served_version_is_not_read_again_if_its_files_change(bench: Bench) -> None:
    """A version is what it was when it was loaded."""
    bench.put(1, "more")
    bench.poll(5)

    assert bench.loader.tried == [1]


def test_a_version_that_vanishes_while_it_is_copied_is_forgotten(bench: Bench) -> None:
    """Neither trouble nor a status is left of it."""
    bench.put(2, "something else")
    bench.poll(3)
    bench.drop(2)
    bench.poll(3, after=PATIENCE_SECONDS)

    assert (bench.told, bench.states) == ([], {1: VersionState.AVAILABLE})


def test_a_link_to_nowhere_in_a_version_does_not_end_the_watching(bench: Bench) -> None:
    """What cannot be looked at is left out."""
    bench.put(2)
    os.symlink("nowhere", bench.folder / "2" / "link")
    bench.poll()

    assert bench.served == 2


def test_watching_ends_when_it_is_told_to(bench: Bench) -> None:
    """A set event ends it before the next look."""
    stop = threading.Event()
    stop.set()
    bench.put(2)
    bench.watcher.run(stop)

    assert bench.served == 1
