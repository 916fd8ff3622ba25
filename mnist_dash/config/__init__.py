"""What was asked for at the start: flags, environment variables and their defaults."""

from mnist_dash.config.flags import FLAGS, EngineKind, Flag, RouterKind, Scheme
from mnist_dash.config.settings import Settings

__all__ = ["FLAGS", "EngineKind", "Flag", "RouterKind", "Scheme", "Settings"]
