"""The images that the kubelet double cannot pull, with the messages of a kubelet with containerd."""

from __future__ import annotations


def pull_error(image: str) -> str:
    """Return why an image cannot be pulled; empty if it can be.

    A registry below `.invalid` has no address; a repository with `private` in its name needs a login; the
    tags `missing` and `nope` do not exist. Every other image exists, and runs the project's model server.
    """
    host, repository, tag = _parts(image)
    reference = f"{host}/{repository}:{tag}"
    unpacked = f'failed to pull and unpack image "{reference}": failed to resolve '
    if host.partition(":")[0].endswith(".invalid"):
        url = f"https://{host}/v2/{repository}/manifests/{tag}"
        looked_up = f"lookup {host.partition(':')[0]} on 10.96.0.10:53: no such host"
        return f'{unpacked}reference "{reference}": failed to do request: Head "{url}": dial tcp: {looked_up}'
    if "private" in repository:
        denied = "pull access denied, repository does not exist or may require authorization"
        scope = "server message: insufficient_scope: authorization failed"
        return f'{unpacked}reference "{reference}": {denied}: {scope}'
    if tag in ("missing", "nope"):
        return f'{unpacked}reference "{reference}": {reference}: not found'
    return ""


def _parts(image: str) -> tuple[str, str, str]:
    """Return host, repository and tag, with Docker's defaults for missing parts."""
    name, _, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
    host, slash, rest = name.partition("/")
    if not slash:
        return "docker.io", f"library/{name}", tag
    if "." in host or ":" in host or host == "localhost":
        return host, rest, tag
    return "docker.io", name, tag
