"""Flags and environment variables become settings; what is wrong is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_dash.config import FLAGS, EngineKind, Settings
from mnist_dash.errors import SettingsError


def test_without_flags_and_variables_the_local_engine_is_the_default() -> None:
    """A laptop with nothing but Python needs no setting."""
    settings = Settings.from_env([], {})
    assert settings.engine is EngineKind.LOCAL
    assert settings.gateway_port == 8080
    assert settings.state_dir.name == "mnist-dash"
    assert settings.empty is False


def test_every_flag_can_be_given() -> None:
    """On the command line."""
    argv = [
        "--engine",
        "local",
        "--ingress-host",
        "a.example",
        "--gateway-port",
        "0",
        "--state-dir",
        "/tmp/x",
    ]
    given = Settings.from_env([*argv, "--empty"], {})
    assert given == Settings(EngineKind.LOCAL, "a.example", 0, Path("/tmp/x"), True)


def test_an_ingress_host_chooses_the_cluster_unless_an_engine_is_named() -> None:
    """Whoever names one means to use it."""
    assert Settings.from_env(["--ingress-host", "a.example"], {}).engine is EngineKind.KUBERNETES
    assert Settings.from_env([], {"MNIST_DASH_INGRESS_HOST": "a.example"}).engine is EngineKind.KUBERNETES
    assert Settings.from_env(["--ingress-host=a.example", "--engine=local"], {}).engine is EngineKind.LOCAL


def test_every_flag_has_a_variable() -> None:
    """In the environment."""
    environ = {
        "MNIST_DASH_ENGINE": "local",
        "MNIST_DASH_INGRESS_HOST": "a.example",
        "MNIST_DASH_GATEWAY_PORT": "9000",
        "MNIST_DASH_STATE_DIR": "/tmp/y",
        "MNIST_DASH_EMPTY": "yes",
    }
    assert set(environ) == {flag.variable for flag in FLAGS if flag.field in Settings.__dataclass_fields__}
    assert Settings.from_env([], environ) == Settings(
        EngineKind.LOCAL, "a.example", 9000, Path("/tmp/y"), True
    )


def test_a_flag_wins_over_its_variable() -> None:
    """What is typed last counts."""
    assert Settings.from_env(["--gateway-port=1"], {"MNIST_DASH_GATEWAY_PORT": "2"}).gateway_port == 1


@pytest.mark.parametrize(
    ("argv", "environ", "message"),
    [
        (["--engine", "cloud"], {}, "--engine: 'cloud' is not local or kubernetes."),
        (
            ["--ingress-host", "http://a.example"],
            {},
            "--ingress-host: 'http://a.example' is not a host name such as my.example.com.",
        ),
        (["--gateway-port", "http"], {}, "--gateway-port: 'http' is not a port number from 0 to 65535."),
        (["--gateway-port", "65536"], {}, "--gateway-port: '65536' is not a port number from 0 to 65535."),
        (
            [],
            {"MNIST_DASH_GATEWAY_PORT": "-1"},
            "MNIST_DASH_GATEWAY_PORT: '-1' is not a port number from 0 to 65535.",
        ),
        (
            [],
            {"MNIST_DASH_EMPTY": "maybe"},
            "MNIST_DASH_EMPTY: 'maybe' is not one of 1, true, yes, 0, false, no.",
        ),
        (["--state-dir", "/dev/null"], {}, "--state-dir: '/dev/null' is not a folder."),
        (
            ["--stat-dir", "/x"],
            {},
            "Unrecognized arguments: --stat-dir /x. See: streamlit run app.py -- --help",
        ),
        (["--engine"], {}, "Argument --engine: expected one argument. See: streamlit run app.py -- --help"),
    ],
)
def test_a_wrong_value_names_flag_value_and_what_is_wanted(
    argv: list[str], environ: dict[str, str], message: str
) -> None:
    """In one line, word for word."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(argv, environ)
    assert str(caught.value) == message


def test_help_lists_every_flag_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    """What `streamlit run app.py -- --help` prints."""
    with pytest.raises(SystemExit) as caught:
        Settings.from_env(["--help"], {})
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert text.startswith("usage: streamlit run app.py -- ")
    for flag in FLAGS:
        assert f"--{flag.name}" in text
        assert flag.variable in text
