"""The commands of the tab "Call it" run as they are, whatever the gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mnist_dash.domain import Gateway, Role, Route
from mnist_dash.panels import snippets
from tests.cluster.bed.certificates import Authority
from tests.fake_ingress import Controller, running
from tests.fakes import deployment, snapshot

GATEWAY = Gateway("http://localhost:8080")
HOST = "mnist.invalid"


@pytest.mark.parametrize("shape", [(28, 28, 1), (28, 28), (784,)])
def test_the_body_of_the_curl_call_is_a_seven_as_the_model_takes_it(shape: tuple[int, ...]) -> None:
    """The first line of the command writes the shape of the model on the route."""
    models = snapshot(new=deployment(Role.NEW, input_shape=(-1, *shape)))
    line, _ = snippets.curl(GATEWAY, Route.NEW, snippets.seven_for(models, Route.NEW)).splitlines()
    program = line.removeprefix("python3 -c '").removesuffix("' > seven.json")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)
    (image,) = np.array(json.loads(done.stdout)["instances"])
    assert image.shape == shape
    image = image.reshape(28, 28)
    assert image[6:9, 6:22].all()
    assert 50 < image.sum() < 200


@pytest.mark.parametrize("address", ["", "10.0.0.1:8443"])
@pytest.mark.parametrize("ca_file", ["", "/etc/it's/ca.pem"])
@pytest.mark.parametrize("url", ["http://mnist.example", "https://mnist.example:8443"])
def test_the_python_call_compiles_whatever_the_gateway(url: str, ca_file: str, address: str) -> None:
    """The script is valid, and forces the route."""
    script = snippets.python(Gateway(url, address, ca_file), Route.NEW, "[]")
    compile(script, "call", "exec")
    assert "'X-Mnist-Route': 'always'" in script
    assert "mnist.example" in script
    assert "10.0.0.1" in script or not address


def test_curl_connects_where_the_gateway_is_and_trusts_its_authority() -> None:
    """Host header and certificate stay those of the URL; names with spaces are quoted."""
    gateway = Gateway("https://mnist.example", "10.0.0.1:8443", "/my certificates/ca.pem")
    *_, call = snippets.curl(gateway, Route.SPLIT, "[]").splitlines()
    assert call == (
        "curl -si https://mnist.example/v1/models/model:predict --connect-to ::10.0.0.1:8443 "
        "--cacert '/my certificates/ca.pem' -d @seven.json"
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
    script = snippets.python(gateway, Route.NEW, "[]")
    assert json.loads(run([sys.executable, "-c", script], tmp_path).splitlines()[1])[0] == 1.0
    assert controller.hosts == [HOST]


def test_the_python_call_trusts_the_given_authority(tmp_path: Path) -> None:
    """Without an address too."""
    authority = Authority(tmp_path / "authority")
    with running(authority.issue("local", "127.0.0.1").context()) as controller:
        gateway = Gateway(f"https://{controller.address}", "", str(authority.file))
        output = run([sys.executable, "-c", snippets.python(gateway, Route.NEW, "[]")], tmp_path)
    assert json.loads(output.splitlines()[1])[0] == 1.0


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
def test_the_curl_calls_reach_a_host_that_does_not_resolve(
    behind: tuple[Controller, Gateway], tmp_path: Path
) -> None:
    """The single call, and the twenty counted by their answers."""
    controller, gateway = behind
    answer = run(["bash", "-c", snippets.curl(gateway, Route.SPLIT, "[]")], tmp_path)
    assert answer.startswith("HTTP/1.1 200")
    counts = run(["bash", "-c", snippets.counted(gateway, Route.SPLIT, by_answer=True)], tmp_path)
    (line,) = counts.splitlines()
    assert line.split(maxsplit=1)[0] == "20"
    assert "predictions" in line
    assert set(controller.hosts) == {HOST}
