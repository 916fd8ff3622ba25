"""Connect to the cluster as kubectl does: kubeconfig files, or a Pod's service account."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, exec_provider, incluster_config, kube_config

from mnist_dash.cluster.api_client import RETRIES, KubernetesClient
from mnist_dash.cluster.exec_plugin import Credential, ExecPlugin, exec_info
from mnist_dash.errors import EngineError
from mnist_dash.settings import Settings

FETCH: Final = "gcloud container clusters get-credentials CLUSTER --location LOCATION"
GIVE: Final = f"Give one with --kubeconfig, or fetch it (on GKE: {FETCH})."
AGAIN: Final = f"Fetch it anew (on GKE: {FETCH})."
SECTIONS: Final = ("clusters", "contexts", "users")


def check_file(path: Path) -> None:
    """Look a kubeconfig through; raises EngineError if it cannot be read or is none."""
    config = _parsed(path)
    if config is None:
        raise EngineError(f"The kubeconfig {path} is empty.", AGAIN)
    if not isinstance(config, dict) or not set(SECTIONS) & config.keys():
        raise EngineError(f"{path} is no kubeconfig: it has no clusters, contexts and users.", GIVE)
    for section in SECTIONS:
        entries = config.get(section) or []
        if not isinstance(entries, list):
            raise EngineError(f"The kubeconfig {path} is damaged: its {section} are no list.", AGAIN)
        for entry in entries:
            if not _is_entry(entry, section[:-1]):
                problem = (
                    f"The kubeconfig {path} is damaged: not each of its {section} has its name and content."
                )
                raise EngineError(problem, AGAIN)


def _parsed(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as err:
        line = f" in line {err.problem_mark.line + 1}" if err.problem_mark else ""
        problem = f"The kubeconfig {path} is not YAML: {err.problem or err.context}{line}."
        raise EngineError(problem, f"Mend it. {AGAIN}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise EngineError(f"The kubeconfig {path} is not a text file.", GIVE) from None
    except IsADirectoryError:
        raise EngineError(f"The kubeconfig {path} is a folder.", "Give the file in it.") from None
    except OSError as err:
        step = "Let the user who runs the dashboard read it."
        raise EngineError(f"The kubeconfig {path} cannot be read: {err.strerror}.", step) from err


def _is_entry(entry: Any, content: str) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str | int)
        and isinstance(entry.get(content) or {}, dict)
    )


DEFAULT_FILE: Final = "~/.kube/config"
POD_ACCOUNT: Final = "the service account of this Pod"
AGENT: Final = "mnist-dash"
# These parts of the package have no annotations.
_exec: Any = exec_provider
_pod: Any = incluster_config
_kube: Any = kube_config


def connect(settings: Settings) -> KubernetesClient:
    """Connect to the cluster that the settings name, and ask it once who we are.

    Without a kubeconfig that is the one of `~/.kube/config`, or else the one in a Pod of which this runs.
    Raises EngineError, with a sentence of its own for each way to fail.
    """
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each new try
    configuration: Any = Configuration(retries=RETRIES)  # its annotations lack what the loaders set
    files = _files(settings.kubeconfig)
    account = _load(files, settings.context, configuration) if files else _load_pod(settings, configuration)
    _check_certificates(configuration)
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    client = ApiClient(configuration)
    client.user_agent = AGENT
    return _tried(KubernetesClient(client, settings.namespace, account=account))


def _tried(api: KubernetesClient) -> KubernetesClient:
    try:
        api.who_am_i()
    except EngineError:
        api.close()
        raise
    return api


def _files(given: str) -> list[Path]:
    """The kubeconfig files there are; none means to try the account of the Pod."""
    if not given:
        default = Path(DEFAULT_FILE).expanduser()
        return [default] if default.exists() else []
    named = [Path(part).expanduser() for part in given.split(os.pathsep) if part]
    there = [path for path in named if path.exists()]
    if not there:
        listed = " or ".join(str(path) for path in named) or repr(given)
        raise EngineError(f"There is no kubeconfig {listed}.", f"Check the path. {GIVE}")
    return there


def _load_pod(settings: Settings, configuration: Any) -> str:
    if settings.context:
        raise EngineError(f"There is no kubeconfig for the context {settings.context}.", GIVE)
    try:
        _pod.load_incluster_config(configuration)
    except (ConfigException, OSError) as err:
        if "Service host/port" in str(err):
            problem = f"There is no kubeconfig: none was given, {DEFAULT_FILE} is not there, "
            raise EngineError(f"{problem}and this does not run in a Pod of a cluster.", GIVE) from None
        problem = f"The service account of this Pod cannot be used: {err}"
        raise EngineError(problem, "Let the Pod have its token: automountServiceAccountToken.") from err
    return POD_ACCOUNT


def _load(files: Sequence[Path], context: str, configuration: Any) -> str:
    """Load one context of kubeconfig files into the configuration; returns what they call its user."""
    for path in files:
        check_file(path)
    where = os.pathsep.join(str(path) for path in files)
    chosen = _Chosen(_kube.KubeConfigMerger(where).config, where, context)
    chosen.load_into(configuration)
    return chosen.user_name


class _Chosen:
    """One context of merged kubeconfig files, with its cluster and its user."""

    def __init__(self, config: Any, where: str, context: str) -> None:
        self._config, self._where = config, where
        self._context = context or str(config.value.get("current-context") or "")
        if not self._context:
            step = f"Name one of its contexts with --context: {self._names('contexts')}."
            raise self._wrong("does not say which context is the current one", step)
        content = self._entry("contexts", self._context).value["context"] or {}
        self._cluster = self._entry("clusters", str(content.get("cluster") or ""))
        self.user_name = str(content.get("user") or "")
        self._user = self._entry("users", self.user_name).value["user"] or {} if self.user_name else {}

    def _wrong(self, what: str, step: str) -> EngineError:
        return EngineError(f"The kubeconfig {self._where} {what}.", step)

    def _names(self, section: str) -> str:
        return ", ".join(str(one["name"]) for one in self._config.value[section]) or "there are none"

    def _entry(self, section: str, name: str) -> Any:
        for one in self._config.value[section]:
            if str(one["name"]) == name:
                return one
        what = section.removesuffix("s")
        if section == "contexts":
            raise self._wrong(f"has no context {name}", f"Its contexts: {self._names(section)}.")
        problem = f"has no {what} {name}" if name else f"names no {what}"
        raise self._wrong(f"{problem} for the context {self._context}", f"Choose another: --context. {AGAIN}")

    def load_into(self, configuration: Any) -> None:
        """Set address, certificates and credentials; raises EngineError."""
        self._refuse_what_cannot_be_done()
        plugin = self._plugin()  # taken out: the package's own way with it hides what goes wrong
        loader = _kube.KubeConfigLoader(self._config, active_context=self._context, config_base_path=None)
        try:
            loader.load_and_set(configuration)
        except Exception as err:  # it raises what it is given by its parts: KeyError, OSError, OAuth errors
            raise self._wrong(f"cannot be used: {err}".rstrip("."), AGAIN) from err
        if plugin and not configuration.api_key:
            _log_in_with(plugin, configuration)

    def _refuse_what_cannot_be_done(self) -> None:
        server = str((self._cluster.value["cluster"] or {}).get("server") or "")
        if not server.startswith(("https://", "http://")):
            problem = f"has no address (server: https://...) for the cluster {self._cluster['name']}"
            raise self._wrong(problem, AGAIN)
        provider = (self._user.get("auth-provider") or {}).get("name")
        if provider not in (None, "oidc"):
            problem = f"logs in with the auth-provider {provider}, which Kubernetes no longer has"
            raise self._wrong(problem, AGAIN)
        if any(key.startswith("as") and self._user[key] for key in self._user):
            step = "Use a context whose user acts for itself."
            raise self._wrong(f"lets {self.user_name} act as another user, which is not supported", step)

    def _plugin(self) -> ExecPlugin | None:
        settings = self._user.pop("exec", None)
        if not settings:
            return None
        folder = str(Path(self._cluster.path).absolute().parent)
        try:
            provider = _exec.ExecProvider(
                _kube.ConfigNode("exec", settings), folder, self._cluster["cluster"]
            )
        except (ConfigException, KeyError, TypeError) as err:
            raise self._wrong(f"has a damaged log-in plug-in for {self.user_name}: {err}", AGAIN) from err
        cluster = provider.cluster.value if provider.cluster else None
        env = provider.env | {"KUBERNETES_EXEC_INFO": exec_info(provider.api_version, cluster)}
        hint = str(settings.get("installHint") or "")
        return ExecPlugin(provider.args, env, folder, provider.api_version, install_hint=hint)


def _log_in_with(plugin: ExecPlugin, configuration: Any) -> None:
    given = plugin.credential()
    if given.token:
        configuration.refresh_api_key_hook = lambda now: _set_token(now, plugin.credential())
        _set_token(configuration, given)
    else:
        configuration.cert_file, configuration.key_file = _file(given.certificate), _file(given.key)


def _set_token(configuration: Any, given: Credential) -> None:
    configuration.api_key["BearerToken"] = f"Bearer {given.token}"


def _file(content: str) -> str:
    """A private file with the content, which the package removes at the end."""
    return str(_kube.FileOrData({"data": content}, None, "data", base64_file_content=False).as_file())


def _check_certificates(configuration: Any) -> None:
    """Find out which of the files is damaged before OpenSSL says no more than that one is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if configuration.ssl_ca_cert:
            context.load_verify_locations(configuration.ssl_ca_cert)
    except OSError as err:
        problem = "The certificate-authority in the kubeconfig cannot be read"
        raise EngineError(f"{problem}: {_reason(err)}.", AGAIN) from err
    try:
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file, password=lambda: "")
    except OSError as err:
        problem = "The client-certificate and client-key in the kubeconfig cannot be used"
        raise EngineError(f"{problem}: {_reason(err)}.", AGAIN) from err


def _reason(err: OSError) -> str:
    if isinstance(err, ssl.SSLError):
        return "it is not in PEM form, or damaged"
    return err.strerror or str(err)
