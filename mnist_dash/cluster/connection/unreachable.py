"""Why no answer came from the API server, in words."""

from __future__ import annotations

from urllib3 import exceptions as http

from mnist_dash.errors import EngineError

_CHECK_CA = (
    "Fetch the kubeconfig anew (on GKE: gcloud container clusters get-credentials CLUSTER); "
    "its certificate-authority-data must be the cluster's."
)
_CHECK_NETWORK = "Check that the cluster runs, and that this machine may reach it (VPN, firewall, proxy)."
_CHECK_SERVER = "Check the address of the cluster in the kubeconfig."
# A part of what OpenSSL says -> what is wrong, and what to do.
_TLS: tuple[tuple[str, str, str], ...] = (
    (
        "KEY_VALUES_MISMATCH",
        "the client certificate and the key in the kubeconfig do not belong together",
        "Fetch the kubeconfig anew.",
    ),
    (
        "mismatch",
        "the certificate of {server} is for another host",
        f"{_CHECK_SERVER} Behind a tunnel, tls-server-name there names the certificate's host.",
    ),
    ("doesn't match", "the certificate of {server} is for another host", _CHECK_SERVER),
    (
        "certificate has expired",
        "the certificate of {server} has expired",
        "Have the cluster's certificates renewed, and check this machine's clock.",
    ),
    ("not yet valid", "the certificate of {server} is not valid yet", "Check this machine's clock."),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "the certificate of {server} is not signed by the authority that the kubeconfig names",
        _CHECK_CA,
    ),
    (
        "WRONG_VERSION_NUMBER",
        "{server} does not speak TLS",
        f"{_CHECK_SERVER} Perhaps it begins with http, not https.",
    ),
    (
        "record layer",
        "{server} does not speak TLS",
        f"{_CHECK_SERVER} Perhaps it begins with http, not https.",
    ),
    ("ALERT", "{server} does not accept the client certificate", "Fetch the kubeconfig anew."),
)


def is_cut(err: BaseException) -> bool:
    """Whether the connection was cut in the middle, so that the same request may be sent once more."""
    return isinstance(_cause(err), http.ProtocolError)


def unreachable(err: BaseException, server: str, seconds: float) -> EngineError:
    """The words for an error of the HTTP library; `seconds` is how long it waited for an answer."""
    match cause := _cause(err):
        case http.SSLError():
            return tls_failure(str(cause), server)
        case http.ProxyError():
            why = _last(cause.original_error)
            problem = f"The proxy on the way to the cluster at {server} does not work: {why}."
            return EngineError(problem, "Check HTTPS_PROXY and NO_PROXY, or proxy-url in the kubeconfig.")
        case http.NameResolutionError():
            problem = f"The name of the cluster at {server} cannot be resolved."
            return EngineError(problem, f"{_CHECK_SERVER} {_CHECK_NETWORK}")
        case http.ReadTimeoutError():
            problem = f"The cluster at {server} did not answer within {seconds:g} seconds."
            return EngineError(problem, "It may be overloaded; the dashboard keeps looking for it.")
        case http.NewConnectionError():
            return EngineError(f"The cluster at {server} cannot be reached: {_last(cause)}.", _CHECK_NETWORK)
        case http.ConnectTimeoutError():
            return EngineError(f"There is no route to the cluster at {server}: time-out.", _CHECK_NETWORK)
        case http.ProtocolError():
            problem = f"The connection to the cluster at {server} was cut in the middle."
            return EngineError(problem, "The dashboard keeps looking; if it lasts, check the network.")
        case http.LocationValueError():
            return EngineError(f"{server} is no address of a cluster.", _CHECK_SERVER)
    return EngineError(f"The cluster at {server} cannot be asked: {_last(cause)}.", _CHECK_NETWORK)


def tls_failure(said: str, server: str) -> EngineError:
    """The words for what OpenSSL said of the connection to the API server."""
    for part, problem, step in _TLS:
        if part.lower() in said.lower():
            return EngineError(f"TLS fails: {problem.format(server=server)}.", step)
    return EngineError(f"TLS to {server} fails: {' '.join(said.split())}.", _CHECK_CA)


def _cause(err: BaseException) -> BaseException:
    """What the library gave up for after the last try."""
    return err.reason if isinstance(err, http.MaxRetryError) and err.reason else err


def _last(err: BaseException) -> str:
    """The last part of an error's text: `Connection refused`."""
    text = str(err).rpartition("] ")[2] or str(err)
    return text.rstrip(".) '\"") or type(err).__name__
