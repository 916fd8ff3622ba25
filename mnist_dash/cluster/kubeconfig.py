"""Connect to the cluster as kubectl does: with kubeconfig files, or with a Pod's service account."""

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
from kubernetes.config import ConfigException, incluster_config, kube_config

from mnist_dash.cluster.api_client import RETRIES, KubernetesClient
from mnist_dash.cluster.api_errors import FETCH, FETCH_KUBECONFIG
from mnist_dash.cluster.exec_plugin import ExecPlugin
from mnist_dash.errors import EngineError
from mnist_dash.settings import Settings

DEFAULT_FILE: Final = "~/.kube/config"
GIVE_KUBECONFIG: Final = f"Give one with --kubeconfig, or fetch it (on GKE: {FETCH})."
# These modules have no annotations.
_incluster_config: Any = incluster_config
_kube_config: Any = kube_config


def connect(settings: Settings) -> KubernetesClient:
    """Connect to the cluster that the settings name, and check the credentials with one request.

    Without a kubeconfig in the settings that is `~/.kube/config`, or else the cluster of the Pod that this
    process runs in. Raises EngineError.
    """
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each retry
    # Its annotations lack attributes that the loaders set.
    configuration: Any = Configuration(retries=RETRIES)
    if files := _find_files(settings.kubeconfig):
        account = _load_kubeconfig(files, settings.context, configuration)
    else:
        account = _load_pod_account(settings.context, configuration)
    _check_certificates(configuration)
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    client = ApiClient(configuration)
    client.user_agent = "mnist-dash"
    api = KubernetesClient(client, settings.namespace, account=account)
    try:
        api.who_am_i()
    except EngineError:
        api.close()
        raise
    return api


def _find_files(paths: str) -> list[Path]:
    """Return the existing kubeconfig files of a path list; none means the account of the Pod."""
    if not paths:
        default = Path(DEFAULT_FILE).expanduser()
        return [default] if default.exists() else []
    named = [Path(path).expanduser() for path in paths.split(os.pathsep) if path]
    existing = [path for path in named if path.exists()]
    if not existing:
        listed = " or ".join(map(str, named)) or repr(paths)
        raise EngineError(f"There is no kubeconfig {listed}.", f"Check the path. {GIVE_KUBECONFIG}")
    return existing


def _load_pod_account(context: str, configuration: Any) -> str:
    if context:
        raise EngineError(f"There is no kubeconfig for the context {context}.", GIVE_KUBECONFIG)
    try:
        _incluster_config.load_incluster_config(configuration)
    except (ConfigException, OSError) as err:
        problem = f"There is no kubeconfig {DEFAULT_FILE}, and no service account of a Pod: {_reason(err)}."
        raise EngineError(problem, GIVE_KUBECONFIG) from None
    return "the service account of this Pod"


def _load_kubeconfig(files: Sequence[Path], context: str, configuration: Any) -> str:
    """Load one context of the files into the configuration, and return the name of its user."""
    paths = os.pathsep.join(map(str, files))
    try:
        config = _merge_files(paths)
        context = context or str(config.value.get("current-context") or "")
        contexts = [str(entry["name"]) for entry in config.value["contexts"]]
        if context in contexts:
            return _load_context(config, context, configuration)
    except EngineError:
        raise
    except Exception as err:  # the library raises KeyError, OSError, OAuth errors and more
        problem = f"The kubeconfig {paths} cannot be used: {_reason(err)}."
        raise EngineError(problem, FETCH_KUBECONFIG) from None  # the text of YAML errors quotes the file
    problem = f"has no context {context}" if context else "names no current context"
    step = f"Choose one of its contexts with --context: {', '.join(contexts) or 'there are none'}."
    raise EngineError(f"The kubeconfig {paths} {problem}.", step)


def _merge_files(paths: str) -> Any:
    """Merge kubeconfig files, and keep the contents of entries out of the errors of the library."""
    try:
        config = _kube_config.KubeConfigMerger(paths).config
        for section in ("clusters", "contexts", "users"):
            for entry in config.value[section]:
                entry.name = section
    except (AttributeError, TypeError, ConfigException, KeyError):
        raise ConfigException("it does not have the structure of a kubeconfig") from None
    return config


def _load_context(config: Any, name: str, configuration: Any) -> str:
    context = config["contexts"].get_with_name(name)["context"]
    cluster = config["clusters"].get_with_name(context["cluster"])
    if not cluster["cluster"]["server"]:
        raise ConfigException(f"the cluster {context['cluster']} has no server")
    user = str(context.safe_get("user") or "")
    credentials = config["users"].get_with_name(user).value.get("user") or {} if user else {}
    provider = (credentials.get("auth-provider") or {}).get("name", "oidc")
    if provider != "oidc":
        raise ConfigException(f"Kubernetes has removed its auth-provider {provider}")
    if any(credentials.get(key) for key in ("as", "as-uid", "as-groups", "as-user-extra")):
        raise ConfigException(f"the user {user} impersonates another user, which is not supported")
    plugin = None
    if exec_settings := credentials.pop("exec", None):  # the library's runner has no time limit
        folder = str(Path(cluster.path).absolute().parent)
        plugin = ExecPlugin(exec_settings, folder, cluster["cluster"].value)
    loader = _kube_config.KubeConfigLoader(config, active_context=name, config_base_path=None)
    loader.load_and_set(configuration)
    if plugin and not configuration.api_key:
        _log_in(plugin, configuration)
    return user


def _log_in(plugin: ExecPlugin, configuration: Any) -> None:
    def renew_token(current: Any) -> None:
        current.api_key["BearerToken"] = f"Bearer {plugin.credential().token}"

    credential = plugin.credential()
    if credential.token:
        configuration.refresh_api_key_hook = renew_token  # called before each request
        configuration.api_key["BearerToken"] = f"Bearer {credential.token}"
    else:
        configuration.cert_file = _write_private_file(credential.certificate)
        configuration.key_file = _write_private_file(credential.key)


def _write_private_file(content: str) -> str:
    """Write a private file that the library removes at exit."""
    data = _kube_config.FileOrData({"data": content}, None, "data", base64_file_content=False)
    return str(data.as_file())


def _check_certificates(configuration: Any) -> None:
    """Find the damaged file, which OpenSSL's error of a connection does not name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    part = "certificate-authority"
    try:
        if configuration.ssl_ca_cert:
            context.load_verify_locations(configuration.ssl_ca_cert)
        part = "client-certificate or client-key"
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file, password=lambda: "")
    except OSError as err:
        problem = f"The {part} in the kubeconfig cannot be used: {_reason(err)}."
        raise EngineError(problem, FETCH_KUBECONFIG) from err


def _reason(error: Exception) -> str:
    """Return a reason that quotes nothing of a file's content."""
    match error:
        case ConfigException():
            return str(error).removeprefix("Invalid kube-config file. ").rstrip(".")
        case yaml.MarkedYAMLError():
            line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
            return f"it is not YAML ({error.problem or error.context}{line})"
        case ssl.SSLError():
            return "it is damaged, or not in PEM form"
        case OSError() if error.strerror:
            return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return f"its content is damaged ({type(error).__name__})"
