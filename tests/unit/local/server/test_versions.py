"""The version that answers, and the model's folder that is watched for another one."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from mnist_dash.errors import ModelError
from mnist_dash.local.protocol import VersionFailed, VersionServed
from mnist_dash.local.server.predictor import Predictor
from mnist_dash.local.server.versions import (
    COPY_SECONDS,
    RETRY_SECONDS,
    Versions,
    VersionState,
    VersionStatus,
    VersionWatcher,
)
from tests.unit.local.server.fake_model import FakeModel

LOADING, AVAILABLE, END = get_args(VersionState)


def predictor(version: int) -> Predictor:
    """Return a version that may serve."""
    return Predictor(FakeModel(version))


def test_the_served_version_is_found_as_the_latest_and_by_its_number() -> None:
    """Any other number finds none, and so does every number while no version is served."""
    versions, two = Versions(), predictor(2)
    assert (versions.find(None), versions.find(1)) == (None, None)

    versions.serve(two)
    assert [versions.find(number) for number in (None, 2, 1)] == [two, two, None]


def test_statuses_are_listed_with_the_highest_version_first() -> None:
    """One for each version, its last; a version that comes back is available again."""
    versions = Versions()
    for number in (9, 10, 9):
        versions.serve(predictor(number))
    versions.set_status(VersionStatus(11, LOADING))
    versions.set_status(VersionStatus(8, END, "broken"))

    assert versions.statuses() == [
        VersionStatus(11, LOADING),
        VersionStatus(10, END),
        VersionStatus(9, AVAILABLE),
        VersionStatus(8, END, "broken"),
    ]


class Loader:
    """Loads a folder that has a file `model`; one without it is broken, as a half-copied one is."""

    def __init__(self) -> None:
        self.tried: list[int] = []
        self.on_load: Callable[[Path], None] = lambda _: None

    def __call__(self, folder: Path) -> FakeModel:
        self.tried.append(int(folder.name))
        self.on_load(folder)
        if not (folder / "model").exists():
            raise ModelError(f"{folder.name} is broken.", "Export it again.")
        return FakeModel(int(folder.name))


BROKEN = "2 is broken. Export it again."


class Bench:
    """A watcher, its folder and its reports, with a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions = Versions()
        self.loader = Loader()
        self.reports: list[str | int] = []
        self.now = 100.0
        self.watcher = VersionWatcher(folder, self.versions, self.loader, self.report, clock=lambda: self.now)

    def report(self, event: VersionServed | VersionFailed) -> None:
        self.reports.append(event.version if isinstance(event, VersionServed) else event.problem)

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
    """By number, not by name; other names, files and more than 64 bits are no versions."""
    bench = Bench(tmp_path)
    for name in (9, 10, "11a", "-12", "tmp", "٣", 2**63):
        bench.put(name)
    (tmp_path / "99").write_text("a file")
    bench.watcher.load_first()

    assert (bench.served, bench.loader.tried) == (10, [10])


@pytest.mark.parametrize(
    ("exists", "problem"), [(False, "does not exist."), (True, "holds no numbered version.")]
)
def test_no_version_at_the_start_is_an_error(tmp_path: Path, exists: bool, problem: str) -> None:
    """The error names the missing folder and where the model belongs."""
    folder = tmp_path if exists else tmp_path / "model"

    with pytest.raises(ModelError) as error:
        Bench(folder).watcher.load_first()
    assert error.value.problem == f"{folder} {problem}"
    assert str(folder / "1") in error.value.next_step


def test_an_older_version_replaces_a_broken_one_at_the_start(tmp_path: Path) -> None:
    """A restart must not take away a version that would have kept answering; the trouble is reported.

    Only if no version loads, it is an error: the highest version's, which is desired.
    """
    bench = Bench(tmp_path)
    bench.put(1, "something else")
    bench.put(2, "something else")
    with pytest.raises(ModelError, match="2 is broken"):
        bench.watcher.load_first()

    bench.put(1)
    bench.watcher.load_first()
    assert (bench.served, bench.reports) == (1, [BROKEN])


def test_a_higher_version_takes_over_once_its_files_rest(bench: Bench) -> None:
    """Two polls: one to see it, one to see that its files have not changed. A dangling link does no harm."""
    bench.put(2)
    os.symlink("nowhere", bench.folder / "2" / "link")
    bench.poll(1)
    assert (bench.served, bench.states) == (1, {2: LOADING, 1: AVAILABLE})

    bench.poll(1)
    assert (bench.served, bench.reports, bench.states) == (2, [2], {2: AVAILABLE, 1: END})


def test_a_folder_at_rest_costs_no_loading(bench: Bench) -> None:
    """Nor does a lower version, a change of the served version, or a folder that is away for a moment."""
    bench.put(0)
    bench.put(1, "more")
    bench.poll(10)
    shutil.rmtree(bench.folder)
    bench.poll(5)

    assert (bench.served, bench.loader.tried, bench.reports) == (1, [1], [])


def test_a_version_that_is_copied_file_by_file_takes_over_when_it_is_whole(bench: Bench) -> None:
    """Until then it does not load, and no trouble is reported."""
    for file in ("a", "b", "c"):
        bench.put(2, file)
        bench.poll(3, after=COPY_SECONDS - 0.1)
    assert (bench.served, bench.reports) == (1, [])

    bench.put(2)
    bench.poll()
    assert (bench.served, bench.reports) == (2, [2])


def test_a_version_that_stays_broken_is_reported_once_and_the_old_one_serves(bench: Bench) -> None:
    """After the time that a copy may take."""
    bench.put(2, "something else")
    bench.poll(3)
    assert bench.reports == []

    bench.poll(5, after=COPY_SECONDS)
    assert (bench.served, bench.reports) == (1, [BROKEN])
    assert [status.error for status in bench.versions.statuses()] == [BROKEN, ""]
    assert bench.loader.tried == [1, 2]


def test_a_broken_version_is_tried_again_when_its_files_change_and_now_and_then(bench: Bench) -> None:
    """Also if a file has only another time, or if its files were not the reason; repaired, it takes over."""
    bench.put(2, "something else")
    bench.poll(3)
    os.utime(bench.folder / "2" / "something else", ns=(1, 1))
    bench.poll()
    assert bench.loader.tried == [1, 2, 2]

    for _ in range(2):
        bench.poll(3, after=RETRY_SECONDS)
    assert bench.loader.tried == [1, 2, 2, 2, 2]

    bench.put(2)
    bench.poll()
    assert bench.served == 2


def test_files_that_change_while_they_are_read_are_read_again(bench: Bench) -> None:
    """The loaded model may be a mixture."""
    bench.put(2)
    bench.loader.on_load = lambda _: bench.put(2, f"more{len(bench.loader.tried)}")
    bench.poll()
    assert bench.served == 1

    bench.loader.on_load = lambda _: None
    bench.poll()
    assert bench.served == 2


def test_an_unexpected_error_does_not_end_the_watching(bench: Bench) -> None:
    """It is trouble with the new version; the old one serves."""

    def fail(_: Path) -> None:
        raise MemoryError

    bench.loader.on_load = fail
    bench.put(2)
    bench.poll()
    bench.poll(1, after=COPY_SECONDS)

    assert (bench.served, bench.reports) == (1, [f"{bench.folder / '2'} cannot be loaded: MemoryError."])


def test_a_still_higher_version_is_taken_instead_of_a_broken_one(bench: Bench) -> None:
    """Only the highest is desired; the other leaves no status."""
    bench.put(2, "something else")
    bench.poll(3)
    bench.put(3)
    bench.poll()

    assert (bench.served, bench.reports, bench.states) == (3, [3], {3: AVAILABLE, 1: END})


def test_the_highest_remaining_version_takes_over_from_a_deleted_one(bench: Bench) -> None:
    """TensorFlow Serving does so."""
    bench.put(2)
    bench.put(3)
    bench.poll()
    bench.drop(3)
    bench.poll(1)
    assert bench.served == 3

    bench.poll(1)
    assert (bench.served, bench.reports) == (2, [3, 2])


def test_no_version_is_served_when_none_is_left_until_one_appears(bench: Bench) -> None:
    """TensorFlow Serving unloads the last version, too."""
    bench.drop(1)
    bench.poll()
    assert bench.states == {1: END}
    assert bench.versions.find(None) is None
    assert bench.reports == [f"{bench.folder} holds no version, so nothing is served."]

    bench.put(1)
    bench.poll()
    assert (bench.served, bench.reports[1:]) == (1, [1])


def test_a_version_that_vanishes_while_it_is_copied_is_forgotten(bench: Bench) -> None:
    """It leaves neither trouble nor a status."""
    bench.put(2, "something else")
    bench.poll(3)
    bench.drop(2)
    bench.poll(3, after=COPY_SECONDS)

    assert (bench.reports, bench.states) == ([], {1: AVAILABLE})


def test_watching_ends_when_its_event_is_set(bench: Bench) -> None:
    """Before the next poll."""
    stop = threading.Event()
    stop.set()
    bench.put(2)
    bench.watcher.run(stop)

    assert bench.served == 1
