"""A location is read from what a user writes, before anything is looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_dash.errors import ModelError
from mnist_dash.storage.location import FolderLocation, location_of
from tests.models import FLAT, forbidden, make_base

GIVE = "Give a folder, or gs://bucket/path."
CONSOLE = "https://console.cloud.google.com/storage/browser/bucket/m;tab=objects?project=p"


def test_a_folder_may_be_written_in_several_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, relative, from home, as a URL, with spaces or quotes around it."""
    base = tmp_path / "my mnist"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    url = f"file://{tmp_path}/my%20mnist"
    spellings = [
        str(base),
        "my mnist",
        "./my mnist/",
        "~/my mnist",
        "$HOME/my mnist",
        "${HOME}/my mnist",
        url,
    ]
    spellings += [f" {base}\n", f"'{base}'", f' "{base}"', "'$HOME/my mnist'"]
    assert {str(location_of(text)) for text in spellings} == {str(base)}


@pytest.mark.parametrize(
    ("base", "problem", "next_step"),
    [
        (" ", "No model base was given.", GIVE),
        ("a\0b", "'a\\x00b' is not a model base.", GIVE),
        ("~nobody-9/m", "'~nobody-9/m' is not a model base.", GIVE),
        ("$DATA/m", "$DATA/m starts with a variable, which is not replaced.", "Give the whole path."),
        ("s3://b/m", "s3://b/m is not a folder or a gs:// address.", GIVE),
        ("GS://bucket/m", "GS://bucket/m is not a folder or a gs:// address.", "Did you mean gs://bucket/m?"),
        (CONSOLE, f"{CONSOLE} is not a folder or a gs:// address.", "Did you mean gs://bucket/m?"),
        ("gs:/bucket/m", "gs:/bucket/m is not a folder or a gs:// address.", "Did you mean gs://bucket/m?"),
        ("gs:///bucket", "gs:///bucket is not a folder or a gs:// address.", "Did you mean gs://bucket?"),
    ],
)
def test_a_text_that_names_no_location_is_refused(base: str, problem: str, next_step: str) -> None:
    """Other addresses of a bucket are answered with the right one."""
    with pytest.raises(ModelError) as caught:
        location_of(base)
    assert (caught.value.problem, caught.value.next_step) == (problem, next_step)


@pytest.mark.parametrize("name", ["abc", "a.b", "a_b", "0-0", "my-bucket.example.com", "123"])
def test_a_bucket_path_is_read_without_its_last_slash(name: str) -> None:
    """The name of the bucket follows Google's rules."""
    assert str(location_of(f"'gs://{name}/my mnist/'")) == f"gs://{name}/my mnist"


@pytest.mark.parametrize(
    "path", ["", "ab/m", "Abc/m", "-abc/m", "ab./m", "a b/m", "abc/a//b", "abc/../b", "abc/*/b", "abc/m#1"]
)
def test_a_path_that_no_bucket_has_is_refused(path: str) -> None:
    """Before any request."""
    with pytest.raises(ModelError, match="is not a path in a bucket"):
        location_of(f"gs://{path}")


def test_a_folder_without_read_permission_is_reported(tmp_path: Path) -> None:
    """It is not reported as empty."""
    base = make_base(tmp_path)
    with forbidden(base), pytest.raises(ModelError) as caught:
        FolderLocation(base).entries()
    assert caught.value.problem == f"{base} cannot be read: Permission denied."
    assert caught.value.next_step == "Let the user who runs the dashboard read it."


def test_a_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    """Nothing is copied."""
    base = make_base(tmp_path / "mnist", FLAT)
    assert FolderLocation(base).fetch(tmp_path / "unused") == base
    assert not (tmp_path / "unused").exists()
