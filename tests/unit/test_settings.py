"""Flags and environment variables become settings; an error names key, value and expected type."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_dash.errors import SettingsError
from mnist_dash.settings import FLAGS, EngineKind, RouterKind, Scheme, Settings


def every_setting(folder: Path) -> tuple[dict[str, str], Settings]:
    """Return every flag with a value that is not its default, and the settings that they make."""
    certificate = folder / "ca.pem"
    certificate.touch()
    settings = Settings(
        engine=EngineKind.KUBERNETES,
        ingress_host="a.example",
        gateway_port=9000,
        state_dir=Path("/tmp/y"),
        empty=True,
        google_app_creds=folder / "key.json",
        kubeconfig="/etc/one:/etc/two",
        context="demo",
        namespace="digits",
        ingress_class="traefik.internal",
        scheme=Scheme.HTTPS,
        ca_file=certificate,
        ingress_address="[2001:db8::7]:443",
        image="eu.gcr.io:5000/my/serving:2.19.0-gpu",
        router=RouterKind.GATEWAY,
        gateway="infra/main",
    )
    given = {flag.name: str(getattr(settings, flag.field)) for flag in FLAGS}
    assert {flag.field for flag in FLAGS} == set(Settings.__dataclass_fields__)
    return given | {"ingress-host": "A.example", "empty": "yes"}, settings


def pairs(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return each flag with each of its values."""
    return [(name, value) for name, values in table.items() for value in values]


def test_without_flags_and_variables_the_local_engine_is_the_default() -> None:
    """A laptop needs no settings."""
    settings = Settings.from_env([], {})
    assert settings.engine is EngineKind.LOCAL
    assert settings.gateway_port == 8080
    assert settings.state_dir.name == "mnist-dash"
    assert settings.empty is False


def test_a_cluster_needs_no_more_than_a_host() -> None:
    """The defaults fit a plain ingress-nginx."""
    settings = Settings.from_env(["--ingress-host", "a.example"], {})
    assert settings == Settings(engine=EngineKind.KUBERNETES, ingress_host="a.example")
    assert (settings.namespace, settings.ingress_class, settings.scheme) == ("mnist", "nginx", "http")
    assert (settings.router, settings.image) == ("ingress", "tensorflow/serving:2.19.0")


def test_every_setting_has_a_flag_and_a_variable(tmp_path: Path) -> None:
    """With the same values."""
    given, settings = every_setting(tmp_path)
    argv = [f"--{name}={value}" for name, value in given.items() if name != "empty"]
    assert Settings.from_env([*argv, "--empty"], {}) == settings
    environ = {f"MNIST_DASH_{name.upper().replace('-', '_')}": value for name, value in given.items()}
    assert set(environ) == {flag.variable for flag in FLAGS}
    assert Settings.from_env([], environ) == settings


def test_an_ingress_host_chooses_the_cluster_unless_an_engine_is_named() -> None:
    """As a flag or as a variable."""
    assert Settings.from_env(["--ingress-host", "a.example"], {}).engine is EngineKind.KUBERNETES
    assert Settings.from_env([], {"MNIST_DASH_INGRESS_HOST": "a.example"}).engine is EngineKind.KUBERNETES
    assert Settings.from_env(["--ingress-host=a.example", "--engine=local"], {}).engine is EngineKind.LOCAL


def test_the_kubeconfig_is_the_flag_s_then_the_variable_s_then_kubectl_s() -> None:
    """Empty without any of them, so that the usual places are searched."""
    flag, ours, theirs = ["--kubeconfig", "a"], {"MNIST_DASH_KUBECONFIG": "b"}, {"KUBECONFIG": "c:d"}
    assert Settings.from_env(flag, ours | theirs).kubeconfig == "a"
    assert Settings.from_env([], ours | theirs).kubeconfig == "b"
    assert Settings.from_env([], theirs).kubeconfig == "c:d"
    assert Settings.from_env([], {}).kubeconfig == ""


def test_files_may_be_created_later() -> None:
    """The page opens, names the missing file, and works once it exists."""
    argv = ["--ingress-host=a.example", "--google-app-creds=~/none.json", "--kubeconfig=/none"]
    settings = Settings.from_env(argv, {})
    assert settings.google_app_creds == Path("~/none.json").expanduser()
    assert settings.kubeconfig == "/none"


def test_the_local_engine_ignores_settings_of_a_cluster() -> None:
    """They may be in the environment."""
    assert Settings.from_env(["--router=gateway"], {}).engine is EngineKind.LOCAL


@pytest.mark.parametrize(
    ("argv", "solution"),
    [
        (["--engine=kubernetes"], "--ingress-host"),
        (["--ingress-host=a.example", f"--ca-file={__file__}"], "--scheme https"),
        (["--ingress-host=a.example", "--router=gateway"], "--gateway NAMESPACE/NAME"),
        (["--ingress-host=a.example", "--gateway=infra/main"], "--router gateway"),
    ],
)
def test_contradicting_settings_are_an_error_that_names_the_solution(argv: list[str], solution: str) -> None:
    """With the flag at fault."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(argv, {})
    assert solution in str(caught.value)
    assert argv[-1].split("=")[0] in str(caught.value)


ACCEPTED = {
    "image": [
        "serving:1",
        "registry:5000/a/b_c:v1",
        "a/b@sha256:" + "0" * 64,
        "a/b:latest@sha256:" + "0" * 64,
        "a/b:latest-gpu-of-mine",
    ],
    "ingress-address": ["127.0.0.1:80", "lb.example.com:443", "[::1]:8443"],
    "namespace": ["a", "a" * 63],
    "ingress-class": ["nginx"],
    "ingress-host": ["a-1.example.com", "10-0-0-1.nip.io"],
}


@pytest.mark.parametrize(("name", "value"), pairs(ACCEPTED))
def test_a_value_that_a_cluster_accepts_is_accepted(name: str, value: str) -> None:
    """Unchanged."""
    settings = Settings.from_env([f"--{name}={value}", "--engine=local"], {})
    assert getattr(settings, name.replace("-", "_")) == value


REFUSED = {
    "engine": ["cloud"],
    "gateway-port": ["http", "65536", "-1"],
    "state-dir": ["/dev/null"],
    "empty": ["maybe"],
    "image": [
        "tensorflow/serving",
        "tensorflow/serving:latest",
        "registry:5000/serving",
        "a/b@sha256:0",
        "a b:1",
    ],
    "ingress-address": [
        "example.com",
        "http://example.com:80",
        "2001:db8::7:443",
        "[2001:zz::7]:443",
        "example.com:0",
        "example.com:65536",
    ],
    "namespace": ["Mnist", "a" * 64],
    "ingress-class": ["nginx_"],
    "scheme": ["ftp"],
    "router": ["mesh"],
    "gateway": ["main", "a/b/c"],
    "ca-file": ["/none.pem"],
    "kubeconfig": [""],
    "context": [" "],
    "google-app-creds": [""],
    "ingress-host": ["http://a.example", "10.0.0.1", "a.example:8080", "a..example", "a." * 127 + "example"],
}


@pytest.mark.parametrize(("name", "value"), pairs(REFUSED))
def test_a_wrong_value_is_an_error_that_names_key_value_and_expected_type(name: str, value: str) -> None:
    """Before anything starts, whether it comes from the flag or from the variable."""
    (flag,) = (flag for flag in FLAGS if flag.name == name)
    for source, argv, environ in (
        (f"--{name}", [f"--{name}={value}"], {}),
        (flag.variable, [], {flag.variable: value}),
    ):
        if argv and not flag.value:  # a switch has no value on the command line
            continue
        with pytest.raises(SettingsError) as caught:
            Settings.from_env(argv, environ)
        assert str(caught.value) == f"{source}: {value!r} is not {flag.expected}."


@pytest.mark.parametrize(
    ("argv", "words"), [(["--stat-dir", "/x"], "--stat-dir /x"), (["--engine"], "Argument --engine")]
)
def test_a_mistyped_command_line_names_the_argument_and_the_help(argv: list[str], words: str) -> None:
    """In one line."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(argv, {})
    assert words in str(caught.value)
    assert str(caught.value).endswith("See: streamlit run app.py -- --help")


def test_help_lists_every_flag_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    """As `streamlit run app.py -- --help` prints it."""
    with pytest.raises(SystemExit) as caught:
        Settings.from_env(["--help"], {})
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert text.startswith("usage: streamlit run app.py -- ")
    for flag in FLAGS:
        assert f"--{flag.name}" in text
        assert flag.variable in text
