"""Flags and environment variables become settings; what is wrong is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnist_dash.errors import SettingsError
from mnist_dash.settings import FLAGS, EngineKind, RouterKind, Scheme, Settings


def full(folder: Path) -> tuple[dict[str, str], Settings]:
    """Every flag with a value that is not its default, and what they make together."""
    certificate = folder / "ca.pem"
    certificate.touch()
    given = {
        "engine": "kubernetes",
        "gateway-port": "9000",
        "state-dir": "/tmp/y",
        "empty": "yes",
        "ingress-host": "A.example",
        "google-app-creds": str(folder / "key.json"),
        "kubeconfig": "/etc/one:/etc/two",
        "context": "demo",
        "namespace": "digits",
        "ingress-class": "traefik.internal",
        "scheme": "https",
        "ca-file": str(certificate),
        "ingress-address": "[2001:db8::7]:443",
        "image": "eu.gcr.io:5000/my/serving:2.19.0-gpu",
        "router": "gateway",
        "gateway": "infra/main",
    }
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
    assert set(given) == {flag.name for flag in FLAGS}
    assert {flag.field for flag in FLAGS} == set(Settings.__dataclass_fields__)
    return given, settings


def test_without_flags_and_variables_the_local_engine_is_the_default() -> None:
    """A laptop with nothing but Python needs no setting."""
    settings = Settings.from_env([], {})
    assert settings.engine is EngineKind.LOCAL
    assert settings.gateway_port == 8080
    assert settings.state_dir.name == "mnist-dash"
    assert settings.empty is False


def test_a_cluster_needs_no_more_than_a_host() -> None:
    """The rest has defaults that fit a plain ingress-nginx."""
    settings = Settings.from_env(["--ingress-host", "a.example"], {})
    assert settings == Settings(engine=EngineKind.KUBERNETES, ingress_host="a.example")
    assert (settings.namespace, settings.ingress_class, settings.scheme) == ("mnist", "nginx", "http")
    assert (settings.router, settings.image) == ("ingress", "tensorflow/serving:2.19.0")


def test_every_flag_can_be_given(tmp_path: Path) -> None:
    """On the command line."""
    given, settings = full(tmp_path)
    argv = [f"--{name}={value}" for name, value in given.items() if name != "empty"]
    assert Settings.from_env([*argv, "--empty"], {}) == settings


def test_every_flag_has_a_variable(tmp_path: Path) -> None:
    """In the environment."""
    given, settings = full(tmp_path)
    environ = {f"MNIST_DASH_{name.upper().replace('-', '_')}": value for name, value in given.items()}
    assert set(environ) == {flag.variable for flag in FLAGS}
    assert Settings.from_env([], environ) == settings


def test_an_ingress_host_chooses_the_cluster_unless_an_engine_is_named() -> None:
    """Whoever names one means to use it."""
    assert Settings.from_env(["--ingress-host", "a.example"], {}).engine is EngineKind.KUBERNETES
    assert Settings.from_env([], {"MNIST_DASH_INGRESS_HOST": "a.example"}).engine is EngineKind.KUBERNETES
    assert Settings.from_env(["--ingress-host=a.example", "--engine=local"], {}).engine is EngineKind.LOCAL


def test_the_kubeconfig_is_the_flag_s_then_the_variable_s_then_kubectl_s() -> None:
    """And empty where nobody names one: then the usual places are searched."""
    flag, ours, theirs = ["--kubeconfig", "a"], {"MNIST_DASH_KUBECONFIG": "b"}, {"KUBECONFIG": "c:d"}
    assert Settings.from_env(flag, ours | theirs).kubeconfig == "a"
    assert Settings.from_env([], ours | theirs).kubeconfig == "b"
    assert Settings.from_env([], theirs).kubeconfig == "c:d"
    assert Settings.from_env([], {}).kubeconfig == ""


def test_files_that_may_come_later_need_not_be_there() -> None:
    """The page opens, says what is missing, and goes on when it is there."""
    argv = ["--ingress-host=a.example", "--google-app-creds=~/none.json", "--kubeconfig=/none"]
    settings = Settings.from_env(argv, {})
    assert settings.google_app_creds == Path("~/none.json").expanduser()
    assert settings.kubeconfig == "/none"


def test_the_local_engine_does_not_mind_what_is_said_of_a_cluster() -> None:
    """Its settings may stand in the environment."""
    assert Settings.from_env(["--router=gateway"], {}).engine is EngineKind.LOCAL


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--engine=kubernetes"],
            "--engine kubernetes needs --ingress-host. Name the host under which the cluster answers, or use "
            "--engine local.",
        ),
        (
            ["--ingress-host=a.example", f"--ca-file={__file__}"],
            "--ca-file is for https, and the scheme is http. Add --scheme https, or leave --ca-file out.",
        ),
        (
            ["--ingress-host=a.example", "--router=gateway"],
            "--router gateway needs the Gateway that its route belongs to. "
            "Say which: --gateway NAMESPACE/NAME.",
        ),
        (
            ["--ingress-host=a.example", "--gateway=infra/main"],
            "--gateway is for --router gateway, and the router is ingress. Add --router gateway, or leave "
            "--gateway out.",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_told_with_the_way_out(argv: list[str], message: str) -> None:
    """In one line, word for word."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(argv, {})
    assert str(caught.value) == message


PINNED = "an image with a pinned release, such as tensorflow/serving:2.19.0 (not latest)"
ADDRESS = "HOST:PORT, such as 203.0.113.7:80 or [2001:db8::7]:443"


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("image", "serving:1"),
        ("image", "registry:5000/a/b_c:v1"),
        ("image", "a/b@sha256:" + "0" * 64),
        ("image", "a/b:latest@sha256:" + "0" * 64),
        ("image", "a/b:latest-gpu-of-mine"),
        ("ingress-address", "127.0.0.1:80"),
        ("ingress-address", "lb.example.com:443"),
        ("ingress-address", "[::1]:8443"),
        ("namespace", "a"),
        ("namespace", "a" * 63),
        ("ingress-class", "nginx"),
        ("ingress-host", "a-1.example.com"),
        ("ingress-host", "10-0-0-1.nip.io"),
    ],
)
def test_what_a_cluster_accepts_is_accepted(name: str, good: str) -> None:
    """As it is written."""
    settings = Settings.from_env([f"--{name}={good}", "--engine=local"], {})
    assert getattr(settings, name.replace("-", "_")) == good


@pytest.mark.parametrize(
    ("name", "bad", "desired"),
    [
        ("image", "tensorflow/serving", PINNED),
        ("image", "tensorflow/serving:latest", PINNED),
        ("image", "registry:5000/serving", PINNED),
        ("image", "a/b@sha256:0", PINNED),
        ("image", "a b:1", PINNED),
        ("ingress-address", "example.com", ADDRESS),
        ("ingress-address", "http://example.com:80", ADDRESS),
        ("ingress-address", "2001:db8::7:443", ADDRESS),
        ("ingress-address", "[2001:zz::7]:443", ADDRESS),
        ("ingress-address", "example.com:0", ADDRESS),
        ("ingress-address", "example.com:65536", ADDRESS),
        ("namespace", "Mnist", "the name of a namespace: up to 63 small letters, digits and hyphens"),
        ("namespace", "a" * 64, "the name of a namespace: up to 63 small letters, digits and hyphens"),
        ("ingress-class", "nginx_", "the name of an IngressClass: small letters, digits, hyphens and dots"),
        ("scheme", "ftp", "http or https"),
        ("router", "mesh", "ingress or gateway"),
        ("gateway", "main", "NAMESPACE/NAME of a Gateway"),
        ("gateway", "a/b/c", "NAMESPACE/NAME of a Gateway"),
        ("ca-file", "/none.pem", "a file that exists"),
        ("kubeconfig", "", "the path of a kubeconfig"),
        ("context", " ", "the name of a context"),
        ("google-app-creds", "", "the path of a file"),
        ("ingress-host", "10.0.0.1", "a host name such as my.example.com"),
        ("ingress-host", "a.example:8080", "a host name such as my.example.com"),
        ("ingress-host", "a..example", "a host name such as my.example.com"),
        ("ingress-host", "a." * 127 + "example", "a host name such as my.example.com"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused_at_the_start(name: str, bad: str, desired: str) -> None:
    """With what is desired."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env([f"--{name}={bad}", "--engine=local"], {})
    assert str(caught.value) == f"--{name}: {bad!r} is not {desired}."


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
def test_a_wrong_value_names_flag_value_and_what_is_desired(
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
