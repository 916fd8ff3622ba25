"""Kubeconfig files: whether they can be read, and hold what a kubeconfig holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from mnist_dash.errors import EngineError

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
