"""Build the programs of the cluster tests: `python -m tests.cluster.build`.

It compiles `controlplane/` (etcd, kube-apiserver, kube-controller-manager and kube-scheduler in one binary)
into the user's cache and copies the Gateway API's CRDs beside it. The first build takes about five minutes on
two cores. The versions are in `controlplane/go.mod`, except for the Gateway API's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

COMMAND = "python -m tests.cluster.build"
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.6.3"
SOURCE = Path(__file__).parent / "controlplane"
CACHE = user_cache_path("mnist-dash")


class BuildError(Exception):
    """The reason why the test-bed cannot be built."""


@dataclass(frozen=True)
class Built:
    """The paths of the built parts."""

    control_plane: Path
    gateway_crds: Path
    """A folder of YAML files."""


def find() -> Built | None:
    """Return an earlier build of these sources by any version of Go; None if there is none."""
    binaries = sorted(CACHE.glob(f"controlplane-{_sources_key()}-*"))
    binaries = [binary for binary in binaries if binary.suffix != ".part"]
    crds = _crds_folder()
    return Built(binaries[-1], crds) if binaries and crds.is_dir() else None


def build() -> Built:
    """Build the missing parts and print the progress; raises BuildError if that fails."""
    go = shutil.which("go")
    if not go and (built := find()):
        print(f"The control plane is already built: {built.control_plane}")
        return built
    if not go:
        problem = (
            "The cluster tests' control plane is built with Go, and there is no program named go on the PATH."
        )
        raise BuildError(f"{problem} Install Go ({_go_desired()} or newer), then run `{COMMAND}` again.")
    CACHE.mkdir(parents=True, exist_ok=True)
    return Built(_build_binary(go), _copy_crds(go))


def kubernetes_version() -> str:
    """Return the release of Kubernetes, such as v1.37.2."""
    return _in_go_mod(r"k8s\.io/kubernetes (v\S+)")


def _build_binary(go: str) -> Path:
    go_version = _output(go, "env", "GOVERSION").split(".")
    target = CACHE / f"controlplane-{_sources_key()}-{'.'.join(go_version[:2])}"
    if target.exists():
        print(f"The control plane is already built: {target}")
        return target
    print(
        f"Building the control plane of Kubernetes {kubernetes_version()} (minutes at first) ...", flush=True
    )
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    _run(go, "build", "-C", str(SOURCE), "-trimpath", "-ldflags", _link_flags(), "-o", str(part), ".")
    part.rename(target)
    print(f"Built {target}")
    return target


def _link_flags() -> str:
    """Without these the API server calls itself v0.0.0-master."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(
        f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamps.items()
    )


def _copy_crds(go: str) -> Path:
    target = _crds_folder()
    if target.is_dir():
        print(f"The Gateway API's CRDs are already there: {target}")
        return target
    print(f"Fetching {GATEWAY_API} ...", flush=True)
    folder = Path(json.loads(_output(go, "mod", "download", "-json", GATEWAY_API))["Dir"])
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.copytree(folder / "config" / "crd" / "standard", part, copy_function=shutil.copyfile)
    part.chmod(0o755)  # Go's module folders are read-only
    part.rename(target)
    print(f"Copied {target}")
    return target


def _crds_folder() -> Path:
    return CACHE / GATEWAY_API.rpartition("/")[2].replace("@", "-")


def _sources_key() -> str:
    files = (SOURCE / name for name in ("go.mod", "go.sum", "main.go"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _go_desired() -> str:
    return _in_go_mod(r"^go (\S+)")


def _in_go_mod(pattern: str) -> str:
    found = re.search(pattern, (SOURCE / "go.mod").read_text(), re.MULTILINE)
    assert found, f"go.mod does not match {pattern}"
    return found[1]


def _output(*argv: str) -> str:
    return _run(*argv, stdout=subprocess.PIPE).stdout


def _run(*argv: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, stdout=stdout, text=True, check=False)
    if done.returncode:
        raise BuildError(f"`{' '.join(argv[:3])} ...` failed with exit code {done.returncode}: see above.")
    return done


def main() -> int:
    """Build, and return the exit code."""
    try:
        build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
