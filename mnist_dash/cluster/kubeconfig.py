"""Connect to the cluster as kubectl does: with kubeconfig files, or with a Pod's service account."""

from __future__ import annotations

import binascii
import errno
import logging
import os
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import requests
import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, incluster_config, kube_config

from mnist_dash.cluster.api_client import RETRIES, KubernetesClient
from mnist_dash.cluster.api_errors import CHECK_PROXY, FETCH, FETCH_KUBECONFIG
from mnist_dash.cluster.exec_plugin import ExecPlugin
from mnist_dash.errors import EngineError
from mnist_dash.network_errors import explain_network_error
from mnist_dash.settings import Settings

DEFAULT_FILE: Final = "~/.kube/config"
GIVE_KUBECONFIG: Final = f"Give one with --kubeconfig, or fetch it (on GKE: {FETCH})."
_TYPED: Final = ("disable-compression", "extensions", "insecure-skip-tls-verify", "provideClusterInfo")
"""Keys whose values are not text."""
_QUOTED: Final = re.compile(r"""'[^'<][^']+'|"[^"<][^"]+\"""")
Sections: TypeAlias = dict[str, dict[str, Any]]
"""Of the merged kubeconfig files: section -> name -> ConfigNode of the library."""
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
    # As for kubectl, the proxy of the environment is not for this machine.
    configuration.no_proxy = f"{configuration.no_proxy or ''},localhost,127.0.0.0/8,::1"
    if files := _find_files(settings.kubeconfig):
        account = _load_kubeconfig(files, settings.context, configuration)
    else:
        account = _load_pod_account(settings.context, configuration)
    _check_certificates(configuration)
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        _prepare_proxy(configuration)
        client = ApiClient(configuration)
    except (urllib3.exceptions.HTTPError, ValueError):
        # Without its cause, which quotes the address and so its password.
        raise EngineError("The address of the proxy is not a URL.", CHECK_PROXY) from None
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
        _use_token_file(Path(_incluster_config.SERVICE_TOKEN_FILENAME), configuration)
    except (ConfigException, OSError) as err:
        problem = f"There is no kubeconfig {DEFAULT_FILE}, and no service account of a Pod: {_reason(err)}."
        raise EngineError(problem, GIVE_KUBECONFIG) from None
    return "the service account of this Pod"


def _load_kubeconfig(files: Sequence[Path], context: str, configuration: Any) -> str:
    """Load one context of the files into the configuration, and return the name of its user."""
    paths = os.pathsep.join(map(str, files))
    try:
        sections, current = _merge_files(files)
        context = context or current
        if context in sections["contexts"]:
            return _load_context(sections, context, configuration)
    except EngineError:
        raise
    except Exception as err:  # the library raises KeyError, OSError, OAuth errors and more
        problem = f"The kubeconfig {paths} cannot be used: {_reason(err)}."
        raise EngineError(problem, FETCH_KUBECONFIG) from None  # the text of YAML errors quotes the file
    problem = f"has no context {context}" if context else "names no current context"
    names = ", ".join(sections["contexts"]) or "there are none"
    step = f"Choose one of its contexts with --context: {names}."
    raise EngineError(f"The kubeconfig {paths} {problem}.", step)


def _merge_files(files: Sequence[Path]) -> tuple[Sections, str]:
    """Return the entries of all files, and the current context; as for kubectl, the first file wins."""
    sections: Sections = {"clusters": {}, "contexts": {}, "users": {}}
    current = ""
    for file in files:
        # PyYAML detects the UTF-16 of PowerShell in bytes. As for kubectl, only the first document counts.
        content = _normalize(next(yaml.safe_load_all(file.read_bytes()), None) or {})
        current = current or content.get("current-context", "")
        for section, entries in sections.items():
            for entry in content.get(section, []):
                complete = {"name": "", section[:-1]: {}, **(entry or {})}
                # The library's errors quote the first argument.
                node = _kube_config.ConfigNode(section, complete, str(file))
                entries.setdefault(node["name"], node)
    return sections, current


def _normalize(value: Any) -> Any:
    """Drop empty values, which kubectl takes for missing, and make numbers and dates text."""
    match value:
        case dict():
            items = ((str(key), item) for key, item in value.items() if item not in (None, ""))
            return {key: item if key in _TYPED else _normalize(item) for key, item in items}
        case list():
            return [_normalize(item) for item in value]
        case bool():
            return str(value).lower()
    return "" if value is None else str(value)


def _load_context(sections: Sections, name: str, configuration: Any) -> str:
    context = sections["contexts"][name].value["context"]
    cluster = _find(sections, "clusters", context.get("cluster", "")).value["cluster"]
    user = str(context.get("user", ""))
    user_entry = _find(sections, "users", user) if user else _kube_config.ConfigNode(user, {"user": {}}, "")
    cluster["server"] = _normalize_server(cluster)
    cluster["insecure-skip-tls-verify"] = cluster.get("insecure-skip-tls-verify") is True
    if cluster["server"].startswith("http:"):
        user_entry.value["user"] = {}  # kubectl too sends no credentials without TLS
    credentials = user_entry.value["user"]
    _check_support(cluster, credentials, user)
    folder = Path(user_entry.path).absolute().parent
    plugin = None
    if exec_settings := credentials.pop("exec", None):  # the library's runner has no time limit
        plugin = ExecPlugin(exec_settings, str(folder), cluster)
    if "token" in credentials:
        credentials["token"] = credentials["token"].strip()
    lists = {section: [*entries.values()] for section, entries in sections.items()}
    config = _kube_config.ConfigNode("kubeconfig", lists)
    loader = _kube_config.KubeConfigLoader(config, active_context=name, config_base_path=None)
    loader.load_and_set(configuration)
    if "proxy-url" in cluster:
        configuration.no_proxy = ""  # NO_PROXY does not apply to it
    if "tokenFile" in credentials:
        _use_token_file(folder / credentials["tokenFile"], configuration)
    if plugin and not configuration.api_key:
        _log_in(plugin, configuration)
    return user


def _check_support(cluster: dict[str, Any], credentials: dict[str, Any], user: str) -> None:
    if not cluster.get("proxy-url", "http:").lower().startswith(("http:", "https:", "socks5:", "socks5h:")):
        raise ConfigException("its proxy-url does not start with http://, https:// or socks5://")
    provider = credentials.get("auth-provider", {}).get("name", "oidc")
    if provider != "oidc":
        raise ConfigException(f"Kubernetes has removed its auth-provider {provider}")
    if any(credentials.get(key) for key in ("as", "as-uid", "as-groups", "as-user-extra")):
        raise ConfigException(f"the user {user} impersonates another user, which is not supported")


def _find(sections: Sections, section: str, name: str) -> Any:
    if name not in sections[section]:
        raise ConfigException(f"it lacks the {section[:-1]} {name}".rstrip())
    return sections[section][name]


def _normalize_server(cluster: dict[str, Any]) -> str:
    """Return the URL of the API server with a scheme, which is http by default, as for kubectl."""
    server = cluster.get("server", "")
    if not server:
        raise ConfigException("its cluster has no server")
    if "://" not in server:
        tls = ("certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify")
        server = f"{'https' if any(map(cluster.get, tls)) else 'http'}://{server}"
    url = urllib3.util.parse_url(server)
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigException("the server of its cluster is not an address with http:// or https://")
    return url._replace(auth=None, query=None, fragment=None).url  # errors quote it: no password


def _use_token_file(path: Path, configuration: Any) -> None:
    """Send the token of a file, which is replaced before it expires; a token of the kubeconfig is older."""

    def read(current: Any) -> None:
        try:
            if not (token := path.read_text().strip()):
                raise OSError(errno.ENODATA, "Empty file", str(path))
            _set_token(current, token)
        except OSError:
            if not current.api_key:
                raise

    read(configuration)
    configuration.refresh_api_key_hook = read


def _log_in(plugin: ExecPlugin, configuration: Any) -> None:
    def renew_token(current: Any) -> None:
        _set_token(current, plugin.credential().token)

    credential = plugin.credential()
    if credential.token:
        configuration.refresh_api_key_hook = renew_token  # called before each request
        _set_token(configuration, credential.token)
    else:
        configuration.cert_file = _write_private_file(credential.certificate)
        configuration.key_file = _write_private_file(credential.key)


def _set_token(configuration: Any, token: str) -> None:
    configuration.api_key["BearerToken"] = f"Bearer {token.strip()}"


def _prepare_proxy(configuration: Any) -> None:
    """Use a proxy as kubectl does: http without a scheme, its password, and its own look-up of names."""
    if proxy := configuration.proxy:
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        url = urllib3.util.parse_url(proxy)
        if url.auth and url.scheme in ("http", "https"):
            configuration.proxy_headers = urllib3.util.make_headers(proxy_basic_auth=unquote(url.auth))
        configuration.proxy = re.sub("(?i)^socks5:", "socks5h:", proxy)


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
        case AttributeError() | KeyError() | TypeError():
            return "it does not have the structure of a kubeconfig"
        case binascii.Error():
            return "a certificate or key in it is not base64"
        case urllib3.exceptions.LocationParseError():
            return "an address in it is not a URL"
        case urllib3.exceptions.HTTPError() | requests.RequestException():
            return f"its OIDC provider cannot be reached ({explain_network_error(error).reason})"
        case yaml.MarkedYAMLError():
            line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
            # PyYAML quotes tags and aliases, which may be a password with ! or * at its start.
            problem = _QUOTED.sub("...", str(error.problem or error.context))
            return f"it is not YAML ({problem}{line})"
        case ssl.SSLError():
            return "it is damaged, or not in PEM form"
        case OSError() if error.strerror:
            return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return f"its content is damaged ({type(error).__name__})"
