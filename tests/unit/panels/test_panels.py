"""What the panels say, apart from the page: pure functions of values."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from mnist_dash.domain import EngineObject, Role
from mnist_dash.panels import diff, drawing, history, objects, rollout, strategy, theme
from mnist_dash.panels.session import Session
from tests.fakes import deployment, snapshot


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
    """The end is what tells two bases apart."""
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
    """A model server's last words are no markdown, except for what an error put in backticks."""
    assert theme.plain(text) == markdown


def test_each_role_has_a_colour_and_an_icon_of_its_own() -> None:
    """Told apart by more than colour."""
    assert len(set(theme.COLOUR_NAME.values())) == len(Role)
    assert len(set(theme.ICON.values())) == len(Role)


@pytest.mark.parametrize(
    ("split", "words"), [(0, "Current only"), (1, "Canary, 1 % to New"), (100, "New only")]
)
def test_a_split_is_called_by_its_strategy(split: int, words: str) -> None:
    """The words of the radio, and the percentage where there is one."""
    assert strategy.in_words(split) == words


def test_a_split_in_force_waits_for_nothing() -> None:
    """Only what is not yet so is said to be waited for."""
    assert strategy.waiting(snapshot()) == ""
    held = snapshot(split_observed=0, waiting_for="New has no ready replica yet.")
    assert "Wanted: Canary, 20 % to New. New has no ready replica yet." in strategy.waiting(held)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-2, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (7200, "2 hours ago"),
        (86400 * 3, "3 days ago"),
    ],
)
def test_how_long_ago_a_change_was_is_said_in_words(seconds: float, words: str) -> None:
    """In the largest unit; a clock that is a little ahead does no harm."""
    assert history.ago(seconds) == words


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ("2026-03-12T15:00", "14:03:22"),
        ("2026-03-13T01:00", "12 Mar, 14:03"),
        ("2027-03-12T15:00", "12 Mar 2026, 14:03"),
    ],
)
def test_a_change_is_dated_unless_it_was_today(now: str, shown: str) -> None:
    """By the viewer's own clock."""
    berlin = ZoneInfo("Europe/Berlin")
    at = datetime(2026, 3, 12, 14, 3, 22, tzinfo=berlin).timestamp()
    then = datetime.fromisoformat(now).replace(tzinfo=berlin).timestamp()
    assert history.clock(at, then, berlin) == shown


def test_trouble_keeps_only_a_cluster_from_changes() -> None:
    """The local engine takes them while its gateway is restarted."""
    trouble = snapshot(trouble="It does not answer.")
    assert "trouble above" in rollout.obstacle_to_all(trouble, in_cluster=True)
    assert rollout.obstacle_to_all(trouble, in_cluster=False) == ""


def test_what_an_object_does_not_have_is_not_offered() -> None:
    """A Service writes no log, a process has no YAML."""
    service = EngineObject("Service", "mnist-new", Role.NEW, "applied", yaml="kind: Service")
    assert objects.texts(service) == {"YAML": "kind: Service"}
    assert objects.texts(EngineObject("Model server", "blue-1", Role.CURRENT, "starting")) == {}


def test_the_same_state_is_previewed_once() -> None:
    """What changes by itself, as replicas come, is no reason to ask the cluster again."""
    known = diff.standing(snapshot())
    assert diff.standing(snapshot(taken_at=9.0, new=deployment(Role.NEW, ready=0))) == known
    assert diff.standing(snapshot(split_desired=50)) != known
    assert diff.standing(snapshot(new=deployment(Role.NEW, desired=3))) != known


def test_each_sheet_of_paper_differs_from_the_one_before() -> None:
    """The browser takes a new drawing only if it differs, and both sheets are blank."""
    visit = Session()
    first = drawing.sheet_of_paper(visit)
    visit.new_sheet()
    assert drawing.sheet_of_paper(visit) != first
    assert drawing.sheet_of_paper(visit)["objects"] == []


def test_an_unforeseen_error_is_told_without_a_traceback() -> None:
    """The page says what to do; the terminal has the rest."""

    def page() -> None:
        from mnist_dash.panels import lifecycle

        assert lifecycle.tell_unforeseen(RuntimeError("secret"))

    at = AppTest.from_function(page).run()
    assert not at.exception
    assert "Reload the page" in at.error[0].value
    assert "secret" not in at.error[0].value
