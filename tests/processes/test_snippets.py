"""The commands of the tab "Call it" run as they are, whatever the gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Deployment, Gateway, Image, Role, Route
from mnist_dash.panels import snippets
from mnist_dash.preprocessing import prepare
from tests.cluster.bed.certificates import Authority
from tests.fake_ingress import Controller, running
from tests.fakes import deployment, snapshot

BODY = snippets.Body((), "", '{"instances": [[]]}')
GATEWAY = Gateway("http://localhost:8080")
HOST = "mnist.invalid"


def written(model: Deployment, picture: Image | None) -> dict[str, Any]:
    """Return what the first line of the curl call writes for a New model."""
    body = snippets.body_for(snapshot(new=model), Route.NEW, picture)
    line, _ = snippets.curl(GATEWAY, Route.NEW, body).splitlines()
    program = line.removeprefix("python3 -c '").removesuffix("' > digit.json")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("shape", snippets.NESTED)
def test_the_body_holds_a_digit_as_the_model_takes_it(shape: tuple[int, ...], free: bool) -> None:
    """A seven or the drawing, pixel by pixel, in every shape that is served, open sizes included."""
    model = deployment(Role.NEW, input_shape=(-1, *(-1 if free and size == 28 else size for size in shape)))
    (seven,) = np.array(written(model, None)["instances"])
    assert seven.shape == shape
    assert seven.reshape(28, 28)[6:9, 6:22].all()
    assert 50 < seven.sum() < 200
    picture = load_digits().images[3]
    (drawn,) = np.array(written(model, picture)["instances"], np.float32)
    assert drawn.shape == shape
    assert np.array_equal(drawn.reshape(28, 28), picture)


def test_the_body_names_a_signature_that_is_not_the_usual_one() -> None:
    """Else TensorFlow Serving would look for `serving_default`."""
    odd = deployment(Role.NEW, input_shape=(-1, 784), signature="predict_images")
    assert written(odd, None)["signature_name"] == "predict_images"
    assert "signature_name" not in written(deployment(Role.NEW), None)


def test_a_prepared_drawing_is_sent_without_loss() -> None:
    """A byte holds a pixel exactly, so that the call gets the answer of the page."""
    strokes = np.zeros((280, 280), np.uint8)
    strokes[40:240, 100:131] = 255
    picture = prepare(strokes)
    (drawn,) = np.array(written(deployment(Role.NEW), picture)["instances"], np.float32)
    assert np.array_equal(drawn[..., 0], picture)


def test_the_body_of_a_drawing_is_short_enough_to_be_read_over() -> None:
    """No line of 784 numbers."""
    for picture in load_digits().images[:50]:
        assert len(snippets.body_for(snapshot(), Route.SPLIT, picture).ink) < 500


@pytest.mark.parametrize("address", ["", "10.0.0.1:8443"])
@pytest.mark.parametrize("ca_file", ["", "/etc/it's/ca.pem"])
@pytest.mark.parametrize("url", ["http://mnist.example", "https://mnist.example:8443"])
def test_the_python_call_compiles_whatever_the_gateway(url: str, ca_file: str, address: str) -> None:
    """The script is valid, and forces the route."""
    script = snippets.python(Gateway(url, address, ca_file), Route.NEW, BODY)
    compile(script, "call", "exec")
    assert "'X-Mnist-Route': 'always'" in script
    assert "mnist.example" in script
    assert "10.0.0.1" in script or not address


def test_curl_connects_where_the_gateway_is_and_trusts_its_authority() -> None:
    """Host header and certificate stay those of the URL; names with spaces are quoted."""
    gateway = Gateway("https://mnist.example", "10.0.0.1:8443", "/my certificates/ca.pem")
    *_, call = snippets.curl(gateway, Route.SPLIT, BODY).splitlines()
    assert call == (
        "curl -si https://mnist.example/v1/models/model:predict --connect-to ::10.0.0.1:8443 "
        "--cacert '/my certificates/ca.pem' -d @digit.json"
    )


@pytest.fixture(params=["http", "https"])
def behind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Controller, Gateway]]:
    """A controller, and the gateway that it is for a host that no resolver knows."""
    if request.param == "http":
        with running() as controller:
            yield controller, Gateway(f"http://{HOST}", controller.address)
        return
    authority = Authority(tmp_path / "authority")
    with running(authority.issue("host", HOST).context()) as controller:
        yield controller, Gateway(f"https://{HOST}", controller.address, str(authority.file))


def run(command: list[str], folder: Path) -> str:
    """Return the output of a command, which must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_call_reaches_a_host_that_does_not_resolve(
    behind: tuple[Controller, Gateway], tmp_path: Path
) -> None:
    """Over the address, with the right host and certificate."""
    controller, gateway = behind
    script = snippets.python(gateway, Route.NEW, BODY)
    assert json.loads(run([sys.executable, "-c", script], tmp_path).splitlines()[1])[0] == 1.0
    assert controller.hosts == [HOST]


def test_the_python_call_trusts_the_given_authority(tmp_path: Path) -> None:
    """Without an address too."""
    authority = Authority(tmp_path / "authority")
    with running(authority.issue("local", "127.0.0.1").context()) as controller:
        gateway = Gateway(f"https://{controller.address}", "", str(authority.file))
        output = run([sys.executable, "-c", snippets.python(gateway, Route.NEW, BODY)], tmp_path)
    assert json.loads(output.splitlines()[1])[0] == 1.0


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
def test_the_curl_calls_reach_a_host_that_does_not_resolve(
    behind: tuple[Controller, Gateway], tmp_path: Path
) -> None:
    """The single call, and the twenty counted by their answers."""
    controller, gateway = behind
    answer = run(["bash", "-c", snippets.curl(gateway, Route.SPLIT, BODY)], tmp_path)
    assert answer.startswith("HTTP/1.1 200")
    counts = run(["bash", "-c", snippets.counted(gateway, Route.SPLIT, by_answer=True)], tmp_path)
    (line,) = counts.splitlines()
    assert line.split(maxsplit=1)[0] == "20"
    assert "predictions" in line
    assert set(controller.hosts) == {HOST}
