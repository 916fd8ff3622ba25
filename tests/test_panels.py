"""What the panels say, apart from the page: pure functions of values."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mnist_dash.domain import Role, Route
from mnist_dash.panels import call_it, drawing, look, strategy
from mnist_dash.panels.visit import Visit
from tests.fakes import deployment, snapshot

URL = "http://localhost:8080"


@pytest.mark.parametrize(
    ("base", "shown"),
    [
        ("/models/cnn", "/models/cnn"),
        ("gs://my-bucket/mnist", "gs://my-bucket/mnist"),
        ("/home/ada/.venv/lib/python3.11/site-packages/mnist_dash/data/models/cnn", "…/models/cnn"),
        ("/a/very/long/way/to/a/folder/named/mnist/", "…/named/mnist"),
    ],
)
def test_a_long_base_is_shortened_to_its_end(base: str, shown: str) -> None:
    """The end is what tells two bases apart."""
    assert look.shortened(base) == shown


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
    assert look.plain(text) == markdown


def test_each_role_has_a_colour_and_an_icon_of_its_own() -> None:
    """Told apart by more than colour."""
    assert len(set(look.COLOUR_NAME.values())) == len(Role)
    assert len(set(look.ICON.values())) == len(Role)


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


@pytest.mark.parametrize("shape", [(28, 28, 1), (28, 28), (784,)])
def test_the_body_of_the_curl_call_is_a_seven_as_the_model_takes_it(shape: tuple[int, ...]) -> None:
    """The first line of the command runs as it is, and writes the shape of the model on the route."""
    models = snapshot(new=deployment(Role.NEW, input_shape=(-1, *shape)))
    line, _ = call_it.curl(URL, {}, call_it.seven_for(models, Route.NEW)).splitlines()
    program = line.removeprefix("python3 -c '").removesuffix("' > seven.json")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)
    (image,) = np.array(json.loads(done.stdout)["instances"])
    assert image.shape == shape
    image = image.reshape(28, 28)
    assert image[6:9, 6:22].all()
    assert 50 < image.sum() < 200


def test_the_python_call_compiles_and_sends_the_headers() -> None:
    """The script is valid, with the gateway's address and headers in it."""
    script = call_it.python(URL, {"Host": "mnist.example"}, "[]")
    compile(script, "call", "exec")
    assert f"'{URL}/v1/models/model:predict'" in script
    assert "'Host': 'mnist.example'" in script


def test_a_header_cannot_break_out_of_the_command() -> None:
    """Quotes in a value are quoted for the shell."""
    assert """-H 'Host: a'"'"'b' """ in call_it.curl(URL, {"Host": "a'b"}, "[]")


def test_each_sheet_of_paper_differs_from_the_one_before() -> None:
    """The browser takes a new drawing only if it differs, and both sheets are blank."""
    visit = Visit()
    first = drawing.sheet_of_paper(visit)
    visit.new_sheet()
    assert drawing.sheet_of_paper(visit) != first
    assert drawing.sheet_of_paper(visit)["objects"] == []


def test_an_unforeseen_error_is_told_without_a_traceback() -> None:
    """The page says what to do; the terminal has the rest."""

    def page() -> None:
        from mnist_dash.panels import shared

        assert shared.tell_unforeseen(RuntimeError("secret"))

    at = AppTest.from_function(page).run()
    assert not at.exception
    assert "Reload the page" in at.error[0].value
    assert "secret" not in at.error[0].value
